//! Edges between units: how strongly the layers between two groups connect a unit of one with a unit of the other.
//!
//! Every layer is reduced to a matrix from channels to channels: a convolution to the sum of each kernel's weights, a
//! dense layer behind a flattening to the sum over a channel's places, batch-norm to its scale; pools, activations and
//! dropout keep channels apart. Layers in a row multiply, branches add. A skip without weights is the identity.

use super::Group;
use super::contributions::Means;
use crate::error::{Error, Result};
use glassbox_engine::graph::Node;
use glassbox_engine::layers::{BatchNorm, Conv};
use glassbox_engine::params::ParamViews;
use glassbox_engine::{Graph, Params};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use std::any::Any;
use std::collections::BTreeSet;

/// What the strength of an edge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// The sum of the weights, with sign.
    Sum,
    /// The sum of their absolute values.
    Absolute,
    /// What was given over them, in the mean of the images.
    Data,
}

/// The edges between two groups.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Index of the group that is read.
    pub from: usize,
    /// Index of the group that reads.
    pub to: usize,
    /// Layers with weights in between, in execution order; none for a skip that only passes values on.
    pub through: Vec<String>,
    /// Strengths, [units of `to`, units of `from`].
    pub units: Array2<f32>,
}

/// A group's channels pushed up to a slot.
#[derive(Clone)]
struct Pushed {
    /// [channels here, units of the group].
    matrix: Array2<f32>,
    /// Values that each row stands for: the places of a flattened map.
    places: usize,
    /// Layers with weights that were passed.
    through: BTreeSet<usize>,
    /// Whether the matrix holds what was given over the images.
    given: bool,
}

/// The edges between all groups that reach each other without passing a third one, ordered by their ends.
///
/// # Errors
/// A layer that mixes channels in an unknown way; [`Strength::Data`] without means.
pub fn links(
    graph: &Graph,
    params: &Params<f32>,
    groups: &[Group],
    strength: Strength,
    means: Option<&Means>,
) -> Result<Vec<Link>> {
    let means = match (strength, means) {
        (Strength::Data, None) => {
            return Err(Error::request("there are no means of activations", "take the means of some images"));
        }
        (Strength::Data, means) => means,
        _ => None,
    };
    let mut out = Vec::new();
    for (from, group) in groups.iter().enumerate() {
        let mut at: Vec<Option<Pushed>> = vec![None; graph.nodes().len() + 1];
        let matrix = Array2::eye(graph.shape(group.slot).c);
        at[group.slot] = Some(Pushed { matrix, places: 1, through: BTreeSet::new(), given: false });
        for i in group.slot..graph.logits() {
            let inputs: Vec<Option<&Pushed>> =
                graph.nodes()[i].inputs.iter().map(|&slot| at[slot].as_ref()).collect();
            if inputs.iter().all(Option::is_none) {
                continue;
            }
            let pushed = push(graph, params, i, &inputs, strength, means)?;
            match groups.iter().position(|g| g.slot == i + 1) {
                None => at[i + 1] = Some(pushed),
                Some(to) => {
                    let through = pushed.through.iter().map(|&l| graph.names()[l + 1].clone()).collect();
                    out.push(Link { from, to, through, units: pushed.given(means, i + 1) });
                }
            }
        }
    }
    Ok(out)
}

impl Pushed {
    /// One row per value.
    fn spread(&self) -> Array2<f32> {
        let rows: Vec<usize> = (0..self.matrix.nrows() * self.places).map(|r| r / self.places).collect();
        self.matrix.select(Axis(0), &rows)
    }

    /// One row per value of `slot`, times what the value was in the mean, unless that has come in before.
    fn given(&self, means: Option<&Means>, slot: usize) -> Array2<f32> {
        let mut rows = self.spread();
        if let Some(means) = means.filter(|_| !self.given) {
            let sums = means.sums(slot);
            rows.outer_iter_mut().zip(sums).for_each(|(mut row, sum)| row.mapv_inplace(|v| v * sum));
        }
        rows
    }

