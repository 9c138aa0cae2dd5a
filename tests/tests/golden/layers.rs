//! Golden values, layer by layer: forward, pull-backs, parameter gradients, switches, statistics and losses, for both
//! number types, both numbers of lanes and every instruction set that this machine has.

use glassbox_engine::Graph;
use glassbox_engine::Real;
use glassbox_engine::layers::Layer;
use glassbox_engine::loss::{CrossEntropy, Loss, Targets};
use glassbox_engine::trace::Mode;
use glassbox_fixtures::{Arrays, arrays, json};
use glassbox_tests::compare::{blocked, close, wide};
use glassbox_tests::single::{Setting, Single, TRAIN, param, params, settings};
use ndarray::ArrayD;
use serde_json::Value;
use std::fmt::Write;
use std::sync::Arc;

/// The layer of a case, read as a model text is; the reference's `mode`, `name` and `kind` are no keys of a layer.
fn layer(case: &Value, vector: bool) -> Arc<dyn Layer> {
    let kind = case["kind"].as_str().unwrap();
    let mut text = String::from("[model]\ninput = [16, 40, 40]\n");
    if vector {
        text += "[[layer]]\nname = \"flat\"\nkind = \"flatten\"\n";
    }
    write!(text, "[[layer]]\nname = \"layer\"\nkind = \"{kind}\"\n").unwrap();
    if ["add", "concat"].contains(&kind) {
        text += "from = [\"input\", \"input\"]\n";
    }
    for (key, value) in case.as_object().unwrap() {
        if !["name", "kind", "mode", "reduction"].contains(&key.as_str()) {
            writeln!(text, "{key} = {value}").unwrap();
        }
    }
    // groups must divide the channels of this stand-in input; the case's own input is checked when it runs
    let channels = case.get("groups").and_then(Value::as_u64).map_or(16, |g| 16 * g);
    let graph = Graph::from_toml(&text.replace("[16,", &format!("[{channels},")), "case").unwrap();
    graph.nodes().last().unwrap().layer.clone()
}

fn check<R: Real>(case: &Value, golden: &Arrays, setting: Setting, limit: f64) {
    let name = case["name"].as_str().unwrap();
    let what = |part: &str| format!("{name} {part} {} lanes {} {:?}", R::NAME, setting.lanes, setting.isa);
    let get = |part: &str| golden.find(&format!("{name}.{part}"));
    let inputs: Vec<ArrayD<f64>> = ["x0", "x1"].iter().filter_map(|x| get(x).cloned()).collect();
    let layer = layer(case, inputs[0].ndim() == 2);
    let shapes: Vec<_> = inputs.iter().map(|x| blocked::<R>(x, 1).shape()).collect();
    let facts = layer.infer(&shapes).unwrap();
    let params = params::<R>(&facts, |part, dims| {
        let before = get(&format!("{part}_before")).or_else(|| get(part)).cloned();
        before.unwrap_or_else(|| {
            assert_eq!(part, "num_batches_tracked");
            ArrayD::zeros(dims)
        })
    });
    let run = Single::run(&layer, &inputs, &params, setting);
    close(&what("y"), &run.y(), get("y").unwrap(), limit);
    let dy = get("dy").unwrap();
    for (i, dx) in run.pull(dy).iter().enumerate() {
        close(&what(&format!("dx{i}")), dx, get(&format!("dx{i}")).unwrap(), limit);
    }
    let grads = run.pull_params(dy);
    let mut checked = 0;
    for decl in facts.params.iter().filter(|p| p.role.learnable()) {
        let want = get(&format!("d{}", decl.name)).unwrap();
        close(&what(&format!("d{}", decl.name)), &param(&grads, decl.name), want, limit);
        checked += 1;
    }
    assert_eq!(checked, ["weight", "bias"].iter().filter(|p| get(p).is_some()).count(), "{name}");
    if let Some(switches) = get("switches") {
        let got = run.saved[0].switches().to_array4().mapv(f64::from).into_dyn();
        assert_eq!(&got, switches, "{}", what("switches"));
    }
    if get("running_mean_before").is_some() {
        let after = run.folded();
        for part in ["running_mean", "running_var"] {
            close(&what(part), &param(&after, part), get(part).unwrap(), limit);
        }
        assert_eq!(param(&after, "num_batches_tracked").sum(), 1.0);
    }
}

fn check_loss<R: Real>(case: &Value, golden: &Arrays, lanes: usize, limit: f64) {
    let name = case["name"].as_str().unwrap();
    let smoothing = case.get("label_smoothing").and_then(Value::as_f64).unwrap_or(0.0);
    let logits = blocked::<R>(golden.get(&format!("{name}.x0")), lanes);
    let classes = golden.classes("cross_entropy.targets");
    let mut seed = logits.clone();
    seed.fill(R::nan());
    let cost =
        CrossEntropy { smoothing }.cost(logits.view(), Targets::Classes(&classes), Some(&mut seed)).unwrap();
    let dy = golden.get(&format!("{name}.dy")).sum();
    let what = format!("{name} {} lanes {lanes}", R::NAME);
    close(&what, &ArrayD::from_elem(vec![], cost.mean()), golden.get(&format!("{name}.y")), limit);
    close(&what, &(wide(&seed) * dy), golden.get(&format!("{name}.dx0")), limit);
    assert_eq!(seed.values().iter().filter(|v| v.is_nan()).count(), 0, "padding receives zeros");
}

#[test]
fn every_layer_case_in_both_types() {
    let (cases, golden) = (json("reference/layers.json"), arrays("layers"));
    let cases = cases.as_array().unwrap();
    assert_eq!(cases.len(), 38);
    for case in cases {
        if case["kind"] == "loss" {
            for lanes in [1, 16] {
                check_loss::<f64>(case, &golden, lanes, 1e-10);
                check_loss::<f32>(case, &golden, lanes, 1e-5);
            }
            continue;
        }
        let mode = if case["mode"] == "train" { TRAIN } else { Mode::Eval };
        for setting in settings(mode) {
            check::<f64>(case, &golden, setting, 1e-10);
            check::<f32>(case, &golden, setting, 1e-5);
        }
    }
}
