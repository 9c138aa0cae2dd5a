//! The whole overview against brute force, and under another numbering of units.

use super::*;
use crate::set::InMemory;
use glassbox_engine::graph::models;
use glassbox_engine::rng::{Purpose, Stream};
use glassbox_engine::{Blocked, Mode, forward};
use ndarray::{Array4, ArrayD};
use std::collections::BTreeSet;

const OPTIONS: Options = Options { clusters: 8, share: 0.3, strength: Strength::Sum, pooling: Pooling::Mean };

fn images(graph: &Graph, n: usize) -> InMemory {
    let shape = graph.input();
    let mut stream = Stream::new(7, Purpose::Init, 0, 0);
    let input = Array4::from_shape_fn((n, shape.c, shape.h, shape.w), |_| stream.normal() as f32);
    InMemory { name: "noise".into(), input, labels: (0..n).map(|i| i * i % 10).collect() }
}

#[test]
fn profiles_are_the_means_of_single_passes() {
    let graph = models::named("lenet").unwrap();
    let params = graph.init::<f32>(Default::default(), 3);
    let set = images(&graph, 70);
    for pooling in [Pooling::Mean, Pooling::Max] {
        let got = overview(&graph, &params, &set, Options { pooling, ..OPTIONS }, None).unwrap();
        for layer in &got.layers {
            let mut sums = Array2::<f64>::zeros(layer.profiles.classes.dim());
            for n in 0..70 {
                let one = Blocked::from_array4(set.images(&[n]).view(), 1);
                let trace = forward(&graph, &params, &one, Mode::Eval).unwrap();
                for (k, map) in trace.slot(layer.slot).unwrap().image(0).axis_iter(Axis(0)).enumerate() {
                    let all = map.iter().map(|&v| f64::from(v));
                    sums[[k, set.label(n)]] += match pooling {
                        Pooling::Mean => all.sum::<f64>() / map.len() as f64,
                        Pooling::Max => all.fold(f64::NEG_INFINITY, f64::max),
                    };
                }
            }
            for ((k, c), &got) in layer.profiles.classes.indexed_iter() {
                let count = set.labels.iter().filter(|l| **l == c).count().max(1);
                assert!(
                    (f64::from(got) - sums[[k, c]] / count as f64).abs() < 1e-5,
                    "{} {k} {c}",
                    layer.name
                );
            }
            let mut units: Vec<usize> = layer.clusters.iter().flat_map(|c| c.units.clone()).collect();
            units.sort();
            assert_eq!(units, (0..layer.profiles.classes.nrows()).collect::<Vec<_>>());
        }
        assert_eq!(got.images.iter().sum::<usize>(), 70);
    }
}

/// The net with channels of conv1 in another order, and conv2 reading them there.
fn permuted(graph: &Graph, params: &Params<f32>, from: &[usize]) -> Params<f32> {
    let mut out = Params::clone(params);
    let pick = |name: &str, axis: usize| -> ArrayD<f32> {
        params.get(name).unwrap().select(Axis(axis), from).as_standard_layout().into_owned()
    };
    for (name, axis) in [("conv1.weight", 0), ("conv1.bias", 0), ("conv2.weight", 1)] {
        out.set(name, pick(name, axis).view()).unwrap();
    }
    assert_eq!(graph.shape(1).c, from.len());
    out
}

#[test]
fn another_numbering_of_units_gives_the_same_drawing() {
    let graph = models::named("gap-small").unwrap();
    let params = graph.init::<f32>(Default::default(), 3);
    let set = images(&graph, 60);
    let from = [3, 0, 2, 1, 15, 14, 4, 5, 6, 13, 12, 7, 8, 11, 10, 9];
    let plain = overview(&graph, &params, &set, OPTIONS, None).unwrap();
    let other = overview(&graph, &permuted(&graph, &params, &from), &set, OPTIONS, None).unwrap();
    let units = |o: &Overview, l: usize, name: &dyn Fn(usize) -> usize| -> Vec<Vec<usize>> {
        o.layers[l].clusters.iter().map(|c| c.units.iter().map(|&u| name(u)).collect()).collect()
    };
    assert_eq!(units(&plain, 0, &|u| u), units(&other, 0, &|u| from[u]));
    for l in 1..4 {
        // sums over channels are taken in another order, so mirrored orders within a cluster may change places
        let sets = |o: &Overview| -> Vec<BTreeSet<usize>> {
            units(o, l, &|u| u).into_iter().map(|c| c.into_iter().collect()).collect()
        };
        assert_eq!(sets(&plain), sets(&other), "layer {l}");
    }
    for (a, b) in plain.edges.iter().zip(&other.edges) {
        assert_eq!((&a.kept.edges, &a.kept.bundles), (&b.kept.edges, &b.kept.bundles));
    }
}

