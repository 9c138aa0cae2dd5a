//! Building a graph layer by layer, in Rust.

use super::{Graph, Node, Pixels};
use crate::array::Shape;
use crate::error::{Error, Result, suggest};
use crate::layers::Layer;
use crate::trace::INPUT;
use std::sync::Arc;

/// A layer with its name and what it reads; `None`: the one above it.
type Entry = (String, Arc<dyn Layer>, Option<Vec<String>>);

/// A graph in the making; what is wrong is said by [`GraphBuilder::build`].
#[derive(Debug)]
pub struct GraphBuilder {
    name: String,
    input: Shape,
    pixels: Pixels,
    classes: Vec<String>,
    layers: Vec<Entry>,
}

impl GraphBuilder {
    /// An empty graph for inputs of `[c, h, w]`.
    pub fn new(name: &str, [c, h, w]: [usize; 3]) -> Self {
        let input = Shape::maps(c, h, w);
        Self { name: name.into(), input, pixels: Pixels::default(), classes: Vec::new(), layers: Vec::new() }
    }

    /// Mean and standard deviation per channel, of pixels in [0, 1].
    pub fn pixels(mut self, mean: &[f64], std: &[f64]) -> Self {
        self.pixels = Pixels { mean: mean.to_vec(), std: std.to_vec() };
        self
    }

    /// Class names.
    pub fn classes(mut self, classes: &[&str]) -> Self {
        self.classes = classes.iter().map(|c| c.to_string()).collect();
        self
    }

    /// A layer that reads the one above it.
    pub fn layer(mut self, name: &str, layer: impl Layer) -> Self {
        self.layers.push((name.into(), Arc::new(layer), None));
        self
    }

    /// A layer that reads the named ones.
    pub fn layer_from(mut self, name: &str, layer: impl Layer, from: &[&str]) -> Self {
        self.layers.push((name.into(), Arc::new(layer), Some(from.iter().map(|f| f.to_string()).collect())));
        self
    }

    /// A layer that another graph holds too.
    pub fn shared(mut self, name: &str, layer: Arc<dyn Layer>, from: &[&str]) -> Self {
        self.layers.push((name.into(), layer, Some(from.iter().map(|f| f.to_string()).collect())));
        self
    }

    /// The graph. Errors: names that repeat or have other characters than letters, digits, `_`, `.` and `-`; `from`
    /// that names no earlier layer; shapes that do not fit.
    pub fn build(self) -> Result<Graph> {
        check_model(&self.name, self.input, &self.pixels)?;
        let mut nodes: Vec<Node> = Vec::new();
        for (name, layer, from) in self.layers {
            let node = place(&nodes, self.input, name, layer, from.as_deref())?;
            nodes.push(node);
        }
        if nodes.is_empty() {
            return Err(Error::request(format!("model \"{}\" has no layers", self.name), "add at least one"));
        }
        Ok(Graph::assemble(self.name, self.input, self.pixels, self.classes, nodes))
    }
}

/// The largest array that a model may ask for per image; keeps a mistyped size from asking for all of memory.
const MAX_VALUES: usize = 1 << 28;

/// Checks what stands above the layers.
pub(super) fn check_model(name: &str, input: Shape, pixels: &Pixels) -> Result<()> {
    let size = input.c.checked_mul(input.h).and_then(|v| v.checked_mul(input.w));
    if !size.is_some_and(|v| (1..=MAX_VALUES).contains(&v)) {
        return Err(Error::request(
            format!("model \"{name}\": input [{}, {}, {}] is empty or too large", input.c, input.h, input.w),
            "write input = [channels, height, width], each at least 1",
        ));
    }
    for (key, list) in [("mean", &pixels.mean), ("std", &pixels.std)] {
        if !list.is_empty() && list.len() != input.c {
            return Err(Error::request(
                format!("model \"{name}\": {key} has {} numbers for {} channels", list.len(), input.c),
                format!("give one {key} per channel, or leave it out"),
            ));
        }
    }
    if let Some(zero) = pixels.std.iter().find(|s| !s.is_finite() || **s <= 0.0) {
        return Err(Error::request(
            format!("model \"{name}\": std {zero} cannot divide"),
            "give positive numbers",
        ));
    }
    Ok(())
}

/// Checks a layer against those before it and works out its shapes.
pub(super) fn place(
    before: &[Node],
    input: Shape,
    name: String,
    layer: Arc<dyn Layer>,
    from: Option<&[String]>,
) -> Result<Node> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return Err(Error::layer(name, "this name cannot be used", "use letters, digits, '_', '.' and '-'"));
    }
    if name == INPUT || before.iter().any(|n| n.name == name) {
        return Err(Error::layer(name, "this name is taken", "give each layer a name of its own"));
    }
    let inputs = match from {
        None => vec![before.len()],
        Some(from) => from.iter().map(|f| slot_of(before, &name, f)).collect::<Result<_>>()?,
    };
    let shape = |&slot: &usize| if slot == 0 { input } else { before[slot - 1].facts.output };
    let shapes: Vec<Shape> = inputs.iter().map(shape).collect();
    let facts = layer.infer(&shapes).map_err(|e| Error::layer(name.as_str(), e.problem, e.cure))?;
    let out = facts.output;
    let size = out.c.checked_mul(out.h).and_then(|v| v.checked_mul(out.w)).unwrap_or(usize::MAX);
    let params = |p: &crate::params::ParamDecl| p.dims.iter().try_fold(1usize, |a, &d| a.checked_mul(d));
    if size > MAX_VALUES || facts.params.iter().any(|p| params(p).is_none_or(|v| v > MAX_VALUES)) {
        return Err(Error::layer(
            name,
            format!("its output {out} or its weights are larger than {MAX_VALUES} numbers"),
            "lower out, or pool before it",
        ));
    }
    Ok(Node { name, layer, inputs, facts })
}

fn slot_of(before: &[Node], name: &str, from: &str) -> Result<usize> {
    if from == INPUT {
        return Ok(0);
    }
    let at = before.iter().position(|n| n.name == from);
    at.map(|i| i + 1).ok_or_else(|| {
        let mut known: Vec<&str> = vec![INPUT];
        known.extend(before.iter().map(|n| n.name.as_str()));
        Error::layer(name, format!("from names \"{from}\", which is no earlier layer"), suggest(from, &known))
    })
}
