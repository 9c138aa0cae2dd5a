//! gradient-x-input: each input value times its gradient.
//!
//! `R = x * dS_c / dx`, [N, C, H, W], signed. In a net without biases, made of linear layers, rectifiers and pools,
//! the values add up to the logit; with biases `sum(R) = S_c - sum over layers of <dS/db, b>`, and what is missing
//! is reported.
//!
//! Reference: Shrikumar, Greenside, Shcherbina, Kundaje 2016 (arXiv 1605.01713).
//!
//! Facts: the bias identity. Limits: depends on where zero is: a value of zero, which is the mean colour of
//! normalised images, can never matter.

use super::answer::Answer;
use super::project::{Check, pull, why_zero};
use super::{Aim, Ask, Method, Result, Settings, Space, score::Score};
use glassbox_engine::{Real, RuleSet};

pub(super) static METHOD: Method = Method {
    name: "gradient-x-input",
    summary: "each input value times its gradient",
    keys: &[],
    space: Space::Input,
    aim: Aim::Class,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("gradient_x_input.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, _: &Settings) -> Result<Answer<R>> {
    let pulled = pull(ask, &RuleSet::gradient(), Score::Logit, Check::Bias)?;
    let map = pulled.signal * ask.input;
    Ok(Answer::new(map.into_dyn(), pulled.facts, why_zero))
}
