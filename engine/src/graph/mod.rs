//! What a net is: a directed acyclic graph of named layers.
//!
//! Arrays are counted in *slots*: slot 0 is the net's input (its name is "input"), slot i + 1 the output of layer i.
//! Layers stand in an order in which each reads only slots before its own, so node order is execution order. A graph is
//! checked when it is built: all that follows can rely on its shapes.

mod builder;
mod chains;
pub mod field;
pub mod init;
pub mod models;
mod plan;
mod text;

pub use builder::GraphBuilder;
pub use init::Init;
pub(crate) use plan::scratch;
pub use plan::{Keep, Plan};

use crate::array::Shape;
use crate::error::{Error, Result};
use crate::layers::{Facts, Layer};
use crate::params::{Layout, Params};
use crate::real::Real;
use crate::trace::INPUT;
use std::sync::Arc;

/// A layer in its place.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, unique in the graph.
    pub name: String,
    /// The layer.
    pub layer: Arc<dyn Layer>,
    /// Slots that it reads.
    pub inputs: Vec<usize>,
    /// What it does to shapes.
    pub facts: Facts,
}

/// What is known of the pixels that a net expects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pixels {
    /// Per channel, subtracted from pixels in [0, 1]; empty for none.
    pub mean: Vec<f64>,
    /// Per channel, divides them; empty for none.
    pub std: Vec<f64>,
}

/// A net: named layers and how they hang together.
#[derive(Clone, Debug)]
pub struct Graph {
    name: String,
    input: Shape,
    pixels: Pixels,
    classes: Vec<String>,
    nodes: Vec<Node>,
    names: Arc<[String]>,
    layout: Arc<Layout>,
    readers: Vec<Vec<(usize, usize)>>,
}

impl Graph {
    /// Starts a graph for inputs of `[c, h, w]`.
    pub fn builder(name: &str, input: [usize; 3]) -> GraphBuilder {
        GraphBuilder::new(name, input)
    }

    /// Reads a model text. `file` names it in errors. Errors: with line, key, the known names and the nearest spelling.
    pub fn from_toml(text: &str, file: &str) -> Result<Self> {
        text::parse(text, file)
    }

    /// The model text, every default filled in.
    pub fn to_toml(&self) -> String {
        text::write(self)
    }

    /// Puts checked nodes together.
    fn assemble(name: String, input: Shape, pixels: Pixels, classes: Vec<String>, nodes: Vec<Node>) -> Self {
        let mut names = vec![INPUT.to_string()];
        names.extend(nodes.iter().map(|n| n.name.clone()));
        let layout = Layout::new(nodes.iter().map(|n| (n.name.as_str(), &n.facts.params[..])));
        let mut readers = vec![Vec::new(); nodes.len() + 1];
        for (i, node) in nodes.iter().enumerate() {
            for (place, &slot) in node.inputs.iter().enumerate() {
                readers[slot].push((i, place));
            }
        }
        Self { name, input, pixels, classes, nodes, names: names.into(), layout: Arc::new(layout), readers }
    }

    /// The same layers for another input shape and, if given, another number of outputs of the last dense layer.
    /// Errors: a layer that does not fit the new input.
    pub fn adapted(&self, input: [usize; 3], outputs: Option<usize>) -> Result<Self> {
        let mut builder = GraphBuilder::new(&self.name, input);
        let last = self.nodes.iter().rposition(|n| n.layer.kind().name == "dense");
        for (i, node) in self.nodes.iter().enumerate() {
            let from: Vec<&str> = node.inputs.iter().map(|&s| self.names[s].as_str()).collect();
            let layer = match outputs {
                Some(out) if last == Some(i) => Arc::new(crate::layers::Dense {
                    out,
                    bias: node
                        .layer
                        .options()
                        .iter()
                        .any(|(k, v)| *k == "bias" && *v == crate::layers::options::Value::Bool(true)),
                }),
                _ => node.layer.clone(),
            };
            builder = builder.shared(&node.name, layer, &from);
        }
        builder.build()
    }

    /// The same net, for pixels of this mean and standard deviation per channel.
    pub fn with_pixels(mut self, mean: Vec<f64>, std: Vec<f64>) -> Self {
        self.pixels = Pixels { mean, std };
        self
    }

    /// The same net, with class names.
    pub fn with_classes(mut self, classes: Vec<String>) -> Self {
        self.classes = classes;
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Shape of its input.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// What it expects of pixels.
    pub fn pixels(&self) -> &Pixels {
        &self.pixels
    }

    /// Names of its classes; may be empty.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The name of class `k`, or its number.
    pub fn class_name(&self, k: usize) -> String {
        self.classes.get(k).cloned().unwrap_or_else(|| k.to_string())
    }

    /// Its layers, in execution order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Names of the slots: "input", then every layer.
    pub fn names(&self) -> &Arc<[String]> {
        &self.names
    }

    /// Shape of a slot.
    pub fn shape(&self, slot: usize) -> Shape {
        if slot == 0 { self.input } else { self.nodes[slot - 1].facts.output }
    }

    /// Shape of its output.
    pub fn output(&self) -> Shape {
        self.shape(self.nodes.len())
    }

    /// Layers that read a slot: (layer, which of its inputs), in execution order.
    pub fn readers(&self, slot: usize) -> &[(usize, usize)] {
        &self.readers[slot]
    }

    /// The slots up to `slot` that layers after it read: all that the rest of the net depends on. Only `slot` itself
    /// where no other path leads around it.
    pub fn frontier(&self, slot: usize) -> Vec<usize> {
        (0..=slot).filter(|&s| self.readers[s].iter().any(|&(layer, _)| layer >= slot)).collect()
    }

    /// The slot of that name. Errors: an unknown name.
    pub fn slot(&self, name: &str) -> Result<usize> {
        let slot = self.names.iter().position(|n| n == name);
        slot.ok_or_else(|| Error::unknown("layer", name, self.names.iter().map(String::as_str)))
    }

    /// The slot of the logits: the last layer, or the one below a final softmax.
    pub fn logits(&self) -> usize {
        let mut slot = self.nodes.len();
        while slot > 0 && matches!(self.nodes[slot - 1].layer.kind().name, "softmax" | "log_softmax") {
            slot = self.nodes[slot - 1].inputs[0];
        }
        slot
    }

    /// Where its parameters lie.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Fresh parameters.
    pub fn init<R: Real>(&self, init: Init, seed: u64) -> Params<R> {
        init::parameters(&self.layout, init, seed)
    }

    /// Multiply-adds per image, padding counted.
    pub fn macs(&self) -> u64 {
        self.nodes.iter().map(|n| n.facts.macs).sum()
    }
}
