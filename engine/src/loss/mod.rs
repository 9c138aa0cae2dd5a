//! Losses: (logits, targets) in, value and seed of the backward walk out. One file and one line each.
//!
//! A loss is no layer: explanations start at logits, and only training starts here. Values are summed in double
//! precision, image by image; padding images enter nothing and receive zero seeds.

mod cross_entropy;
mod mse;

pub use cross_entropy::{CrossEntropy, WeightedCrossEntropy};
pub use mse::MeanSquaredError;

use crate::array::{Blocked, LANES, View};
use crate::error::{Error, Result};
use crate::real::Real;
use std::fmt::Debug;

/// What the net should have said.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a, R: Real> {
    /// One class per image.
    Classes(&'a [u32]),
    /// One vector per image, of the output's shape.
    Values(View<'a, R>),
}

/// What a batch cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Sum over images of the loss of each.
    pub total: f64,
    /// Images.
    pub images: usize,
    /// Images whose largest logit (the first of several) was their target; 0 where there are no classes.
    pub correct: usize,
}

impl Cost {
    /// Mean loss per image.
    pub fn mean(&self) -> f64 {
        self.total / self.images.max(1) as f64
    }

    /// Share of images that were right.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images.max(1) as f64
    }

    /// Both batches together.
    pub fn add(&mut self, other: Cost) {
        self.total += other.total;
        self.images += other.images;
        self.correct += other.correct;
    }
}

/// What a batch counts for: the part of it that a loss is given is divided by the whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Whole {
    /// Images of the whole batch.
    pub images: usize,
    /// The sum of their weights; their number where all count alike.
    pub weight: f64,
}

/// A loss.
pub trait Loss<R: Real>: Debug + Send + Sync {
    /// What the images of a batch count for together. Errors: targets that the loss cannot weigh.
    fn whole(&self, images: usize, _: Targets<'_, R>) -> Result<Whole> {
        Ok(Whole { images, weight: images as f64 })
    }

    /// Hands the cost of each group of [`LANES`] images of a part of a batch to `sums`, in order, and returns how many
    /// images were right (see [`Cost`]); where `seed` is given it becomes the gradient of the batch's *mean* loss with
    /// respect to the part's logits. Errors: targets that do not fit the logits.
    fn part(
        &self,
        logits: View<'_, R>,
        targets: Targets<'_, R>,
        whole: Whole,
        seed: Option<&mut Blocked<R>>,
        sums: &mut dyn FnMut(f64),
    ) -> Result<usize>;

    /// The batch's cost; where `seed` is given it becomes the gradient of the *mean* loss with respect to the logits.
    /// Errors: targets that do not fit the logits.
    fn cost(
        &self,
        logits: View<'_, R>,
        targets: Targets<'_, R>,
        seed: Option<&mut Blocked<R>>,
    ) -> Result<Cost> {
        let mut total = 0.0;
        let whole = self.whole(logits.n, targets)?;
        let correct = self.part(logits, targets, whole, seed, &mut |sum| total += sum)?;
        Ok(Cost { total, images: logits.n, correct })
    }
}

/// Hands over the sums of groups of [`LANES`] images, so that parts of a batch add up to the same bits as all of it.
fn in_groups(images: usize, sums: &mut dyn FnMut(f64), mut cost: impl FnMut(usize) -> f64) {
    for first in (0..images).step_by(LANES) {
        sums((first..(first + LANES).min(images)).map(&mut cost).sum());
    }
}

/// Names of the losses.
pub const LOSSES: &[(&str, &str)] = &[
    ("cross-entropy", "negative log-probability of the target class, with label smoothing"),
    ("mse", "mean squared error; classes become one-hot vectors"),
];

/// The class of the largest logit of image `i`, the first of several; NaN beats every number.
pub fn top_class<R: Real>(logits: View<'_, R>, i: usize) -> usize {
    let image = logits.image(i);
    let mut best = (0, R::neg_infinity());
    for (k, &v) in image.iter().enumerate() {
        if v > best.1 || (v.is_nan() && !best.1.is_nan()) {
            best = (k, v);
        }
    }
    best.0
}

/// Checks class targets against the logits.
fn check_classes<R: Real>(logits: View<'_, R>, classes: &[u32]) -> Result<()> {
    if classes.len() != logits.n {
        return Err(Error::request(
            format!("{} targets for {} images", classes.len(), logits.n),
            "give one class per image",
        ));
    }
    let count = logits.shape.size();
    match classes.iter().find(|&&k| k as usize >= count) {
        None => Ok(()),
        Some(k) => Err(Error::request(
            format!("class {k} is out of range: the net has {count} outputs (0 to {})", count - 1),
            "use a model with as many outputs as the data has classes",
        )),
    }
}
