//! guided-grad-cam: guided backpropagation, where Grad-CAM looks.
//!
//! `R = GBP * up(max(0, GradCAM))`, [N, C, H, W], signed: the map of the layer, enlarged to the input's size
//! (half-pixel bilinear), multiplies every channel of the guided signal.
//!
//! Reference: Selvaraju et al. 2017 (arXiv 1610.02391), section 3.3.
//!
//! Layer: as in grad-cam. Limits: those of both; its scale means nothing.

use super::answer::Answer;
use super::cams::{by_gradient, grad_cam};
use super::project::{Check, pull};
use super::score::Score;
use super::{Aim, Ask, Method, Result, Settings, Space};
use glassbox_engine::{Real, RuleSet};
use ndarray::{Axis, Ix3};

pub(super) static METHOD: Method = Method {
    name: "guided-grad-cam",
    summary: "guided backpropagation where Grad-CAM looks",
    keys: &[],
    space: Space::Input,
    aim: Aim::Layer,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("guided_grad_cam.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, _: &Settings) -> Result<Answer<R>> {
    let large = Ask { upsample: true, ..ask.clone() };
    let cam = by_gradient(&large, Score::Logit, true, |channel| grad_cam(channel, R::one()))?;
    let plain = Ask { layer: None, ..ask.clone() };
    let mut guided = pull(&plain, &RuleSet::guided(), Score::Logit, Check::Adjoint)?;
    let weights =
        cam.map.into_dimensionality::<Ix3>().unwrap_or_else(|e| unreachable!("maps [N, H, W]: {e}"));
    for (mut signal, weights) in guided.signal.outer_iter_mut().zip(weights.outer_iter()) {
        signal.axis_iter_mut(Axis(0)).for_each(|mut channel| channel *= &weights);
    }
    for (facts, cam) in guided.facts.iter_mut().zip(&cam.facts) {
        facts.reason = cam.all_zero.then(|| cam.reason.clone()).flatten();
    }
    let mut answer = Answer::new(guided.signal.into_dyn(), guided.facts, |_| {
        "guided backpropagation and Grad-CAM nowhere meet".into()
    });
    answer.notes = cam.notes;
    Ok(answer)
}
