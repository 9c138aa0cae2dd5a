//! saliency: the size of the gradient at each pixel, whatever the channel.
//!
//! `M[i, j] = max over channels of |dS_c / dx[c, i, j]|`, [N, H, W], never negative: the maximum of absolute values,
//! not their sum and not a norm. For grey images it is |gradient|.
//!
//! Reference: Simonyan, Vedaldi, Zisserman 2014 (arXiv 1312.6034), section 3.1. The paper also averages over crops
//! and flips; this is one image's own map.
//!
//! Facts: the bias identity of the gradient beneath the map. Limits: says how strongly a pixel matters to first
//! order, not in which direction.

use super::answer::Answer;
use super::project::{Check, pull, why_zero};
use super::score::{SCORE, Score};
use super::{Aim, Ask, Method, Result, Settings, Space};
use glassbox_engine::{Real, RuleSet};
use ndarray::{Array3, Array4, Axis};

pub(super) static METHOD: Method = Method {
    name: "saliency",
    summary: "the largest absolute gradient over the channels of each pixel",
    keys: &[SCORE],
    space: Space::Pixels,
    aim: Aim::Class,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("saliency.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let pulled = pull(ask, &RuleSet::gradient(), Score::of(settings)?, Check::Bias)?;
    Ok(Answer::new(largest(&pulled.signal).into_dyn(), pulled.facts, why_zero))
}

/// The largest magnitude over channels.
fn largest<R: Real>(signal: &Array4<R>) -> Array3<R> {
    signal.map_axis(Axis(1), |values| values.iter().fold(R::zero(), |best, v| best.max(v.abs())))
}
