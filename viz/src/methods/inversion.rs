//! inversion: an image that a layer cannot tell from the given one.
//!
//! Minimises `|A(x) - A0|^2 / |A0|^2 + bound * mean |x / 3|^6 + smooth * mean TV(x)` from noise, A0 the layer's
//! activations of the image and `TV = (x[i+1,j] - x[i,j])^2 + (x[i,j+1] - x[i,j])^2`, the differences at the last
//! row and column zero. `bound` = 0.01 keeps values within some three units, `smooth` = 0.01 keeps neighbours alike.
//! Adam (Kingma and Ba 2015) takes `iterations` (300) steps in three stages of `step` (0.05), a third and a ninth of
//! it, its moments reset between stages; the best image seen is the answer. [N, C, H, W] in the net's own units.
//!
//! Reference: Mahendran and Vedaldi 2015 (arXiv 1412.0035), with the powers 6 and 2; they take gradient descent with
//! momentum.
//!
//! Layer: as in grad-cam; vectors and the input itself will do. Facts: how far the layer's activations still are.
//! Limits: a local minimum; what the layer has lost is filled in by the regularisers.

use super::answer::{Answer, Facts, Residual};
use super::cams::site;
use super::pass::{Pass, each_sample, values};
use super::studio::{Goal, OWN_UNITS, Step, climb, noise};
use super::{Aim, Ask, Key, Method, Result, Settings, Space};
use glassbox_engine::Real;
use glassbox_engine::graph::Keep;
use ndarray::ArrayD;

pub(super) static METHOD: Method = Method {
    name: "inversion",
    summary: "an image that a layer cannot tell from the given one",
    keys: &[
        Key { name: "iterations", default: "300", help: "steps, in three stages" },
        Key { name: "step", default: "0.05", help: "size of the first stage's steps, in the net's units" },
        Key { name: "bound", default: "0.01", help: "weight of the penalty on large values" },
        Key { name: "smooth", default: "0.01", help: "weight of the penalty on differences of neighbours" },
        Key { name: "seed", default: "0", help: "seed of the start" },
    ],
    space: Space::Made,
    aim: Aim::Layer,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("inversion.rs"),
};

const MEANING: &str = "distance of the layer's activations from those of the image, against their norm";

/// Values of natural images in the net's units stay within this.
const REACH: f64 = 3.0;

/// Penalties on an image, and their gradient added to `gradient`.
fn penalties<R: Real>(image: &[R], [h, w]: [usize; 2], bound: f64, smooth: f64, gradient: &mut [f64]) -> f64 {
    let count = image.len() as f64;
    let mut sum = 0.0;
    for (i, v) in image.iter().enumerate() {
        let t = v.wide() / REACH;
        sum += bound * t.powi(6) / count;
        gradient[i] += bound * 6.0 * t.powi(5) / (REACH * count);
        let (y, x) = (i / w % h, i % w);
        for (inside, next) in [(y + 1 < h, i + w), (x + 1 < w, i + 1)] {
            if inside {
                let step = image[next].wide() - v.wide();
                sum += smooth * step * step / count;
                gradient[next] += smooth * 2.0 * step / count;
                gradient[i] -= smooth * 2.0 * step / count;
            }
        }
    }
    sum
}

