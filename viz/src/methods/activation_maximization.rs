//! activation-maximization: an image that makes a class or unit fire as strongly as it can, kept natural by
//! regularisers.
//!
//! Climbs from noise: each of `iterations` (200) steps adds `step` (0.1, shrinking evenly to nothing) times the
//! gradient over its root mean square; then the image is shrunk by `decay` (1e-4), blurred every `blur_every` (4)
//! steps by a Gaussian of deviation `blur` (0.5 pixels), and pixels are zeroed whose norm over channels, or whose
//! share in the goal |sum over channels of x g|, lies below a percentile of the image's own (`norm_percent`,
//! `contribution_percent`: 0). Before each gradient the image is turned by up to `rotate` (0) degrees, scaled by up to
//! `scale` (0), and rolled by up to `jitter` (0) pixels, at random; the gradient comes back by the transpose. It is kept
//! between black and white. The last step is not regularised. [N, C, H, W] in the net's own units.
//!
//! With `parameters=fourier` the image is made of waves whose coefficients are climbed by Adam (Kingma and Ba 2015)
//! at rate `step`, large and small scales alike, with colours decorrelated and a sigmoid for bounds; then the
//! transforms are the only regularisers (Lucid takes jitter=8 scale=0.1 rotate=10 for 224 pixels).
//!
//! Where no gradient comes to the image, in the first 16 steps it is pulled once more through rectifiers that are off,
//! which then cut only what would close them further (as Lucid does); later, or if nothing comes still, a step is noise.
//!
//! The goal is the logit of the class; with `--layer L --unit K` the mean of that channel, `K,Y,X` that unit, `all`
//! the layer's mean. `start=input` starts at the image instead, `start=zero` at the mean colour.
//!
//! Reference: Yosinski, Clune, Nguyen, Fuchs, Lipson 2015 (arXiv 1506.06579), whose four published settings are for
//! 227 pixels: decay 0, blur 0.5 every 4, norm 50; decay 0.3, norm 20; decay 1e-4, blur 1 every 4 (the default here,
//! halved); blur 0.5 every 4, contribution 90. For waves: Olah, Mordvintsev, Schubert 2017 (Feature visualization,
//! Distill), who take a rate of 0.05.
//!
//! Facts: the value reached, and once more at the image that is given out. Limits: a local maximum that depends on the
//! start; what the regularisers forbid is not seen.

use super::answer::{Answer, Facts};
use super::baseline::{blur, seen};
use super::fourier::Waves;
use super::pass::{classes, standard};
use super::project::unit_of;
use super::studio::{Goal, OWN_UNITS, START, Step, climb, noise, reached_again, rms};
use super::wobble::{JITTER, ROTATE, SCALE, Wobble};
use super::{Aim, Ask, Error, Key, Method, Result, Settings, Space};
use glassbox_engine::Real;
use ndarray::ArrayD;

pub(super) static METHOD: Method = Method {
    name: "activation-maximization",
    summary: "an image that makes a class or unit fire as strongly as it can",
    keys: &[
        Key { name: "parameters", default: "pixels", help: "what is climbed: pixels or fourier" },
        Key { name: "iterations", default: "200", help: "steps of the climb" },
        Key {
            name: "step",
            default: "0.1",
            help: "root mean square of a first step, in the net's units; Adam's rate for waves",
        },
        Key {
            name: "decay",
            default: "0.0001",
            help: "share of the image that is taken away after each step",
        },
        Key { name: "blur", default: "0.5", help: "deviation of the blur, in pixels; 0 blurs nothing" },
        Key { name: "blur_every", default: "4", help: "steps between blurs" },
        Key {
            name: "norm_percent",
            default: "0",
            help: "share of pixels, in percent, of least norm that are zeroed",
        },
        Key {
            name: "contribution_percent",
            default: "0",
            help: "share of pixels, in percent, of least contribution that are zeroed",
        },
        JITTER,
        SCALE,
        ROTATE,
        Key { name: "start", default: "noise", help: "noise, input or zero" },
        Key { name: "seed", default: "0", help: "seed of noise and transforms" },
    ],
    space: Space::Made,
    aim: Aim::ClassOrUnit,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("activation_maximization.rs"),
};

/// The start of Yosinski and others: a deviation of 10 of 255 levels.
const LEVELS: f64 = 10.0 / 255.0;

/// Yosinski's regularisers, and the bounds of pixels.
struct Rules {
    decay: f64,
    blur: f64,
    every: usize,
    norm: f64,
    contribution: f64,
    low: Vec<f64>,
    high: Vec<f64>,
    h: usize,
    w: usize,
}

