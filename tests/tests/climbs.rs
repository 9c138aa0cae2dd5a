//! Images that are climbed to where no gradient comes at first.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use glassbox_engine::graph::Init;
use glassbox_engine::layers::{Conv, Dense, Flatten, Relu};
use glassbox_engine::{Graph, Params};
use glassbox_viz::methods::{Answer, Ask, Settings, Targets, named};
use ndarray::{Array4, ArrayD};

/// A rectifier that no dark image opens: it fires from a brightness of a half. Class 0 wants it open, class 1 closed.
fn net() -> (Graph, Params<f64>) {
    let graph = Graph::builder("dark", [1, 3, 3])
        .layer("conv", Conv::new(1, 1))
        .layer("relu", Relu)
        .layer("flatten", Flatten)
        .layer("fc", Dense::new(2))
        .build()
        .unwrap();
    let mut params = graph.init(Init::He, 1);
    let filled = |shape: &[usize], value: f64| ArrayD::from_elem(shape.to_vec(), value);
    params.set("conv.weight", filled(&[1, 1, 1, 1], 1.0).view()).unwrap();
    params.set("conv.bias", filled(&[1], -0.5).view()).unwrap();
    let signs = ArrayD::from_shape_fn(vec![2, 9], |at| if at[0] == 0 { 1.0 } else { -1.0 });
    params.set("fc.weight", signs.view()).unwrap();
    params.set("fc.bias", filled(&[2], 0.0).view()).unwrap();
    (graph, params)
}

fn climbed(class: usize, set: &[&str]) -> Answer<f64> {
    let (graph, params) = net();
    let x = Array4::zeros((1, 1, 3, 3));
    let method = named("activation-maximization").unwrap();
    let ask = Ask::new(&graph, &params, &x).targets(Targets::Same(class));
    method.run64(&ask, &Settings::parse(method, set).unwrap()).unwrap()
}

#[test]
fn rectifiers_that_are_off_lead_the_first_steps() {
    // the gradient is zero until every pixel has passed a half, and noise of 0.01 a step does not get there
    for set in [&["start=zero", "blur=0", "decay=0"][..], &["start=zero", "iterations=40", "blur=0"]] {
        let answer = climbed(0, set);
        let facts = &answer.facts[0];
        assert!(facts.score.unwrap() > 4.0, "{facts:?}");
        // every pixel ends at the brightest value, which is all there is to say against the map
        assert!(facts.reason.as_ref().is_some_and(|why| why.contains("the same everywhere")), "{facts:?}");
        assert!(answer.map.iter().all(|&v| v > 0.9), "{}", answer.map);
    }
}

#[test]
fn what_would_close_a_rectifier_further_is_cut() {
    let answer = climbed(1, &["start=zero", "blur=0", "decay=0"]);
    let facts = &answer.facts[0];
    assert_eq!(facts.score, Some(0.0));
    assert!(facts.reason.as_ref().unwrap().contains("no gradient"), "{facts:?}");
}
