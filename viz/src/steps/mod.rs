//! Single values, worked out by hand: the sum that made one output, the paths that feed one gradient, the candidates of
//! one pool window, and where unpooling puts what.
//!
//! [`Workings`] runs a net on one image. Its questions are answered with a [`Step`]: terms, each a product of named
//! numbers, their sum in double precision, and beside it the number that the engine stored. Terms are enumerated from
//! the window geometry and the parameters, not taken from a kernel's result, so that sum and stored value check each
//! other; [`Step::off`] is their difference and [`Step::slack`] what rounding may do.

mod draw;
pub mod example;
mod gradient;
mod links;
mod text;
mod unpool;
mod value;

pub use unpool::{Placed, Unpooling};

use crate::error::{Error, Result};
use glassbox_engine::forward::at;
use glassbox_engine::graph::Plan;
use glassbox_engine::layers::At;
use glassbox_engine::loss::{CrossEntropy, Loss, Targets};
use glassbox_engine::walk::{Walk, walk};
use glassbox_engine::{Blocked, Graph, Mode, Params, RuleSet, Signals, Trace, forward};
use ndarray::ArrayView3;

/// A unit: channel, row, column.
pub type Unit = [usize; 3];

/// One number of a step, with its name: `conv1[0,2,1]`, `weight[0,0,1,2]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: f64,
}

/// One term: the product of its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// The factors.
    pub parts: Vec<Part>,
    /// Their product.
    pub value: f64,
    /// The unit of the neighbouring layer that it goes through.
    pub unit: Option<Unit>,
    /// Row and column inside the window, where there is one.
    pub tap: Option<[usize; 2]>,
}

impl Term {
    fn new(parts: Vec<Part>) -> Self {
        let value = parts.iter().map(|p| p.value).product();
        Self { parts, value, unit: None, tap: None }
    }

    fn through(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }
}

fn part(name: impl Into<String>, value: f64) -> Part {
    Part { name: name.into(), value }
}

/// How terms make the result.
#[derive(Clone, Debug, PartialEq)]
pub enum How {
    /// Their sum.
    Sum,
    /// The largest one, at this place among the terms; the places that are as large, but later.
    Largest {
        /// The one that the switch names.
        chosen: usize,
        /// Others of the same value.
        ties: Vec<usize>,
    },
}

/// One number, worked out.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What was asked: `conv1[0,1,2]`.
    pub name: String,
    /// Kind of the layer, or "gradient".
    pub kind: String,
    /// How it comes about, as a formula.
    pub formula: String,
    /// How the terms are put together.
    pub how: How,
    /// The terms, in window order.
    pub terms: Vec<Term>,
    /// Their sum, or the largest of them, in double precision.
    pub total: f64,
    /// What is done to the total, where anything is: `max(total, 0)`.
    pub finish: Option<String>,
    /// The result after that.
    pub result: f64,
    /// What the engine stored.
    pub stored: f64,
    /// What single precision may do to the result.
    pub slack: f64,
    /// What is worth knowing besides.
    pub notes: Vec<String>,
}

impl Step {
    /// A sum that is the result.
    fn sum(name: String, kind: &str, formula: &str, terms: Vec<Term>, stored: f64) -> Self {
        let total = terms.iter().map(|t| t.value).sum();
        let scale: f64 = terms.iter().map(|t| t.value.abs()).sum();
        Self {
            name,
            kind: kind.into(),
            formula: formula.into(),
            how: How::Sum,
            slack: rounding(terms.len()) * scale,
            terms,
            total,
            finish: None,
            result: total,
            stored,
            notes: Vec::new(),
        }
    }

    /// The result minus what the engine stored.
    pub fn off(&self) -> f64 {
        self.result - self.stored
    }

    /// Whether result and stored value agree within rounding.
    pub fn agrees(&self) -> bool {
        self.off().abs() <= self.slack || self.result.is_nan() && self.stored.is_nan()
    }
}

/// Relative error that a single-precision sum of `n` terms may have.
fn rounding(n: usize) -> f64 {
    (n + 8) as f64 * f64::from(f32::EPSILON)
}

/// The number at which gradients start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The cross-entropy of this class.
    Loss(usize),
    /// The logit of this class.
    Score(usize),
}

