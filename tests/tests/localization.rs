//! Objects found by saliency and graph cut, against where they lie: the generated shapes know their boxes.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use glassbox_engine::data::shapes;
use glassbox_engine::graph::Init;
use glassbox_engine::layers::{Conv, Dense, Flatten, GlobalAvgPool, Relu};
use glassbox_engine::{Graph, Params};
use glassbox_viz::methods::{Ask, Settings, Targets, named};
use glassbox_viz::studies::localization::{Cut, localize, overlap};
use ndarray::{Array2, Array4, ArrayD, Axis, Ix2};
use std::ops::Range;

type Region = [Range<usize>; 2];

const COUNT: usize = 120;

/// A net that is made, not trained: every colour against its surroundings, brighter and darker, above the grain of the
/// images; the logit counts where that is so. Its gradient is large along the borders of things.
fn edges() -> (Graph, Params<f32>) {
    let graph = Graph::builder("edges", [3, 32, 32])
        .layer("conv", Conv::new(6, 7))
        .layer("relu", Relu)
        .layer("gap", GlobalAvgPool)
        .layer("flatten", Flatten)
        .layer("fc", Dense::new(2))
        .build()
        .unwrap();
    let mut params = graph.init(Init::He, 1);
    // the mean of the inner 3x3 minus that of the whole window
    let kernel = |u: usize, v: usize| {
        let inner = (2..5).contains(&u) && (2..5).contains(&v);
        f32::from(inner) / 9.0 - 1.0 / 49.0
    };
    let weight = ArrayD::from_shape_fn(vec![6, 3, 7, 7], |at| {
        let sign = if at[0] < 3 { 1.0 } else { -1.0 };
        if at[0] % 3 == at[1] { sign * kernel(at[2], at[3]) } else { 0.0 }
    });
    params.set("conv.weight", weight.view()).unwrap();
    params.set("conv.bias", ArrayD::from_elem(vec![6], -0.06).view()).unwrap();
    params.set("fc.weight", ArrayD::from_shape_fn(vec![2, 6], |at| 1.0 - at[0] as f32).view()).unwrap();
    (graph, params)
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count() as f64
}

/// Mean overlap of each found box with its own true box, and with those of all other images.
fn judged(found: &[Region], truth: &[Region]) -> (f64, f64) {
    let own = mean(found.iter().zip(truth).map(|(a, b)| overlap(a, b)));
    let pairs = (0..found.len()).flat_map(|i| (0..truth.len()).map(move |j| (i, j)));
    (own, mean(pairs.filter(|(i, j)| i != j).map(|(i, j)| overlap(&found[i], &truth[j]))))
}

#[test]
fn boxes_from_saliency_lie_on_the_shapes() {
    let set = shapes::generate(0, 0, COUNT).test;
    let truth = shapes::boxes(&set, &(0..COUNT).collect::<Vec<_>>()).unwrap();
    let images: Array4<f32> = set.pixels.mapv(|v| f32::from(v) / 255.0);
    let (graph, params) = edges();
    let saliency = named("saliency").unwrap();
    let ask = Ask::new(&graph, &params, &images).targets(Targets::Same(0));
    let maps = saliency.run(&ask, &Settings::defaults(saliency)).unwrap().map;
    let find = |maps: &dyn Fn(usize) -> Array2<f32>| -> Vec<Region> {
        let one = |n: usize| {
            let image = images.index_axis(Axis(0), n);
            localize(image, maps(n).view(), Cut::default()).unwrap().region
        };
        (0..COUNT).map(one).collect()
    };
    let found = find(&|n| maps.index_axis(Axis(0), n).to_owned().into_dimensionality::<Ix2>().unwrap());
    let (own, others) = judged(&found, &truth);
    println!("found and true boxes share {own:.3} of what either covers; boxes of other images {others:.3}");
    // a map that knows nothing of the image: that of another one
    let wrong =
        find(&|n| maps.index_axis(Axis(0), (n + 7) % COUNT).to_owned().into_dimensionality::<Ix2>().unwrap());
    let (astray, _) = judged(&wrong, &truth);
    let middle = mean(truth.iter().map(|b| overlap(b, &[8..24, 8..24])));
    println!(
        "with the map of another image {astray:.3}; a box of half the image's side in its middle {middle:.3}"
    );
    assert!(own > 0.55, "{own}");
    assert!(
        own > 1.8 * others && own > 1.3 * astray && own > 1.5 * middle,
        "{own} {others} {astray} {middle}"
    );
    assert!(truth.iter().zip(&found).filter(|(a, b)| overlap(a, b) > 0.5).count() > COUNT / 2);
}
