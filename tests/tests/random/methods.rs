//! Methods on random graphs with skips, groups, overlapping pools and batch-norm: what theory promises of any net.

use crate::dags::{grow, wishes};
use crate::property;
use glassbox_engine::graph::Init;
use glassbox_engine::{Graph, Params};
use glassbox_tests::compare::shuffled;
use glassbox_viz::methods::{Answer, Ask, Facts, METHODS, Settings, Space, Targets, named};
use ndarray::Array4;

struct Case {
    graph: Graph,
    params: Params<f64>,
    x: Array4<f64>,
}

impl Case {
    /// Parameters of batch-norm are moved from where they do nothing.
    fn new(graph: Graph) -> Self {
        let mut params: Params<f64> = graph.init(Init::PyTorch, 3);
        let names: Vec<String> = graph.layout().specs().iter().map(|s| s.name.clone()).collect();
        for (i, name) in names.iter().enumerate() {
            let shift = match name.rsplit('.').next() {
                Some("running_mean") => 0.1,
                Some("running_var") => 0.6,
                Some("bias") => 0.02 * (i % 5) as f64,
                _ => continue,
            };
            let moved = params.get(name).unwrap().mapv(|v| v + shift);
            params.set(name, moved.view()).unwrap();
        }
        let x = shuffled(&graph.input().exported(2), 7).mapv(|v| v + 0.3 * (50.0 * v).sin());
        Self { graph, params, x: x.into_dimensionality().unwrap() }
    }

    fn ask(&self) -> Ask<'_, f64> {
        Ask::new(&self.graph, &self.params, &self.x).targets(Targets::Same(1))
    }

    fn run(&self, method: &str, set: &[&str]) -> Answer<f64> {
        let method = named(method).unwrap();
        let answer = method.run64(&self.ask(), &Settings::parse(method, set).unwrap());
        answer.unwrap_or_else(|e| panic!("{}: {e}\n{}", method.name, self.graph.to_toml()))
    }
}

fn off(facts: &Facts) -> f64 {
    facts.residual.as_ref().unwrap().value.abs()
}

#[test]
fn what_goes_down_is_the_transpose_of_what_went_up() {
    property(64, wishes(), |(wishes, input)| {
        let case = Case::new(grow(&wishes, input));
        for method in ["gradient", "gradient-x-input", "deconvnet", "guided-backprop"] {
            for facts in case.run(method, &[]).facts {
                let relative = facts.residual.as_ref().unwrap().relative();
                assert!(relative < 1e-10, "{method} {facts:?}\n{}", case.graph.to_toml());
            }
        }
        Ok(())
    });
}

#[test]
fn deeplift_and_integrated_gradients_are_complete() {
    property(64, wishes(), |(wishes, input)| {
        let case = Case::new(grow(&wishes, input));
        for baseline in ["baseline=zero", "baseline=0.3"] {
            let answer = case.run("deeplift", &[baseline]);
            let paths = case.run("integrated-gradients", &[baseline, "steps=300", "rule=midpoint"]);
            for n in 0..2 {
                let size = |answer: &Answer<f64>| -> f64 {
                    let map = answer.map.index_axis(ndarray::Axis(0), n);
                    map.iter().map(|v| v.abs()).sum()
                };
                let text = || format!("{baseline} image {n}\n{}", case.graph.to_toml());
                assert!(off(&answer.facts[n]) <= 1e-7 * (1e-3 + size(&answer)), "deeplift {}", text());
                assert!(off(&paths.facts[n]) <= 0.01 * (1e-3 + size(&paths)), "paths {}", text());
            }
        }
        Ok(())
    });
}

#[test]
fn without_biases_relevance_is_gradient_times_input() {
    property(64, wishes(), |(wishes, input)| {
        let mut case = Case::new(grow(&wishes, input));
        let smooth = ["tanh", "elu", "batchnorm"];
        if case.graph.nodes().iter().any(|n| smooth.contains(&n.layer.kind().name)) {
            return Ok(());
        }
        let names: Vec<String> = case.graph.layout().specs().iter().map(|s| s.name.clone()).collect();
        for name in names.iter().filter(|n| n.ends_with(".bias")) {
            let zeros = case.params.get(name).unwrap().mapv(|_| 0.0);
            case.params.set(name, zeros.view()).unwrap();
        }
        let product = case.run("gradient-x-input", &[]);
        let relevance = case.run("lrp-epsilon", &["epsilon=0"]);
        let gap = product.map.iter().zip(&relevance.map).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let largest = product.map.iter().map(|v| v.abs()).fold(0.0, f64::max);
        assert!(gap <= 1e-7 * (1e-3 + largest), "{gap} of {largest}\n{}", case.graph.to_toml());
        for (map, facts) in product.map.outer_iter().zip(&product.facts) {
            assert!((map.sum() - facts.score.unwrap()).abs() < 1e-9, "{}", case.graph.to_toml());
        }
        Ok(())
    });
}

#[test]
fn every_map_is_finite_and_zero_only_with_a_reason() {
    property(16, wishes(), |(wishes, input)| {
        let case = Case::new(grow(&wishes, input));
        let quick = ["draws", "masks", "steps"];
        for method in METHODS.iter().filter(|m| m.name != "cam" && m.space != Space::Made) {
            let counts = method.keys.iter().filter(|k| quick.contains(&k.name));
            let set: Vec<String> = counts.map(|k| format!("{}=4", k.name)).collect();
            let set: Vec<&str> = set.iter().map(String::as_str).collect();
            let small = case.graph.input().h.min(case.graph.input().w);
            let extra: &[&str] = match method.name {
                "rise" => &["cells=3"],
                "occlusion" if small < 5 => &["window=3"],
                _ => &[],
            };
            let text = || format!("{}\n{}", method.name, case.graph.to_toml());
            let settings = Settings::parse(method, &[&set[..], extra].concat()).unwrap();
            let answer = match method.run64(&case.ask(), &settings) {
                Ok(answer) => answer,
                // all layers may be beside the way from the input to the logits
                Err(e) if e.to_string().contains("has no layer with maps") => continue,
                Err(e) => panic!("{e}\n{}", text()),
            };
            assert!(answer.map.iter().all(|v| v.is_finite()), "{}", text());
            for facts in &answer.facts {
                assert!(!facts.all_zero || facts.reason.is_some(), "{}", text());
                assert!(facts.max > facts.min || facts.reason.is_some(), "{}", text());
            }
        }
        Ok(())
    });
}
