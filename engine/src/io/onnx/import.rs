//! An ONNX file as a net: which values are arrays of the file and which are layers' outputs, node by node.
//!
//! A value that the net computes is a slot of the net, seen through a [`View`]: exporters of other programs move the
//! channels to the back and forth again, and pad in a node of its own; both are remembered here and merged into the
//! layers that follow, so that the net has the layers that a person would write.

mod attributes;
mod input;

pub(super) use attributes::shortest;

use super::constant::{self, Constant};
use super::made::{Form, Net};
use super::ops;
use super::proto::{Graph as GraphProto, Model, Node};
use super::{CLASSES_KEY, MEAN_KEY, STD_KEY};
use crate::array::Shape;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::layers::{Conv, Flatten};
use crate::params::Params;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

/// How a slot's numbers lie in ONNX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// As in the engine: [N, C, H, W] or [N, K].
    Plain,
    /// Channels at the back: [N, H, W, C].
    Last,
    /// A vector whose index is (h W + w) C + c, of maps of this shape.
    LastFlat(Shape),
}

/// Padding that stands before the next layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Padding {
    /// Rows above, columns to the left.
    pub start: [usize; 2],
    /// Rows below, columns to the right.
    pub end: [usize; 2],
    /// Whether it is below every number, instead of zero.
    pub low: bool,
}

/// An array that the net computes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data {
    pub slot: usize,
    pub view: View,
    pub padding: Option<Padding>,
    /// Whether no other value of the file is the same slot.
    pub alone: bool,
}

/// What a name of the file stands for.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Constant(Rc<Constant>),
    Data(Data),
    /// The sigmoid of the named value, waiting to be multiplied by it.
    Gate(String),
    /// A part of a GELU of these data.
    Gauss(Data, Gauss),
    /// A part of a local response normalisation of these data.
    Norm(Data, ops::Norm),
    /// One channel of maps, [N, H, W].
    Plane(Data),
    /// Whether the named value is above a number.
    Above(String, f32),
}

/// How far a GELU that is written out has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gauss {
    /// Erf(x / sqrt(2)).
    Erf,
    /// 1 + Erf(x / sqrt(2)).
    Plus,
    /// Half of that.
    Half,
    /// x times that, not halved.
    Product,
}

/// A file that is being read.
pub(super) struct Import<'a> {
    file: &'a Path,
    /// Version of ONNX's own operators.
    pub opset: i64,
    /// The batch size, where the file fixes it.
    pub batch: Option<i64>,
    pub net: Net,
    values: HashMap<&'a str, Value>,
    readers: HashMap<&'a str, Vec<&'a Node>>,
    outputs: HashSet<&'a str>,
}

/// Reads a model. `folder` is where weights outside the file are looked for, if they may be.
pub(super) fn net(
    model: &Model,
    file: &Path,
    folder: Option<&Path>,
    bytes: usize,
) -> Result<(Graph, Params<f32>)> {
    let graph = model.graph.as_ref().ok_or_else(|| damaged(file, "model", "it holds no graph"))?;
    let own = |d: &str| d.is_empty() || d == "ai.onnx";
    let opset = model.opset_import.iter().filter(|o| own(&o.domain)).map(|o| o.version).max();
    let opset = opset.ok_or_else(|| damaged(file, "model", "it names no operator set"))?;
    if opset < 7 {
        let problem = format!("{}: it uses operator set {opset}", file.display());
        return Err(Error::request(problem, "save it again with operator set 7 or later"));
    }
    let (mut constants, mut outside) = (HashMap::new(), 0);
    for tensor in &graph.initializer {
        let constant = constant::read(tensor, folder)
            .map_err(|problem| damaged(file, &format!("initializer \"{}\"", tensor.name), &problem))?;
        outside += if tensor.location == 1 { constant.len() } else { 0 };
        constants.insert(tensor.name.as_str(), Value::Constant(Rc::new(constant)));
    }
    let output = graph.output.first().ok_or_else(|| damaged(file, "graph", "it has no output"))?;
    let nodes = input::needed(graph, &output.name);
    let mut readers: HashMap<&str, Vec<&Node>> = HashMap::new();
    for node in &nodes {
        node.input.iter().for_each(|i| readers.entry(i).or_default().push(node));
    }
    let input = input::input_of(graph, &constants, &readers, file)?;
    let (shape, view, batch, flat) = input::input_shape(input, &constants, &readers, file)?;
    // weights take a number of each four bytes; small constants may be spread over channels
    let budget = bytes / 2 + outside + (1 << 22);
    let mut import = Import {
        file,
        opset,
        batch,
        net: Net::new(shape, budget),
        values: constants,
        readers,
        outputs: HashSet::from([output.name.as_str()]),
    };
    let mut slot = 0;
    if flat {
        slot = import.net.push("flatten", Form::other(Flatten), vec![0], vec![])?;
    }
    import.values.insert(&input.name, Value::Data(Data { slot, view, padding: None, alone: true }));
    for node in nodes {
        ops::read(&mut import, node)?;
    }
    import.finish(model, graph, &output.name)
}

