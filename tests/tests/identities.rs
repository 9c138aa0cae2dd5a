//! What must hold of methods on any net: identities between them, on linear nets, under permutation, in other
//! batches, and where a map says nothing.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use glassbox_engine::forward::set_input;
use glassbox_engine::graph::Init;
use glassbox_engine::layers::{Add, BatchNorm, Conv, Dense, Flatten, GlobalAvgPool, MaxPool, Relu};
use glassbox_engine::loss::CrossEntropy;
use glassbox_engine::optim::Method as Optimizer;
use glassbox_engine::trace::Mode;
use glassbox_engine::{Blocked, Graph, Params, forward};
use glassbox_tests::compare::{blocked, shuffled};
use glassbox_tests::nets::small;
use glassbox_tests::stepper::Stepper;
use glassbox_viz::methods::{Aim, Answer, Ask, METHODS, Method, Settings, Space, Targets, Unit, named};
use ndarray::{Array4, ArrayD, Axis};

struct Net {
    graph: Graph,
    params: Params<f64>,
    x: Array4<f64>,
}

impl Net {
    fn new(graph: Graph, seed: u64) -> Self {
        let params = graph.init(Init::He, seed);
        let shape = graph.input();
        let x = Array4::from_shape_fn((3, shape.c, shape.h, shape.w), |(n, c, h, w)| {
            0.6 + ((5 * n + 13 * c + 7 * h + 3 * w) as f64 * 0.9).sin()
        });
        Self { graph, params, x }
    }

    fn ask(&self) -> Ask<'_, f64> {
        Ask::new(&self.graph, &self.params, &self.x)
    }

    fn run(&self, method: &str, set: &[&str]) -> Answer<f64> {
        run(method, &self.ask(), set)
    }

    fn logits(&self, x: &Array4<f64>) -> ArrayD<f64> {
        let trace = forward(&self.graph, &self.params, &Blocked::from_array4(x.view(), 1), Mode::Eval);
        trace.unwrap().output().to_exported()
    }

    fn set(&mut self, change: impl Fn(&str, f64) -> f64) {
        let names: Vec<String> = self.graph.layout().specs().iter().map(|s| s.name.clone()).collect();
        for name in names {
            let value = self.params.get(&name).unwrap().mapv(|v| change(&name, v));
            self.params.set(&name, value.view()).unwrap();
        }
    }
}

fn run(method: &str, ask: &Ask<'_, f64>, set: &[&str]) -> Answer<f64> {
    let method = named(method).unwrap();
    method.run64(ask, &Settings::parse(method, set).unwrap()).unwrap()
}

fn close(what: &str, a: &ArrayD<f64>, b: &ArrayD<f64>, limit: f64) {
    assert_eq!(a.shape(), b.shape(), "{what}");
    let largest = b.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let gap = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(gap <= limit * largest.max(1e-12), "{what}: {gap:e} of {largest:e}");
}

/// Overlapping max-pool, biases, no skips.
fn chain() -> Net {
    let graph = Graph::builder("chain", [2, 10, 9])
        .layer("conv1", Conv::new(4, 3).pad(1))
        .layer("relu1", Relu)
        .layer("pool1", MaxPool::new(3).stride(2))
        .layer("conv2", Conv::new(6, 3).pad(1))
        .layer("relu2", Relu)
        .layer("flatten", Flatten)
        .layer("fc1", Dense::new(8))
        .layer("relu3", Relu)
        .layer("fc2", Dense::new(4));
    Net::new(graph.build().unwrap(), 3)
}

/// Ends in global mean and dense.
fn gap() -> Net {
    let graph = Graph::builder("gap", [1, 8, 7])
        .layer("conv1", Conv::new(5, 3).pad(1))
        .layer("relu1", Relu)
        .layer("conv2", Conv::new(6, 3).pad(1))
        .layer("relu2", Relu)
        .layer("mean", GlobalAvgPool)
        .layer("flatten", Flatten)
        .layer("fc", Dense::new(3));
    let mut net = Net::new(graph.build().unwrap(), 8);
    net.set(|name, v| if name.ends_with("bias") { 0.1 + v } else { v });
    net
}

