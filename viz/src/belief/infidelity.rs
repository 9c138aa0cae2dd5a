//! infidelity: how far the map is from telling what a disturbance of the image does to the class.
//!
//! `E over I of (sum of I Phi - (S_c(x) - S_c(x - I)))^2` with Phi the map per unit of input. The disturbance I takes
//! a random square away (`disturbance=square`: sides from 1 to half the shorter one, anywhere inside, replaced by the
//! baseline), or is normal noise of deviation `noise` (0.2) times the image's span (`disturbance=noise`). A map of
//! contributions (`reads=contributions`, the default) is divided by x minus baseline, a map of slopes
//! (`reads=slopes`: gradients, guided-backprop, ...) is taken as it is. `draws` = 200.
//!
//! Maps of different units could not be compared, so by default (`scale=fit`) the map is first multiplied by the best
//! number, `beta = E[I Phi loss] / E[(I Phi)^2]`, and the result divided by E[loss^2]: 0 is a perfect map, 1 one that
//! says nothing. `scale=none` is the definition itself, in squared logits; `raw` beside the score always is.
//!
//! Reference: Yeh, Hsieh, Suggala, Inouye, Ravikumar 2019 (arXiv 1901.09392), definition 2.1 and the square removal of
//! section 3; beta as in their code.
//!
//! Limits: chance, falling with the root of the draws. Squares far from the thing change nothing and teach nothing.

use super::case::with_baselines;
use super::{Better, Case, Measure, Score};
use crate::error::Result;
use crate::methods::baseline::{BASELINE, Baseline};
use crate::methods::pass::{Pass, each_variant};
use crate::methods::score::{SCORE, Score as Explained};
use crate::methods::{Key, Settings};
use glassbox_engine::graph::Keep;
use glassbox_engine::rng::{Purpose, Stream};

pub(super) static MEASURE: Measure = Measure {
    name: "infidelity",
    summary: "how far the map is from telling what a disturbance does to the class",
    better: Better::Low,
    keys: &[
        Key { name: "draws", default: "200", help: "disturbances per image" },
        Key {
            name: "disturbance",
            default: "square",
            help: "square (replaced by the baseline), or noise (normal)",
        },
        Key { name: "noise", default: "0.2", help: "deviation of the noise, as a share of the image's span" },
        Key {
            name: "reads",
            default: "contributions",
            help: "what a value of the map is: contributions (already times the input), or slopes",
        },
        Key { name: "scale", default: "fit", help: "fit: 0 perfect, 1 says nothing; none: squared logits" },
        BASELINE,
        SCORE,
        Key { name: "seed", default: "0", help: "seed of the disturbances" },
    ],
    run,
    source: include_str!("infidelity.rs"),
};

/// How an image is disturbed.
struct Disturbance {
    /// Deviation of noise, as a share of the span; squares if `None`.
    noise: Option<f64>,
    seed: u64,
    h: usize,
    w: usize,
}

impl Disturbance {
    /// I for one draw, [C, H, W].
    fn draw(&self, sample: usize, draw: usize, image: &[f32], base: &[f32]) -> Vec<f64> {
        let mut stream = Stream::new(self.seed, Purpose::Measure, sample as u64, draw as u64);
        if let Some(level) = self.noise {
            let (low, high) =
                image.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
            let deviation = level * f64::from(high - low);
            return image.iter().map(|_| deviation * stream.normal()).collect();
        }
        let side = 1 + stream.below((self.h.min(self.w) / 2).max(1));
        let (top, left) = (stream.below(self.h - side + 1), stream.below(self.w - side + 1));
        let inside = |at: usize| {
            let (y, x) = (at % (self.h * self.w) / self.w, at % self.w);
            (top..top + side).contains(&y) && (left..left + side).contains(&x)
        };
        let gap = |i: usize| if inside(i) { f64::from(image[i]) - f64::from(base[i]) } else { 0.0 };
        (0..image.len()).map(gap).collect()
    }
}

fn run(case: &Case<'_>, settings: &Settings) -> Result<Vec<Score>> {
    let (draws, ask) = (settings.count("draws", 2)?, &case.ask);
    let noisy = settings.choice("disturbance", &[("noise", true), ("square", false)])?;
    let level = settings.number("noise", 0.0..=100.0)?;
    let slopes = settings.choice("reads", &[("contributions", false), ("slopes", true)])?;
    let fit = settings.choice("scale", &[("fit", true), ("none", false)])?;
    let score = Explained::of(settings)?;
    let (shape, size) = (ask.graph.input(), ask.size());
    let (images, bases) = with_baselines(ask, &Baseline::of(settings, ask.graph)?);
    let seed = settings.seed()?;
    let disturbance = Disturbance { noise: noisy.then_some(level), seed, h: shape.h, w: shape.w };
    let drawn = |sample: usize, draw: usize| {
        let place = sample * size..(sample + 1) * size;
        disturbance.draw(sample, draw, &images[place.clone()], &bases[place])
    };
    // variant 0 is the image itself
    let fill = |sample: usize, variant: usize, image: &mut [f32]| {
        if let Some(draw) = variant.checked_sub(1) {
            image.iter_mut().zip(drawn(sample, draw)).for_each(|(v, i)| *v = (f64::from(*v) - i) as f32);
        }
    };
    let slope: Vec<f64> = (0..case.samples())
        .flat_map(|sample| {
            let place = sample * size..(sample + 1) * size;
            let gaps = images[place.clone()].iter().zip(&bases[place]);
            let over = |(share, (x, base)): (&f64, (&f32, &f32))| {
                let gap = f64::from(*x) - f64::from(*base);
                if slopes {
                    *share
                } else if gap == 0.0 {
                    0.0
                } else {
                    share / gap
                }
            };
            case.shares(sample).iter().zip(gaps).map(over).collect::<Vec<f64>>()
        })
        .collect();
    let mut pass = Pass::new(ask, case.samples() * (draws + 1), Keep::Nothing);
    let mut whole = 0.0;
    let mut sums = vec![Sums::default(); case.samples()];
    each_variant(ask, &mut pass, draws + 1, fill, |pass, batch| {
        for (i, &(sample, variant)) in batch.iter().enumerate() {
            let here = score.value(pass.logits()?, i, case.classes[sample]);
            let Some(draw) = variant.checked_sub(1) else {
                whole = here;
                continue;
            };
            let slope = &slope[sample * size..][..size];
            let told = drawn(sample, draw).iter().zip(slope).map(|(i, s)| i * s).sum();
            sums[sample].add(told, whole - here);
        }
        Ok(())
    })?;
    Ok(sums.iter().map(|sums| sums.score(draws as f64, fit)).collect())
}

/// Sums over draws of what the map tells and what the class loses.
#[derive(Clone, Copy, Default)]
struct Sums {
    told: f64,
    both: f64,
    loss: f64,
}

impl Sums {
    fn add(&mut self, told: f64, loss: f64) {
        self.told += told * told;
        self.both += told * loss;
        self.loss += loss * loss;
    }

    fn score(&self, draws: f64, fit: bool) -> Score {
        let raw = (self.told - 2.0 * self.both + self.loss).max(0.0) / draws;
        let beta = if self.told > 0.0 { self.both / self.told } else { 0.0 };
        let score = match (fit, self.loss > 0.0) {
            (false, _) => Score::of(raw),
            (true, true) => Score::of((1.0 - beta * self.both / self.loss).clamp(0.0, 1.0)),
            (true, false) => Score::none("no disturbance changes the class"),
        };
        score.with("raw", raw).with("beta", beta)
    }
}
