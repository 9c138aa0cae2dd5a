//! lrp-epsilon-plus: relevance by the epsilon rule through dense layers, and through convolutions only over what
//! raised a sum.
//!
//! Convolutions take the z+ rule (alpha 1, beta 0): z is the sum of positive contributions `a+ w+` and `a- w-`
//! alone, so relevance never changes sign there and cannot blow up. Dense layers and everything else as in
//! lrp-epsilon. [N, C, H, W]. `epsilon` = 1e-6; `bias=absorb` lets positive biases take their share.
//!
//! Reference: Montavon, Binder, Lapuschkin, Samek, Mueller 2019 (Layer-wise relevance propagation: an overview);
//! Kohlbrenner et al. 2020 (arXiv 1910.09840).
//!
//! Facts: conservation, and sum and range of relevance at every layer. Limits: what spoke against the class in
//! convolutions is left out; a unit without positive contributions absorbs its relevance.

use super::relevance::{BIAS, EPSILON, Epsilon, Plus, Share, propagate};
use super::{Aim, Answer, Ask, Method, Result, Settings, Space};
use glassbox_engine::Real;
use glassbox_engine::rules::{Match, RoleKind};

pub(super) static METHOD: Method = Method {
    name: "lrp-epsilon-plus",
    summary: "relevance over what raised each sum, in convolutions; by epsilon in dense layers",
    keys: &[EPSILON, BIAS],
    space: Space::Input,
    aim: Aim::Class,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("lrp_epsilon_plus.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let share = Share::of(settings)?;
    let rules = share
        .set()
        .with(Match::Kind("dense"), Epsilon(share))
        .with(Match::Role(RoleKind::Affine), Plus(share));
    propagate(ask, &rules)
}
