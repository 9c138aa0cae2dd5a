//! smoothgrad-squared: the squared gradient, averaged over noisy copies of the image.
//!
//! `R = mean over draws of (dS_c/dx (x + e))^2`, [N, C, H, W], never negative; noise, draws and seed as in
//! smoothgrad.
//!
//! Reference: Hooker, Erhan, Kindermans, Kim 2019 (arXiv 1806.10758).
//!
//! Facts: how far two halves of the draws are apart. Limits: has no sign; equals smoothgrad squared plus vargrad.

use super::smooth::{KEYS, Moment, run as smooth};
use super::{Aim, Answer, Ask, Method, Result, Settings, Space};
use glassbox_engine::Real;

pub(super) static METHOD: Method = Method {
    name: "smoothgrad-squared",
    summary: "the squared gradient averaged over noisy copies",
    keys: KEYS,
    space: Space::Input,
    aim: Aim::Class,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("smoothgrad_squared.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    smooth(ask, settings, Moment::Square)
}
