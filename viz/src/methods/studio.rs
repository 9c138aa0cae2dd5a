//! Images made by climbing: some number of a net, raised step by step by changing its input. What methods that make
//! images share.

use super::answer::Residual;
use super::pass::{Pass, once_more, put, set, value, values};
use super::residual::repeated;
use super::{Ask, Result, Unit};
use glassbox_engine::graph::Keep;
use glassbox_engine::layers::{At, Layer, Needs};
use glassbox_engine::rng::{Purpose, Stream};
use glassbox_engine::rules::{Match, RoleKind, Rule};
use glassbox_engine::{Blocked, Real, RuleSet, View};

/// The note of all images that were made.
pub(super) const OWN_UNITS: &str = "the array holds the net's own units (mean subtracted, divided by the deviation); \
    pictures show it as pixels";

/// The number that is raised.
#[derive(Clone, Debug)]
pub(super) enum Goal<R> {
    /// The logit of each sample's class.
    Classes(Vec<usize>),
    /// A unit, the mean of a channel, or the mean of a layer, at a slot.
    Unit(usize, Unit),
    /// Half the sum of squares of a slot.
    Energy(usize),
    /// Minus the squared distance of a slot from each sample's own array, over that array's sum of squares.
    Near(usize, Vec<Vec<R>>),
}

impl<R: Real> Goal<R> {
    /// The slot that it reads.
    pub fn slot(&self, logits: usize) -> usize {
        match self {
            Self::Classes(_) => logits,
            Self::Unit(slot, _) | Self::Energy(slot) | Self::Near(slot, _) => *slot,
        }
    }

    /// The places that a unit covers.
    fn covered(unit: Unit, view: View<'_, R>) -> std::ops::Range<usize> {
        let plane = view.shape.plane();
        match unit {
            Unit::All => 0..view.shape.size(),
            Unit::Channel(k) => k * plane..(k + 1) * plane,
            Unit::At(k, y, x) => {
                let at = k * plane + y * view.shape.w + x;
                at..at + 1
            }
        }
    }

    fn value(&self, view: View<'_, R>, i: usize, sample: usize) -> f64 {
        match self {
            Self::Classes(classes) => value(view, i, classes[sample]).wide(),
            Self::Unit(_, unit) => {
                let places = Self::covered(*unit, view);
                let (first, count) = (places.start, places.len());
                values(view, i).skip(first).take(count).map(|v| v.wide()).sum::<f64>() / count as f64
            }
            Self::Energy(_) => values(view, i).map(|v| 0.5 * v.wide() * v.wide()).sum(),
            Self::Near(_, wanted) => {
                let size: f64 = wanted[sample].iter().map(|v| v.wide() * v.wide()).sum();
                let pairs = values(view, i).zip(&wanted[sample]);
                let gap: f64 = pairs.map(|(v, &w)| (v.wide() - w.wide()).powi(2)).sum();
                -gap / size.max(f64::MIN_POSITIVE)
            }
        }
    }

    fn seed(&self, seed: &mut Blocked<R>, view: View<'_, R>, i: usize, sample: usize) {
        match self {
            Self::Classes(classes) => set(seed, i, classes[sample], R::one()),
            Self::Unit(_, unit) => {
                let places = Self::covered(*unit, view);
                let share = R::of(1.0 / places.len() as f64);
                places.for_each(|at| set(seed, i, at, share));
            }
            Self::Energy(_) => put(seed, i, values(view, i)),
            Self::Near(_, wanted) => {
                let size: f64 = wanted[sample].iter().map(|v| v.wide() * v.wide()).sum();
                let factor = R::of(-2.0 / size.max(f64::MIN_POSITIVE));
                put(seed, i, values(view, i).zip(&wanted[sample]).map(|(v, &w)| factor * (v - w)));
            }
        }
    }
}

/// A step of one image.
pub(super) struct Step<'s, R> {
    /// From 0.
    pub iteration: usize,
    pub sample: usize,
    /// The image before the step, to be changed; [C, H, W].
    pub image: &'s mut [R],
    /// The goal at that image.
    pub value: f64,
    /// Its gradient.
    pub gradient: &'s [f64],
}

/// A rectifier that is off still passes signals that would turn it on: of a signal that raises the goal only what is
/// negative, and would close the rectifier further, is cut there.
#[derive(Clone, Copy, Debug)]
struct Revive;

impl<R: Real> Rule<R> for Revive {
    fn reads(&self, _: &dyn Layer) -> Needs {
        Needs::OUTPUT
    }

    fn pull(
        &self,
        at: &At<'_, R>,
        signal: View<'_, R>,
        out: &mut [Blocked<R>],
        _: &mut [R],
    ) -> glassbox_engine::Result<()> {
        let pairs = signal.data.iter().zip(at.output.data);
        for (out, (&s, &y)) in out[0].values_mut().iter_mut().zip(pairs) {
            *out = if y > R::zero() { s } else { s.max(R::zero()) };
        }
        Ok(())
    }
}

/// Steps in which an image without any gradient is led by [`Revive`].
const REVIVED: usize = 16;

