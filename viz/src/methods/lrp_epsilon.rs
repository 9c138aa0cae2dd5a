//! lrp-epsilon: the logit, shared out layer by layer over what was summed to it.
//!
//! Relevance starts as the logit and goes down: `R_in = a * W^T (R / (z + epsilon sign(z)))` at every linear layer,
//! with its inputs a and sums z; sign(0) = 1. [N, C, H, W], signed. `epsilon` = 1e-6. With `bias=absorb` (default) z
//! holds the bias, which keeps its share; with `bias=ignore` inputs share everything. Max-pools give relevance to
//! the winner, means and sums share in proportion, rectifiers pass it on, batch-norm is folded into the layer
//! before.
//!
//! Reference: Bach, Binder, Montavon, Klauschen, Mueller, Samek 2015 (PLoS ONE 10(7)), rule 58.
//!
//! Facts: conservation, and sum and range of relevance at every layer (with skips the sums of parallel branches
//! belong together). Limits: in nets without biases it is gradient-x-input; where sums nearly cancel relevance blows
//! up, which the ranges show: raise epsilon, or use lrp-epsilon-plus.

use super::relevance::{BIAS, EPSILON, Epsilon, Share, propagate};
use super::{Aim, Answer, Ask, Method, Result, Settings, Space};
use glassbox_engine::Real;
use glassbox_engine::rules::{Match, RoleKind};

pub(super) static METHOD: Method = Method {
    name: "lrp-epsilon",
    summary: "the logit shared out layer by layer over what was summed to it",
    keys: &[EPSILON, BIAS],
    space: Space::Input,
    aim: Aim::Class,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("lrp_epsilon.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let share = Share::of(settings)?;
    propagate(ask, &share.set().with(Match::Role(RoleKind::Affine), Epsilon(share)))
}