impl Rules {
    fn of<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Self> {
        let shape = ask.graph.input();
        Ok(Self {
            decay: settings.number("decay", 0.0..=1.0)?,
            blur: settings.number("blur", 0.0..=100.0)?,
            every: settings.count("blur_every", 1)?,
            norm: settings.number("norm_percent", 0.0..=100.0)?,
            contribution: settings.number("contribution_percent", 0.0..=100.0)?,
            low: seen(ask.graph, 0.0),
            high: seen(ask.graph, 1.0),
            h: shape.h,
            w: shape.w,
        })
    }

    fn apply<R: Real>(&self, iteration: usize, image: &mut [R], gradient: &[f64]) {
        let plane = self.h * self.w;
        image.iter_mut().for_each(|v| *v *= R::of(1.0 - self.decay));
        if (iteration + 1).is_multiple_of(self.every) {
            image.chunks_exact_mut(plane).for_each(|channel| blur(channel, self.h, self.w, self.blur));
        }
        let over_channels = |f: &dyn Fn(usize) -> f64| -> Vec<f64> {
            (0..plane).map(|p| (p..image.len()).step_by(plane).map(f).sum::<f64>().abs()).collect()
        };
        let norms = over_channels(&|i| image[i].wide() * image[i].wide());
        let shares = over_channels(&|i| image[i].wide() * gradient[i]);
        for (measure, percent) in [(norms, self.norm), (shares, self.contribution)] {
            let mut sorted = measure.clone();
            sorted.sort_by(f64::total_cmp);
            let gone = (percent / 100.0 * plane as f64).floor() as usize;
            let Some(&limit) = sorted.get(gone).or(sorted.last()) else { continue };
            for p in (0..plane).filter(|&p| gone > 0 && measure[p] < limit) {
                (p..image.len()).step_by(plane).for_each(|i| image[i] = R::zero());
            }
        }
    }

    fn clip<R: Real>(&self, image: &mut [R]) {
        for (c, channel) in image.chunks_exact_mut(self.h * self.w).enumerate() {
            let (low, high) = (R::of(self.low[c]), R::of(self.high[c]));
            channel.iter_mut().for_each(|v| *v = v.max(low).min(high));
        }
    }
}

/// A climb: the images, the goal's value at each, and whether no gradient ever came to it.
struct Climbed<R> {
    images: Vec<R>,
    reached: Vec<f64>,
    blocked: Vec<bool>,
}

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let waves = settings.choice("parameters", &[("fourier", true), ("pixels", false)])?;
    let (goal, targets) = goal(ask)?;
    let Climbed { images, reached, blocked } =
        if waves { by_waves(ask, settings, &goal)? } else { by_pixels(ask, settings, &goal)? };
    let checks = reached_again(ask, &images, &goal, &reached)?;
    let facts = reached.iter().zip(checks).enumerate().map(|(sample, (&value, check))| Facts {
        residual: Some(check),
        class: targets.get(sample).copied(),
        score: Some(value),
        reason: blocked[sample]
            .then(|| "no gradient reached the input from any start: the image is noise".into()),
        ..Facts::default()
    });
    let facts = facts.collect();
    let map = ArrayD::from_shape_vec(ask.input.shape(), images)
        .unwrap_or_else(|e| unreachable!("one image per sample: {e}"));
    Ok(Answer::new(map, facts, |_| "the regularisers leave nothing".into()).note(OWN_UNITS))
}

fn by_pixels<R: Real>(ask: &Ask<'_, R>, settings: &Settings, goal: &Goal<R>) -> Result<Climbed<R>> {
    let (iterations, seed) = (settings.count("iterations", 1)?, settings.seed()?);
    let (length, wobble) = (settings.number("step", 1e-9..=1e6)?, Wobble::of(ask, settings)?);
    let start = settings.choice("start", &[("input", 0), ("noise", 1), ("zero", 2)])?;
    let rules = Rules::of(ask, settings)?;
    let mut images = match start {
        0 => standard(ask.input).into_owned(),
        _ => vec![R::zero(); ask.samples() * ask.size()],
    };
    if start == 1 {
        for (sample, image) in images.chunks_exact_mut(ask.size()).enumerate() {
            noise(seed, sample, START, LEVELS * (rules.high[0] - rules.low[0]), image);
        }
    }
    // what is climbed, beside what the net sees of it
    let mut own = images.clone();
    for (sample, (own, seen)) in pairs(&own, &mut images, ask.size()).enumerate() {
        wobble.there(own, sample, 0, seen);
    }
    let mut blocked = vec![true; ask.samples()];
    let reached = climb(ask, &mut images, goal, iterations, true, |at: Step<'_, R>| {
        let Step { iteration, sample, image: seen, gradient, .. } = at;
        let image = &mut own[sample * seen.len()..][..seen.len()];
        let gradient = wobble.back(gradient, sample, iteration);
        let size = rms(&gradient);
        if size > 0.0 {
            blocked[sample] = false;
            let length = length * (1.0 - iteration as f64 / iterations as f64);
            image.iter_mut().zip(&gradient).for_each(|(v, g)| *v += R::of(length * g / size));
        } else {
            noise(seed, sample, START - 1 - iteration as u64, 0.01, image);
        }
        let more = iteration + 1 < iterations;
        if more {
            rules.apply(iteration, image, &gradient);
        }
        rules.clip(image);
        match more {
            true => wobble.there(image, sample, iteration + 1, seen),
            false => seen.copy_from_slice(image),
        }
    })?;
    Ok(Climbed { images, reached, blocked })
}

