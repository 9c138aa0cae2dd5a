//! Gradients under noise: what smoothgrad, smoothgrad-squared and vargrad share.

use super::answer::{Answer, Facts, Residual};
use super::pass::classes;
use super::paths::{Halves, Moments, moments, spans};
use super::{Ask, Key, Result, Settings};
use glassbox_engine::Real;
use glassbox_engine::rng::{Purpose, Stream};
use ndarray::ArrayD;

/// The options of all three.
pub(super) const KEYS: &[Key] = &[
    Key { name: "draws", default: "50", help: "noisy copies of each image" },
    Key {
        name: "noise",
        default: "0.15",
        help: "standard deviation of the noise, as a share of the image's largest minus smallest value",
    },
    Key { name: "seed", default: "0", help: "seed of the noise" },
];

/// What is made of the draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Their mean.
    Mean,
    /// The mean of their squares.
    Square,
    /// Their variance, divided by their number.
    Variance,
}

/// A method of the three.
pub(super) fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings, moment: Moment) -> Result<Answer<R>> {
    let draws = settings.count("draws", 1)?;
    let (level, seed) = (settings.number("noise", 0.0..=100.0)?, settings.seed()?);
    let spans = spans(ask);
    under_noise(ask, moment, draws, |sample, draw, image| {
        let mut stream = Stream::new(seed, Purpose::Method, sample as u64, draw as u64);
        let deviation = level * spans[sample];
        image.iter_mut().for_each(|v| *v += R::of(deviation * stream.normal()));
    })
}

/// A moment of the gradient over variants of each image; `noise(sample, draw, image)` changes a copy of the image,
/// [C, H, W]. The classes explained are those of the images without noise.
///
/// Errors: images or classes that do not fit the net.
pub fn under_noise<R: Real>(
    ask: &Ask<'_, R>,
    moment: Moment,
    draws: usize,
    noise: impl Fn(usize, usize, &mut [R]) + Sync + Send,
) -> Result<Answer<R>> {
    ask.check()?;
    let found = classes(ask)?;
    let targets: Vec<usize> = found.iter().map(|(class, _)| *class).collect();
    let halves = moments(ask, &targets, draws, noise)?;
    let whole = halves.whole();
    let map = (0..whole.mean.len()).map(|i| R::of(moment.of(&whole, i))).collect();
    let map = ArrayD::from_shape_vec(ask.input.shape(), map)
        .unwrap_or_else(|e| unreachable!("one value per input value: {e}"));
    let facts = found.iter().enumerate().map(|(sample, &(class, logit))| Facts {
        class: Some(class),
        score: Some(logit.wide()),
        residual: match moment {
            Moment::Mean => Some(standard_error(&whole, sample, ask.size())),
            _ => (draws > 1).then(|| split(&halves, &whole, moment, sample, ask.size())),
        },
        unchecked: (draws == 1 && moment != Moment::Mean)
            .then_some("one draw cannot be compared with another"),
        ..Facts::default()
    });
    Ok(Answer::new(map, facts.collect(), |_| match moment {
        Moment::Variance => "the gradient is the same under every draw".into(),
        _ => "the gradient is zero under every draw: each path from the class to the input is blocked".into(),
    }))
}

impl Moment {
    fn of(self, moments: &Moments, i: usize) -> f64 {
        match self {
            Self::Mean => moments.mean[i],
            Self::Square => moments.square(i),
            Self::Variance => moments.variance(i),
        }
    }
}

/// How far two halves of the draws are apart: half their largest difference, against the largest value.
fn split(halves: &Halves, whole: &Moments, moment: Moment, sample: usize, size: usize) -> Residual {
    let places = sample * size..(sample + 1) * size;
    let [even, odd] = &halves.0;
    let gap = places.clone().map(|i| (moment.of(even, i) - moment.of(odd, i)).abs() / 2.0);
    Residual {
        name: "split halves",
        value: gap.fold(0.0, f64::max),
        scale: places.map(|i| moment.of(whole, i).abs()).fold(0.0, f64::max),
        meaning: "half the largest difference between the maps of even and of odd draws, against the largest value: \
                  what other seeds would change",
    }
}

/// How far chance may have moved the mean: the largest standard error, against the largest mean.
fn standard_error(moments: &Moments, sample: usize, size: usize) -> Residual {
    let places = sample * size..(sample + 1) * size;
    let error = places.clone().map(|i| (moments.variance(i) / moments.draws as f64).sqrt());
    Residual {
        name: "standard error",
        value: error.fold(0.0, f64::max),
        scale: places.map(|i| moments.mean[i].abs()).fold(0.0, f64::max),
        meaning: "the largest standard error of a value, against the largest value: what other seeds would change",
    }
}