/// Gradients of the goal at the images of a batch, [C, H, W] each. With `revive`, those that are zero everywhere are
/// pulled once more through rectifiers that are off.
fn gradients<R: Real>(
    pass: &mut Pass<'_, R>,
    slot: usize,
    revive: bool,
    seed: impl Fn(&mut Blocked<R>),
) -> Result<Vec<Vec<f64>>> {
    let count = pass.trace.batch();
    let gather = |pass: &Pass<'_, R>| -> Result<Vec<Vec<f64>>> {
        (0..count).map(|i| Ok(values(pass.signal(0)?, i).map(|v| v.wide()).collect())).collect()
    };
    pass.pull(slot, 0, &RuleSet::gradient(), &seed)?;
    let mut found = gather(pass)?;
    let dead = |gradient: &Vec<f64>| gradient.iter().all(|&g| g == 0.0);
    if revive && found.iter().any(dead) {
        pass.pull(slot, 0, &RuleSet::gradient().with(Match::Role(RoleKind::Rectifier), Revive), &seed)?;
        let again = gather(pass)?;
        found.iter_mut().zip(again).filter(|(old, _)| dead(old)).for_each(|(old, new)| *old = new);
    }
    Ok(found)
}

/// Changes `images`, one per sample, `iterations` times; returns the goal's value at each of the last. With `revive`,
/// images without a gradient are led by rectifiers that are off in the first steps (Olah, Mordvintsev, Schubert 2017).
pub(super) fn climb<R: Real>(
    ask: &Ask<'_, R>,
    images: &mut [R],
    goal: &Goal<R>,
    iterations: usize,
    revive: bool,
    mut step: impl FnMut(Step<'_, R>),
) -> Result<Vec<f64>> {
    let size = ask.size();
    let samples = images.len() / size;
    let mut pass = Pass::new(ask, samples, Keep::Everything);
    let slot = goal.slot(pass.logits);
    let mut last = Vec::with_capacity(samples);
    let capacity = pass.capacity();
    for (group, images) in images.chunks_mut(capacity * size).enumerate() {
        let (first, count) = (group * capacity, images.len() / size);
        for iteration in 0..=iterations {
            pass.fill(count, |i, image| image.copy_from_slice(&images[i * size..][..size]));
            pass.forward();
            let reached: Vec<f64> =
                (0..count).map(|i| Ok(goal.value(pass.at(slot)?, i, first + i))).collect::<Result<_>>()?;
            if iteration == iterations {
                last.extend(reached);
                break;
            }
            let here = pass.trace.slot(slot)?.clone();
            let gradients = gradients(&mut pass, slot, revive && iteration < REVIVED, |seed| {
                (0..count).for_each(|i| goal.seed(seed, here.view(), i, first + i));
            })?;
            for (i, (image, gradient)) in images.chunks_exact_mut(size).zip(&gradients).enumerate() {
                let (sample, value) = (first + i, reached[i]);
                step(Step { iteration, sample, image, value, gradient });
            }
            ask.progress(first * iterations + count * (iteration + 1), samples * iterations);
        }
    }
    Ok(last)
}

/// The goal at some images, one per sample, in batches of their own, against the value that a climb ended with.
pub(super) fn reached_again<R: Real>(
    ask: &Ask<'_, R>,
    images: &[R],
    goal: &Goal<R>,
    reached: &[f64],
) -> Result<Vec<Residual>> {
    let slot = goal.slot(ask.graph.logits());
    let write = |sample: usize, image: &mut [R]| {
        image.copy_from_slice(&images[sample * image.len()..][..image.len()])
    };
    let read = |pass: &Pass<'_, R>, i: usize, sample: usize| Ok(goal.value(pass.at(slot)?, i, sample));
    let again = once_more(ask, Keep::Everything, write, read)?;
    Ok(reached.iter().zip(again).map(|(&before, again)| repeated(before, again, before.abs())).collect())
}

/// Root of the mean square.
pub(super) fn rms(values: &[f64]) -> f64 {
    (values.iter().map(|v| v * v).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

/// The draw that a start is made of; steps count from zero, and their substitutes down from here.
pub(super) const START: u64 = u64::MAX;

/// Normal noise of one sample, keyed by (seed, sample, draw).
pub(super) fn noise<R: Real>(seed: u64, sample: usize, draw: u64, deviation: f64, out: &mut [R]) {
    let mut stream = Stream::new(seed, Purpose::Method, sample as u64, draw);
    out.iter_mut().for_each(|v| *v += R::of(deviation * stream.normal()));
}

/// Rolls every channel of an image by rows and columns, round the edges.
pub(super) fn roll<R: Real>(image: &mut [R], h: usize, w: usize, rows: isize, columns: isize) {
    for plane in image.chunks_exact_mut(h * w) {
        plane.rotate_right(rows.rem_euclid(h as isize) as usize * w);
        let shift = columns.rem_euclid(w as isize) as usize;
        plane.chunks_exact_mut(w).for_each(|row| row.rotate_right(shift));
    }
}

#[cfg(test)]
mod tests {
    use super::roll;

    #[test]
    fn rolling_there_and_back_is_nothing() {
        let image: Vec<f32> = (0..24).map(|v| v as f32).collect();
        let mut rolled = image.clone();
        roll(&mut rolled, 3, 4, 1, -2);
        assert_eq!((rolled[0], rolled[4]), (10.0, 2.0));
        roll(&mut rolled, 3, 4, -1, 2);
        assert_eq!(rolled, image);
    }
}
