//! Does a net know that a part of one image corresponds to that of another? Hide the same part in several images and
//! see whether their activations change alike.
//!
//! With x_i an image, x~_i the same with a part hidden, and e_i = A(x_i) - A(x~_i) at a layer,
//! `D = mean over i < j of H(sign e_i, sign e_j)`, H the share of units whose signs (-1, 0 or 1) differ. The lower D,
//! the more alike; it says something only beside places hidden at random, of the same size.
//!
//! Reference: Zeiler and Fergus 2014 (arXiv 1311.2901), section 4.3 and table 1, who sum H over all pairs.

use crate::error::{Error, Result};
use crate::methods::Ask;
use crate::methods::baseline::Baseline;
use crate::methods::pass::{Pass, each_variant, standard, values};
use glassbox_engine::graph::Keep;
use glassbox_engine::rng::{Purpose, Stream};
use std::ops::Range;

/// Rows and columns that are hidden in one image.
pub type Region = [Range<usize>; 2];

/// A part, and where it is in each image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is called.
    pub name: String,
    /// Its place in each image.
    pub regions: Vec<Region>,
}

/// How alike a layer changes when a part is hidden.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Mean over pairs of images of the share of units whose signs of change differ.
    pub mean: f64,
    /// Standard deviation over pairs.
    pub deviation: f64,
    /// The sum over all ordered pairs of differing signs, as the paper counts.
    pub sum: u64,
}

/// Parts that are the cells of a `side` x `side` grid, at the same place in all of `images` images.
pub fn grid(side: usize, [h, w]: [usize; 2], images: usize) -> Vec<Part> {
    let cells = (0..side).flat_map(|i| (0..side).map(move |j| (i, j)));
    let cut = |at: usize, len: usize| at * len / side..(at + 1) * len / side;
    let part = |(i, j): (usize, usize)| Part {
        name: format!("row {i}, column {j}"),
        regions: vec![[cut(i, h), cut(j, w)]; images],
    };
    cells.map(part).collect()
}

/// Places at random, one per image, each of the size of `like`'s there, from a seed.
pub fn random(like: &Part, [h, w]: [usize; 2], seed: u64, draw: u64) -> Part {
    let place = |(i, region): (usize, &Region)| {
        let mut stream = Stream::new(seed, Purpose::Method, i as u64, draw);
        let mut one = |len: usize, whole: usize| {
            let first = stream.below(whole - len.min(whole) + 1);
            first..first + len
        };
        [one(region[0].len(), h), one(region[1].len(), w)]
    };
    Part { name: "at random".into(), regions: like.regions.iter().enumerate().map(place).collect() }
}

/// The change of some slots for some parts: [part][slot].
///
/// # Errors
/// Fewer than two images, a part without a place for each image, or with one that is empty or beyond the image.
pub(crate) fn study(
    ask: &Ask<'_>,
    slots: &[usize],
    parts: &[Part],
    baseline: &Baseline,
) -> Result<Vec<Vec<Change>>> {
    ask.check()?;
    check(ask, parts)?;
    let shape = ask.graph.input();
    let images = standard(ask.input);
    let mut bases = vec![0.0; images.len()];
    for (image, base) in images.chunks_exact(shape.size()).zip(bases.chunks_exact_mut(shape.size())) {
        baseline.write(ask.graph, image, base);
    }
    let fill = |sample: usize, variant: usize, image: &mut [f32]| {
        let Some(part) = variant.checked_sub(1) else { return };
        let [rows, columns] = &parts[part].regions[sample];
        for row in (0..shape.c).flat_map(|c| rows.clone().map(move |y| (c * shape.h + y) * shape.w)) {
            let hidden = row + columns.start..row + columns.end;
            image[hidden.clone()].copy_from_slice(&bases[sample * shape.size()..][hidden]);
        }
    };
    // signs[part][slot][sample]
    let mut signs = vec![vec![Vec::new(); slots.len()]; parts.len()];
    let mut own: Vec<Vec<f32>> = vec![Vec::new(); slots.len()];
    let variants = 1 + parts.len();
    let mut pass = Pass::new(ask, ask.samples() * variants, Keep::Everything);
    each_variant(ask, &mut pass, variants, fill, |pass, batch| {
        for (i, &(_, variant)) in batch.iter().enumerate() {
            for (s, &slot) in slots.iter().enumerate() {
                let here = values(pass.at(slot)?, i);
                let Some(part) = variant.checked_sub(1) else {
                    own[s] = here.collect();
                    continue;
                };
                signs[part][s].push(here.zip(&own[s]).map(|(hidden, &whole)| sign(whole - hidden)).collect());
            }
        }
        Ok(())
    })?;
    Ok(signs.iter().map(|slots| slots.iter().map(|signs| change(signs)).collect()).collect())
}