/// A residual sum and batch-norm.
fn residual() -> Net {
    let graph = Graph::builder("residual", [1, 10, 10])
        .layer("conv1", Conv::new(4, 3).pad(1))
        .layer("bn1", BatchNorm::default())
        .layer("relu1", Relu)
        .layer("conv2", Conv::new(4, 3).pad(1))
        .layer("bn2", BatchNorm::default())
        .layer_from("sum", Add, &["bn2", "relu1"])
        .layer("relu2", Relu)
        .layer("mean", GlobalAvgPool)
        .layer("flatten", Flatten)
        .layer("fc", Dense::new(3));
    let mut net = Net::new(graph.build().unwrap(), 2);
    net.set(|name, v| match name {
        _ if name.ends_with("running_mean") => 0.2,
        _ if name.ends_with("running_var") => 1.7,
        _ if name.ends_with("bias") => v - 0.05,
        _ => v,
    });
    net
}

/// No rectifier: logits are linear in the input.
fn linear() -> Net {
    let graph = Graph::builder("linear", [2, 6, 6])
        .layer("conv", Conv::new(3, 3).pad(1))
        .layer("flatten", Flatten)
        .layer("fc", Dense::new(3));
    Net::new(graph.build().unwrap(), 4)
}

/// Settings under which a method is quick.
fn quick(method: &Method) -> Settings {
    let set: &[&str] = match method.name {
        "activation-maximization" | "class-model" => &["iterations=8"],
        "deep-dream" => &["octaves=2", "iterations=2"],
        "expected-gradients" => &["draws=9"],
        "integrated-gradients" => &["steps=6"],
        "inversion" => &["iterations=9"],
        "rise" => &["masks=30", "cells=4"],
        "smoothgrad" | "smoothgrad-squared" | "vargrad" => &["draws=4"],
        _ => &[],
    };
    Settings::parse(method, set).unwrap()
}

#[test]
fn gradients_are_finite_differences() {
    let net = chain();
    let gradient = run("gradient", &net.ask().targets(Targets::Same(1)), &[]).map;
    for at in [[0, 0, 3, 4], [1, 1, 9, 8], [2, 0, 0, 0]] {
        let shifted = |h: f64| {
            let mut x = net.x.clone();
            x[at] += h;
            net.logits(&x)[[at[0], 1]]
        };
        let slope = (shifted(1e-6) - shifted(-1e-6)) / 2e-6;
        assert!((slope - gradient[at]).abs() < 1e-6 * gradient.iter().fold(0.0, |m: f64, v| m.max(v.abs())));
    }
}

#[test]
fn probabilities_can_be_explained_instead() {
    let net = chain();
    let class = net.run("gradient", &[]).facts[0].class.unwrap();
    let ask = net.ask().targets(Targets::Same(class));
    let probability = |x: &Array4<f64>| {
        let powers = net.logits(x).index_axis(Axis(0), 0).mapv(f64::exp);
        powers[class] / powers.sum()
    };
    let slope = |at: [usize; 4], f: &dyn Fn(f64) -> f64| {
        let shifted = |h: f64| {
            let mut x = net.x.clone();
            x[at] += h;
            f(probability(&x))
        };
        (shifted(1e-6) - shifted(-1e-6)) / 2e-6
    };
    let plain = run("gradient", &ask, &["score=probability"]).map;
    let log = run("gradient", &ask, &["score=log-probability"]).map;
    for at in [[0, 0, 3, 4], [0, 1, 7, 2]] {
        assert!((slope(at, &|p| p) - plain[at]).abs() < 1e-7, "{}", plain[at]);
        assert!((slope(at, &f64::ln) - log[at]).abs() < 1e-7, "{}", log[at]);
    }
}

