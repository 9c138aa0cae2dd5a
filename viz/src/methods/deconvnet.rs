//! deconvnet: what in the image made a unit fire, by running the net backwards.
//!
//! The signal goes down stage by stage: **unpool** (each value to the place that its switch recorded), **rectify**
//! the signal (`max(s, 0)`, whatever the forward pass did), **filter** with the transposed kernels, without biases.
//! Filtering comes last, so the picture is signed, [N, C, H, W]. Local response normalisation is passed unchanged,
//! batch-norm by its transpose. Dense layers follow the same rule.
//!
//! With `--layer L --unit K` the start is the strongest activation of that channel (`K,Y,X`: that unit; `all`: the
//! whole layer, which is another picture), everything else zero: the paper's projection of one activation. Without a
//! layer the start is a one at the class's logit: the gradient with the rectifiers' rule swapped.
//!
//! `overlap` decides what a cell receives that several pooling windows point at: their `sum` (the default: makes
//! DeconvNet the gradient on a net without rectifiers), the `last`, or the `max` by magnitude.
//!
//! Reference: Zeiler and Fergus 2014 (arXiv 1311.2901), section 2.1.
//!
//! Facts: adjointness of every linear layer and pool on the way; the unit and its activation. Limits: a projection
//! of a single activation, not of the joint activity; little changes when upper layers are randomised (Adebayo et
//! al. 2018).

use super::answer::Answer;
use super::project::{Check, pull, why_zero};
use super::score::Score;
use super::{Aim, Ask, Key, Method, Result, Settings, Space};
use glassbox_engine::layers::{At, Overlap, unpool};
use glassbox_engine::rules::{Match, RoleKind, Rule};
use glassbox_engine::{Blocked, Real, RuleSet, View};

pub(crate) const OVERLAP: Key = Key {
    name: "overlap",
    default: "sum",
    help: "what a cell receives that several pooling windows point at: sum, last, max",
};

pub(super) static METHOD: Method = Method {
    name: "deconvnet",
    summary: "a class or unit projected to pixels: unpool, rectify, transposed filters",
    keys: &[OVERLAP],
    space: Space::Input,
    aim: Aim::ClassOrUnit,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("deconvnet.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let rules = with_overlap(RuleSet::deconvnet(), settings)?;
    let pulled = pull(ask, &rules, Score::Logit, Check::Adjoint)?;
    Ok(Answer::new(pulled.signal.into_dyn(), pulled.facts, why_zero))
}

/// Adds the case that `overlap` asks for.
pub(super) fn with_overlap<R: Real>(rules: RuleSet<R>, settings: &Settings) -> Result<RuleSet<R>> {
    let words = [("last", Overlap::Last), ("max", Overlap::Max), ("sum", Overlap::Sum)];
    Ok(match settings.choice("overlap", &words)? {
        Overlap::Sum => rules,
        other => rules.with(Match::Role(RoleKind::Select), Unpool(other)),
    })
}

/// Unpooling with a choice for cells where windows overlap.
#[derive(Clone, Copy, Debug)]
struct Unpool(Overlap);

impl<R: Real> Rule<R> for Unpool {
    fn pull(
        &self,
        at: &At<'_, R>,
        signal: View<'_, R>,
        out: &mut [Blocked<R>],
        _: &mut [R],
    ) -> glassbox_engine::Result<()> {
        unpool(signal, at.saved[0].switches(), self.0, &mut out[0]);
        Ok(())
    }
}
