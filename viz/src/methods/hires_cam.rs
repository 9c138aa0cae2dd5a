//! hires-cam: a layer's maps times their gradients, place by place.
//!
//! `L = sum_k g_k * A_k` with g = dS_c/dA, signed, [N, h, w] at the layer's own size. Where the rest of the net is
//! linear (one dense layer behind a flatten or a global mean) the map adds up to the logit minus its bias: it shows
//! exactly what was added.
//!
//! Reference: Draelos and Carin 2020 (arXiv 2011.08891). The definition cuts nothing; `relu=true` does.
//!
//! Layer: as in grad-cam. Facts: the bias identity from this layer up. Limits: behind more than one layer the
//! gradient is local.

use super::answer::Answer;
use super::cams::{SIGNED, by_gradient};
use super::score::Score;
use super::{Aim, Ask, Method, Result, Settings, Space};
use glassbox_engine::Real;

pub(super) static METHOD: Method = Method {
    name: "hires-cam",
    summary: "a layer's maps times their gradients, place by place",
    keys: &[SIGNED],
    space: Space::Layer,
    aim: Aim::Layer,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("hires_cam.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    by_gradient(ask, Score::Logit, settings.flag("relu")?, |mut channel| {
        let nothing = vec![R::zero(); channel.lanes];
        channel.add(&nothing, |a, g, _| a * g);
    })
}
