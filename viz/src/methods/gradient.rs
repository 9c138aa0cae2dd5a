//! gradient: how the class's logit changes with each input value.
//!
//! `R = dS_c / dx`, [N, C, H, W], signed; S_c is the logit (`score` asks for the log-probability or the probability,
//! whose gradient is `p_c (dS_c/dx - sum_k p_k dS_k/dx)` and vanishes where the net is sure). With `--layer` and
//! `--unit` the signal starts at that unit's activation instead: activation times gradient of the unit.
//!
//! Reference: Simonyan, Vedaldi, Zisserman 2014 (arXiv 1312.6034), equation 4; Baehrens et al. 2010.
//!
//! Facts: the bias identity, `sum(x R) + sum over layers of <dS/db, b> = S_c`, where all layers are linear,
//! rectifiers or pools. Limits: a rectifier passes nothing at exactly zero; a map of zeros means that every path is
//! blocked.

use super::answer::Answer;
use super::project::{Check, pull, why_zero};
use super::score::{SCORE, Score};
use super::{Aim, Ask, Method, Result, Settings, Space};
use glassbox_engine::{Real, RuleSet};

pub(super) static METHOD: Method = Method {
    name: "gradient",
    summary: "how the logit changes with each input value",
    keys: &[SCORE],
    space: Space::Input,
    aim: Aim::ClassOrUnit,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("gradient.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let pulled = pull(ask, &RuleSet::gradient(), Score::of(settings)?, Check::Bias)?;
    Ok(Answer::new(pulled.signal.into_dyn(), pulled.facts, why_zero))
}
