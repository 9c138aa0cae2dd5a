//! layer-cam: a layer's maps, each place weighted by its own positive gradient.
//!
//! `L = max(0, sum_k max(0, g_k) * A_k)` with g = dS_c/dA, place by place, [N, h, w] at the layer's own size. Works
//! at shallow layers, where one weight per channel says little.
//!
//! Reference: Jiang, Zhang, Hou, Cheng, Wei 2021 (IEEE Transactions on Image Processing 30, LayerCAM).
//!
//! Layer: as in grad-cam. Limits: what speaks against the class is left out; equals hires-cam where no gradient is
//! negative.

use super::answer::Answer;
use super::cams::{RELU, by_gradient};
use super::score::Score;
use super::{Aim, Ask, Method, Result, Settings, Space};
use glassbox_engine::Real;

pub(super) static METHOD: Method = Method {
    name: "layer-cam",
    summary: "a layer's maps weighted place by place by positive gradients",
    keys: &[RELU],
    space: Space::Layer,
    aim: Aim::Layer,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("layer_cam.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    by_gradient(
        ask,
        Score::Logit,
        settings.flag("relu")?,
        |mut channel| {
            let nothing = vec![R::zero(); channel.lanes];
            channel.add(&nothing, |a, g, zero| a * g.max(zero));
        },
        None,
    )
}
