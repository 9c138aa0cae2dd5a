//! guided-backprop: the gradient, with every signal cut that is negative on its way down.
//!
//! At each rectifier the signal passes where it is positive *and* the forward pass was: `max(s, 0) 1[z > 0]`, in
//! dense layers too. Below the last linear layer the picture is signed, [N, C, H, W]. Starts at the class's logit
//! with a one, or with `--layer L --unit K` at a unit's activation, as in deconvnet; `overlap` as there.
//!
//! Reference: Springenberg, Dosovitskiy, Brox, Riedmiller 2015 (arXiv 1412.6806).
//!
//! Facts: adjointness of every linear layer and pool on the way. Limits: not class-discriminative, and little
//! changes when upper layers are randomised (Adebayo et al. 2018): it shows edges that the net passes on, not why a
//! class was chosen. Rectifiers means layers of kind relu; other activations pass by their slope.

use super::answer::Answer;
use super::deconvnet::{OVERLAP, with_overlap};
use super::project::{Check, pull, why_zero};
use super::score::Score;
use super::{Aim, Ask, Method, Result, Settings, Space};
use glassbox_engine::{Real, RuleSet};

pub(super) static METHOD: Method = Method {
    name: "guided-backprop",
    summary: "the gradient with every negative signal cut at the rectifiers",
    keys: &[OVERLAP],
    space: Space::Input,
    aim: Aim::ClassOrUnit,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("guided_backprop.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let rules = with_overlap(RuleSet::guided(), settings)?;
    let pulled = pull(ask, &rules, Score::Logit, Check::Adjoint)?;
    Ok(Answer::new(pulled.signal.into_dyn(), pulled.facts, why_zero))
}
