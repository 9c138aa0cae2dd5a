//! Gradients at many variants of each image, gathered sample by sample in order: what path and noise methods share.

use super::pass::{Pass, each_variant, standard, value, values};
use super::score::Score;
use super::{Ask, Result};
use glassbox_engine::graph::Keep;
use glassbox_engine::{Real, RuleSet};

/// Calls `then(sample, variant, gradient)` with the gradient of each sample's class at each of its variants, [C, H,
/// W], in order; `fill(sample, variant, image)` makes a variant of the image that it is given.
pub(super) fn gradients<R: Real>(
    ask: &Ask<'_, R>,
    classes: &[usize],
    score: Score,
    variants: usize,
    fill: impl Fn(usize, usize, &mut [R]) + Sync + Send,
    mut then: impl FnMut(usize, usize, &mut dyn Iterator<Item = R>),
) -> Result<()> {
    let mut pass = Pass::new(ask, ask.samples() * variants, Keep::ForWalk);
    let rules = RuleSet::gradient();
    each_variant(ask, &mut pass, variants, fill, |pass, batch| {
        let here: Vec<usize> = batch.iter().map(|&(sample, _)| classes[sample]).collect();
        pass.pull_classes(&here, 0, &rules, score)?;
        for (i, &(sample, variant)) in batch.iter().enumerate() {
            then(sample, variant, &mut values(pass.signal(0)?, i));
        }
        Ok(())
    })
}

/// The logits of given classes at one variant of each sample.
pub(super) fn logits_at<R: Real>(
    ask: &Ask<'_, R>,
    classes: &[usize],
    variants: usize,
    fill: impl Fn(usize, usize, &mut [R]) + Sync + Send,
) -> Result<Vec<Vec<f64>>> {
    let mut pass = Pass::new(ask, ask.samples() * variants, Keep::Nothing);
    let mut out = vec![Vec::with_capacity(variants); ask.samples()];
    let quiet = Ask { progress: None, ..ask.clone() };
    each_variant(&quiet, &mut pass, variants, fill, |pass, batch| {
        for (i, &(sample, _)) in batch.iter().enumerate() {
            out[sample].push(value(pass.logits()?, i, classes[sample]).wide());
        }
        Ok(())
    })?;
    Ok(out)
}

/// Mean and variance of gradients over draws.
pub(super) struct Moments {
    /// Per sample, [C, H, W].
    pub mean: Vec<f64>,
    /// Sum of squared distances from the mean, likewise.
    pub spread: Vec<f64>,
    pub draws: usize,
}

/// The same draws in two: the even ones and the odd ones.
pub(super) struct Halves(pub [Moments; 2]);

impl Halves {
    /// All draws together (Chan, Golub, LeVeque 1983).
    pub fn whole(&self) -> Moments {
        let [a, b] = &self.0;
        let draws = a.draws + b.draws;
        let (share, both) = (b.draws as f64 / draws as f64, (a.draws * b.draws) as f64 / draws as f64);
        let gap = |i: usize| b.mean[i] - a.mean[i];
        let mean = (0..a.mean.len()).map(|i| a.mean[i] + share * gap(i)).collect();
        let spread = (0..a.mean.len()).map(|i| a.spread[i] + b.spread[i] + gap(i) * gap(i) * both).collect();
        Moments { mean, spread, draws }
    }
}

impl Moments {
    /// Mean of squares.
    pub fn square(&self, i: usize) -> f64 {
        self.mean[i] * self.mean[i] + self.variance(i)
    }

    /// Variance over draws, divided by their number.
    pub fn variance(&self, i: usize) -> f64 {
        self.spread[i] / self.draws as f64
    }
}

/// Moments of the gradient over noisy variants, in double precision (Welford 1962); `noise(sample, draw, image)` adds
/// the noise.
pub(super) fn moments<R: Real>(
    ask: &Ask<'_, R>,
    classes: &[usize],
    draws: usize,
    noise: impl Fn(usize, usize, &mut [R]) + Sync + Send,
) -> Result<Halves> {
    let size = ask.size();
    let zeros = || vec![0.0; ask.samples() * size];
    let half = |draws: usize| Moments { mean: zeros(), spread: zeros(), draws };
    let mut out = [half(draws.div_ceil(2)), half(draws / 2)];
    gradients(ask, classes, Score::Logit, draws, noise, |sample, draw, gradient| {
        let place = sample * size..(sample + 1) * size;
        let half = &mut out[draw % 2];
        let (mean, spread) = (&mut half.mean[place.clone()], &mut half.spread[place]);
        for ((g, mean), spread) in gradient.zip(mean).zip(spread) {
            let away = g.wide() - *mean;
            *mean += away / (draw / 2 + 1) as f64;
            *spread += away * (g.wide() - *mean);
        }
    })?;
    Ok(Halves(out))
}

/// Largest minus smallest value of each sample.
pub(super) fn spans<R: Real>(ask: &Ask<'_, R>) -> Vec<f64> {
    let images = standard(ask.input);
    let span = |image: &[R]| {
        let (low, high) = super::answer::range(image.iter().map(|v| v.wide()));
        high - low
    };
    images.chunks_exact(ask.size()).map(span).collect()
}