#[test]
fn cluster_edges_are_means_over_pairs_and_skips_pass_columns_by() {
    let graph = models::named("resnet-small").unwrap();
    let params = graph.init::<f32>(Default::default(), 3);
    let got = overview(&graph, &params, &images(&graph, 20), OPTIONS, None).unwrap();
    let columns: Vec<usize> = got.layers.iter().map(|l| l.column).collect();
    assert_eq!(columns, [0, 1, 2, 3, 4, 5, 6]);
    let skips: Vec<_> = got.edges.iter().filter(|e| e.skip).map(|e| (e.link.from, e.link.to)).collect();
    assert_eq!(skips, [(0, 2), (2, 4)]);
    for e in &got.edges {
        let (from, to) = (&got.layers[e.link.from], &got.layers[e.link.to]);
        for ((q, p), &mean) in e.clusters.indexed_iter() {
            let pairs: Vec<f32> = (to.clusters[q].units.iter())
                .flat_map(|&r| from.clusters[p].units.iter().map(move |&c| [r, c]))
                .map(|at| e.link.units[at])
                .collect();
            assert!((mean - pairs.iter().sum::<f32>() / pairs.len() as f32).abs() < 1e-5);
        }
    }
}

#[test]
fn a_planted_dead_unit_lies_in_the_dead_cluster_at_the_end() {
    let graph = models::named("lenet").unwrap();
    let mut params = graph.init::<f32>(Default::default(), 3);
    let mut bias = params.copy("conv2.bias").unwrap();
    bias[[5]] = -1e6;
    params.set("conv2.bias", bias.view()).unwrap();
    let got = overview(&graph, &params, &images(&graph, 30), OPTIONS, None).unwrap();
    let dead: Vec<&Cluster> = got.layers[1].clusters.iter().filter(|c| c.dead).collect();
    assert_eq!((dead.len(), &dead[0].units[..]), (1, &[5][..]));
    assert!(got.layers[1].clusters.last().unwrap().dead);
}

/// What a channel gives over all places: the sum of its own part of the convolution, image by image.
fn part(weight: &ArrayD<f32>, (q, p): (usize, usize), map: &Array2<f32>, pad: usize) -> f64 {
    let (h, w) = map.dim();
    let (high, wide) = (weight.shape()[2], weight.shape()[3]);
    let mut sum = 0.0;
    for (i, j) in (0..h + 2 * pad + 1 - high).flat_map(|i| (0..w + 2 * pad + 1 - wide).map(move |j| (i, j))) {
        for (u, v) in (0..high).flat_map(|u| (0..wide).map(move |v| (u, v))) {
            let at = (i + u).checked_sub(pad).zip((j + v).checked_sub(pad));
            let seen = at.and_then(|at| map.get(at)).copied().unwrap_or(0.0);
            sum += f64::from(weight[[q, p, u, v]]) * f64::from(seen);
        }
    }
    sum
}

#[test]
fn data_driven_strengths_are_what_each_channel_gave() {
    let options = Options { strength: Strength::Data, ..OPTIONS };
    for (model, conv, input, pad, edge) in
        [("lenet", "conv2", "pool1", 0, (0, 1)), ("gap-small", "conv2", "pool1", 1, (0, 1))]
    {
        let graph = models::named(model).unwrap();
        let params = graph.init::<f32>(Default::default(), 3);
        let set = images(&graph, 21);
        let got = overview(&graph, &params, &set, options, None).unwrap();
        let link = &got.edges.iter().find(|e| (e.link.from, e.link.to) == edge).unwrap().link;
        assert_eq!(link.through, [conv]);
        let weight = params.copy(&format!("{conv}.weight")).unwrap();
        let traces: Vec<_> = (0..21)
            .map(|n| {
                let one = Blocked::from_array4(set.images(&[n]).view(), 1);
                forward(&graph, &params, &one, Mode::Eval).unwrap()
            })
            .collect();
        let (rows, columns) = link.units.dim();
        for at in [(0, 0), (rows - 1, columns - 1), (rows / 2, 1)] {
            let map =
                |n: usize| traces[n].activation(input).unwrap().image(0).index_axis(Axis(0), at.1).to_owned();
            let want = (0..21).map(|n| part(&weight, at, &map(n), pad)).sum::<f64>() / 21.0;
            let value = f64::from(link.units[[at.0, at.1]]);
            assert!((value - want).abs() < 1e-4 * (1.0 + want.abs()), "{model} {at:?}: {value} {want}");
        }
    }
}

#[test]
fn what_all_channels_gave_is_what_the_net_computed() {
    for model in ["lenet", "gap-small", "resnet-small"] {
        let graph = models::named(model).unwrap();
        let params = graph.init::<f32>(Default::default(), 3);
        let set = images(&graph, 21);
        let got =
            overview(&graph, &params, &set, Options { strength: Strength::Data, ..OPTIONS }, None).unwrap();
        // the logits: all that the last group gave, and the bias
        let last = got.layers.len() - 1;
        let link = &got.edges.iter().find(|e| e.link.to == last).unwrap().link;
        let name = &link.through[0];
        let bias = params.copy(&format!("{name}.bias")).unwrap();
        let mean = means(&graph, &params, &set, None).unwrap().sums(graph.logits());
        for (q, row) in link.units.outer_iter().enumerate() {
            let sum = row.iter().map(|&v| f64::from(v)).sum::<f64>() + f64::from(bias[[q]]);
            assert!((sum - f64::from(mean[q])).abs() < 1e-4, "{model} {q}: {sum} {}", mean[q]);
        }
        // a skip without weights gives each channel its own sum
        for e in got.edges.iter().filter(|e| e.link.through.is_empty()) {
            let own = means(&graph, &params, &set, None).unwrap().sums(got.layers[e.link.from].slot);
            for ((q, p), &value) in e.link.units.indexed_iter() {
                assert_eq!(value, if q == p { own[p] } else { 0.0 });
            }
        }
    }
}
