//! Measures of maps on nets whose answer is known: linear ones, where contributions are exact; ones that read a single
//! pixel; ones whose classes mirror each other; ones whose "random" weights are their own.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use glassbox_engine::graph::Init;
use glassbox_engine::layers::{Conv, Dense, Flatten, GlobalAvgPool, Relu};
use glassbox_engine::{Graph, Params};
use glassbox_fixtures::{arrays, graph};
use glassbox_viz::belief::{Case, MEASURES, Region, Score, mean, named};
use glassbox_viz::methods::{self, Ask, Settings, Targets};
use ndarray::{Array3, Array4, Axis};

struct Net {
    graph: Graph,
    params: Params,
    x: Array4<f32>,
}

impl Net {
    fn new(graph: Graph, init: Init) -> Self {
        let params = graph.init(init, 7);
        let shape = graph.input();
        let x = Array4::from_shape_fn((3, shape.c, shape.h, shape.w), |(n, c, h, w)| {
            0.6 + ((5 * n + 13 * c + 7 * h + 3 * w) as f32 * 0.9).sin()
        });
        Self { graph, params, x }
    }

    fn set(&mut self, name: &str, value: impl Fn(usize) -> f32) {
        let mut array = self.params.copy(name).unwrap();
        array.iter_mut().enumerate().for_each(|(i, v)| *v = value(i));
        self.params.set(name, array.view()).unwrap();
    }

    fn ask(&self) -> Ask<'_> {
        Ask::new(&self.graph, &self.params, &self.x)
    }

    fn case(&self, method: &str, set: &[&str]) -> Case<'_> {
        case(&self.ask(), method, set)
    }

    fn given(&self, value: impl Fn(usize, usize, usize) -> f32) -> Case<'_> {
        let (n, _, h, w) = self.x.dim();
        Case::given(&self.ask(), &Array3::from_shape_fn((n, h, w), |(n, y, x)| value(n, y, x))).unwrap()
    }
}

fn case<'a>(ask: &Ask<'a>, method: &str, set: &[&str]) -> Case<'a> {
    let method = methods::named(method).unwrap();
    Case::new(ask, method, &Settings::parse(method, set).unwrap()).unwrap()
}

fn judge(case: &Case<'_>, measure: &str, set: &[&str]) -> Vec<Score> {
    let measure = named(measure).unwrap();
    measure.judge(case, &measure.settings(set).unwrap()).unwrap()
}

fn average(case: &Case<'_>, measure: &str, set: &[&str]) -> f64 {
    mean(&judge(case, measure, set)).unwrap().0
}

fn linear() -> Net {
    let graph = Graph::builder("linear", [2, 6, 7])
        .layer("conv", Conv::new(3, 3).pad(1))
        .layer("flatten", Flatten)
        .layer("fc", Dense::new(3));
    Net::new(graph.build().unwrap(), Init::He)
}

fn gap() -> Net {
    let graph = Graph::builder("gap", [1, 8, 7])
        .layer("conv1", Conv::new(5, 3).pad(1))
        .layer("relu1", Relu)
        .layer("conv2", Conv::new(6, 3).pad(1))
        .layer("relu2", Relu)
        .layer("mean", GlobalAvgPool)
        .layer("flatten", Flatten)
        .layer("fc", Dense::new(3));
    Net::new(graph.build().unwrap(), Init::PyTorch)
}

/// Two logits, each a multiple of one pixel of 3 x 4.
fn one_pixel(at: usize) -> Net {
    let graph = Graph::builder("one pixel", [1, 3, 4]).layer("flatten", Flatten).layer("fc", Dense::new(2));
    let mut net = Net::new(graph.build().unwrap(), Init::He);
    net.set("fc.weight", |i| {
        if i == at {
            2.0
        } else if i == 12 + at {
            -2.0
        } else {
            0.0
        }
    });
    net.set("fc.bias", |i| i as f32 * 0.5);
    net
}

