//! Statements about methods, checked against formulas written out again: homogeneity, unpooling, the weights of the
//! CAM family, joined maps, pictures from a file.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use glassbox_engine::graph::Init;
use glassbox_engine::io::npy;
use glassbox_engine::layers::{AvgPool, Conv, Dense, Flatten, MaxPool, Relu};
use glassbox_engine::trace::Mode;
use glassbox_engine::{Graph, RuleSet};
use glassbox_tests::compare::{blocked, close, shuffled, wide};
use glassbox_tests::nets::{Net, put};
use glassbox_viz::figures::explanation::panel;
use glassbox_viz::gallery::{Gallery, Row};
use glassbox_viz::methods::{Answer, Ask, Settings, Targets, named};
use glassbox_viz::resize::{Resize, resize};
use glassbox_viz::tiles::FeatureMaps;
use ndarray::{Array2, Array3, Array4, ArrayD, Axis, s};

/// Overlapping max-pool, average pool, biases.
fn net() -> Net<f64> {
    let graph = Graph::builder("net", [2, 12, 11])
        .layer("conv1", Conv::new(5, 3).pad(1))
        .layer("relu1", Relu)
        .layer("pool1", MaxPool::new(3).stride(2))
        .layer("conv2", Conv::new(6, 3).pad(1))
        .layer("relu2", Relu)
        .layer("pool2", AvgPool::new(2))
        .layer("flatten", Flatten)
        .layer("fc", Dense::new(4))
        .build()
        .unwrap();
    let params = graph.init(Init::He, 9);
    Net::new(graph, params, 1)
}

fn images(net: &Net<f64>, n: usize) -> Array4<f64> {
    let x = shuffled(&net.graph.input().exported(n), 5).mapv(|v| v + 0.4 * (40.0 * v).sin());
    x.into_dimensionality().unwrap()
}

fn run(net: &Net<f64>, x: &Array4<f64>, method: &str, layer: Option<&str>, set: &[&str]) -> Answer<f64> {
    let mut ask = Ask::new(&net.graph, &net.params, x).targets(Targets::Same(2));
    ask.layer = layer;
    let method = named(method).unwrap();
    method.run64(&ask, &Settings::parse(method, set).unwrap()).unwrap()
}

/// Activations of a layer, and the gradient of logit 2 at it.
fn at(net: &Net<f64>, x: &Array4<f64>, layer: &str) -> [ArrayD<f64>; 2] {
    let trace = net.forward(&x.clone().into_dyn(), Mode::Eval);
    let (signals, _) = net.walk(&trace, net.top(), &RuleSet::gradient(), |seed| {
        (0..x.dim().0).for_each(|i| put(seed, i, 2, 0, 1.0));
    });
    [trace.export(layer).unwrap(), wide(signals.at(layer).unwrap())]
}

#[test]
fn projections_grow_with_their_seed() {
    let net = net();
    let trace = net.forward(&images(&net, 3).into_dyn(), Mode::Eval);
    let slot = net.graph.slot("relu2").unwrap();
    let seed = shuffled(&net.graph.shape(slot).exported(3), 3);
    for rules in [RuleSet::deconvnet(), RuleSet::guided()] {
        let project = |factor: f64| {
            let start = blocked(&seed.mapv(|v| factor * v), 1);
            let (signals, _) = net.walk(&trace, slot, &rules, |place| *place = start);
            wide(signals.at("input").unwrap())
        };
        let one = project(1.0);
        for factor in [1e-3, 0.7, 42.0] {
            close("a * D(s)", &project(factor), &one.mapv(|v| factor * v), 1e-12);
        }
        // for positive factors only: what is cut is the other half
        let gap = (&project(-1.0) + &one).mapv(f64::abs).sum();
        assert!(gap > 0.01 * one.mapv(f64::abs).sum());
    }
}

#[test]
fn pooling_what_was_unpooled_gives_it_back_where_nothing_is_negative() {
    let graph = Graph::builder("pool", [3, 8, 6]).layer("pool", MaxPool::new(2)).build().unwrap();
    let net: Net<f64> = Net::new(graph.clone(), graph.init(Init::He, 1), 1);
    let there_and_back = |x: &ArrayD<f64>| {
        let trace = net.forward(x, Mode::Eval);
        let pooled = wide(trace.output());
        let start = blocked(&pooled, 1);
        let (signals, _) = net.walk(&trace, net.top(), &RuleSet::gradient(), |seed| *seed = start);
        let unpooled = wide(signals.at("input").unwrap());
        (wide(net.forward(&unpooled, Mode::Eval).output()), pooled)
    };
    let x = shuffled(&[2, 3, 8, 6], 4);
    let (again, pooled) = there_and_back(&x.mapv(f64::abs));
    assert_eq!(again, pooled);
    // zeros of the fill win over negative maxima
    let (again, pooled) = there_and_back(&x.mapv(|v| v.abs() - 10.0));
    assert!(pooled.iter().all(|&v| v < 0.0) && again.iter().all(|&v| v == 0.0));
}

