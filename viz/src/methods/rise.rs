//! rise: what the class's probability has in common with what random masks let through.
//!
//! Each of `masks` (2000) masks is a grid of `cells` x `cells` (7) coins that show with probability `share` (0.5),
//! enlarged bilinearly to one cell more than the image and cut at a random offset. `R = sum over masks of p_c(x * M)
//! M / sum over masks of M`, pixel by pixel, [N, C, H, W], the same in every channel. `divide=expected` divides by
//! masks times share instead, as the paper writes it, which leaves more noise. The masks of a draw depend on (seed,
//! sample, draw) alone.
//!
//! Reference: Petsiuk, Das, Saenko 2018 (arXiv 1806.07421); the paper takes 4000 to 8000 masks for images of 224
//! pixels.
//!
//! Facts: the standard error. Limits: chance, falling with the root of the masks; "masked out" is zero in the net's
//! own units, which for normalised images is the mean colour; a constant score gives a constant map.

use super::answer::{Answer, Facts, Residual};
use super::pass::{Pass, classes, each_variant};
use super::score::probabilities;
use super::{Aim, Ask, Error, Key, Method, Result, Settings, Space};
use glassbox_engine::Real;
use glassbox_engine::graph::Keep;
use glassbox_engine::rng::{Purpose, Stream};
use ndarray::Array4;

pub(super) static METHOD: Method = Method {
    name: "rise",
    summary: "the class's probability behind random masks, shared out over what they show",
    keys: &[
        Key { name: "masks", default: "2000", help: "random masks per image" },
        Key { name: "cells", default: "7", help: "rows and columns of a mask's grid" },
        Key { name: "share", default: "0.5", help: "probability that a cell shows the image" },
        Key {
            name: "divide",
            default: "coverage",
            help: "by what a pixel's sum is divided: coverage (its masks' sum) or expected (masks x share)",
        },
        Key { name: "seed", default: "0", help: "seed of the masks" },
    ],
    space: Space::Input,
    aim: Aim::Class,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("rise.rs"),
};

const MEANING: &str =
    "the largest standard error of a pixel, against the range of the map: what other seeds would change";

/// What makes a mask.
struct Grid {
    cells: usize,
    share: f64,
    seed: u64,
    h: usize,
    w: usize,
}

impl Grid {
    /// The mask of a draw, [H, W].
    fn mask(&self, sample: usize, draw: usize) -> Vec<f64> {
        let mut stream = Stream::new(self.seed, Purpose::Method, sample as u64, draw as u64);
        let coins: Vec<f64> =
            (0..self.cells * self.cells).map(|_| f64::from(u8::from(stream.unit() < self.share))).collect();
        let mut axis = |len: usize| {
            let cell = len.div_ceil(self.cells);
            let first = stream.below(cell);
            let scale = self.cells as f64 / ((self.cells + 1) * cell) as f64;
            let place = move |t: usize| {
                let source = ((first + t) as f64 + 0.5) * scale - 0.5;
                let source = source.clamp(0.0, (self.cells - 1) as f64);
                let low = source.floor() as usize;
                (low, (low + 1).min(self.cells - 1), source - low as f64)
            };
            (0..len).map(place).collect::<Vec<_>>()
        };
        let (rows, columns) = (axis(self.h), axis(self.w));
        let mut out = Vec::with_capacity(self.h * self.w);
        for (top, bottom, down) in rows {
            let line = |row: usize, (left, right, across): (usize, usize, f64)| {
                coins[row * self.cells + left] * (1.0 - across) + coins[row * self.cells + right] * across
            };
            out.extend(columns.iter().map(|&c| line(top, c) * (1.0 - down) + line(bottom, c) * down));
        }
        out
    }
}

