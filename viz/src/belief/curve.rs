//! What deletion and insertion share: the class's probability while pixels go or come, most important first.

use super::case::with_baselines;
use super::{Case, Score};
use crate::error::Result;
use crate::methods::baseline::Baseline;
use crate::methods::pass::{Pass, each_variant};
use crate::methods::score::Score as Explained;
use crate::methods::{Key, Settings};
use glassbox_engine::graph::Keep;
use glassbox_engine::rng::{Purpose, Stream};

pub(super) const STEP: Key = Key {
    name: "step",
    default: "0.01",
    help: "share of the pixels that change from one point of the curve to the next",
};

pub(super) const TIES: Key = Key {
    name: "ties",
    default: "random",
    help: "order of pixels whose share is the same: random, or raster (row by row)",
};

pub(super) const SEED: Key = Key { name: "seed", default: "0", help: "seed of the order of ties" };

/// Which way a curve goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the image to its baseline.
    Deletion,
    /// From the baseline to the image.
    Insertion,
}

/// Pixels by share, largest first.
fn order(pixels: &[f64], ties: Option<Stream>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..pixels.len()).collect();
    if let Some(mut stream) = ties {
        stream.shuffle(&mut order);
    }
    order.sort_by(|&a, &b| pixels[b].total_cmp(&pixels[a]));
    order
}

/// The area under the curve, over the share of pixels changed.
pub(super) fn area(case: &Case<'_>, settings: &Settings, way: Way) -> Result<Vec<Score>> {
    let share = settings.number("step", 1e-6..=1.0)?;
    let random = settings.choice("ties", &[("random", true), ("raster", false)])?;
    let seed = settings.seed()?;
    let ask = &case.ask;
    let shape = ask.graph.input();
    let (plane, size) = (shape.plane(), shape.size());
    let (images, bases) = with_baselines(ask, &Baseline::of(settings, ask.graph)?);
    let orders: Vec<Vec<usize>> = (0..case.samples())
        .map(|n| {
            let stream = random.then(|| Stream::new(seed, Purpose::Measure, n as u64, 0));
            order(&case.pixels(n), stream)
        })
        .collect();
    let step = ((share * plane as f64).round() as usize).max(1);
    let points = plane.div_ceil(step) + 1;
    let changed = |point: usize| (point * step).min(plane);
    let (from, to) = if way == Way::Deletion { (&images, &bases) } else { (&bases, &images) };
    let mut pass = Pass::new(ask, case.samples() * points, Keep::Nothing);
    let mut curves = vec![Vec::with_capacity(points); case.samples()];
    let fill = |sample: usize, point: usize, image: &mut [f32]| {
        let place = sample * size..(sample + 1) * size;
        image.copy_from_slice(&from[place.clone()]);
        let target = &to[place];
        for &p in &orders[sample][..changed(point)] {
            (p..size).step_by(plane).for_each(|i| image[i] = target[i]);
        }
    };
    each_variant(ask, &mut pass, points, fill, |pass, batch| {
        for (i, &(sample, _)) in batch.iter().enumerate() {
            curves[sample].push(Explained::Probability.value(pass.logits()?, i, case.classes[sample]));
        }
        Ok(())
    })?;
    let places: Vec<f64> = (0..points).map(|k| changed(k) as f64 / plane as f64).collect();
    let score = |curve: Vec<f64>| {
        let pieces = curve.windows(2).zip(places.windows(2));
        let area: f64 = pieces.map(|(p, x)| (p[0] + p[1]) / 2.0 * (x[1] - x[0])).sum();
        Score::of(area).with("changed", places.clone()).with("probability", curve)
    };
    Ok(curves.into_iter().map(score).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_fall_in_raster_order_or_at_random() {
        let pixels = [0.5, 2.0, 0.5, -1.0, 0.5];
        assert_eq!(order(&pixels, None), [1, 0, 2, 4, 3]);
        let orders: Vec<Vec<usize>> =
            (0..20).map(|n| order(&pixels, Some(Stream::new(1, Purpose::Measure, n, 0)))).collect();
        assert!(orders.iter().all(|o| o[0] == 1 && o[4] == 3));
        assert!(orders.iter().any(|o| o[1] != orders[0][1]));
    }
}