    fn scaled(&self, layer: usize, matrix: Array2<f32>, given: bool) -> Self {
        let mut through = self.through.clone();
        through.insert(layer);
        Self { matrix, places: 1, through, given }
    }
}

fn push(
    graph: &Graph,
    params: &Params<f32>,
    i: usize,
    inputs: &[Option<&Pushed>],
    strength: Strength,
    means: Option<&Means>,
) -> Result<Pushed> {
    let node = &graph.nodes()[i];
    let own = params.of_layer(i);
    let value = |w: f32| if strength == Strength::Absolute { w.abs() } else { w };
    let present = || inputs.iter().zip(&node.inputs).filter_map(|(p, &slot)| Some(((*p)?, slot)));
    let Some((x, slot)) = present().next() else { unreachable!("a layer is passed from one of its inputs") };
    let joined = |matrix: Array2<f32>| {
        let through = present().flat_map(|(p, _)| p.through.iter().copied()).collect();
        Pushed { matrix, places: 1, through, given: means.is_some() }
    };
    // what the first layer of weights gives of its input, where that is what counts
    let fresh = means.filter(|_| !x.given);
    let given = means.is_some();
    Ok(match node.layer.kind().name {
        "add" => joined(
            present().skip(1).fold(x.given(means, slot), |sum, (other, slot)| sum + other.given(means, slot)),
        ),
        "concat" => {
            let units = x.matrix.ncols();
            let parts: Vec<Array2<f32>> = inputs
                .iter()
                .zip(&node.inputs)
                .map(|(input, &slot)| {
                    let nothing = || Array2::zeros((graph.shape(slot).c, units));
                    input.map_or_else(nothing, |p| p.given(means, slot))
                })
                .collect();
            let views: Vec<_> = parts.iter().map(|p| p.view()).collect();
            joined(concatenate(Axis(0), &views).map_err(|e| unknown(node, &e.to_string()))?)
        }
        "flatten" => Pushed { places: x.places * graph.shape(node.inputs[0]).plane(), ..x.clone() },
        "conv" => {
            let any: &dyn Any = &*node.layer;
            let weight = params.get(&format!("{}.weight", node.name))?;
            let strengths = match (fresh, any.downcast_ref::<Conv>()) {
                (Some(means), Some(conv)) => means.convolved(slot, conv, weight),
                _ => taps(params, node, value)?,
            };
            x.scaled(i, convolved(strengths, x.spread().view()), given)
        }
        "conv_transpose" => {
            let matrix = transposed(params, node, x.given(means, slot).view(), graph.shape(i + 1).c, value)?;
            x.scaled(i, matrix, given)
        }
        "dense" => {
            let weight = weight(params, node)?;
            let channels = x.matrix.nrows();
            let folded = match fresh {
                Some(means) => means.dense(slot, &weight, channels, x.places),
                // what was given is a sum over places already, which the weights then meet in the mean
                None if x.given => folded(&weight, channels, x.places, value) / x.places as f32,
                None => folded(&weight, channels, x.places, value),
            };
            x.scaled(i, folded.dot(&x.matrix), given)
        }
        "batchnorm" => x.scaled(i, normalised(node, own, x.given(means, slot), value), given),
        _ if x.matrix.nrows() * x.places == graph.shape(i + 1).c => x.clone(),
        kind => return Err(unknown(node, &format!("{kind} changes the number of channels"))),
    })
}

/// A dense layer's weights summed over the places of each channel, [out, channels].
fn folded(weight: &[f32], channels: usize, places: usize, value: impl Fn(f32) -> f32) -> Array2<f32> {
    let width = channels * places;
    Array2::from_shape_fn((weight.len() / width, channels), |(o, c)| {
        weight[o * width + c * places..][..places].iter().map(|&w| value(w)).sum()
    })
}

fn unknown(node: &Node, why: &str) -> Error {
    let cure = "draw a net without it, or ask for single layers";
    Error::request(format!("layer \"{}\" cannot be reduced to channels: {why}", node.name), cure)
}