#[test]
fn contributions_to_a_linear_net_are_exact() {
    let net = linear();
    for (method, set, baseline) in [
        ("gradient-x-input", &[][..], "baseline=zero"),
        ("deeplift", &["baseline=0.25"], "baseline=0.25"),
        ("integrated-gradients", &["steps=4", "baseline=-1"], "baseline=-1"),
    ] {
        let case = net.case(method, set);
        for score in judge(&case, "sensitivity-n", &[baseline, "subsets=20"]) {
            assert!(score.value.unwrap() > 1.0 - 1e-6, "{method} {score:?}");
        }
        for how in ["disturbance=square", "disturbance=noise"] {
            for score in judge(&case, "infidelity", &[baseline, how]) {
                assert!(score.value.unwrap() < 1e-8, "{method} {how} {score:?}");
                assert!((score.details["beta"].as_f64().unwrap() - 1.0).abs() < 1e-4, "{method} {score:?}");
            }
        }
    }
    let slopes = net.case("gradient", &[]);
    for how in ["disturbance=square", "disturbance=noise"] {
        assert!(average(&slopes, "infidelity", &["reads=slopes", how]) < 1e-8);
        assert!(average(&slopes, "infidelity", &[how]) > 0.01, "slopes are no contributions");
    }
}

#[test]
fn infidelity_is_squared_and_fitted() {
    let net = linear();
    let pixels: Vec<Vec<f64>> = {
        let case = net.case("gradient-x-input", &[]);
        (0..3).map(|n| case.pixels(n)).collect()
    };
    let times = |k: f64| net.given(|n, y, x| (k * pixels[n][y * 7 + x]) as f32);
    let raw = |k: f64| average(&times(k), "infidelity", &["scale=none"]);
    // (k - 1)^2 times the mean squared loss; removal takes all channels of a pixel, so their split does not matter
    assert!((raw(-1.0) / raw(0.0) - 4.0).abs() < 1e-3 && (raw(3.0) / raw(0.0) - 4.0).abs() < 1e-3);
    assert!(raw(1.0) < 1e-6 * raw(0.0));
    for score in judge(&times(-0.5), "infidelity", &[]) {
        assert!(score.value.unwrap() < 1e-6 && (score.details["beta"].as_f64().unwrap() + 2.0).abs() < 1e-3);
    }
    assert_eq!(average(&times(0.0), "infidelity", &[]), 1.0, "a map that says nothing");
}

#[test]
fn deletion_and_insertion_follow_the_pixel_that_counts() {
    let net = one_pixel(6);
    let step = ["step=0.0833333", "baseline=zero"];
    let first = net.given(|_, y, x| if (y, x) == (1, 2) { 1.0 } else { 0.0 });
    let last = net.given(|_, y, x| if (y, x) == (1, 2) { -1.0 } else { 0.0 });
    for n in 0..3 {
        let pixel = f64::from(net.x[[n, 0, 1, 2]]);
        let class = first.classes[n];
        let probability = |v: f64| {
            let gap = if class == 0 { 4.0 * v - 0.5 } else { 0.5 - 4.0 * v };
            1.0 / (1.0 + (-gap).exp())
        };
        let (with, without) = (probability(pixel), probability(0.0));
        // one step of twelve is half with, half without; then eleven without, or eleven with before it
        let (soon, late) = ((11.5 * without + 0.5 * with) / 12.0, (11.5 * with + 0.5 * without) / 12.0);
        for (case, measure, want) in [
            (&first, "deletion", soon),
            (&last, "deletion", late),
            (&first, "insertion", late),
            (&last, "insertion", soon),
        ] {
            let got = judge(case, measure, &step)[n].value.unwrap();
            assert!((got - want).abs() < 1e-6, "{measure} image {n}: {got}, not {want}");
        }
    }
}

#[test]
fn a_perfect_order_beats_chance_and_chance_a_reversed_one() {
    let net = linear();
    let case = net.case("gradient-x-input", &[]);
    let turned = net.given(|n, y, x| -case.pixels(n)[y * 7 + x] as f32);
    let flat = net.given(|_, _, _| 0.0);
    let seeds: Vec<String> = (0..10).map(|s| format!("seed={s}")).collect();
    let chance = |measure: &str, base: &str| {
        seeds.iter().map(|s| average(&flat, measure, &[s, base])).sum::<f64>() / 10.0
    };
    for (measure, sign) in [("deletion", 1.0), ("insertion", -1.0)] {
        let at = |case: &Case<'_>| sign * average(case, measure, &["baseline=zero"]);
        let chance = sign * chance(measure, "baseline=zero");
        assert!(at(&case) < chance - 0.01 && chance < at(&turned) - 0.01, "{measure}");
    }
}

