//! What "nothing there" means: the image that a method compares with.

use super::{Key, Result, Settings};
use glassbox_engine::{Graph, Real};
use std::ops::RangeInclusive;

/// The option of methods that compare with a baseline.
pub(crate) const BASELINE: Key = Key {
    name: "baseline",
    default: "zero",
    help: "what to compare with: zero (the mean colour of normalised images), mean (of each channel), black, white, \
           blur, or a number",
};

/// An image that says nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Baseline {
    /// Each channel's own number.
    Channels(Vec<f64>),
    /// Each channel's mean over the sample.
    Mean,
    /// The sample, blurred by a Gaussian whose deviation is a tenth of the shorter side.
    Blur,
}

const ANY: RangeInclusive<f64> = f64::NEG_INFINITY..=f64::INFINITY;

impl Baseline {
    /// As the option says.
    pub fn of(settings: &Settings, graph: &Graph) -> Result<Self> {
        let channels = graph.input().c;
        Ok(match settings.text("baseline") {
            "zero" => Self::Channels(vec![0.0; channels]),
            "mean" => Self::Mean,
            "blur" => Self::Blur,
            "black" => Self::Channels(seen(graph, 0.0)),
            "white" => Self::Channels(seen(graph, 1.0)),
            _ => match settings.number("baseline", ANY) {
                Ok(value) if value.is_finite() => Self::Channels(vec![value; channels]),
                _ => return settings.wrong("baseline", "zero, mean, black, white, blur or a number"),
            },
        })
    }

    /// Writes the baseline of a sample, both [C, H, W].
    pub fn write<R: Real>(&self, graph: &Graph, sample: &[R], out: &mut [R]) {
        let shape = graph.input();
        let planes = sample.chunks_exact(shape.plane()).zip(out.chunks_exact_mut(shape.plane()));
        for (c, (sample, out)) in planes.enumerate() {
            match self {
                Self::Channels(values) => out.fill(R::of(values[c])),
                Self::Mean => {
                    let sum: f64 = sample.iter().map(|v| v.wide()).sum();
                    out.fill(R::of(sum / sample.len() as f64));
                }
                Self::Blur => {
                    out.copy_from_slice(sample);
                    blur(out, shape.h, shape.w, shape.h.min(shape.w) as f64 / 10.0);
                }
            }
        }
    }
}

/// A pixel value in [0, 1] as the net sees it, per channel.
pub(crate) fn seen(graph: &Graph, pixel: f64) -> Vec<f64> {
    let pixels = graph.pixels();
    let of = |list: &[f64], c: usize, or: f64| list.get(c).copied().unwrap_or(or);
    (0..graph.input().c).map(|c| (pixel - of(&pixels.mean, c, 0.0)) / of(&pixels.std, c, 1.0)).collect()
}

/// Blurs a plane by a Gaussian of deviation `sigma`, cut at three deviations; beyond the edges it is mirrored.
pub(crate) fn blur<R: Real>(plane: &mut [R], h: usize, w: usize, sigma: f64) {
    if sigma <= 0.0 {
        return;
    }
    let reach = (3.0 * sigma).ceil() as isize;
    let taps: Vec<f64> = (-reach..=reach).map(|d| (-0.5 * (d as f64 / sigma).powi(2)).exp()).collect();
    let sum: f64 = taps.iter().sum();
    let mirror = |at: isize, len: usize| {
        let period = 2 * len as isize;
        let at = at.rem_euclid(period);
        (if at < len as isize { at } else { period - 1 - at }) as usize
    };
    for (len, step, lines, across) in [(w, 1, h, w), (h, w, w, 1)] {
        let mut line = vec![0.0; len];
        for first in (0..lines).map(|i| i * across) {
            for (i, place) in line.iter_mut().enumerate() {
                *place = plane[first + i * step].wide();
            }
            for i in 0..len {
                let tap =
                    |(t, weight): (usize, &f64)| weight * line[mirror(i as isize + t as isize - reach, len)];
                plane[first + i * step] = R::of(taps.iter().enumerate().map(tap).sum::<f64>() / sum);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::blur;

    #[test]
    fn blurring_keeps_the_sum_and_a_constant() {
        let mut flat = vec![2.5f64; 35];
        blur(&mut flat, 5, 7, 1.3);
        assert!(flat.iter().all(|v| (v - 2.5).abs() < 1e-12));
        let mut peak = vec![0.0f64; 35];
        peak[17] = 1.0;
        blur(&mut peak, 5, 7, 0.8);
        assert!((peak.iter().sum::<f64>() - 1.0).abs() < 1e-12, "mirrored edges lose nothing");
        assert!(peak[17] < 0.5 && peak[16] == peak[18] && peak[10] == peak[24]);
    }
}