fn weight(params: &Params<f32>, node: &Node) -> Result<Vec<f32>> {
    Ok(params.get(&format!("{}.weight", node.name))?.iter().copied().collect())
}

/// Weights summed over their taps, [first axis, second axis].
fn taps(params: &Params<f32>, node: &Node, value: impl Fn(f32) -> f32) -> Result<Array2<f32>> {
    let weight = params.get(&format!("{}.weight", node.name))?;
    let dims = weight.shape().to_vec();
    let taps: usize = dims[2..].iter().product();
    let flat: Vec<f32> = weight.iter().copied().collect();
    Ok(Array2::from_shape_fn((dims[0], dims[1]), |(a, b)| {
        flat[(a * dims[1] + b) * taps..][..taps].iter().map(|&w| value(w)).sum()
    }))
}

/// A convolution by its strengths [out, in of a group], in groups or not: each output channel reads its own group's
/// inputs.
fn convolved(strengths: Array2<f32>, x: ArrayView2<'_, f32>) -> Array2<f32> {
    let (out, per_group) = strengths.dim();
    let groups = x.nrows() / per_group.max(1);
    let mut y = Array2::zeros((out, x.ncols()));
    let rows = out / groups.max(1);
    for g in 0..groups {
        let (low, high) = (g * rows, (g + 1) * rows);
        let read = x.slice_axis(Axis(0), (g * per_group..(g + 1) * per_group).into());
        let own = strengths.slice_axis(Axis(0), (low..high).into());
        y.slice_axis_mut(Axis(0), (low..high).into()).assign(&own.dot(&read));
    }
    y
}

/// A transposed convolution, in groups or not: its weights are [in, out of a group, ...].
fn transposed(
    params: &Params<f32>,
    node: &Node,
    x: ArrayView2<'_, f32>,
    out: usize,
    value: impl Fn(f32) -> f32,
) -> Result<Array2<f32>> {
    let taps = taps(params, node, value)?;
    let (inputs, per_group) = taps.dim();
    let groups = out / per_group.max(1);
    let rows = inputs / groups.max(1);
    let mut y = Array2::zeros((out, x.ncols()));
    for g in 0..groups {
        let read = x.slice_axis(Axis(0), (g * rows..(g + 1) * rows).into());
        let own = taps.slice_axis(Axis(0), (g * rows..(g + 1) * rows).into());
        y.slice_axis_mut(Axis(0), (g * per_group..(g + 1) * per_group).into()).assign(&own.t().dot(&read));
    }
    Ok(y)
}