#[test]
fn the_pointing_game_counts_hits_ties_and_energy() {
    let net = one_pixel(0);
    let boxes: [Region; 3] = [[0..2, 1..3], [0..2, 1..3], [1..3, 0..2]];
    let map = net.given(|n, y, x| match (n, y, x) {
        (0, 1, 1) => 3.0,
        (0, 2, 3) => 1.0,
        (0, 0, 0) => -5.0,
        // a tie, one of it inside
        (1, 0, 0) | (1, 1, 2) => 2.0,
        // one pixel beside the box
        (2, 0, 0) => 1.0,
        _ => 0.0,
    });
    let map = map.with_boxes(&boxes).unwrap();
    let values = |set: &[&str]| -> Vec<f64> {
        judge(&map, "pointing-game", set).iter().map(|s| s.value.unwrap()).collect()
    };
    assert_eq!(values(&[]), [1.0, 1.0, 0.0]);
    assert_eq!(values(&["margin=1"]), [1.0, 1.0, 1.0]);
    let scores = judge(&map, "pointing-game", &[]);
    assert_eq!(scores[0].details["energy"], 0.75);
    assert_eq!(scores[0].details["chance"], 4.0 / 12.0);
    let flat = net.given(|_, _, _| 2.0).with_boxes(&boxes).unwrap();
    assert!(judge(&flat, "pointing-game", &[])[0].reason.as_ref().unwrap().contains("nowhere"));
    assert!(
        judge(&net.given(|_, _, _| 0.0), "pointing-game", &[])[0].reason.as_ref().unwrap().contains("boxes")
    );
    let text = net.given(|_, _, _| 0.0).with_boxes(&boxes[..2]).unwrap_err().to_string();
    assert!(text.contains("2 boxes for 3 images"), "{text}");
    let outside: [Region; 3] = [[0..2, 1..3], [0..2, 1..5], [1..3, 0..2]];
    assert!(net.given(|_, _, _| 0.0).with_boxes(&outside).is_err());
}

#[test]
fn mirrored_classes_have_mirrored_maps_and_eigen_cam_knows_no_class() {
    let graph = Graph::builder("mirror", [1, 5, 5]).layer("flatten", Flatten).layer("fc", Dense::new(2));
    let mut net = Net::new(graph.build().unwrap(), Init::He);
    net.set("fc.weight", |i| if i < 25 { 1.0 + i as f32 } else { -1.0 - (i - 25) as f32 });
    for score in judge(&net.case("gradient", &[]), "class-sensitivity", &[]) {
        assert!((score.value.unwrap() + 1.0).abs() < 1e-12, "{score:?}");
        assert!((score.details["magnitudes"].as_f64().unwrap() - 1.0).abs() < 1e-12);
    }
    let net = gap();
    assert!((average(&net.case("eigen-cam", &[]), "class-sensitivity", &[]) - 1.0).abs() < 1e-12);
    let (least, next) = (&["against=least"], &["against=next"]);
    let grad = net.case("gradient", &[]);
    assert!(average(&grad, "class-sensitivity", least) < 0.999);
    let other = |set: &[&str]| judge(&grad, "class-sensitivity", set)[0].details["other_class"].clone();
    assert_ne!(other(least), other(next));
}

#[test]
fn randomisation_sees_what_changed_and_nothing_else() {
    let net = gap();
    // the fresh values of the net's own seed and initialiser are its own
    let own = judge(&net.case("gradient", &[]), "model-randomization", &["init=pytorch", "seed=7"]);
    assert!(own.iter().all(|s| (s.value.unwrap() - 1.0).abs() < 1e-12), "{own:?}");
    for how in ["order=cascading", "order=independent"] {
        for likeness in ["magnitudes", "signed", "ssim"] {
            let set = [how, &format!("likeness={likeness}")];
            let score = &judge(&net.case("gradient", &[]), "model-randomization", &set)[0];
            let layers = score.details["layers"].as_array().unwrap();
            let names: Vec<&str> = layers.iter().map(|l| l["layer"].as_str().unwrap()).collect();
            assert_eq!(names, ["fc", "conv2", "conv1"]);
            let sum: f64 = layers.iter().map(|l| l[likeness].as_f64().unwrap()).sum();
            assert!((score.value.unwrap() - sum / 3.0).abs() < 1e-12 && score.value.unwrap() < 0.9);
        }
    }
    // eigen-cam at the first rectifier sees only the first layer
    let eigen = case(&net.ask().layer("relu1"), "eigen-cam", &[]);
    for how in ["order=cascading", "order=independent"] {
        let score = &judge(&eigen, "model-randomization", &[how])[0];
        let at = |i: usize| score.details["layers"][i]["magnitudes"].as_f64().unwrap();
        assert!((at(0) - 1.0).abs() < 1e-12 && (at(1) - 1.0).abs() < 1e-12 && at(2) < 0.999, "{how}");
    }
}

