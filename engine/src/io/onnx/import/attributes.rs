//! Attributes of nodes: numbers, texts, lists and constants, with their defaults and bounds.

use super::Import;
use crate::error::Result;
use crate::io::onnx::constant::{self, Constant};
use crate::io::onnx::proto::{Attribute, Node};

/// The largest whole number that an attribute may hold: sizes of windows, steps, padding.
const MAX_ATTRIBUTE: i64 = 4096;

pub(super) fn attribute<'a>(node: &'a Node, name: &str) -> Option<&'a Attribute> {
    node.attribute.iter().find(|a| a.name == name)
}

impl Import<'_> {
    /// A whole-number attribute.
    pub fn int(&self, node: &Node, name: &str, default: i64) -> i64 {
        attribute(node, name).map_or(default, |a| a.i)
    }

    /// A whole-number attribute of at least `least` and not absurdly large.
    pub fn size(&self, node: &Node, name: &str, default: i64, least: i64) -> Result<usize> {
        let value = self.int(node, name, default);
        self.bounded(node, name, &[value], least).map(|v| v[0])
    }

    /// A number attribute.
    pub fn float(&self, node: &Node, name: &str, default: f32) -> f64 {
        // the shortest decimal, so that 0.1 stays 0.1 in model texts
        shortest(attribute(node, name).map_or(default, |a| a.f))
    }

    /// A text attribute.
    pub fn text<'n>(&self, node: &'n Node, name: &str) -> &'n str {
        attribute(node, name).and_then(|a| std::str::from_utf8(&a.s).ok()).unwrap_or("")
    }

    /// A list attribute; none where it is not given.
    pub fn ints<'n>(&self, node: &'n Node, name: &str) -> Option<&'n [i64]> {
        attribute(node, name).map(|a| a.ints.as_slice())
    }

    /// A tensor, or number, attribute of a Constant node.
    pub fn literal(&self, node: &Node) -> Result<Constant> {
        let Some(a) = node.attribute.first() else { return Err(self.damaged(node, "it has no value")) };
        let scalar = |numbers| Constant { name: String::new(), dims: vec![], numbers };
        match (a.name.as_str(), &a.t) {
            ("value", Some(t)) => constant::read(t, None).map_err(|problem| self.damaged(node, &problem)),
            ("value_float", _) => Ok(scalar(constant::Numbers::Floats(vec![a.f]))),
            ("value_int", _) => Ok(scalar(constant::Numbers::Ints(vec![a.i]))),
            ("value_ints", _) => Ok(Constant::ints(a.ints.clone())),
            ("value_floats", _) => Ok(Constant {
                dims: vec![a.floats.len()],
                ..scalar(constant::Numbers::Floats(a.floats.clone()))
            }),
            (other, _) => Err(self.refuse(node, format!("its value is of kind {other}"), "use numbers")),
        }
    }

    /// A list as sizes, each between `least` and a limit that no net reaches.
    pub fn bounded(&self, node: &Node, name: &str, list: &[i64], least: i64) -> Result<Vec<usize>> {
        match list.iter().find(|v| !(least..=MAX_ATTRIBUTE).contains(v)) {
            None => Ok(list.iter().map(|&v| v as usize).collect()),
            Some(v) => {
                let problem = format!("{name} = {v}");
                Err(self.refuse(node, problem, &format!("{least} to {MAX_ATTRIBUTE} is supported")))
            }
        }
    }

    /// A list of two sizes.
    pub fn pair(&self, node: &Node, name: &str, default: [usize; 2], least: i64) -> Result<[usize; 2]> {
        let Some(list) = self.ints(node, name) else { return Ok(default) };
        match self.bounded(node, name, list, least)?[..] {
            [h, w] => Ok([h, w]),
            _ => Err(self.refuse(
                node,
                format!("{name} has {} numbers", list.len()),
                "two are supported: rows, columns",
            )),
        }
    }
}

/// The double whose shortest decimal is that of a single.
pub(in crate::io::onnx) fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}
