//! sensitivity-n: whether the shares of random pixels add up to what the class loses without them.
//!
//! For each of `sizes` (8) numbers n of pixels, evenly spaced on a logarithmic scale from 1 to 80 % of the image,
//! `subsets` (100) random sets of n pixels are replaced by the baseline (zero in the net's own units). Per n: Pearson's
//! correlation between the sum of the set's shares, all channels, and the loss `S_c(x) - S_c(x without the set)` of
//! the logit. The score is the mean over n; `correlations` beside it are the single ones. A map that is exact for
//! this kind of removal gets 1, as gradient-x-input does on a linear net.
//!
//! Reference: Ancona, Ceolini, Oztireli, Gross 2018 (arXiv 1711.06104), section 4. The sets are drawn at random, as
//! there; walking through pixels in the map's own order is another quantity.
//!
//! Limits: chance: the standard error of a correlation near zero is 1 / sqrt(subsets). Images with holes are unlike
//! any that the net was trained on. A correlation does not see the map's scale.

use super::case::with_baselines;
use super::likeness::pearson;
use super::{Better, Case, Measure, Score};
use crate::error::Result;
use crate::methods::baseline::{BASELINE, Baseline};
use crate::methods::pass::{Pass, each_variant};
use crate::methods::score::{SCORE, Score as Explained};
use crate::methods::{Key, Settings};
use glassbox_engine::graph::Keep;
use glassbox_engine::rng::{Purpose, Stream};

pub(super) static MEASURE: Measure = Measure {
    name: "sensitivity-n",
    summary: "correlation between the shares of random pixels and the loss without them",
    better: Better::High,
    keys: &[
        Key { name: "subsets", default: "100", help: "random sets of each size" },
        Key { name: "sizes", default: "8", help: "numbers of pixels, from 1 to 80 % of the image" },
        BASELINE,
        SCORE,
        Key { name: "seed", default: "0", help: "seed of the sets" },
    ],
    run,
    source: include_str!("sensitivity_n.rs"),
};

/// Numbers of pixels, evenly spaced on a logarithmic scale.
fn sizes(count: usize, plane: usize) -> Vec<usize> {
    let most = (0.8 * plane as f64).max(1.0);
    let share = |i: usize| if count > 1 { i as f64 / (count - 1) as f64 } else { 1.0 };
    let mut sizes: Vec<usize> = (0..count).map(|i| most.powf(share(i)).round() as usize).collect();
    sizes.dedup();
    sizes
}

/// n different pixels of `plane`.
fn subset(seed: u64, sample: usize, draw: usize, n: usize, plane: usize) -> Vec<usize> {
    let mut stream = Stream::new(seed, Purpose::Measure, sample as u64, draw as u64);
    let mut all: Vec<usize> = (0..plane).collect();
    for i in 0..n {
        all.swap(i, i + stream.below(plane - i));
    }
    all.truncate(n);
    all
}

fn run(case: &Case<'_>, settings: &Settings) -> Result<Vec<Score>> {
    let (subsets, seed) = (settings.count("subsets", 2)?, settings.seed()?);
    let score = Explained::of(settings)?;
    let ask = &case.ask;
    let (plane, size) = (ask.graph.input().plane(), ask.size());
    let sizes = sizes(settings.count("sizes", 1)?, plane);
    let (_, bases) = with_baselines(ask, &Baseline::of(settings, ask.graph)?);
    let pixels: Vec<Vec<f64>> = (0..case.samples()).map(|n| case.pixels(n)).collect();
    // variant 0 is the image itself
    let variants = sizes.len() * subsets + 1;
    let drawn = |sample: usize, variant: usize| {
        let draw = variant - 1;
        subset(seed, sample, draw, sizes[draw / subsets], plane)
    };
    let fill = |sample: usize, variant: usize, image: &mut [f32]| {
        if variant == 0 {
            return;
        }
        let base = &bases[sample * size..][..size];
        for p in drawn(sample, variant) {
            (p..size).step_by(plane).for_each(|i| image[i] = base[i]);
        }
    };
    let mut pass = Pass::new(ask, case.samples() * variants, Keep::Nothing);
    let mut whole = 0.0;
    // per image and set: the sum of its shares, and what the class loses
    let mut found = vec![(Vec::new(), Vec::new()); case.samples()];
    each_variant(ask, &mut pass, variants, fill, |pass, batch| {
        for (i, &(sample, variant)) in batch.iter().enumerate() {
            let here = score.value(pass.logits()?, i, case.classes[sample]);
            if variant == 0 {
                whole = here;
                continue;
            }
            found[sample].0.push(drawn(sample, variant).iter().map(|&p| pixels[sample][p]).sum());
            found[sample].1.push(whole - here);
        }
        Ok(())
    })?;
    let scores = found.iter().map(|(sums, losses): &(Vec<f64>, Vec<f64>)| {
        let pairs = sums.chunks_exact(subsets).zip(losses.chunks_exact(subsets));
        let single: Vec<Option<f64>> = pairs.map(|(s, l)| pearson(s, l)).collect();
        let known: Vec<f64> = single.iter().flatten().copied().collect();
        let score = if known.is_empty() {
            Score::none("either the map or the class's loss is the same for all sets")
        } else {
            Score::of(known.iter().sum::<f64>() / known.len() as f64)
        };
        score.with("sizes", sizes.clone()).with("correlations", single)
    });
    Ok(scores.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_run_from_one_to_most_of_the_image() {
        assert_eq!(sizes(4, 784), [1, 9, 73, 627]);
        assert_eq!(sizes(1, 100), [80]);
        assert_eq!(sizes(9, 3), [1, 2]);
    }

    #[test]
    fn sets_hold_different_pixels_and_follow_their_key() {
        let mut set = subset(3, 1, 4, 20, 30);
        assert_eq!(set, subset(3, 1, 4, 20, 30));
        assert_ne!(set, subset(3, 2, 4, 20, 30));
        set.sort_unstable();
        set.dedup();
        assert_eq!(set.len(), 20);
    }
}