#[test]
fn grad_cam_plus_plus_is_its_published_formula() {
    let net = net();
    let x = images(&net, 3);
    let [a, g] = at(&net, &x, "relu2");
    let answer = run(&net, &x, "grad-cam++", Some("relu2"), &[]);
    let normalised = run(&net, &x, "grad-cam++", Some("relu2"), &["variant=normalised"]);
    for n in 0..3 {
        let mut plain = Array2::<f64>::zeros((answer.map.shape()[1], answer.map.shape()[2]));
        let mut shared = plain.clone();
        for k in 0..6 {
            let (a, g) = (a.slice(s![n, k, .., ..]), g.slice(s![n, k, .., ..]));
            let total = a.sum();
            let alpha = g.mapv(|g| if g > 0.0 { g * g / (2.0 * g * g + total * g * g * g) } else { 0.0 });
            let weight = (&alpha * &g.mapv(|g| g.max(0.0))).sum();
            plain.scaled_add(weight, &a);
            if alpha.sum() > 0.0 {
                shared.scaled_add(weight / alpha.sum(), &a);
            }
        }
        let got = |answer: &Answer<f64>| answer.map.index_axis(Axis(0), n).to_owned();
        close("plain", &got(&answer), &plain.into_dyn(), 1e-10);
        close("normalised", &got(&normalised), &shared.into_dyn(), 1e-10);
    }
}

/// Probabilities and logits of class 2.
fn seen(net: &Net<f64>, x: &ArrayD<f64>) -> Vec<(f64, f64)> {
    let logits = wide(net.forward(x, Mode::Eval).output());
    let of = |row: ndarray::ArrayViewD<'_, f64>| {
        let sum: f64 = row.iter().map(|v| v.exp()).sum();
        (row[2].exp() / sum, row[2])
    };
    logits.outer_iter().map(of).collect()
}

#[test]
fn score_cam_is_its_published_formula_whatever_the_baseline() {
    let net = net();
    let x = images(&net, 2);
    let [a, _] = at(&net, &x, "relu2");
    let (h, w) = (net.graph.input().h, net.graph.input().w);
    for n in 0..2 {
        let image = x.index_axis(Axis(0), n);
        // the image behind each map that varies
        let behind = |k: usize| -> Option<Array3<f64>> {
            let map = a.slice(s![n, k, .., ..]).mapv(|v| v as f32);
            let large = resize(map.view(), h, w, Resize::Bilinear).unwrap();
            let (low, high) = large.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            (high > low).then(|| &image * &large.mapv(|v| f64::from((v - low) / (high - low))))
        };
        let kept: Vec<(usize, Array3<f64>)> = (0..6).filter_map(|k| Some((k, behind(k)?))).collect();
        let all = ndarray::stack(Axis(0), &kept.iter().map(|(_, x)| x.view()).collect::<Vec<_>>()).unwrap();
        let found = seen(&net, &all.into_dyn());
        let map = |weights: &[f64]| {
            let mut map = Array2::<f64>::zeros((a.shape()[2], a.shape()[3]));
            kept.iter().zip(weights).for_each(|((k, _), &w)| map.scaled_add(w, &a.slice(s![n, *k, .., ..])));
            map.into_dyn()
        };
        let got = |set: &[&str]| {
            run(&net, &x, "score-cam", Some("relu2"), set).map.index_axis(Axis(0), n).to_owned()
        };
        let probabilities: Vec<f64> = found.iter().map(|f| f.0).collect();
        close("probabilities", &got(&[]), &map(&probabilities), 1e-9);
        // the increase over any baseline, through a softmax over channels
        let whole = seen(&net, &image.to_owned().insert_axis(Axis(0)).into_dyn())[0].1;
        for baseline in [0.0, whole, -3.0] {
            let powers: Vec<f64> = found.iter().map(|f| (f.1 - baseline).exp()).collect();
            let weights: Vec<f64> = powers.iter().map(|p| p / powers.iter().sum::<f64>()).collect();
            close("softmax", &got(&["weights=softmax-logits"]), &map(&weights), 1e-9);
        }
    }
}