#[test]
fn without_rectifiers_deconvnet_is_the_gradient_exactly() {
    let graph = Graph::builder("bare", [2, 9, 9])
        .layer("conv1", Conv::new(4, 3).pad(1))
        .layer("pool1", MaxPool::new(3).stride(2))
        .layer("conv2", Conv::new(3, 3))
        .layer("flatten", Flatten)
        .layer("fc", Dense::new(3));
    let net = Net::new(graph.build().unwrap(), 6);
    for ask in
        [net.ask(), net.ask().layer("conv2").unit(Unit::Channel(1)), net.ask().layer("pool1").unit(Unit::All)]
    {
        let gradient = run("gradient", &ask, &[]).map;
        assert_eq!(run("deconvnet", &ask, &[]).map, gradient);
        assert_eq!(run("guided-backprop", &ask, &[]).map, gradient);
    }
    // where pools overlap, anything but the sum is no transpose, and the residual says so
    let ask = net.ask().layer("conv2").unit(Unit::Channel(1));
    let gaps = |set: &[&str]| {
        run("deconvnet", &ask, set)
            .facts
            .iter()
            .map(|f| f.residual.as_ref().unwrap().relative())
            .fold(0.0, f64::max)
    };
    assert!(gaps(&[]) < 1e-12 && gaps(&["overlap=last"]) > 1e-6);
}

#[test]
fn with_nothing_negative_three_rules_are_one() {
    let mut net = chain();
    net.set(|_, v| v.abs());
    net.x.mapv_inplace(f64::abs);
    let gradient = net.run("gradient", &[]).map;
    close("deconvnet", &net.run("deconvnet", &[]).map, &gradient, 1e-12);
    close("guided", &net.run("guided-backprop", &[]).map, &gradient, 1e-12);
}

#[test]
fn behind_a_global_mean_four_maps_are_one() {
    let net = gap();
    let cam = net.run("cam", &[]);
    let places = 56.0;
    let raw = cam.map.mapv(|v| v / places);
    close("grad-cam", &net.run("grad-cam", &["relu=false"]).map, &raw, 1e-12);
    close("hires-cam", &net.run("hires-cam", &[]).map, &raw, 1e-12);
    close("xgrad-cam", &net.run("xgrad-cam", &["relu=false"]).map, &raw, 1e-12);
    for (n, facts) in cam.facts.iter().enumerate() {
        let class = facts.class.unwrap();
        let bias = net.params.get("fc.bias").unwrap()[class];
        let sum: f64 = raw.index_axis(Axis(0), n).sum() + bias;
        assert!((sum - facts.score.unwrap()).abs() < 1e-12);
        assert!(facts.residual.as_ref().unwrap().relative() < 1e-12);
    }
    // ablating a channel takes away its weight times its mean
    let ablation = net.run("ablation-cam", &["relu=false"]).map;
    let trace = forward(&net.graph, &net.params, &Blocked::from_array4(net.x.view(), 1), Mode::Eval).unwrap();
    let maps = trace.export("relu2").unwrap();
    let weights = net.params.get("fc.weight").unwrap();
    let mut want = ablation.clone();
    for (n, mut map) in want.axis_iter_mut(Axis(0)).enumerate() {
        map.fill(0.0);
        for k in 0..6 {
            let channel = maps.index_axis(Axis(0), n).index_axis(Axis(0), k).to_owned();
            let weight = weights[[cam.facts[n].class.unwrap(), k]] * channel.sum() / places;
            map += &(channel * weight);
        }
    }
    close("ablation-cam", &ablation, &want, 1e-10);
}