/// Sums over the masks of one sample, per pixel.
#[derive(Default)]
struct Sums {
    /// Mask.
    coverage: Vec<f64>,
    /// Mask times probability.
    scored: Vec<f64>,
    /// Its square.
    squared: Vec<f64>,
}

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let shape = ask.graph.input();
    let (masks, cells) = (settings.count("masks", 1)?, settings.count("cells", 1)?);
    let share = settings.number("share", 0.0..=1.0)?;
    let expected = settings.choice("divide", &[("coverage", false), ("expected", true)])?;
    if share == 0.0 {
        return Err(Error::request("share=0 hides everything", "write a share above 0"));
    }
    if cells > shape.h.min(shape.w) {
        let problem = format!("cells={cells} is more than the image's {}x{} pixels", shape.h, shape.w);
        return Err(Error::request(problem, "write fewer cells"));
    }
    let grid = Grid { cells, share, seed: settings.seed()?, h: shape.h, w: shape.w };
    let found = classes(ask)?;
    let plane = shape.plane();
    let mut pass = Pass::new(ask, ask.samples() * masks, Keep::Nothing);
    let zeros = || vec![0.0; plane];
    let mut sums: Vec<Sums> = Vec::new();
    sums.resize_with(ask.samples(), || Sums { coverage: zeros(), scored: zeros(), squared: zeros() });
    let hide = |sample: usize, draw: usize, image: &mut [R]| {
        let mask = grid.mask(sample, draw);
        for channel in image.chunks_exact_mut(plane) {
            channel.iter_mut().zip(&mask).for_each(|(v, &m)| *v *= R::of(m));
        }
    };
    each_variant(ask, &mut pass, masks, hide, |pass, batch| {
        for (i, &(sample, draw)) in batch.iter().enumerate() {
            let p = probabilities(pass.logits()?, i)[found[sample].0];
            let sums = &mut sums[sample];
            for (at, m) in grid.mask(sample, draw).into_iter().enumerate() {
                sums.coverage[at] += m;
                sums.scored[at] += p * m;
                sums.squared[at] += p * m * p * m;
            }
        }
        Ok(())
    })?;
    let count = masks as f64;
    let divisor = |sample: usize, at: usize| {
        if expected { count * share } else { sums[sample].coverage[at] }
    };
    let value = |sample: usize, at: usize| {
        let by = divisor(sample, at);
        if by > 0.0 { sums[sample].scored[at] / by } else { 0.0 }
    };
    let map = Array4::from_shape_fn(ask.input.dim(), |(n, _, y, x)| R::of(value(n, y * shape.w + x)));
    let facts = found.iter().enumerate().map(|(sample, &(class, logit))| {
        let (low, high) = super::answer::range((0..plane).map(|at| value(sample, at)));
        let error = |at: usize| {
            let mean = sums[sample].scored[at] / count;
            let variance = (sums[sample].squared[at] / count - mean * mean).max(0.0);
            let by = divisor(sample, at) / count;
            if by > 0.0 { (variance / count).sqrt() / by } else { 0.0 }
        };
        let residual = Residual {
            name: "standard error",
            value: (0..plane).map(error).fold(0.0, f64::max),
            scale: high - low,
            meaning: MEANING,
        };
        Facts { class: Some(class), score: Some(logit.wide()), residual: Some(residual), ..Facts::default() }
    });
    let facts = facts.collect();
    Ok(Answer::new(map.into_dyn(), facts, |_| "the class has no probability behind any mask".into())
        .note("a value is the class's mean probability over the masks that show the pixel"))
}

#[cfg(test)]
mod tests {
    use super::Grid;

    #[test]
    fn masks_show_their_share_everywhere() {
        let grid = Grid { cells: 5, share: 0.3, seed: 4, h: 12, w: 17 };
        let mut mean = vec![0.0; 12 * 17];
        for draw in 0..4000 {
            mean.iter_mut().zip(grid.mask(1, draw)).for_each(|(mean, m)| *mean += m / 4000.0);
        }
        assert!(mean.iter().all(|m| (m - 0.3).abs() < 0.04), "{mean:?}");
        assert_ne!(grid.mask(0, 0), grid.mask(1, 0));
    }
}