/// A net and one image, forward and backward.
#[derive(Debug)]
pub struct Workings<'a> {
    graph: &'a Graph,
    params: &'a Params<f32>,
    trace: Trace<f32>,
    signals: Signals<f32>,
    gradients: Params<f32>,
    of: Of,
    loss: f64,
}

impl<'a> Workings<'a> {
    /// Runs the net on one image, [C, H, W], in evaluation, and pulls the gradient of `of` back through everything.
    ///
    /// # Errors
    /// An image of another shape; a class that is not there.
    pub fn new(
        graph: &'a Graph,
        params: &'a Params<f32>,
        image: ArrayView3<'_, f32>,
        of: Of,
    ) -> Result<Self> {
        let input = Blocked::from_array4(image.insert_axis(ndarray::Axis(0)), 1);
        let trace = forward(graph, params, &input, Mode::Eval)?;
        let (Of::Loss(class) | Of::Score(class)) = of;
        let from = graph.logits();
        let logits = trace.slot(from)?;
        if class >= graph.shape(from).size() {
            let problem = format!("there is no class {class}; the net has {}", graph.shape(from).size());
            return Err(Error::request(problem, "count classes from 0"));
        }
        let plan = Plan::new(graph, 1, glassbox_engine::graph::Keep::Everything);
        let mut signals = plan.signals(graph);
        let seed = signals.seed_mut(graph, &trace, from);
        let loss =
            CrossEntropy::default().cost(logits.view(), Targets::Classes(&[class as u32]), Some(seed))?;
        if let Of::Score(class) = of {
            seed.fill(0.0);
            seed.values_mut()[class] = 1.0;
        }
        let mut gradients = Params::zeros(graph.layout().clone());
        let rules = RuleSet::gradient();
        let how = Walk {
            from,
            rules: &rules,
            gradients: Some(&mut gradients),
            to_input: true,
            through_softmax: false,
        };
        walk(graph, params, &trace, &mut signals, how)?;
        Ok(Self { graph, params, trace, signals, gradients, of, loss: loss.mean() })
    }

    /// The net.
    pub fn graph(&self) -> &Graph {
        self.graph
    }

    /// The cross-entropy of the class asked for.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// The unit of the largest value of a layer, or of one of its channels; the first of several.
    ///
    /// # Errors
    /// An unknown layer; a channel that is not there.
    pub fn largest(&self, layer: &str, channel: Option<usize>) -> Result<Unit> {
        let slot = self.unit(layer, [channel.unwrap_or(0), 0, 0])?;
        let values = self.trace.slot(slot)?.image(0);
        let mut best = [channel.unwrap_or(0), 0, 0];
        for ((c, y, x), &value) in values.indexed_iter() {
            if channel.is_none_or(|k| k == c) && value > values[best] {
                best = [c, y, x];
            }
        }
        Ok(best)
    }

    /// Layer `i` in its place.
    fn at(&self, i: usize) -> At<'_, f32> {
        at(self.graph, self.params, &self.trace, i)
    }

    /// The activation of a unit.
    fn activation(&self, slot: usize, unit: Unit) -> Result<f64> {
        Ok(f64::from(self.trace.slot(slot)?.image(0)[unit]))
    }

    /// The signal at a unit, zero where none came.
    fn signal(&self, slot: usize, unit: Unit) -> f64 {
        self.signals.slot(slot).map_or(0.0, |s| f64::from(s.image(0)[unit]))
    }

    /// The slot of a layer and a unit of it, checked.
    fn unit(&self, layer: &str, unit: Unit) -> Result<usize> {
        let slot = self.graph.slot(layer)?;
        let shape = self.graph.shape(slot);
        if unit[0] < shape.c && unit[1] < shape.h && unit[2] < shape.w {
            return Ok(slot);
        }
        let [c, y, x] = unit;
        Err(Error::request(
            format!("\"{layer}\" is {}x{}x{} and has no unit {c},{y},{x}", shape.c, shape.h, shape.w),
            "give channel, row and column, each counted from 0",
        ))
    }

    /// The name of a slot.
    fn name(&self, slot: usize) -> &str {
        &self.graph.names()[slot]
    }

    /// `conv1[0,2,1]`, or `fc[3]` for vectors.
    fn unit_name(&self, slot: usize, [c, y, x]: Unit) -> String {
        let name = self.name(slot);
        if self.graph.shape(slot).flat { format!("{name}[{c}]") } else { format!("{name}[{c},{y},{x}]") }
    }
}

#[cfg(test)]
mod tests;