#[test]
fn layer_cams_join_by_the_larger_value() {
    let net = net();
    let x = images(&net, 2);
    let raw = |layer: &str| -> ArrayD<f64> {
        let [a, g] = at(&net, &x, layer);
        (&a * &g.mapv(|g| g.max(0.0))).sum_axis(Axis(1))
    };
    let joined = run(&net, &x, "layer-cam", Some("relu2"), &["fuse=relu1", "gamma=3"]).map;
    assert_eq!(joined.shape(), [2, 12, 11]);
    for n in 0..2 {
        let over_top = |layer: &str| {
            let map =
                raw(layer).index_axis(Axis(0), n).into_dimensionality::<ndarray::Ix2>().unwrap().to_owned();
            let top = map.iter().copied().fold(0.0, f64::max);
            assert!(top > 0.0);
            map.mapv(|v| v / top)
        };
        let small = over_top("relu2").mapv(|v| v as f32);
        let large = resize(small.view(), 12, 11, Resize::Bilinear).unwrap().mapv(f64::from);
        let shallow = over_top("relu1").mapv(|v| (3.0 * v).tanh());
        let mut want = shallow;
        want.zip_mut_with(&large, |a, &b| *a = a.max(b));
        close("joined", &joined.index_axis(Axis(0), n).to_owned(), &want.into_dyn(), 1e-6);
    }
    let method = named("layer-cam").unwrap();
    let ask = Ask::new(&net.graph, &net.params, &x);
    let error =
        |set: &[&str]| method.run64(&ask, &Settings::parse(method, set).unwrap()).unwrap_err().to_string();
    assert!(error(&["fuse=relu9"]).contains("did you mean \"relu"));
    assert!(error(&["fuse=relu1", "relu=false"]).contains("leave out"));
}

#[test]
fn pictures_of_what_was_saved_are_the_same_bytes() {
    let net = net();
    let x = images(&net, 2);
    let folder = tempfile::tempdir().unwrap();
    let reloaded = |name: &str, array: &ArrayD<f32>| {
        let path = folder.path().join(name);
        npy::write(&path, array.view()).unwrap();
        npy::read(&path).unwrap()
    };
    let maps = net.forward(&x.clone().into_dyn(), Mode::Eval).export("relu1").unwrap().mapv(|v| v as f32);
    let tiles = |maps: &ArrayD<f32>| {
        let maps = maps.slice(s![0, .., .., ..]);
        FeatureMaps::new("relu1", maps).draw().unwrap().png().unwrap()
    };
    assert!(tiles(&maps) == tiles(&reloaded("maps.npy", &maps)));
    let (narrow, params) = (x.mapv(|v| v as f32), net.params.cast::<f32>());
    for name in ["gradient", "grad-cam", "saliency"] {
        let method = named(name).unwrap();
        let answer =
            method.run(&Ask::new(&net.graph, &params, &narrow), &Settings::defaults(method)).unwrap();
        let picture = |answer: &Answer| {
            let image = Array3::from_elem((1, 12, 11), 0.5);
            let panels = vec![panel(name, method, answer, 0)];
            let gallery = Gallery::new(name, vec![Row { image, panels, caption: "one".into() }]);
            gallery.draw().unwrap().png().unwrap()
        };
        let again = Answer { map: reloaded("map.npy", &answer.map), ..answer.clone() };
        assert!(picture(&answer) == picture(&again), "{name}");
    }
}

#[test]
fn what_feeds_one_linear_head_adds_up_to_the_logit() {
    let net = net();
    let x = images(&net, 3);
    let bias = net.params.get("fc.bias").unwrap()[2];
    let map = run(&net, &x, "hires-cam", Some("relu2"), &[]);
    for (map, facts) in map.map.outer_iter().zip(&map.facts) {
        assert!((map.sum() + bias - facts.score.unwrap()).abs() < 1e-12, "{facts:?}");
    }
}

#[test]
fn a_layer_of_a_single_place_says_that_it_cannot_say_where() {
    let graph = Graph::builder("point", [1, 4, 4])
        .layer("conv", Conv::new(3, 4))
        .layer("relu", Relu)
        .layer("flatten", Flatten)
        .layer("fc", Dense::new(3))
        .build()
        .unwrap();
    let mut params = graph.init(Init::He, 2);
    for name in ["conv.weight", "fc.weight"] {
        let positive = params.get(name).unwrap().mapv(f64::abs);
        params.set(name, positive.view()).unwrap();
    }
    let net: Net<f64> = Net::new(graph, params, 1);
    let x = images(&net, 2).mapv(f64::abs);
    for method in ["grad-cam", "score-cam", "eigen-cam", "layer-cam"] {
        let answer = run(&net, &x, method, None, &[]);
        assert_eq!(answer.map.shape(), [2, 1, 1], "{method}");
        assert!(answer.notes.iter().any(|n| n.contains("single place")), "{method}");
        assert!(answer.map.iter().all(|v| v.is_finite()));
        assert!(answer.facts.iter().all(|f| f.reason.is_some()), "{method} {:?}", answer.facts);
    }
}
