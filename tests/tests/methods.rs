//! Methods against golden values: two nets, made with PyTorch, Captum and explicit formulas.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use glassbox_engine::{Graph, Params};
use glassbox_fixtures::{Arrays, arrays, graph};
use glassbox_viz::methods::{Answer, Ask, Moment, Settings, Targets, Unit, named, under_noise};
use ndarray::{Array4, ArrayD};

/// A net with its golden maps.
struct Case {
    name: &'static str,
    graph: Graph,
    params: Params,
    golden: Arrays,
    x: Array4<f32>,
    targets: Targets,
}

const CASES: [&str; 2] = ["mnist_cnn", "tiny_dag"];

fn case(name: &'static str) -> Case {
    let graph = graph(name);
    let params = arrays(&format!("{name}.weights")).params(&graph, "");
    let golden = arrays(&format!("{name}.methods"));
    let x = golden.get("x").mapv(|v| v as f32).into_dimensionality().unwrap();
    let targets = Targets::Each(golden.get("target").iter().map(|&v| v as usize).collect());
    Case { name, graph, params, golden, x, targets }
}

impl Case {
    fn ask(&self) -> Ask<'_> {
        Ask::new(&self.graph, &self.params, &self.x).targets(self.targets.clone())
    }

    fn run(&self, method: &str, ask: &Ask<'_>, set: &[&str]) -> Answer {
        let method = named(method).unwrap();
        method.run(ask, &Settings::parse(method, set).unwrap()).unwrap()
    }

    /// Compares within `limit` of the golden array's largest value.
    fn close(&self, what: &str, map: &ArrayD<f32>, limit: f64) {
        let golden = self.golden.get(what);
        assert_eq!(map.shape(), golden.shape(), "{} {what}", self.name);
        let largest = golden.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let gap = map.iter().zip(golden).map(|(&a, b)| (f64::from(a) - b).abs()).fold(0.0, f64::max);
        println!("{} {what}: {gap:.1e} of {largest:.1e}", self.name);
        assert!(gap <= limit * largest, "{} {what}: off by {gap} of {largest}", self.name);
    }
}

const LIMIT: f64 = 1e-4;

#[test]
fn maps_of_the_input() {
    for case in CASES.map(case) {
        for (method, golden) in [
            ("deconvnet", "deconvnet-class"),
            ("gradient", "gradient"),
            ("gradient-x-input", "gradient-x-input"),
            ("guided-backprop", "guided-backprop"),
            ("saliency", "saliency"),
        ] {
            let answer = case.run(method, &case.ask(), &[]);
            case.close(&format!("input/{golden}"), &answer.map, LIMIT);
            for facts in &answer.facts {
                let residual = facts.residual.as_ref().unwrap();
                assert!(residual.relative() < 1e-5, "{} {method} {residual:?}", case.name);
            }
        }
    }
}

#[test]
fn maps_by_variants_of_the_input() {
    for case in CASES.map(case) {
        let answer = case.run("integrated-gradients", &case.ask(), &["steps=50"]);
        case.close("input/integrated-gradients-gl50", &answer.map, LIMIT);
        for facts in &answer.facts {
            let residual = facts.residual.as_ref().unwrap();
            assert!(residual.relative() < 0.02, "{} {residual:?}", case.name);
        }
        let answer = case.run("occlusion", &case.ask(), &["window=5", "stride=2", "baseline=zero"]);
        case.close("input/occlusion-w5-s2-mean", &answer.map, LIMIT);
        let noise = case.golden.get("noise");
        let (draws, size) = (noise.shape()[0], case.graph.input().size());
        let noise: Vec<f32> = noise.iter().map(|&v| v as f32).collect();
        for (moment, golden) in [(Moment::Mean, "smoothgrad"), (Moment::Square, "smoothgrad-squared")] {
            let answer = under_noise(&case.ask(), moment, draws, |sample, draw, image| {
                let at = (draw * case.x.dim().0 + sample) * size;
                image.iter_mut().zip(&noise[at..][..size]).for_each(|(v, e)| *v += e);
            });
            case.close(&format!("input/{golden}"), &answer.unwrap().map, LIMIT);
        }
    }
}

#[test]
fn projections_of_units() {
    for case in CASES.map(case) {
        for (what, _) in case.golden.under("project/") {
            let parts: Vec<&str> = what.split('/').collect();
            let [layer, rule, channel] = parts[..] else { panic!("{what}") };
            let method = match rule {
                "deconv" => "deconvnet",
                "guided" => "guided-backprop",
                _ => "gradient",
            };
            let unit = Unit::Channel(channel.trim_start_matches("channel").parse().unwrap());
            let answer = case.run(method, &case.ask().layer(layer).unit(unit), &[]);
            case.close(&format!("project/{what}"), &answer.map, LIMIT);
        }
    }
}

#[test]
fn maps_of_a_layer() {
    for case in CASES.map(case) {
        for (what, _) in case.golden.under("cam/") {
            let (layer, method) = what.split_once('/').unwrap();
            let answer = case.run(method, &case.ask().layer(layer), &[]);
            case.close(&format!("cam/{what}"), &answer.map, LIMIT);
        }
    }
}
