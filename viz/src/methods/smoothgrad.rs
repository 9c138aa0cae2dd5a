//! smoothgrad: the gradient, averaged over noisy copies of the image.
//!
//! `R = mean over draws of dS_c/dx (x + e)`, [N, C, H, W], signed, with e normal of standard deviation `noise`
//! (0.15) times the image's largest minus smallest value, over all channels; `draws` = 50. The class is that of the
//! clean image. The noise of a draw depends on (seed, sample, draw) alone.
//!
//! Reference: Smilkov, Thorat, Kim, Viegas, Wattenberg 2017 (arXiv 1706.03825). Signed gradients are averaged, as
//! there; some libraries average magnitudes or squares under this name.
//!
//! Facts: the standard error. Limits: explains a blurred net, not the net; on a linear one it is the gradient
//! itself.

use super::smooth::{KEYS, Moment, run as smooth};
use super::{Aim, Answer, Ask, Method, Result, Settings, Space};
use glassbox_engine::Real;

pub(super) static METHOD: Method = Method {
    name: "smoothgrad",
    summary: "the gradient averaged over noisy copies of the image",
    keys: KEYS,
    space: Space::Input,
    aim: Aim::Class,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("smoothgrad.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    smooth(ask, settings, Moment::Mean)
}
