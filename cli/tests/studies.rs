//! Looking at a whole net, a whole data set and a whole training, as a user types it.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, line: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    program.current_dir(folder).args(line.split_whitespace()).output().unwrap()
}

fn good(folder: &Path, line: &str) -> String {
    let out = run(folder, line);
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_diagnosed_run_has_the_same_bits_and_its_figure() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let train = "train --limit 160 --batch 16 --epochs 2 --no-figures --quiet --dump-every 0";
    good(at, train);
    good(at, &format!("{train} --diagnose"));
    let last =
        |n: usize| fs::read(at.join(format!("runs/lenet-{n}/checkpoints/latest.safetensors"))).unwrap();
    assert!(last(1) == last(2));

    let text = fs::read_to_string(at.join("runs/lenet-2/diagnosis.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    let relu = lines[2]["layers"].as_array().unwrap().iter().find(|l| l["layer"] == "relu1").unwrap();
    assert_eq!((&relu["units"], lines[2]["epoch"].as_u64()), (&6.into(), Some(2)));
    let bins = relu["activation"]["histogram"].as_array().unwrap();
    assert_eq!(bins.len(), lines[0]["edges"].as_array().unwrap().len() + 1);
    let sum: u64 = bins.iter().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(Some(sum), relu["activation"]["count"].as_u64());

    good(at, "figure diagnosis runs/lenet-2");
    assert!(fs::read_to_string(at.join("figures/diagnosis/layers.svg")).unwrap().contains("conv2"));
    let out = run(at, "figure diagnosis runs/lenet-1");
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("--diagnose"));
    good(at, "resume runs/lenet-2 --epochs 3 --no-figures --quiet");
    assert_eq!(fs::read_to_string(at.join("runs/lenet-2/diagnosis.jsonl")).unwrap().lines().count(), 4);
}

#[test]
fn whole_nets_and_data_sets_are_drawn_with_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    good(at, "figure cnnvis --model lenet --limit 100 --out o");
    let net = json(&at.join("o/cnnvis/overview.json"));
    let layers: Vec<&str> =
        net["layers"].as_array().unwrap().iter().map(|l| l["layer"].as_str().unwrap()).collect();
    assert_eq!(layers, ["relu1", "relu2", "relu4", "fc3"]);
    for edges in net["edges"].as_array().unwrap() {
        assert!(at.join("o").join(edges["units"].as_str().unwrap()).is_file(), "{edges}");
    }
    assert!(fs::read_to_string(at.join("o/cnnvis/overview.svg")).unwrap().contains("data:image/png;base64,"));

    let line = "figure projection --model lenet --limit 90 --out o --set method=";
    good(at, &format!("{line}pca"));
    good(at, &format!("{line}tsne --set steps=60"));
    let pca = json(&at.join("o/projection/pca.json"));
    for (key, range) in
        [("trustworthiness", 0.5..1.0), ("agreement_there", 0.2..1.0), ("agreement_here", 0.1..1.0)]
    {
        let value = pca["layers"][0][key].as_f64().unwrap();
        assert!(range.contains(&value), "{key} {value}");
    }
    assert_eq!(json(&at.join("o/projection/tsne.json"))["layers"][1]["layer"], "relu4");
    let out = run(at, "figure projection --model lenet --limit 90 --set perplexity=200");
    assert!(String::from_utf8_lossy(&out.stderr).contains("perplexity 200 with 90 points"));
}

#[test]
fn probes_say_how_far_each_layer_pulls_classes_apart() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let line =
        "probe --model lenet --limit 300 --epochs 12 --layer input --layer relu2 --svg probes.svg --json";
    let text = good(at, line);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (n, features) in [(0, 784), (1, 16 * 100)] {
        let layer = &value["layers"][n];
        assert_eq!(layer["features"], features);
        assert!(layer["test_accuracy"].as_f64().unwrap() > 0.5, "{layer}");
    }
    assert!(fs::read_to_string(at.join("probes.svg")).unwrap().contains("relu2"));
    assert_eq!(good(at, line), text);
}
