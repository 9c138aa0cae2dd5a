//! The worked example's numbers, and sums that agree with the engine for every kind of layer.

use super::*;
use glassbox_engine::graph::Init;
use glassbox_engine::layers::KINDS;
use ndarray::Array3;

fn pencil(test: impl Fn(&Workings<'_>)) {
    let (graph, params, image) = example::net().unwrap();
    test(&Workings::new(&graph, &params, image.view(), Of::Loss(0)).unwrap());
}

fn near(a: f64, b: f64, within: f64) {
    assert!((a - b).abs() <= within, "{a} is not {b}");
}

#[test]
fn the_pencil_net_has_the_numbers_of_the_worked_example() {
    pencil(|w| {
        near(w.loss(), 0.0232455, 5e-8);
        for (class, score) in [(0, 5.0), (1, 1.25)] {
            let step = w.value("dense", [class, 0, 0]).unwrap();
            assert_eq!((step.result, step.stored, step.terms.len()), (score, score, 5), "{}", step.text(40));
        }
        // pooled values, switches, ties
        let expected = [
            ([0, 0], 4.0, [0, 1], 1),
            ([0, 1], 4.0, [0, 1], 1),
            ([1, 0], 5.0, [2, 1], 0),
            ([1, 1], 5.0, [2, 1], 0),
        ];
        for ([y, x], value, [cy, cx], tied) in expected {
            let step = w.value("pool", [0, y, x]).unwrap();
            let How::Largest { chosen, ties } = &step.how else { panic!("{step:?}") };
            assert_eq!((step.stored, step.terms[*chosen].unit), (value, Some([0, cy, cx])));
            assert_eq!(ties.len(), tied, "{}", step.text(40));
            assert!(step.agrees());
        }
        // (0,1) of conv: bias -1, and the taps on the cross
        let step = w.value("conv", [0, 0, 1]).unwrap();
        assert_eq!((step.result, step.stored, step.terms.len(), step.off()), (4.0, 4.0, 10, 0.0));
        assert_eq!(step.terms[2].parts[1], part("input[0,0,2]", 2.0));
    });
}

#[test]
fn shared_cells_of_the_pencil_net_add() {
    pencil(|w| {
        for (cell, gradient) in [([0, 0, 1], -0.011489), ([0, 2, 1], -0.005744)] {
            let step = w.gradient("relu", cell).unwrap();
            near(step.stored, gradient, 5e-7);
            let open: Vec<f64> = step.terms.iter().map(|t| t.value).filter(|v| *v != 0.0).collect();
            assert_eq!(open.len(), 2, "{}", step.text(40));
            assert!(step.agrees(), "{}", step.text(40));
        }
        let back = w.unpooling("pool", 0, false).unwrap();
        near(back.plane[[0, 1]], -0.011489, 5e-7);
        near(back.plane[[2, 1]], -0.005744, 5e-7);
        assert_eq!(back.shared(), vec![([0, 1], vec![0, 1]), ([2, 1], vec![2, 3])]);
        assert!(back.agrees());
        // undone with its own values, shared cells hold both
        let back = w.unpooling("pool", 0, true).unwrap();
        assert_eq!((back.plane[[0, 1]], back.plane[[2, 1]], back.plane.sum()), (8.0, 10.0, 18.0));
        let error = w.unpooling("relu", 0, true).unwrap_err().to_string();
        assert!(error.contains("\"relu\" is no max-pool; its pools: pool"), "{error}");
    });
}

/// Every unit of every slot above the input, a few of each.
fn units(graph: &Graph, slot: usize) -> Vec<Unit> {
    let s = graph.shape(slot);
    let few = |n: usize| if n < 3 { (0..n).collect::<Vec<_>>() } else { vec![0, n / 2, n - 1] };
    let mut out = Vec::new();
    for c in few(s.c) {
        for y in few(s.h) {
            out.extend(few(s.w).into_iter().map(|x| [c, y, x]));
        }
    }
    out
}

/// Every value, gradient and learned parameter's gradient of a net (a few of each layer) agrees with what was stored.
fn all_agree(graph: &Graph, of: Of) -> usize {
    let mut params = graph.init::<f32>(Init::default(), 3);
    // statistics, scales and biases that are not 0 and 1
    for (i, v) in params.slab_mut().iter_mut().enumerate() {
        *v = *v * 0.9 + 0.02 * ((i * 7 % 11) as f32 + 1.0);
    }
    let s = graph.input();
    let image = Array3::from_shape_fn((s.c, s.h, s.w), |(c, y, x)| {
        ((c * 31 + y * 17 + x * 7) % 23) as f32 / 11.0 - 0.9
    });
    let w = Workings::new(graph, &params, image.view(), of).unwrap();
    let mut count = 0;
    let mut check = |step: Step| {
        assert!(step.agrees(), "{}: {}", graph.name(), step.text(30));
        assert!(step.stored.is_finite());
        crate::svg::check(&step.svg()).unwrap();
        count += 1;
    };
    for slot in 0..=graph.logits() {
        let name = &graph.names()[slot];
        for unit in units(graph, slot) {
            if slot > 0 {
                check(w.value(name, unit).unwrap());
            }
            check(w.gradient(name, unit).unwrap());
        }
    }
    for spec in graph.layout().specs().iter().filter(|s| s.decl.role.learnable()) {
        let (layer, parameter) = spec.name.rsplit_once('.').unwrap();
        for last in [false, true] {
            let at: Vec<usize> = spec.decl.dims.iter().map(|&d| if last { d - 1 } else { 0 }).collect();
            check(w.parameter_gradient(layer, parameter, &at).unwrap());
        }
    }
    count
}

#[test]
fn sums_agree_with_the_engine_for_every_kind_of_layer() {
    for kind in KINDS {
        for (layer, inputs) in (kind.examples)() {
            let s = inputs[0];
            let c: usize = inputs.iter().map(|i| i.c).sum();
            // each input is made by a layer of its own, so that paths meet
            let mut builder = Graph::builder(kind.name, [c, s.h, s.w]);
            let mut from = Vec::new();
            for (i, input) in inputs.iter().enumerate() {
                let name = format!("in{i}");
                builder =
                    builder.layer_from(&name, glassbox_engine::layers::Conv::new(input.c, 1), &["input"]);
                from.push(name);
                if input.flat {
                    builder = builder.layer(&format!("flat{i}"), glassbox_engine::layers::Flatten);
                    from.pop();
                    from.push(format!("flat{i}"));
                }
            }
            let from: Vec<&str> = from.iter().map(String::as_str).collect();
            builder = builder.shared("it", layer.clone(), &from);
            let flat = layer.infer(&inputs).unwrap().output.flat;
            if !flat {
                builder = builder.layer("flatten", glassbox_engine::layers::Flatten);
            }
            let graph = builder.layer("logits", glassbox_engine::layers::Dense::new(3)).build();
            let Ok(graph) = graph else { panic!("{}: {graph:?}", kind.name) };
            // a softmax below logits is refused by every walk
            if ["softmax", "log_softmax"].contains(&kind.name) {
                continue;
            }
            for of in [Of::Loss(1), Of::Score(2)] {
                assert!(all_agree(&graph, of) > 20, "{}", kind.name);
            }
        }
    }
}

#[test]
fn probabilities_are_explained_though_no_gradient_starts_there() {
    for layer in ["softmax", "log_softmax"] {
        let kind = glassbox_engine::layers::kind(layer).unwrap();
        let graph = Graph::builder("p", [1, 4, 4])
            .layer("flatten", glassbox_engine::layers::Flatten)
            .layer("fc", glassbox_engine::layers::Dense::new(4))
            .shared("out", (kind.examples)()[0].0.clone(), &["fc"])
            .build()
            .unwrap();
        let params = graph.init::<f32>(Init::default(), 5);
        let image = Array3::from_shape_fn((1, 4, 4), |(_, y, x)| (y * 4 + x) as f32 / 4.0);
        let w = Workings::new(&graph, &params, image.view(), Of::Loss(0)).unwrap();
        for k in 0..4 {
            let step = w.value("out", [k, 0, 0]).unwrap();
            assert!(step.agrees() && step.terms.len() == 4, "{}", step.text(9));
        }
        let error = w.gradient("out", [0, 0, 0]).unwrap_err().to_string();
        assert!(error.contains("ask for \"fc\""), "{error}");
    }
}

#[test]
fn a_wrong_number_would_be_noticed() {
    pencil(|w| {
        let mut step = w.value("conv", [0, 0, 1]).unwrap();
        step.stored += 1e-4;
        assert!(!step.agrees());
    });
}

#[test]
fn what_is_not_there_is_refused_with_what_would_work() {
    pencil(|w| {
        let cases = [
            w.value("input", [0, 0, 0]).unwrap_err(),
            w.value("conv", [0, 3, 0]).unwrap_err(),
            w.value("conf", [0, 0, 0]).unwrap_err(),
            w.parameter_gradient("conv", "weight", &[0, 0, 3, 0]).unwrap_err(),
            w.parameter_gradient("conv", "wait", &[0]).unwrap_err(),
        ];
        let says = [
            "not worked out",
            "\"conv\" is 1x3x3 and has no unit 0,3,0",
            "conv",
            "[1, 1, 3, 3]",
            "conv.weight",
        ];
        for (error, text) in cases.iter().zip(says) {
            assert!(error.to_string().contains(text), "{error}");
        }
    });
    let (graph, params, image) = example::net().unwrap();
    let error = Workings::new(&graph, &params, image.view(), Of::Loss(2)).unwrap_err().to_string();
    assert!(error.contains("no class 2; the net has 2"), "{error}");
}
