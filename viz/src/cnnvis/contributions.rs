//! Data-driven strengths: what one channel gave another over some images, instead of the weights between them.
//!
//! A layer of weights gives `sum over places of (W_qp * A_p)`, with A_p the mean over the images of what the layer read
//! of channel p: layers are linear, so that the mean of what was given is what the mean gives. Pools and activations in
//! between are thus those of the images themselves. Later layers of weights before the next group multiply by the sum of
//! their weights. What passes no weights at all gives its own sum.

use crate::error::Result;
use crate::set::{ImageSet, each_batch};
use glassbox_engine::layers::Conv;
use glassbox_engine::{Graph, Params};
use ndarray::{Array2, Array3, ArrayView2, ArrayViewD, Axis};

/// Mean activation of every slot over a set, [C, h, w] each.
#[derive(Clone, Debug)]
pub struct Means(Vec<Array3<f64>>);

/// Runs a set through a net and keeps the mean activation of every slot. `progress(done, total)` is told how far it has
/// come.
///
/// # Errors
/// An empty set, or images that the net does not take.
pub fn means(
    graph: &Graph,
    params: &Params<f32>,
    set: &dyn ImageSet,
    progress: Option<&dyn Fn(usize, usize)>,
) -> Result<Means> {
    let zeros = |slot: usize| {
        let shape = graph.shape(slot);
        Array3::zeros((shape.c, shape.h, shape.w))
    };
    let mut sums: Vec<Array3<f64>> = (0..=graph.logits()).map(zeros).collect();
    each_batch(graph, params, set, progress, |trace, images| {
        for (slot, sum) in sums.iter_mut().enumerate() {
            let activation = trace.slot(slot)?;
            (0..images.len())
                .for_each(|n| sum.zip_mut_with(&activation.image(n), |s, &v| *s += f64::from(v)));
        }
        Ok(())
    })?;
    let count = set.len().max(1) as f64;
    sums.iter_mut().for_each(|sum| sum.mapv_inplace(|v| v / count));
    Ok(Means(sums))
}

impl Means {
    /// The sum over the places of each channel of a slot.
    pub fn sums(&self, slot: usize) -> Vec<f32> {
        self.0[slot].axis_iter(Axis(0)).map(|map| map.sum() as f32).collect()
    }

    /// What a convolution gives over all places, [out, in of a group]: input channel c of output o is number c of its
    /// group.
    pub fn convolved(&self, slot: usize, conv: &Conv, weight: ArrayViewD<'_, f32>) -> Array2<f32> {
        let input = &self.0[slot];
        let (_, h, w) = input.dim();
        let window = &conv.window;
        let [rows, columns] = window.output([h, w]).unwrap_or([0, 0]);
        let (out, per_group) = (weight.shape()[0], weight.shape()[1]);
        let [high, wide] = window.kernel;
        // per input channel and tap: the sum of what the tap sees
        let seen = |map: ArrayView2<'_, f64>, u: usize, v: usize| -> f64 {
            let at = |i: usize, tap: usize, axis: usize| {
                (i * window.stride[axis] + tap * window.dilation[axis]).checked_sub(window.pad[axis])
            };
            let places = (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j)));
            let value = |(i, j)| map.get((at(i, u, 0)?, at(j, v, 1)?)).copied();
            places.filter_map(value).sum()
        };
        let taps: Vec<Array2<f64>> = input
            .axis_iter(Axis(0))
            .map(|map| Array2::from_shape_fn((high, wide), |(u, v)| seen(map, u, v)))
            .collect();
        let own = out / conv.groups.max(1);
        Array2::from_shape_fn((out, per_group), |(o, c)| {
            let taps = &taps[o / own.max(1) * per_group + c];
            let pairs = taps.indexed_iter().map(|((u, v), s)| s * f64::from(weight[[o, c, u, v]]));
            pairs.sum::<f64>() as f32
        })
    }

    /// What a dense layer gives, [out, channels], for channels of `places` values each.
    pub fn dense(&self, slot: usize, weight: &[f32], channels: usize, places: usize) -> Array2<f32> {
        let input: Vec<f64> = self.0[slot].iter().copied().collect();
        Array2::from_shape_fn((weight.len() / input.len().max(1), channels), |(o, c)| {
            let at = c * places..(c + 1) * places;
            let row = &weight[o * input.len()..][..input.len()];
            row[at.clone()].iter().zip(&input[at]).map(|(&w, a)| f64::from(w) * a).sum::<f64>() as f32
        })
    }
}
