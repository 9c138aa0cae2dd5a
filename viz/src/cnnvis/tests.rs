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