fn normalised(
    node: &Node,
    own: ParamViews<'_, f32>,
    mut x: Array2<f32>,
    value: impl Fn(f32) -> f32,
) -> Array2<f32> {
    let any: &dyn Any = &*node.layer;
    let eps = any.downcast_ref::<BatchNorm>().map_or(0.0, |norm| norm.eps) as f32;
    let (gain, var) = (own.get(0), own.get(3));
    for (k, mut row) in x.outer_iter_mut().enumerate() {
        let scale = value(gain[k] / (var[k] + eps).sqrt());
        row.mapv_inplace(|v| v * scale);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::super::groups;
    use super::*;
    use glassbox_engine::graph::models;
    use glassbox_engine::layers::{Add, Dense, Flatten, GlobalAvgPool, MaxPool, Relu};
    use glassbox_engine::{Blocked, Mode, forward};
    use ndarray::Array4;

    /// In a net whose values stay positive, a constant input map passes a 1x1 convolution as a matrix does: the net
    /// itself is the oracle.
    #[test]
    fn a_link_through_plain_weights_is_what_the_net_computes() {
        let graph = Graph::builder("n", [3, 4, 4])
            .layer("a", Relu)
            .layer("pool", MaxPool::new(2))
            .layer("conv", Conv { groups: 1, ..Conv::new(4, 1) })
            .layer("relu", Relu)
            .layer("flatten", Flatten)
            .layer("fc", Dense { out: 5, bias: false })
            .build()
            .unwrap();
        let mut params = graph.init::<f32>(Default::default(), 5);
        params.learnable_mut().iter_mut().for_each(|w| *w = w.abs());
        params.set("conv.bias", ndarray::ArrayD::zeros(vec![4]).view()).unwrap();
        let groups = groups(&graph);
        let links = links(&graph, &params, &groups, Strength::Sum, None).unwrap();
        assert_eq!(links.iter().map(|l| (l.from, l.to)).collect::<Vec<_>>(), [(0, 1), (1, 2)]);
        for channel in 0..3 {
            let image = Array4::from_shape_fn((1, 3, 4, 4), |(_, c, _, _)| f32::from(c == channel));
            let trace = forward(&graph, &params, &Blocked::from_array4(image.view(), 1), Mode::Eval).unwrap();
            let hidden = links[0].units.column(channel).to_owned();
            for (k, want) in hidden.iter().enumerate() {
                assert!((trace.slot(4).unwrap().image(0)[[k, 0, 0]] - want).abs() < 1e-6);
            }
            let logits = links[1].units.dot(&hidden);
            for (k, want) in logits.iter().enumerate() {
                assert!((trace.output().image(0)[[k, 0, 0]] - want).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn grouped_kernels_stay_in_their_group_and_absolute_sums_forget_signs() {
        let graph = Graph::builder("n", [4, 5, 5])
            .layer("a", Relu)
            .layer("conv", Conv { groups: 2, ..Conv::new(6, 3) })
            .layer("relu", Relu)
            .layer("gap", GlobalAvgPool)
            .layer("flatten", Flatten)
            .layer("fc", Dense::new(2))
            .build()
            .unwrap();
        let params = graph.init::<f32>(Default::default(), 5);
        let weight = params.copy("conv.weight").unwrap(); // [6, 2, 3, 3]
        for (strength, value) in
            [(Strength::Sum, (|w| w) as fn(f32) -> f32), (Strength::Absolute, f32::abs as fn(f32) -> f32)]
        {
            let link = &links(&graph, &params, &groups(&graph), strength, None).unwrap()[0];
            assert_eq!(link.through, ["conv"]);
            for ((o, c), &got) in link.units.indexed_iter() {
                let kernel = weight.index_axis(Axis(0), o);
                let inside = o / 3 == c / 2;
                let want = if inside { kernel.index_axis(Axis(0), c % 2).mapv(value).sum() } else { 0.0 };
                assert!((got - want).abs() < 1e-6, "{o} {c}: {got} {want}");
            }
        }
    }

    #[test]
    fn skips_are_links_of_their_own() {
        let graph = Graph::builder("n", [2, 3, 3])
            .layer("relu1", Relu)
            .layer("conv", Conv { bias: false, ..Conv::new(2, 1) })
            .layer("relu2", Relu)
            .layer_from("sum", Add, &["relu2", "relu1"])
            .layer("relu3", Relu)
            .layer("gap", GlobalAvgPool)
            .layer("flatten", Flatten)
            .layer("fc", Dense::new(2))
            .build()
            .unwrap();
        let params = graph.init::<f32>(Default::default(), 1);
        let all = links(&graph, &params, &groups(&graph), Strength::Sum, None).unwrap();
        let skip = all.iter().find(|l| (l.from, l.to) == (0, 2)).unwrap();
        assert_eq!((skip.units.clone(), skip.through.is_empty()), (Array2::eye(2), true));
        assert_eq!(all.len(), 4);

        let graph = models::named("resnet-small").unwrap();
        let params = graph.init::<f32>(Default::default(), 1);
        let all = links(&graph, &params, &groups(&graph), Strength::Sum, None).unwrap();
        let ends: Vec<_> = all.iter().map(|l| (l.from, l.to)).collect();
        assert_eq!(ends, [(0, 1), (0, 2), (1, 2), (2, 3), (2, 4), (3, 4), (4, 5), (5, 6)]);
        assert_eq!(all[4].through, ["conv_skip", "bn_skip"]);
    }
}