#[test]
fn gradients_and_biases_give_back_the_logit() {
    for net in [chain(), gap(), residual()] {
        for facts in net.run("gradient-x-input", &[]).facts {
            assert!(facts.residual.unwrap().relative() < 1e-12, "{}", net.graph.name());
        }
    }
    let mut bare = chain();
    bare.set(|name, v| if name.ends_with("bias") { 0.0 } else { v });
    let product = bare.run("gradient-x-input", &[]);
    for (map, facts) in product.map.outer_iter().zip(&product.facts) {
        assert!((map.sum() / facts.score.unwrap() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn on_a_linear_net_averages_are_the_gradient() {
    let net = linear();
    let gradient = net.run("gradient", &[]).map;
    close("smoothgrad", &net.run("smoothgrad", &["draws=7"]).map, &gradient, 1e-12);
    close("squared", &net.run("smoothgrad-squared", &["draws=7"]).map, &gradient.mapv(|g| g * g), 1e-12);
    assert!(net.run("vargrad", &["draws=7"]).map.iter().all(|v| v.abs() < 1e-20));
    for rule in ["gauss-legendre", "left", "midpoint", "right", "trapezoid"] {
        let answer = net.run("integrated-gradients", &[&format!("rule={rule}"), "steps=5", "baseline=0.25"]);
        close(rule, &answer.map, &(&gradient * &(&net.x - 0.25).into_dyn()), 1e-12);
        assert!(answer.facts.iter().all(|f| f.residual.as_ref().unwrap().relative() < 1e-10));
    }
    let covered = net.run("occlusion", &["window=2", "stride=2", "baseline=0.25"]).map;
    let mut want = covered.clone();
    let contribution = &gradient * &(&net.x - 0.25).into_dyn();
    for n in 0..3 {
        for (y, x) in (0..36).map(|at| (at / 6, at % 6)) {
            let window = |(c, d): (usize, usize)| contribution[[n, c, y / 2 * 2 + d / 2, x / 2 * 2 + d % 2]];
            let sum: f64 = (0..8).map(|i| window((i / 4, i % 4))).sum();
            (0..2).for_each(|c| want[[n, c, y, x]] = sum);
        }
    }
    close("occlusion", &covered, &want, 1e-10);
    // the penalised optimum is the weights' own picture, of root mean square one
    let model = net.run("class-model", &["iterations=400"]);
    for (image, g) in model.map.outer_iter().zip(gradient.outer_iter()) {
        let size = (g.iter().map(|v| v * v).sum::<f64>() / g.len() as f64).sqrt();
        close("class-model", &image.to_owned(), &g.mapv(|v| v / size), 1e-6);
    }
}

#[test]
fn integrated_gradients_are_complete_and_can_be_asked_to_be() {
    for net in [chain(), residual()] {
        let worst = |set: &[&str]| {
            let facts = net.run("integrated-gradients", set).facts;
            facts.iter().map(|f| f.residual.as_ref().unwrap().relative()).fold(0.0, f64::max)
        };
        assert!(worst(&["steps=50"]) < 0.02);
        assert!(worst(&["steps=4", "tolerance=0.005"]) < 0.005);
    }
    let net = chain();
    let own = Array4::from_elem(net.x.dim(), 0.3);
    let ask = Ask { background: Some(&own), ..net.ask() };
    let expected = run("expected-gradients", &ask, &["draws=600"]).map;
    close(
        "one background",
        &expected,
        &net.run("integrated-gradients", &["steps=600", "baseline=0.3"]).map,
        0.02,
    );
}

#[test]
fn every_method_answers_in_shape_whatever_else_is_in_the_batch() {
    for net in [chain(), gap(), residual()] {
        for method in METHODS.iter().copied().filter(|m| m.name != "cam" || net.graph.name() != "chain") {
            let answer = method.run64(&net.ask(), &quick(method)).unwrap();
            let what = format!("{} {}", net.graph.name(), method.name);
            assert_eq!(answer.facts.len(), 3, "{what}");
            let [n, c, h, w] = [3, net.x.dim().1, net.x.dim().2, net.x.dim().3];
            match method.space {
                Space::Input | Space::Made => assert_eq!(answer.map.shape(), [n, c, h, w], "{what}"),
                Space::Pixels => assert_eq!(answer.map.shape(), [n, h, w], "{what}"),
                Space::Layer => {
                    let large = method.run64(&net.ask().upsampled(), &quick(method)).unwrap();
                    assert_eq!(large.map.shape(), [n, h, w], "{what}");
                }
            }
            assert!(answer.map.iter().all(|v| v.is_finite()), "{what}");
            for part in [&[0, 1][..], &[0]] {
                let x = net.x.select(Axis(0), part);
                let alone = method.run64(&Ask { input: &x, ..net.ask() }, &quick(method)).unwrap();
                close(&what, &alone.map, &answer.map.select(Axis(0), part), 1e-9);
            }
        }
    }
}

#[test]
fn permuted_samples_give_permuted_maps() {
    let net = residual();
    let turned = net.x.select(Axis(0), &[2, 0, 1]);
    let chance = |m: &&&Method| !m.keys.iter().any(|k| k.name == "seed");
    for method in METHODS.iter().filter(chance) {
        let straight = method.run64(&net.ask(), &quick(method)).unwrap().map.select(Axis(0), &[2, 0, 1]);
        let permuted = method.run64(&Ask { input: &turned, ..net.ask() }, &quick(method)).unwrap().map;
        close(method.name, &permuted, &straight, 1e-9);
    }
}

#[test]
fn every_map_has_its_facts_and_a_residual_or_says_why_not() {
    for net in [chain(), gap(), residual()] {
        for method in METHODS.iter().copied().filter(|m| m.name != "cam" || net.graph.name() != "chain") {
            let answer = method.run64(&net.ask(), &quick(method)).unwrap();
            let what = format!("{} {}", net.graph.name(), method.name);
            for (facts, map) in answer.facts.iter().zip(answer.map.outer_iter()) {
                let (low, high) = map.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
                assert_eq!((facts.min, facts.max), (low, high), "{what}");
                let json = facts.report();
                assert!(
                    json["min"].is_f64() && json["max"].is_f64() && json["all_zero"].is_boolean(),
                    "{what}"
                );
                let known = json["residual"]["name"].is_string() || json["no_residual"].is_string();
                assert!(known, "{what} {json}");
                // what is exact is exact; what is chance or a way half gone says how far
                let exact = ["bias identity", "adjointness", "repeat", "sum identity"];
                if let Some(residual) = facts.residual.as_ref().filter(|r| exact.contains(&r.name)) {
                    assert!(residual.relative() < 1e-9, "{what} {residual:?}");
                }
            }
        }
    }
    // one draw cannot be compared with another, and that is said
    let lone = chain().run("vargrad", &["draws=1"]);
    assert!(lone.facts.iter().all(|f| f.report()["no_residual"].is_string()));
    // the halves of few draws are further apart than those of many
    let apart = |draws: &str| {
        let facts = chain().run("smoothgrad-squared", &[draws]).facts;
        facts.iter().map(|f| f.residual.as_ref().unwrap().relative()).sum::<f64>()
    };
    assert!(apart("draws=4") > 2.0 * apart("draws=200"));
}

#[test]
fn no_bit_depends_on_threads_or_on_the_rest_of_the_batch() {
    let bits = |map: &ArrayD<f32>| -> Vec<u32> { map.iter().map(|v| v.to_bits()).collect() };
    for net in [chain(), residual()] {
        let (params, x) = (net.params.cast::<f32>(), net.x.mapv(|v| v as f32));
        let gap = net.graph.name() == "residual";
        for method in METHODS.iter().copied().filter(|m| gap || m.name != "cam") {
            let run = |threads: usize, x: &Array4<f32>| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| method.run(&Ask::new(&net.graph, &params, x), &quick(method)).unwrap().map)
            };
            let what = format!("{} {}", net.graph.name(), method.name);
            let one = run(1, &x);
            assert!(bits(&one) == bits(&run(2, &x)) && bits(&one) == bits(&run(3, &x)), "{what}: threads");
            let part = run(2, &x.select(Axis(0), &[0, 1]));
            assert!(bits(&part) == bits(&one.select(Axis(0), &[0, 1])), "{what}: the rest of the batch");
            let alone = run(2, &x.select(Axis(0), &[0]));
            assert!(bits(&alone) == bits(&one.select(Axis(0), &[0])), "{what}: alone");
        }
    }
}

#[test]
fn explaining_leaves_training_as_it_was() {
    let train = |explain: bool| {
        let graph = small();
        let optimizer = Optimizer::Sgd { momentum: 0.9, nesterov: false }
            .build::<f32>(graph.layout().learnable_len(), 0.0);
        let params = graph.init(Init::He, 4);
        let mut stepper = Stepper::new(graph, params, 6, optimizer);
        for step in 0..4 {
            let x = shuffled(&stepper.graph.input().exported(6), step);
            set_input(&stepper.graph, &mut stepper.trace, &blocked::<f32>(&x, 16)).unwrap();
            stepper.step(&CrossEntropy::default(), &[0, 1, 2, 3, 4, 0], 0.05);
            if explain {
                let x = x.mapv(|v| v as f32).into_dimensionality().unwrap();
                for method in METHODS.iter().filter(|m| m.name != "cam") {
                    method.run(&Ask::new(&stepper.graph, &stepper.params, &x), &quick(method)).unwrap();
                }
            }
        }
        stepper.params.slab().iter().map(|v| v.to_bits()).collect::<Vec<u32>>()
    };
    assert!(train(true) == train(false));
}

#[test]
fn permuted_channels_give_the_same_maps() {
    let net = chain();
    let mut turned = Net { params: net.params.clone(), ..chain() };
    let order = [2, 0, 3, 1];
    for (name, axis) in [("conv1.weight", 0), ("conv1.bias", 0), ("conv2.weight", 1)] {
        let moved = net.params.get(name).unwrap().select(Axis(axis), &order);
        turned.params.set(name, moved.view()).unwrap();
    }
    for method in METHODS.iter().filter(|m| m.name != "cam") {
        let (a, b) = (method.run64(&net.ask(), &quick(method)), method.run64(&turned.ask(), &quick(method)));
        close(method.name, &b.unwrap().map, &a.unwrap().map, 1e-7);
        if method.aim == Aim::Layer {
            // where the permuted channels themselves are mapped
            let at = |net: &Net| method.run64(&net.ask().layer("relu1"), &quick(method)).unwrap().map;
            close(method.name, &at(&turned), &at(&net), 1e-7);
        }
    }
    let unit =
        |net: &Net, k: usize| run("deconvnet", &net.ask().layer("relu1").unit(Unit::Channel(k)), &[]).map;
    for (new, old) in order.into_iter().enumerate() {
        close("unit", &unit(&turned, new), &unit(&net, old), 1e-9);
    }
}

#[test]
fn maps_that_say_nothing_are_zero_with_a_reason() {
    let mut dead = chain();
    // nothing gets past the first rectifier
    dead.set(|name, v| if name == "conv1.bias" { -1e3 } else { v });
    let mut blank = chain();
    blank.x.fill(0.0);
    for (net, what) in [(&dead, "dead"), (&blank, "blank")] {
        for method in METHODS.iter().filter(|m| m.name != "cam") {
            let answer = method.run64(&net.ask(), &quick(method)).unwrap();
            assert!(answer.map.iter().all(|v| v.is_finite()), "{what} {}", method.name);
            for facts in &answer.facts {
                assert_eq!(facts.all_zero, facts.min == 0.0 && facts.max == 0.0);
                assert!(!facts.all_zero || facts.reason.is_some(), "{what} {}", method.name);
            }
            let gradient_like =
                ["deeplift", "gradient", "guided-backprop", "lrp-epsilon", "saliency", "smoothgrad"];
            if what == "dead" && gradient_like.contains(&method.name) {
                assert!(answer.facts.iter().all(|f| f.all_zero), "{}", method.name);
            }
        }
    }
}

#[test]
fn a_map_of_one_sign_is_explained() {
    // a head with negative weights alone: every place speaks against every class
    let mut net = gap();
    net.set(|name, v| if name == "fc.weight" { -v.abs() } else { v });
    let answer = net.run("grad-cam", &[]);
    assert!(answer.facts.iter().all(|f| f.all_zero && f.reason.as_ref().unwrap().contains("relu=false")));
    assert!(net.run("grad-cam", &["relu=false"]).facts.iter().all(|f| f.min < 0.0));
    assert!(net.run("grad-cam", &["counterfactual=true"]).facts.iter().all(|f| f.max > 0.0));
}

#[test]
fn questions_that_cannot_be_answered_say_what_would() {
    let net = chain();
    let text = |method: &str, ask: &Ask<'_, f64>, set: &[&str]| {
        let method = named(method).unwrap();
        let settings = Settings::parse(method, set).unwrap();
        method.run64(ask, &settings).unwrap_err().to_string()
    };
    let ask = net.ask();
    for (message, part) in [
        (text("cam", &ask, &[]), "use grad-cam"),
        (text("grad-cam", &ask.clone().layer("fc1"), &[]), "relu2"),
        (text("grad-cam", &ask.clone().layer("relu9"), &[]), "did you mean \"relu"),
        (text("gradient", &ask.clone().targets(Targets::Same(4)), &[]), "use 0 to 3"),
        (text("gradient", &ask.clone().targets(Targets::Each(vec![0, 1])), &[]), "one class per image"),
        (text("saliency", &ask.clone().layer("conv1"), &[]), "takes no layer"),
        (text("deconvnet", &ask.clone().layer("conv1"), &[]), "--unit"),
        (text("deconvnet", &ask.clone().layer("conv1").unit(Unit::Channel(4)), &[]), "0 to 3"),
        (text("occlusion", &ask, &["window=40"]), "at most 9"),
        (text("occlusion", &ask, &["window=2", "stride=3"]), "at most 2"),
        (text("smoothgrad", &ask, &["noise=-1"]), "from 0"),
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    let mut broken = net.x.clone();
    broken[[1, 0, 2, 3]] = f64::NAN;
    let message = text("gradient", &Ask { input: &broken, ..net.ask() }, &[]);
    assert!(message.contains("image 1, channel 0, row 2, column 3"), "{message}");
}

#[test]
fn pictures_are_climbed_and_inverted() {
    let mut net = gap();
    net.graph = net.graph.clone().with_pixels(vec![0.5], vec![0.25]);
    for set in [&["jitter=1"][..], &["blur=0", "norm_percent=10"], &["parameters=fourier", "step=0.05"]] {
        let after = |steps: &'static str| net.run("activation-maximization", &[set, &[steps]].concat()).facts;
        for (start, end) in after("iterations=1").iter().zip(&after("iterations=60")) {
            assert!(end.score > start.score, "{set:?} {start:?} {end:?}");
        }
    }
    let unit = net.ask().layer("relu1").unit(Unit::Channel(2));
    assert!(run("activation-maximization", &unit, &[]).facts.iter().all(|f| f.score.unwrap() > 0.0));
    // the input itself, seen without regularisers, is found again
    let input = net.ask().layer("input");
    let found = run("inversion", &input, &["bound=0", "smooth=0", "iterations=600"]);
    close("inversion", &found.map, &net.x.clone().into_dyn(), 0.01);
    let layer = net.ask().layer("relu1");
    for facts in run("inversion", &layer, &["iterations=600"]).facts {
        assert!(facts.residual.as_ref().unwrap().relative() < 0.2, "{facts:?}");
    }
    let energy = |answer: &Answer<f64>| answer.facts.iter().map(|f| f.score.unwrap()).sum::<f64>();
    let dream = |set: &[&str]| energy(&run("deep-dream", &net.ask().layer("relu1"), set));
    assert!(dream(&["iterations=6", "octaves=2"]) > dream(&["step=0", "octaves=2"]));
}
