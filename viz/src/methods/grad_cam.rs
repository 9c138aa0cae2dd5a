//! grad-cam: where a layer's channels fire that push the class up, each weighted by its mean gradient.
//!
//! `L = max(0, sum_k a_k A_k)` with `a_k = mean over places of dS_c / dA_k`, [N, h, w] at the layer's own size, or
//! enlarged with `--upsample` (after the rectification). `relu=false` keeps the signed map; `counterfactual=true`
//! turns the weights round and shows what speaks against the class.
//!
//! Reference: Selvaraju et al. 2017 (arXiv 1610.02391), equations 1 and 2; the weights are means, as there (the
//! authors' own code sums, which is the same map at another scale).
//!
//! Layer: by default the last rectified one of at least 16 places. A layer before its rectifier gives another map.
//! Facts: the bias identity of the gradients. Limits: coarse; all weights may be negative, and the map then is zero, which is said.

use super::answer::Answer;
use super::cams::{RELU, by_gradient, grad_cam};
use super::score::{SCORE, Score};
use super::{Aim, Ask, Key, Method, Result, Settings, Space};
use glassbox_engine::Real;

pub(super) static METHOD: Method = Method {
    name: "grad-cam",
    summary: "a layer's maps weighted by their mean gradients",
    keys: &[
        RELU,
        SCORE,
        Key { name: "counterfactual", default: "false", help: "show what speaks against the class instead" },
    ],
    space: Space::Layer,
    aim: Aim::Layer,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("grad_cam.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let sign = if settings.flag("counterfactual")? { -R::one() } else { R::one() };
    by_gradient(ask, Score::of(settings)?, settings.flag("relu")?, |channel| grad_cam(channel, sign))
}
