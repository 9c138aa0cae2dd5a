//! class-model: an image that the net takes for the class itself.
//!
//! `argmax over images I of S_c(I) - lambda |I|^2`, S_c the logit, climbed from the zero image of the net's own
//! units, which for normalised images is the mean colour; [N, C, H, W] in those units, one per sample for its class.
//! Each of `iterations` (300) steps adds `step` (0.05) times the gradient over g, the largest root mean square of the
//! logit's gradient met so far. `l2` (1) sets lambda = l2 g / 2: with 1 a linear net ends at an image of root mean
//! square 1, whatever its weights' scale, and no net of rectifiers and pools goes much beyond. (At the start alone g
//! can be tiny, where most rectifiers are off, and would let the image grow a thousandfold.)
//!
//! Reference: Simonyan, Vedaldi, Zisserman 2014 (arXiv 1312.6034), section 2.
//!
//! Facts: the logit reached; stationarity, the gradient that is left against the logit's own. Limits: a local
//! maximum; without more regularisation (see activation-maximization) mostly high frequencies.

use super::answer::{Answer, Facts, Residual};
use super::pass::classes;
use super::studio::{Goal, OWN_UNITS, Step, climb, noise, rms};
use super::{Aim, Ask, Key, Method, Result, Settings, Space};
use glassbox_engine::Real;
use ndarray::ArrayD;

pub(super) static METHOD: Method = Method {
    name: "class-model",
    summary: "an image that the net takes for the class itself, with an L2 penalty",
    keys: &[
        Key { name: "iterations", default: "300", help: "steps of the climb" },
        Key { name: "step", default: "0.05", help: "length of a step, in units of the largest gradient" },
        Key { name: "l2", default: "1", help: "strength of the penalty on the image's square" },
        Key { name: "seed", default: "0", help: "seed of the start where the zero image has no gradient" },
    ],
    space: Space::Made,
    aim: Aim::Class,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("class_model.rs"),
};

const MEANING: &str =
    "root mean square of the gradient of logit minus penalty, against that of the logit: 0 at the top";

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let (iterations, seed) = (settings.count("iterations", 1)?, settings.seed()?);
    let (step, l2) = (settings.number("step", 1e-9..=1.0)?, settings.number("l2", 0.0..=1e6)?);
    let targets: Vec<usize> = classes(ask)?.iter().map(|(class, _)| *class).collect();
    let mut images = vec![R::zero(); ask.samples() * ask.size()];
    let mut scale = vec![0.0; ask.samples()];
    let mut left = vec![(0.0, 0.0); ask.samples()];
    let goal = Goal::Classes(targets.clone());
    let reached = climb(ask, &mut images, &goal, iterations, false, |at: Step<'_, R>| {
        let Step { sample, image, gradient, .. } = at;
        let here = rms(gradient);
        scale[sample] = here.max(scale[sample]);
        if scale[sample] == 0.0 {
            // every path is blocked: step aside
            return noise(seed, sample, at.iteration as u64, 0.01, image);
        }
        let unit = scale[sample];
        let total: Vec<f64> = gradient.iter().zip(&*image).map(|(g, x)| g - l2 * unit * x.wide()).collect();
        image.iter_mut().zip(&total).for_each(|(x, t)| *x += R::of(step * t / unit));
        left[sample] = (rms(&total), here);
    })?;
    let facts = targets.iter().zip(reached).zip(&left).map(|((&class, logit), &(value, scale))| Facts {
        class: Some(class),
        score: Some(logit),
        residual: Some(Residual { name: "stationarity", value, scale, meaning: MEANING }),
        ..Facts::default()
    });
    let facts = facts.collect();
    let map = ArrayD::from_shape_vec(ask.input.shape(), images)
        .unwrap_or_else(|e| unreachable!("one image per sample: {e}"));
    Ok(Answer::new(map, facts, |_| "no path leads from the class to the input".into()).note(OWN_UNITS))
}
