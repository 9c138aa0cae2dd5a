//! Dumps as training goes, as a user asks for them.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn run(folder: &Path, line: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    program.current_dir(folder).args(line.split_whitespace()).output().unwrap()
}

fn good(folder: &Path, line: &str) {
    let out = run(folder, line);
    assert!(out.status.success(), "{line}: {}", String::from_utf8_lossy(&out.stderr));
}

const RUN: &str = "train --limit 96 --batch 16 --epochs 2 --quiet --seed 3";

/// Every file below a folder, with forward slashes.
fn files(folder: &Path, below: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(folder, &path, found);
        } else {
            found.insert(path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/"));
        }
    }
}

#[test]
fn watching_changes_no_bit_and_the_index_lists_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let watched = "--dump all --dump-every-steps 5 --dump-images 4,0 --threads 2";
    good(at, &format!("{RUN} --out a --dump-every 0 --no-figures --threads 1"));
    good(at, &format!("{RUN} --out b {watched}"));
    for name in ["best.safetensors", "latest.safetensors"] {
        let bytes = |run: &str| fs::read(at.join(run).join("checkpoints").join(name)).unwrap();
        assert!(bytes("a") == bytes("b"), "{name} differs");
    }
    assert!(!at.join("a/dumps").exists());
    for file in ["conv1.png", "relu2.png", "pool2-animated.png"] {
        assert!(at.join("b/figures/strips").join(file).is_file(), "{file} is missing");
    }

    let dumps = at.join("b/dumps");
    let index: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(dumps.join("index.json")).unwrap()).unwrap();
    let entries = index["dumps"].as_array().unwrap();
    let listed: BTreeSet<String> = entries
        .iter()
        .flat_map(|e| e["files"].as_array().unwrap())
        .map(|f| f.as_str().unwrap().to_string())
        .collect();
    let mut there = BTreeSet::new();
    files(&dumps, &dumps, &mut there);
    assert!(there.remove("index.json") && there == listed, "{there:?} {listed:?}");
    assert_eq!(index["probe"][0]["place"], 4);
    for file in [
        "epoch-001/conv1/maps.png",
        "epoch-001/conv1/maps-0.png",
        "epoch-001/conv1/kernel-gradients.npy",
        "epoch-002/conv2/gradients.png",
        "epoch-002/relu2/deconvnet.npy",
        "epoch-002/pool1/switches.png",
        "epoch-002/fc1/histograms.svg",
        "epoch-002/input/saliency.png",
        "epoch-002/input/grad-cam.png",
        "epoch-002/input/deconvnet.npy",
        "step-000005/conv1/kernels.png",
        "step-000010/relu1/maps.npy",
    ] {
        assert!(listed.contains(file), "{file} is missing: {listed:?}");
    }
    assert!(
        !listed.iter().any(|f| f.contains("flatten")),
        "a copy of the layer below has no pictures of its own"
    );
    for (file, shape) in [
        ("epoch-001/conv1/maps.npy", "(2, 6, 28, 28)"),
        ("epoch-001/pool1/switches.npy", "(2, 6, 14, 14)"),
        ("epoch-001/relu2/deconvnet.npy", "(2, 4, 1, 28, 28)"),
        ("epoch-001/fc1/histograms.npy", "(4, 40, 3)"),
    ] {
        let bytes = fs::read(dumps.join(file)).unwrap();
        assert!(String::from_utf8_lossy(&bytes[..120]).contains(shape), "{file}: {shape}");
    }
}

const OF_EPOCH: [&str; 8] = [
    "conv2/grad-cam.npy",
    "conv2/grad-cam.png",
    "input/grad-cam.npy",
    "input/grad-cam.png",
    "pool1/grad-cam.npy",
    "pool1/grad-cam.png",
    "pool1/switches.npy",
    "pool1/switches.png",
];

#[test]
fn layers_and_kinds_are_chosen_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    good(
        at,
        &format!(
            "{RUN} --out a --dump switches,grad-cam --dump-layers pool1,conv2 --dump-every 9 --no-figures"
        ),
    );
    let mut there = BTreeSet::new();
    files(&at.join("a/dumps"), &at.join("a/dumps"), &mut there);
    // the first epoch and the last are dumped
    let want =
        ["epoch-001", "epoch-002"].map(|epoch| OF_EPOCH.map(|file| format!("{epoch}/{file}"))).concat();
    there.remove("index.json");
    assert_eq!(there.into_iter().collect::<Vec<_>>(), want);
    for (options, says) in [
        ("--dump map", "did you mean \"maps\"?"),
        ("--dump-layers conv9", "unknown layer \"conv9\""),
        ("--dump-images 96", "test image 96"),
    ] {
        let out = run(at, &format!("{RUN} --out b {options}"));
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(2) && text.contains(says), "{options}: {text}");
        assert!(!at.join("b").exists(), "nothing is written before everything is checked");
    }
}

#[test]
fn what_ends_the_dumps_is_told_and_training_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    good(at, &format!("{RUN} --out a --no-figures"));
    // the dump of the third epoch cannot be put where this file is
    fs::write(at.join("a/dumps/epoch-003"), "in the way").unwrap();
    let out = run(at, "resume a --epochs 6 --no-figures");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1), "{text}");
    assert!(text.contains("note: there are no more dumps") && text.contains("epoch-003: cannot"), "{text}");
    assert_eq!(fs::read_to_string(at.join("a/log.csv")).unwrap().lines().count(), 7, "{text}");
    assert!(!at.join("a/dumps/epoch-004").exists());
    // nothing is lost: with the place free again, the run goes on with dumps
    fs::remove_file(at.join("a/dumps/epoch-003")).unwrap();
    good(at, "resume a --epochs 7 --no-figures --quiet");
    assert!(at.join("a/dumps/epoch-007/conv1/maps.png").is_file());
}
