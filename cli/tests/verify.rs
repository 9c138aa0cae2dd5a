//! Judging maps, as a user types it.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn glassbox(folder: &Path, line: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    program.current_dir(folder).args(line.split_whitespace()).output().unwrap()
}

fn good(folder: &Path, line: &str) -> String {
    let out = glassbox(folder, line);
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn maps_are_judged_and_drawn_beside_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let seven = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/images/seven.png");
    let line = format!(
        "verify lenet --input {seven} --method saliency grad-cam --measure deletion sensitivity-n pointing-game \
         --set deletion.step=0.1 --set sensitivity-n.subsets=10 --set grad-cam.relu=false --box 4,4,23,23"
    );
    let table = good(at, &line);
    assert!(table.contains("deletion (low)") && table.contains("random map"), "{table}");
    let report: Value = serde_json::from_str(&good(at, &format!("{line} --json --out all.json"))).unwrap();
    assert_eq!(
        report,
        serde_json::from_str::<Value>(&fs::read_to_string(at.join("all.json")).unwrap()).unwrap()
    );
    let methods = report["methods"].as_array().unwrap();
    let names: Vec<&str> = methods.iter().map(|m| m["method"].as_str().unwrap()).collect();
    assert_eq!(names, ["saliency", "grad-cam", "random map"]);
    assert_eq!(methods[1]["settings"]["relu"], "false");
    for method in methods {
        let scores = |measure: &str| method["measures"][measure]["scores"][0].clone();
        assert_eq!(scores("deletion")["changed"].as_array().unwrap().len(), 12);
        assert_eq!(scores("pointing-game")["chance"], 400.0 / 784.0);
        assert!((-1.0..=1.0).contains(&method["measures"]["sensitivity-n"]["mean"].as_f64().unwrap()));
    }
    good(at, &format!("figure belief lenet --input {seven} --out trust"));
    assert!(fs::read(at.join("trust/belief.png")).unwrap().starts_with(b"\x89PNG"));
    let numbers: Value = serde_json::from_slice(&fs::read(at.join("trust/belief.json")).unwrap()).unwrap();
    assert_eq!(numbers["images"][0], "seven.png");
    assert_eq!(numbers["methods"].as_array().unwrap().len(), 10);

    assert!(good(at, "verify --list").contains("infidelity"));
    assert!(good(at, "verify --list --measure deletion").contains("Petsiuk"));
    for (wrong, part) in [
        ("--set step=1", "NAME.key=value"),
        ("--set delition.step=1", "did you mean \"deletion\"?"),
        ("--set deletion.stap=1", "did you mean \"step\"?"),
        ("--box 3,4", "first row"),
        ("--box 3,4,5,40", "hold pixels"),
        ("--method deep-dream", "makes an image"),
    ] {
        let out = glassbox(at, &format!("verify lenet --input {seven} {wrong}"));
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(2) && text.contains(part), "{wrong}: {text}");
    }
}
