//! vargrad: how much the gradient varies over noisy copies of the image.
//!
//! `R = variance over draws of dS_c/dx (x + e)`, divided by their number, [N, C, H, W], never negative; noise, draws
//! and seed as in smoothgrad. Zero on a linear net.
//!
//! Reference: Adebayo, Gilmer, Goodfellow, Kim 2018 (arXiv 1810.03307).
//!
//! Facts: how far two halves of the draws are apart. Limits: has no sign, and does not depend on the mean gradient: high where the net bends, not where the class is.

use super::smooth::{KEYS, Moment, run as smooth};
use super::{Aim, Answer, Ask, Method, Result, Settings, Space};
use glassbox_engine::Real;

pub(super) static METHOD: Method = Method {
    name: "vargrad",
    summary: "the variance of the gradient over noisy copies",
    keys: KEYS,
    space: Space::Input,
    aim: Aim::Class,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("vargrad.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    smooth(ask, settings, Moment::Variance)
}