/// A file that is not what it claims to be.
pub(super) fn damaged(file: &Path, place: &str, problem: &str) -> Error {
    Error::corrupt(file, place, problem, "save the model again")
}

impl<'a> Import<'a> {
    fn finish(mut self, model: &Model, graph: &GraphProto, output: &str) -> Result<(Graph, Params<f32>)> {
        let data = match self.values.get(output) {
            Some(Value::Data(data)) => *data,
            _ => return Err(damaged(self.file, &format!("output \"{output}\""), "no node computes it")),
        };
        let data = self.settled(data)?;
        if data.slot == 0 || matches!(data.view, View::LastFlat(_)) {
            let problem = format!(
                "{}: output \"{output}\" is the input, or maps in another order",
                self.file.display()
            );
            return Err(Error::request(problem, "save a net that ends in a layer"));
        }
        let list = |key: &str| metadata(model, key, self.file, serde_json::Value::as_f64);
        let (mean, std) = (list(MEAN_KEY)?, list(STD_KEY)?);
        let classes = metadata(model, CLASSES_KEY, self.file, |v| v.as_str().map(str::to_string))?;
        let name = if graph.name.is_empty() { "net" } else { graph.name.as_str() };
        self.net.finish(data.slot, name, |builder| {
            let classes: Vec<&str> = classes.iter().map(String::as_str).collect();
            builder.pixels(&mean, &std).classes(&classes)
        })
    }

    /// Refuses what a node asks for.
    pub fn refuse(&self, node: &Node, problem: impl std::fmt::Display, cure: &str) -> Error {
        Error::request(format!("{}: {}: {problem}", self.file.display(), label(node)), cure)
    }

    /// Reports a node that no writer of ONNX makes.
    pub fn damaged(&self, node: &Node, problem: &str) -> Error {
        damaged(self.file, &label(node), problem)
    }

    /// What input `i` stands for; none where it is left out.
    pub fn value(&self, node: &Node, i: usize) -> Result<Option<&Value>> {
        match node.input.get(i).filter(|n| !n.is_empty()) {
            None => Ok(None),
            Some(name) => match self.values.get(name.as_str()) {
                None => {
                    Err(self.damaged(node, &format!("input \"{name}\" is computed by no node before it")))
                }
                value => Ok(value),
            },
        }
    }

    /// Input `i`, which must be computed by the net; padding that stands before it is left for the caller.
    pub fn data(&self, node: &Node, i: usize) -> Result<Data> {
        match self.value(node, i)? {
            Some(Value::Data(data)) => Ok(*data),
            None => Err(self.damaged(node, &format!("input {i} is missing"))),
            Some(Value::Constant(_)) => Err(self.refuse(
                node,
                format!("its input {i} is a constant"),
                "fold constants when saving the model (an optimiser for ONNX files does)",
            )),
            Some(_) => Err(self.refuse(
                node,
                format!("its input {i} is a part of a SiLU, GELU, Softplus or normalisation that ends in another way"),
                "x Sigmoid(x), x (1 + Erf(x / sqrt(2))) / 2, a guarded Softplus and local response normalisation \
                 are supported",
            )),
        }
    }

    /// Input `i`, in the engine's own order, padding done.
    pub fn plain(&mut self, node: &Node, i: usize) -> Result<Data> {
        let data = self.data(node, i)?;
        let data = self.settled(data)?;
        self.check_plain(node, data)?;
        Ok(data)
    }

    /// Refuses data whose channels lie at the back.
    pub fn check_plain(&self, node: &Node, data: Data) -> Result<()> {
        match data.view {
            View::Plain => Ok(()),
            _ => Err(self.refuse(
                node,
                "its input has the channels at the back",
                "save the model with channels first ([N, C, H, W])",
            )),
        }
    }

    /// Input `i`, if it is given; it must be a constant.
    pub fn constant(&self, node: &Node, i: usize) -> Result<Option<Rc<Constant>>> {
        match self.value(node, i)? {
            None => Ok(None),
            Some(Value::Constant(constant)) => Ok(Some(constant.clone())),
            Some(_) => {
                let problem = format!("its input {i} is computed by the net");
                Err(self.refuse(node, problem, "only constants are supported there"))
            }
        }
    }

