//! What is asked of a method: a net, images as the net sees them, and what about them is to be explained.

use super::{Error, Result};
use glassbox_engine::loss::top_class;
use glassbox_engine::{Graph, Params, Real, Shape, View};
use ndarray::Array4;
use std::fmt;

/// Which class is explained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Targets {
    /// Each sample's own largest logit, the first of several.
    #[default]
    Top,
    /// One class for all samples.
    Same(usize),
    /// One class per sample; a list of another length is an error.
    Each(Vec<usize>),
}

/// Which unit of a layer is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// All of them at once.
    All,
    /// The strongest of a channel, the first of several.
    Channel(usize),
    /// The one at (channel, row, column).
    At(usize, usize, usize),
}

/// A question to a method.
#[derive(Clone)]
pub struct Ask<'a, R: Real = f32> {
    /// The net.
    pub graph: &'a Graph,
    /// Its parameters.
    pub params: &'a Params<R>,
    /// Images [N, C, H, W] as the net sees them: mean and deviation already taken out.
    pub input: &'a Array4<R>,
    /// The classes to explain.
    pub targets: Targets,
    /// The layer to look at, for methods that look at one.
    pub layer: Option<&'a str>,
    /// The unit of that layer, for methods that start at one.
    pub unit: Option<Unit>,
    /// Maps of a layer are enlarged to the input's size, half-pixel bilinear.
    pub upsample: bool,
    /// Images to compare with [M, C, H, W], for methods that need a background.
    pub background: Option<&'a Array4<R>>,
    /// Called with (done, total) now and then on long ways.
    pub progress: Option<&'a dyn Fn(usize, usize)>,
}

impl<R: Real> fmt::Debug for Ask<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("model", &self.graph.name())
            .field("input", &self.input.shape())
            .field("targets", &self.targets)
            .field("layer", &self.layer)
            .field("unit", &self.unit)
            .finish_non_exhaustive()
    }
}

impl<'a, R: Real> Ask<'a, R> {
    /// Asks about each image's own top class.
    pub fn new(graph: &'a Graph, params: &'a Params<R>, input: &'a Array4<R>) -> Self {
        Self {
            graph,
            params,
            input,
            targets: Targets::Top,
            layer: None,
            unit: None,
            upsample: false,
            background: None,
            progress: None,
        }
    }

    /// About these classes.
    pub fn targets(mut self, targets: Targets) -> Self {
        self.targets = targets;
        self
    }

    /// At this layer.
    pub fn layer(mut self, layer: &'a str) -> Self {
        self.layer = Some(layer);
        self
    }

    /// At this unit of the layer.
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// With maps at the input's size.
    pub fn upsampled(mut self) -> Self {
        self.upsample = true;
        self
    }

    /// Images.
    pub fn samples(&self) -> usize {
        self.input.dim().0
    }

    /// Numbers of one image.
    pub fn size(&self) -> usize {
        self.graph.input().size()
    }

    /// Checks everything that does not depend on the method. Errors: images of another shape, or not finite; classes
    /// out of range, or not one per image; a background of another shape.
    pub(crate) fn check(&self) -> Result<()> {
        let shape = self.graph.input();
        check_images("the input", self.input, shape)?;
        if let Some(background) = self.background {
            check_images("the background", background, shape)?;
        }
        let classes = self.graph.shape(self.graph.logits()).size();
        let in_range = |&k: &usize| {
            if k < classes {
                return Ok(());
            }
            Err(Error::request(
                format!("class {k} is out of range: model \"{}\" has {classes} outputs", self.graph.name()),
                format!("use 0 to {}, or `top`", classes - 1),
            ))
        };
        match &self.targets {
            Targets::Top => Ok(()),
            Targets::Same(k) => in_range(k),
            Targets::Each(list) if list.len() != self.samples() => Err(Error::request(
                format!("{} classes for {} images", list.len(), self.samples()),
                "give one class per image, or one for all",
            )),
            Targets::Each(list) => list.iter().try_for_each(in_range),
        }
    }

    /// The class explained for a sample whose logits are image `at` of `logits`.
    pub(crate) fn class(&self, sample: usize, logits: View<'_, R>, at: usize) -> usize {
        match &self.targets {
            Targets::Top => top_class(logits, at),
            Targets::Same(k) => *k,
            Targets::Each(list) => list[sample],
        }
    }

    /// Says how far a long way has come.
    pub(crate) fn progress(&self, done: usize, total: usize) {
        if let Some(progress) = self.progress {
            progress(done, total);
        }
    }
}

fn check_images<R: Real>(what: &str, images: &Array4<R>, shape: Shape) -> Result<()> {
    let (n, c, h, w) = images.dim();
    if n == 0 {
        return Err(Error::request(format!("{what} holds no images"), "give at least one"));
    }
    if (c, h, w) != (shape.c, shape.h, shape.w) {
        return Err(Error::request(
            format!("{what} has images of {c}x{h}x{w}, but the model takes {shape}"),
            "give images of that shape",
        ));
    }
    match images.indexed_iter().find(|(_, v)| !v.is_finite()) {
        None => Ok(()),
        Some(((n, c, h, w), v)) => Err(Error::request(
            format!("{what} holds {v} in image {n}, channel {c}, row {h}, column {w}"),
            "a map of it would mean nothing: replace what is not a finite number",
        )),
    }
}