/// The state of one image's descent.
#[derive(Clone)]
struct Descent<R> {
    first: Vec<f64>,
    second: Vec<f64>,
    best: Vec<R>,
    least: f64,
    /// The goal's value at the best image.
    value: f64,
}

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let (iterations, seed) = (settings.count("iterations", 3)?, settings.seed()?);
    let length = settings.number("step", 1e-9..=1e3)?;
    let (bound, smooth) = (settings.number("bound", 0.0..=1e6)?, settings.number("smooth", 0.0..=1e6)?);
    let slot = match ask.layer {
        Some(name) => ask.graph.slot(name)?,
        None => site(ask)?.slot,
    };
    let wanted = activations(ask, slot)?;
    let size = ask.size();
    let mut images = vec![R::zero(); ask.samples() * size];
    for (sample, image) in images.chunks_exact_mut(size).enumerate() {
        noise(seed, sample, 0, 0.1, image);
    }
    let zeros = vec![0.0; size];
    let fresh = Descent {
        first: zeros.clone(),
        second: zeros,
        best: vec![R::zero(); size],
        least: f64::INFINITY,
        value: 0.0,
    };
    let mut states = vec![fresh; ask.samples()];
    let stage = iterations.div_ceil(3);
    let spatial = ask.graph.input().spatial();
    climb(ask, &mut images, &Goal::Near(slot, wanted), iterations, false, |at: Step<'_, R>| {
        let Step { iteration, sample, image, value, gradient } = at;
        let state = &mut states[sample];
        let mut down: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let cost = penalties(image, spatial, bound, smooth, &mut down) - value;
        if cost < state.least {
            (state.least, state.value) = (cost, value);
            state.best.copy_from_slice(image);
        }
        if iteration > 0 && iteration.is_multiple_of(stage) {
            // each stage goes on from the best so far, where no gradient is known yet
            state.first.fill(0.0);
            state.second.fill(0.0);
            return image.copy_from_slice(&state.best);
        }
        let length = length / 3f64.powi((iteration / stage) as i32);
        let steps = iteration % stage + usize::from(iteration < stage);
        let unbias = |decay: f64| 1.0 - decay.powi(steps as i32);
        for (i, g) in down.iter().enumerate() {
            state.first[i] = 0.9 * state.first[i] + 0.1 * g;
            state.second[i] = 0.999 * state.second[i] + 0.001 * g * g;
            let root = (state.second[i] / unbias(0.999)).sqrt();
            if root > 0.0 {
                image[i] -= R::of(length * state.first[i] / unbias(0.9) / (root + 1e-12));
            }
        }
    })?;
    let facts = states.iter().map(|state| {
        let value = (-state.value).max(0.0).sqrt();
        let residual = Residual { name: "feature residual", value, scale: 1.0, meaning: MEANING };
        Facts { residual: Some(residual), ..Facts::default() }
    });
    let facts = facts.collect();
    let map = states.iter().flat_map(|state| state.best.iter().copied()).collect();
    let map = ArrayD::from_shape_vec(ask.input.shape(), map)
        .unwrap_or_else(|e| unreachable!("one image per sample: {e}"));
    Ok(Answer::new(map, facts, |_| "the layer is zero for this image, and so is the smoothest image".into())
        .note(format!("looks like the image to layer {}", ask.graph.names()[slot]))
        .note(OWN_UNITS))
}

/// The layer's activations of each sample.
fn activations<R: Real>(ask: &Ask<'_, R>, slot: usize) -> Result<Vec<Vec<R>>> {
    let quiet = Ask { progress: None, ..ask.clone() };
    let mut pass = Pass::new(&quiet, ask.samples(), Keep::Everything);
    let mut out = Vec::new();
    each_sample(&quiet, &mut pass, |pass, batch| {
        for i in 0..batch.len() {
            out.push(values(pass.at(slot)?, i).collect());
        }
        Ok(())
    })?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::penalties;

    #[test]
    fn the_gradient_of_the_penalties_is_their_slope() {
        let image: Vec<f64> = (0..24).map(|i| 3.0 * f64::sin(i as f64)).collect();
        let value = |image: &[f64]| penalties(image, [4, 3], 0.7, 0.3, &mut [0.0; 24]);
        let mut gradient = [0.0; 24];
        penalties(&image, [4, 3], 0.7, 0.3, &mut gradient);
        for i in 0..24 {
            let (mut up, mut down) = (image.clone(), image.clone());
            up[i] += 1e-5;
            down[i] -= 1e-5;
            let slope = (value(&up) - value(&down)) / 2e-5;
            assert!((slope - gradient[i]).abs() < 1e-8, "{i}: {slope} {}", gradient[i]);
        }
    }
}