    /// Input `i`, which must be a constant.
    pub fn needed_constant(&self, node: &Node, i: usize) -> Result<Rc<Constant>> {
        self.constant(node, i)?.ok_or_else(|| self.damaged(node, &format!("input {i} is missing")))
    }

    /// Does the padding that stands before data, by a 1x1 convolution of each channel with weight one.
    pub fn settled(&mut self, data: Data) -> Result<Data> {
        let Some(padding) = data.padding else { return Ok(data) };
        if padding.low {
            return Err(Error::request(
                format!("{}: padding with the lowest number stands before no max-pool", self.file.display()),
                "pad with zeros",
            ));
        }
        let channels = self.net.shape(data.slot).c;
        let mut conv = Conv { out: channels, groups: channels, ..Conv::new(channels, 1).without_bias() };
        (conv.window.pad, conv.window.pad_end) = (padding.start, padding.end);
        self.net.spend("pad", channels)?;
        let slot = self.net.push("pad", Form::Conv(conv), vec![data.slot], vec![vec![1.0; channels]])?;
        Ok(Data { slot, padding: None, alone: true, ..data })
    }

    /// Sets the node's first output.
    pub fn set(&mut self, node: &'a Node, value: Value) -> Result<()> {
        let Some(name) = node.output.first().filter(|n| !n.is_empty()) else {
            return Err(self.damaged(node, "it has no output"));
        };
        if let Some(extra) = node.output[1..].iter().find(|o| self.readers.contains_key(o.as_str())) {
            return Err(self.refuse(node, format!("its further output \"{extra}\" is used"), "leave it out"));
        }
        self.values.insert(name, value);
        Ok(())
    }

    /// Sets the node's output to a new slot.
    pub fn set_slot(&mut self, node: &'a Node, slot: usize, view: View) -> Result<()> {
        self.set(node, Value::Data(Data { slot, view, padding: None, alone: true }))
    }

    /// Sets the node's output to what its input `i` is, changed or not.
    pub fn alias(&mut self, node: &'a Node, i: usize, data: Data) -> Result<()> {
        let alone = data.alone && self.sole(node, i);
        self.set(node, Value::Data(Data { alone, ..data }))
    }

    /// Whether this node alone reads its input `i`.
    pub fn sole(&self, node: &Node, i: usize) -> bool {
        let Some(name) = node.input.get(i) else { return false };
        !self.outputs.contains(name.as_str()) && self.readers_of(name).len() == 1
    }

    /// Nodes that read a value.
    pub fn readers_of(&self, name: &str) -> &[&'a Node] {
        self.readers.get(name).map_or(&[], Vec::as_slice)
    }

    /// Adds a layer of one input for a node, and sets its output.
    pub fn layer(&mut self, node: &'a Node, data: Data, form: Form, weights: Vec<Vec<f32>>) -> Result<()> {
        let slot = self.net.push(&wish(node, None), form, vec![data.slot], weights)?;
        self.set_slot(node, slot, data.view)
    }
}

/// A node in messages.
fn label(node: &Node) -> String {
    let name = if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name };
    format!("node \"{name}\" ({})", node.op)
}

/// The name that a node's layer should have: that of its weights, so that parameters keep theirs, or its own.
pub(super) fn wish(node: &Node, weight: Option<&Constant>) -> String {
    if let Some(owner) = weight.and_then(|w| w.name.strip_suffix(".weight")).filter(|o| !o.is_empty()) {
        return owner.to_string();
    }
    // a module path ends in the operator
    let path = node.name.strip_suffix(&node.op).filter(|p| p.len() > 1 && p.ends_with('/'));
    match path.unwrap_or(&node.name) {
        "" => node.op.to_lowercase(),
        name => name.to_string(),
    }
}

/// A list in the file's metadata, each item taken by `item`; empty where there is none.
fn metadata<T>(
    model: &Model,
    key: &str,
    file: &Path,
    item: fn(&serde_json::Value) -> Option<T>,
) -> Result<Vec<T>> {
    let Some(entry) = model.metadata.iter().find(|e| e.key == key) else { return Ok(Vec::new()) };
    let list: Option<serde_json::Value> = serde_json::from_str(&entry.value).ok();
    let items = list.as_ref().and_then(|l| l.as_array()?.iter().map(item).collect());
    items.ok_or_else(|| damaged(file, &format!("metadata \"{key}\""), "it is no list of the right kind"))
}
