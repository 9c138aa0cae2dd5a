//! Where a file's net begins: the nodes that its output depends on, its one input, and that input's shape.

use super::attributes::attribute;
use super::{Value, View, damaged};
use crate::array::Shape;
use crate::error::{Error, Result};
use crate::io::onnx::proto::{Graph as GraphProto, Node, Size, ValueInfo};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// The largest number of rows, columns or channels of the input.
const MAX_SIZE: i64 = 1 << 16;

/// The nodes that the output depends on, in the file's order.
pub(super) fn needed<'a>(graph: &'a GraphProto, output: &'a str) -> Vec<&'a Node> {
    let mut wanted = HashSet::from([output]);
    let mut nodes: Vec<&Node> = Vec::new();
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|o| !o.is_empty() && wanted.contains(o.as_str())) {
            wanted.extend(node.input.iter().map(String::as_str));
            nodes.push(node);
        }
    }
    nodes.reverse();
    nodes
}

/// The one input that is no weight.
pub(super) fn input_of<'a>(
    graph: &'a GraphProto,
    constants: &HashMap<&str, Value>,
    readers: &HashMap<&str, Vec<&Node>>,
    file: &Path,
) -> Result<&'a ValueInfo> {
    let free =
        |v: &&ValueInfo| !constants.contains_key(v.name.as_str()) && readers.contains_key(v.name.as_str());
    match graph.input.iter().filter(free).collect::<Vec<_>>()[..] {
        [one] => Ok(one),
        [] => Err(damaged(file, "graph", "it has no input that its output depends on")),
        ref many => {
            let names: Vec<&str> = many.iter().map(|v| v.name.as_str()).collect();
            let problem = format!("{}: it has {} inputs, {}", file.display(), names.len(), names.join(", "));
            Err(Error::request(problem, "save a net of one input"))
        }
    }
}

/// Shape of the input in the engine, how ONNX sees it, the batch where it is fixed, and whether it is a vector.
pub(super) fn input_shape(
    input: &ValueInfo,
    constants: &HashMap<&str, Value>,
    readers: &HashMap<&str, Vec<&Node>>,
    file: &Path,
) -> Result<(Shape, View, Option<i64>, bool)> {
    let dims = input.kind.as_ref().and_then(|k| k.tensor.as_ref()).and_then(|t| t.shape.as_ref());
    let sizes: Vec<Option<i64>> = dims.map_or_else(Vec::new, |d| {
        let known = |size: &Option<Size>| match size {
            Some(Size::Known(n)) => Some(*n),
            _ => None,
        };
        d.dim.iter().map(|d| known(&d.size)).collect()
    });
    let refuse = || {
        let shown: Vec<String> =
            sizes.iter().map(|s| s.map_or_else(|| "?".into(), |n| n.to_string())).collect();
        Error::request(
            format!("{}: input \"{}\" has shape [{}]", file.display(), input.name, shown.join(", ")),
            "save a net whose input is [N, C, H, W] or [N, K] with all sizes but N known",
        )
    };
    let reads: &[&Node] = readers.get(input.name.as_str()).map_or(&[], Vec::as_slice);
    let batch = sizes.first().copied().flatten().filter(|&n| n > 0);
    let known: Option<Vec<i64>> = sizes.get(1..).map_or(Some(vec![]), |s| s.iter().copied().collect());
    let mut known = known.ok_or_else(refuse)?;
    let mut flat = false;
    if let [k] = known[..] {
        // a vector that the file itself turns into maps is taken as maps
        let target =
            reads.first().filter(|n| n.op == "Reshape" && reads.len() == 1).and_then(|n| n.input.get(1));
        known = match target.and_then(|t| constants.get(t.as_str())) {
            Some(Value::Constant(c)) if c.len() == 4 => c.as_ints().map_or(vec![], |v| v[1..].to_vec()),
            _ => {
                flat = true;
                vec![k, 1, 1]
            }
        };
        if known.iter().try_fold(1i64, |n, &d| n.checked_mul(d)) != Some(k) {
            return Err(refuse());
        }
    }
    if known.len() != 3 || known.iter().any(|&n| n < 1) || known[1..].iter().any(|&n| n > MAX_SIZE) {
        return Err(refuse());
    }
    let back = [0, 3, 1, 2];
    let last =
        reads.iter().all(|n| n.op == "Transpose" && attribute(n, "perm").is_some_and(|a| a.ints == back));
    let (view, [c, h, w]) = match known[..] {
        [h, w, c] if last && !reads.is_empty() => (View::Last, [c, h, w]),
        [c, h, w] => (View::Plain, [c, h, w]),
        _ => return Err(refuse()),
    };
    if c > MAX_SIZE * MAX_SIZE || c.checked_mul(h * w).is_none_or(|n| n > 1 << 28) {
        return Err(refuse());
    }
    Ok((Shape::maps(c as usize, h as usize, w as usize), view, batch, flat))
}