#[test]
fn scores_depend_on_the_seed_and_on_nothing_else_in_the_batch() {
    let net = gap();
    let boxes: [Region; 3] = [[0..4, 1..3], [0..4, 1..3], [1..3, 0..2]];
    let all = net.case("gradient-x-input", &[]).with_boxes(&boxes).unwrap();
    let x = net.x.select(Axis(0), &[0]);
    let ask = Ask { input: &x, ..net.ask() };
    let alone = case(&ask, "gradient-x-input", &[]).with_boxes(&boxes[..1]).unwrap();
    for measure in MEASURES {
        let (many, one) = (judge(&all, measure.name, &[]), judge(&alone, measure.name, &[]));
        assert_eq!(many, judge(&all, measure.name, &[]), "{}", measure.name);
        let gap = many[0].value.unwrap() - one[0].value.unwrap();
        assert!(gap.abs() < 1e-5, "{} {gap}", measure.name);
        let seeded = measure.keys.iter().any(|k| k.name == "seed");
        // no tie, so nothing is drawn
        let drawn = seeded && !["deletion", "insertion"].contains(&measure.name);
        if drawn {
            assert_ne!(many, judge(&all, measure.name, &["seed=1"]), "{}", measure.name);
        }
    }
}

#[test]
fn maps_that_say_nothing_get_no_number_or_the_worst() {
    let net = gap();
    let flat = net.given(|_, _, _| 0.0);
    for (measure, part) in [
        ("sensitivity-n", "same for all sets"),
        ("model-randomization", "were given"),
        ("class-sensitivity", "were given"),
        ("pointing-game", "boxes"),
    ] {
        for score in judge(&flat, measure, &[]) {
            assert!(score.value.is_none() && score.reason.unwrap().contains(part), "{measure}");
        }
    }
    let method = methods::named("deep-dream").unwrap();
    let text = Case::new(&net.ask(), method, &Settings::defaults(method)).unwrap_err().to_string();
    assert!(text.contains("makes an image"), "{text}");
    let ask = net.ask().targets(Targets::Each(vec![1]));
    let method = methods::named("gradient").unwrap();
    let text = Case::new(&ask, method, &Settings::defaults(method)).unwrap_err().to_string();
    assert!(text.contains("1 classes for 3 images"), "{text}");
}

#[test]
fn on_a_net_that_learned_something_maps_beat_chance() {
    let graph = graph("mnist_cnn");
    let params = arrays("mnist_cnn.weights").params(&graph, "");
    let x: Array4<f32> =
        arrays("mnist_cnn.methods").get("x").mapv(|v| v as f32).into_dimensionality().unwrap();
    let net = Net { graph, params, x };
    let maps = net.case("integrated-gradients", &["steps=10"]);
    let chance = net.given(|n, y, x| (((n * 784 + y * 28 + x) as f32) * 12.9898).sin() * 43758.547 % 1.0);
    let both = |measure: &str| (average(&maps, measure, &[]), average(&chance, measure, &[]));
    let (own, random) = both("deletion");
    assert!(own < 0.7 * random, "deletion {own} {random}");
    let (own, random) = both("insertion");
    assert!(own > random, "insertion {own} {random}");
    let (own, random) = both("sensitivity-n");
    assert!(own > 0.3 && random.abs() < 0.1, "sensitivity-n {own} {random}");
    let (own, random) = both("infidelity");
    assert!(own < 0.4 && random > 0.7, "infidelity {own} {random}");
    assert!(average(&maps, "class-sensitivity", &[]) < 0.5);
    let saliency = net.case("saliency", &[]);
    assert!(average(&saliency, "model-randomization", &[]) < 0.8);
}
