//! xgrad-cam: Grad-CAM with gradients averaged where the channel fires.
//!
//! `L = max(0, sum_k w_k A_k)` with `w_k = sum over places of (A_k / sum A_k) g_k`, [N, h, w] at the layer's own
//! size: the weights for which the map's sum equals the sum of activation times gradient. A channel that adds up to
//! zero weighs nothing.
//!
//! Reference: Fu, Hu, Dong, Guo, Gao, Li 2020 (arXiv 2008.02312).
//!
//! Layer: as in grad-cam. Facts: the bias identity from this layer up. Limits: behind a global mean it is Grad-CAM.

use super::answer::Answer;
use super::cams::{RELU, by_gradient};
use super::score::Score;
use super::{Aim, Ask, Method, Result, Settings, Space};
use glassbox_engine::Real;

pub(super) static METHOD: Method = Method {
    name: "xgrad-cam",
    summary: "Grad-CAM with gradients averaged where the channel fires",
    keys: &[RELU],
    space: Space::Layer,
    aim: Aim::Layer,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("xgrad_cam.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    by_gradient(ask, Score::Logit, settings.flag("relu")?, |mut channel| {
        let totals = channel.sums(|a, _| a);
        let products = channel.sums(|a, g| a * g);
        let weight = |(&p, &t): (&R, &R)| if t == R::zero() { R::zero() } else { p / t };
        let weights: Vec<R> = products.iter().zip(&totals).map(weight).collect();
        channel.add(&weights, |a, _, weight| weight * a);
    })
}
