//! Listing, comparing, exporting, reporting and completing, as a user types it.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use std::fs;
use std::path::Path;
use std::process::Command;

fn good(folder: &Path, line: &str) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    let out = program.current_dir(folder).args(line.split_whitespace()).output().unwrap();
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn runs_are_listed_compared_exported_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    for seed in 1..=2 {
        good(at, &format!("train --limit 160 --batch 16 --epochs 2 --seed {seed} --no-figures --quiet"));
    }
    let text = good(at, "runs");
    assert!(text.contains("runs/lenet-1") && text.contains("runs/lenet-2") && text.contains("2/2"), "{text}");

    // a run is measured on what it was tested on, unless more or less is asked for
    for (options, images) in [("", 160), ("--limit 40", 40), ("--data digits --limit 200", 200)] {
        let text = good(at, &format!("eval runs/lenet-1 {options} --json"));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["images"], images, "{options}: {text}");
    }
    let text = good(at, "compare runs/lenet-1 runs/lenet-2 --json");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["images"], 160, "{text}");

    let text = good(at, "compare runs/lenet-1 runs/lenet-2 --limit 100 --svg both.svg --json");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let flips = |key: &str| value[key].as_array().unwrap().len() as f64;
    let accuracy = |n: usize| value["accuracy"][n].as_f64().unwrap();
    let difference = (flips("only_second_right") - flips("only_first_right")) / 100.0;
    assert!((accuracy(1) - accuracy(0) - difference).abs() < 1e-12, "{text}");
    let same = good(at, "compare runs/lenet-1 runs/lenet-1 --limit 100");
    assert!(same.contains("p = 1.000"), "{same}");
    assert!(fs::read_to_string(at.join("both.svg")).unwrap().contains("lenet-2 test"));

    good(at, "export runs/lenet-1 --to safetensors --out out.safetensors");
    let best = fs::read(at.join("runs/lenet-1/checkpoints/best.safetensors")).unwrap();
    assert!(fs::read(at.join("out.safetensors")).unwrap() == best);

    good(at, "report runs/lenet-1");
    let html = fs::read_to_string(at.join("runs/lenet-1/report.html")).unwrap();
    for part in
        ["Misclassified images", "data-epochs=\"epoch 1,epoch 2\"", "maps of conv2 after epoch 1", "[record]"]
    {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("src=\"http") && !html.contains("href=\"http"));
    assert!(good(at, "completions bash").contains("glassbox"));
}

#[test]
fn single_numbers_are_worked_out_of_the_bundled_net_and_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let text = good(at, "explain-step");
    for part in
        ["0.0232455", "<- the switch points here", "2 tied", "the engine stored 1.25 (the same", "-0.01148"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = good(at, "explain-step --layer relu --unit 0,2,1 --show gradient --svg step.svg --json");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let sum: f64 = value["terms"].as_array().unwrap().iter().map(|t| t["value"].as_f64().unwrap()).sum();
    assert!(
        (sum + 0.005744).abs() < 1e-6 && (sum - value["stored"].as_f64().unwrap()).abs() < 1e-8,
        "{text}"
    );
    assert_eq!(value["agrees"], true);
    assert!(fs::read_to_string(at.join("step.svg")).unwrap().starts_with("<svg"));

    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/images/seven.png");
    for what in ["conv2", "pool1 --unit 3", "conv1 --show gradient --weight 0,0,2,2", "pool2 --show unpool"] {
        let text = good(at, &format!("explain-step --model lenet --input {picture} --layer {what} --json"));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["agrees"], true, "{what}: {text}");
    }
}
