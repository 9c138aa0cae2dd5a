//! Looking at a whole training, as a user types it.
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
fn a_diagnosed_run_has_the_same_bits() {
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

    good(at, "resume runs/lenet-2 --epochs 3 --no-figures --quiet");
    assert_eq!(fs::read_to_string(at.join("runs/lenet-2/diagnosis.jsonl")).unwrap().lines().count(), 4);
}
