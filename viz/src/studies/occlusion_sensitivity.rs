//! What happens as a square hides each part of an image: the total activation of the map that answered most, the
//! probability of the class, and the class that is most probable then.
//!
//! The square is centred at every `stride`-th pixel, in the middle of its cell, and cut at the edges; it shows the
//! mean colour, or another baseline. The map is the channel of the layer whose activations have the largest sum on the
//! whole image.
//!
//! Reference: Zeiler and Fergus 2014 (arXiv 1311.2901), section 4.2 and figure 6.

use crate::error::{Error, Result};
use crate::methods::Ask;
use crate::methods::baseline::Baseline;
use crate::methods::pass::{Pass, each_variant, standard, values};
use crate::methods::score::probabilities;
use glassbox_engine::View;
use glassbox_engine::graph::Keep;
use glassbox_engine::loss::top_class;
use ndarray::Array2;
use std::ops::Range;

/// What the square did to one image.
#[derive(Clone, Debug)]
pub struct Sensitivity {
    /// The class whose probability is followed.
    pub class: usize,
    /// Its probability on the whole image.
    pub whole_probability: f64,
    /// The channel whose activation is followed.
    pub channel: usize,
    /// Its total activation on the whole image.
    pub whole_activation: f64,
    /// Total activation of that channel, by the square's place.
    pub activation: Array2<f32>,
    /// Probability of the class, by the square's place.
    pub probability: Array2<f32>,
    /// The most probable class, by the square's place.
    pub top: Array2<usize>,
}

/// A square and its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Square {
    /// Side in pixels.
    pub side: usize,
    /// Pixels from one place to the next.
    pub stride: usize,
}

impl Square {
    /// Rows (or columns) that are hidden at a place along an axis of `len` pixels.
    fn hides(&self, place: usize, len: usize) -> Range<usize> {
        let centre = (place * self.stride + self.stride / 2).min(len - 1);
        let first = centre.saturating_sub((self.side - 1) / 2);
        first..(centre + self.side / 2 + 1).min(len)
    }

    /// Places along an axis of `len` pixels.
    fn places(&self, len: usize) -> usize {
        len.div_ceil(self.stride)
    }
}

/// Hides each part of each image in turn and watches a slot and the class of each.
///
/// # Errors
/// A square larger than the image, images or classes that do not fit the net.
pub(crate) fn study(
    ask: &Ask<'_>,
    slot: usize,
    square: Square,
    baseline: &Baseline,
) -> Result<Vec<Sensitivity>> {
    ask.check()?;
    let shape = ask.graph.input();
    if square.side > shape.h.min(shape.w) || square.side * square.stride == 0 {
        let problem = format!("a square of {} in images of {}x{}", square.side, shape.h, shape.w);
        return Err(Error::request(problem, "choose one that hides a part, and moves"));
    }
    let (rows, columns) = (square.places(shape.h), square.places(shape.w));
    let bases = bases(ask, baseline);
    let mut out: Vec<Sensitivity> = Vec::new();
    let fill = |sample: usize, variant: usize, image: &mut [f32]| {
        let Some(at) = variant.checked_sub(1) else { return };
        let base = &bases[sample * shape.size()..][..shape.size()];
        for channel in 0..shape.c {
            for y in square.hides(at / columns, shape.h) {
                let row = (channel * shape.h + y) * shape.w;
                let hidden = square.hides(at % columns, shape.w);
                image[row + hidden.start..row + hidden.end]
                    .copy_from_slice(&base[row + hidden.start..row + hidden.end]);
            }
        }
    };
    let mut pass = Pass::new(ask, ask.samples() * (1 + rows * columns), Keep::Everything);
    each_variant(ask, &mut pass, 1 + rows * columns, fill, |pass, batch| {
        let (logits, maps) = (pass.logits()?, pass.at(slot)?);
        for (i, &(sample, variant)) in batch.iter().enumerate() {
            let chances = probabilities(logits, i);
            let Some(at) = variant.checked_sub(1) else {
                let class = ask.class(sample, logits, i);
                let totals: Vec<f64> = (0..maps.shape.c).map(|k| total(maps, i, k)).collect();
                let stronger = |best: usize, k: usize| if totals[k] > totals[best] { k } else { best };
                let channel = (0..totals.len()).fold(0, stronger);
                out.push(Sensitivity {
                    class,
                    whole_probability: chances[class],
                    channel,
                    whole_activation: totals[channel],
                    activation: Array2::zeros((rows, columns)),
                    probability: Array2::zeros((rows, columns)),
                    top: Array2::zeros((rows, columns)),
                });
                continue;
            };
            let place = [at / columns, at % columns];
            let seen = &mut out[sample];
            seen.activation[place] = total(maps, i, seen.channel) as f32;
            seen.probability[place] = chances[seen.class] as f32;
            seen.top[place] = top_class(logits, i);
        }
        Ok(())
    })?;
    Ok(out)
}