/// The images of two arrays, side by side.
fn pairs<'a, R>(
    own: &'a [R],
    seen: &'a mut [R],
    size: usize,
) -> impl Iterator<Item = (&'a [R], &'a mut [R])> {
    own.chunks_exact(size).zip(seen.chunks_exact_mut(size))
}

/// One image's coefficients and the moments of their gradients.
#[derive(Clone)]
struct Coefficients {
    values: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Coefficients {
    /// A step of Adam upwards, the `turn`-th, from 1.
    fn step(&mut self, gradient: &[f64], rate: f64, turn: i32) {
        for (i, g) in gradient.iter().enumerate() {
            self.first[i] = 0.9 * self.first[i] + 0.1 * g;
            self.second[i] = 0.999 * self.second[i] + 0.001 * g * g;
            let root = (self.second[i] / (1.0 - 0.999f64.powi(turn))).sqrt();
            self.values[i] += rate * self.first[i] / (1.0 - 0.9f64.powi(turn)) / (root + 1e-8);
        }
    }
}

fn by_waves<R: Real>(ask: &Ask<'_, R>, settings: &Settings, goal: &Goal<R>) -> Result<Climbed<R>> {
    let (iterations, seed) = (settings.count("iterations", 1)?, settings.seed()?);
    let (rate, wobble) = (settings.number("step", 1e-9..=1e6)?, Wobble::of(ask, settings)?);
    for key in ["decay", "blur", "blur_every", "norm_percent", "contribution_percent", "start"] {
        if settings.is_given(key) {
            return Err(Error::request(
                format!("{key} is for pixels, and parameters=fourier climbs waves"),
                format!("leave out {key}, or parameters=fourier"),
            ));
        }
    }
    let waves = Waves::new(ask.graph);
    let zeros = vec![0.0; waves.len()];
    let fresh = Coefficients { values: zeros.clone(), first: zeros.clone(), second: zeros };
    let mut states = vec![fresh; ask.samples()];
    let mut images = vec![R::zero(); ask.samples() * ask.size()];
    let mut whole = vec![R::zero(); ask.size()];
    for (sample, image) in images.chunks_exact_mut(ask.size()).enumerate() {
        noise(seed, sample, START, 0.01, &mut states[sample].values);
        waves.image(&states[sample].values, &mut whole);
        wobble.there(&whole, sample, 0, image);
    }
    let mut blocked = vec![true; ask.samples()];
    let reached = climb(ask, &mut images, goal, iterations, true, |at: Step<'_, R>| {
        let Step { iteration, sample, image, gradient, .. } = at;
        blocked[sample] &= rms(gradient) == 0.0;
        let gradient = wobble.back(gradient, sample, iteration);
        let state = &mut states[sample];
        let up = waves.pull(&state.values, &gradient);
        state.step(&up, rate, iteration as i32 + 1);
        waves.image(&state.values, &mut whole);
        match iteration + 1 < iterations {
            true => wobble.there(&whole, sample, iteration + 1, image),
            false => image.copy_from_slice(&whole),
        }
    })?;
    Ok(Climbed { images, reached, blocked })
}

/// What is raised, and the class of each sample where that is a class.
fn goal<R: Real>(ask: &Ask<'_, R>) -> Result<(Goal<R>, Vec<usize>)> {
    match (ask.layer, ask.unit) {
        (None, None) => {
            let targets: Vec<usize> = classes(ask)?.iter().map(|(class, _)| *class).collect();
            Ok((Goal::Classes(targets.clone()), targets))
        }
        (Some(layer), Some(unit)) => Ok((Goal::Unit(unit_of(ask, layer, unit)?, unit), Vec::new())),
        _ => Err(Error::request(
            "a layer and a unit go together",
            "give --layer L and --unit K (a channel's mean), K,Y,X or all; or neither, for the class",
        )),
    }
}