fn sign(value: f32) -> i8 {
    i8::from(value > 0.0) - i8::from(value < 0.0)
}

/// Compares the signs of every pair.
fn change(signs: &[Vec<i8>]) -> Change {
    let mut shares = Vec::new();
    let mut sum = 0;
    for (i, a) in signs.iter().enumerate() {
        for b in &signs[..i] {
            let differ = a.iter().zip(b).filter(|(a, b)| a != b).count();
            sum += 2 * differ as u64;
            shares.push(differ as f64 / a.len().max(1) as f64);
        }
    }
    let count = shares.len().max(1) as f64;
    let mean = shares.iter().sum::<f64>() / count;
    let deviation = (shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / count).sqrt();
    Change { mean, deviation, sum }
}

fn check(ask: &Ask<'_>, parts: &[Part]) -> Result<()> {
    let (shape, images) = (ask.graph.input(), ask.samples());
    if images < 2 {
        return Err(Error::request(
            format!("{images} image has no other to compare with"),
            "give at least two",
        ));
    }
    for Part { name, regions } in parts {
        if regions.len() != images {
            let problem = format!("part \"{name}\" has {} places for {images} images", regions.len());
            return Err(Error::request(problem, "give one per image"));
        }
        let bad = |[rows, columns]: &&Region| {
            rows.is_empty() || columns.is_empty() || rows.end > shape.h || columns.end > shape.w
        };
        if let Some([rows, columns]) = regions.iter().find(bad) {
            return Err(Error::request(
                format!(
                    "part \"{name}\" hides rows {rows:?} and columns {columns:?} of {}x{}",
                    shape.h, shape.w
                ),
                "give places inside the image that hide at least a pixel",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use glassbox_engine::Graph;
    use glassbox_engine::layers::Conv;
    use ndarray::Array4;

    #[test]
    fn signs_are_counted_pair_by_pair() {
        let got = change(&[vec![1, 0, -1, 1], vec![1, 1, -1, 0], vec![0, 0, -1, 1]]);
        // pairs: 2, 1, 3 of 4 differ
        assert_eq!(got.sum, 12);
        assert!((got.mean - 0.5).abs() < 1e-12 && (got.deviation - (1.0f64 / 24.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn equal_images_with_the_same_part_hidden_change_alike_and_at_random_they_do_not() {
        let graph = Graph::builder("n", [1, 8, 8]).layer("conv", Conv::new(2, 3).pad(1)).build().unwrap();
        let params = graph.init(Default::default(), 4);
        let input = Array4::from_shape_fn((4, 1, 8, 8), |(_, _, h, w)| 1.0 + ((h * 3 + w) % 5) as f32);
        let ask = Ask::new(&graph, &params, &input);
        let mut parts = grid(2, [8, 8], 4);
        assert_eq!((parts.len(), parts[1].regions[3].clone()), (4, [0..4, 4..8]));
        parts.push(random(&parts[0], [8, 8], 1, 0));
        let found = study(&ask, &[1], &parts, &Baseline::Channels(vec![0.0])).unwrap();
        assert!(found[..4].iter().all(|part| part[0].mean == 0.0 && part[0].sum == 0));
        assert!(found[4][0].mean > 0.1, "{:?}", found[4]);
    }

    #[test]
    fn places_that_do_not_fit_are_refused_by_name() {
        let graph = Graph::builder("n", [1, 8, 8]).layer("conv", Conv::new(2, 3)).build().unwrap();
        let params = graph.init(Default::default(), 4);
        let input = Array4::zeros((2, 1, 8, 8));
        let ask = Ask::new(&graph, &params, &input);
        let base = Baseline::Channels(vec![0.0]);
        for (regions, want) in [
            (vec![[0..2, 0..2]], "1 places for 2 images"),
            (vec![[0..2, 0..9], [0..2, 0..2]], "columns 0..9"),
            (vec![[0..2, 0..2], [3..3, 0..2]], "rows 3..3"),
        ] {
            let part = Part { name: "nose".into(), regions };
            let text = study(&ask, &[1], &[part], &base).unwrap_err().to_string();
            assert!(text.contains(want) && text.contains("nose"), "{text}");
        }
    }
}