/// The baselines of all samples.
fn bases(ask: &Ask<'_>, baseline: &Baseline) -> Vec<f32> {
    let images = standard(ask.input);
    let mut bases = vec![0.0; images.len()];
    for (image, base) in images.chunks_exact(ask.size()).zip(bases.chunks_exact_mut(ask.size())) {
        baseline.write(ask.graph, image, base);
    }
    bases
}

/// The sum of a channel of image `i`.
fn total(maps: View<'_, f32>, i: usize, channel: usize) -> f64 {
    let plane = maps.shape.plane();
    values(maps, i).skip(channel * plane).take(plane).map(f64::from).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use glassbox_engine::layers::{Conv, Dense, Flatten, Relu};
    use glassbox_engine::{Blocked, Graph, Mode, forward};
    use ndarray::{Array4, s};

    #[test]
    fn every_place_is_what_hiding_it_by_hand_gives() {
        let graph = Graph::builder("n", [2, 7, 6])
            .layer("conv", Conv::new(3, 3))
            .layer("relu", Relu)
            .layer("flatten", Flatten)
            .layer("fc", Dense::new(4))
            .build()
            .unwrap();
        let params = graph.init(Default::default(), 8);
        let input = Array4::from_shape_fn((2, 2, 7, 6), |(n, c, h, w)| {
            ((n * 5 + c * 3 + h * 7 + w * 4) % 9) as f32 / 3.0 - 1.0
        });
        let ask = Ask::new(&graph, &params, &input);
        let base = Baseline::Channels(vec![0.25, -0.5]);
        for (side, stride) in [(3, 1), (2, 2), (4, 3)] {
            let found = study(&ask, 2, Square { side, stride }, &base).unwrap();
            for (n, found) in found.iter().enumerate() {
                assert_eq!(found.probability.dim(), (7usize.div_ceil(stride), 6usize.div_ceil(stride)));
                for (i, j) in found.top.indexed_iter().map(|(at, _)| at) {
                    let mut image = input.slice(s![n..=n, .., .., ..]).to_owned();
                    for y in 0..7usize {
                        for x in 0..6usize {
                            // in the square around the centre of cell (i, j): side 3 reaches 1 both ways, 2 and 4 one more on
                            let near = |p: usize, cell: usize, len: usize| {
                                let c = (cell * stride + stride / 2).min(len - 1) as isize;
                                let d = p as isize - c;
                                -((side as isize - 1) / 2) <= d && d <= side as isize / 2
                            };
                            if near(y, i, 7) && near(x, j, 6) {
                                image[[0, 0, y, x]] = 0.25;
                                image[[0, 1, y, x]] = -0.5;
                            }
                        }
                    }
                    let trace =
                        forward(&graph, &params, &Blocked::from_array4(image.view(), 1), Mode::Eval).unwrap();
                    let maps = trace.slot(2).unwrap().image(0).to_owned();
                    let sum = maps.index_axis(ndarray::Axis(0), found.channel).sum();
                    assert!((found.activation[[i, j]] - sum).abs() < 1e-5);
                    let logits: Vec<f64> = trace.output().image(0).iter().map(|&v| f64::from(v)).collect();
                    let all: f64 = logits.iter().map(|v| v.exp()).sum();
                    let want = logits[found.class].exp() / all;
                    assert!((f64::from(found.probability[[i, j]]) - want).abs() < 1e-6);
                    let top = (0..4).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
                    assert_eq!(found.top[[i, j]], top);
                }
            }
        }
        assert!(study(&ask, 2, Square { side: 7, stride: 1 }, &base).is_err());
    }
}
