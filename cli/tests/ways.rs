//! Ways to train: by heart, with several seeds, weighted, with mixed schedules, watched by TensorBoard.
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

/// Runs what must fail with this exit code; its message.
fn refused(folder: &Path, line: &str, code: i32) -> String {
    let out = run(folder, line);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(code), "{line}: {text}");
    text
}

const SHORT: &str = "train --limit 320 --batch 32 --no-figures --dump-every 0 --quiet";

/// A column of log.csv.
fn column(run: &Path, name: &str) -> Vec<f64> {
    let text = fs::read_to_string(run.join("log.csv")).unwrap();
    let at = text.lines().next().unwrap().split(',').position(|n| n == name).unwrap();
    text.lines().skip(1).map(|line| line.split(',').nth(at).unwrap().parse().unwrap()).collect()
}

#[test]
fn a_net_learns_a_few_images_by_heart_or_says_that_it_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let rest = "--no-figures --dump-every 0 --quiet";
    good(at, &format!("train --overfit 8 --out a {rest}"));
    let accuracy = column(&at.join("a"), "test_accuracy");
    assert!(
        accuracy.last() == Some(&1.0) && accuracy.len() < 200,
        "it stops when nothing gets better: {accuracy:?}"
    );
    let config = fs::read_to_string(at.join("a/run.toml")).unwrap();
    for line in ["overfit = 8", "schedule = \"constant\"", "augment = []", "weight_decay = 0.0"] {
        assert!(config.contains(line), "{line}: {config}");
    }
    let text = refused(at, &format!("train --overfit 8 --epochs 1 --lr 0.0001 --out b {rest}"), 1);
    assert!(text.contains("did not learn 8 images by heart"), "{text}");
}

#[test]
fn seeds_make_runs_that_are_those_of_each_seed_alone() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let short = SHORT.replace("--quiet", "--epochs 1");
    let text = good(at, &format!("{short} --seeds 2 --seed 4 --out both"));
    assert!(text.contains("mean") && text.contains("deviation") && text.contains("both/seed-5"), "{text}");
    good(at, &format!("{short} --seed 5 --out one"));
    let best = |run: &str| fs::read(at.join(run).join("checkpoints/best.safetensors")).unwrap();
    assert!(best("both/seed-5") == best("one") && best("both/seed-4") != best("one"));
    let text = good(at, &format!("{short} --seeds 7,4 --json"));
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let accuracy = |n: usize| last["runs"][n]["test_accuracy"].as_f64().unwrap();
    let mean = last["test_accuracy"]["mean"].as_f64().unwrap();
    assert!(
        (mean - (accuracy(0) + accuracy(1)) / 2.0).abs() < 1e-12 && last["runs"][0]["seed"] == 7,
        "{last}"
    );
    let text = refused(at, &format!("{short} --seeds 4,4"), 2);
    assert!(text.contains("seed 4 is there twice"), "{text}");
}

#[test]
fn schedules_mix_and_a_plateau_lowers_the_rate_through_a_resume() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    good(at, &format!("{SHORT} --epochs 4 --lr 0.01 --schedule warmup:1+constant:1+cosine --out mixed"));
    let rates = column(&at.join("mixed"), "lr");
    assert!(rates[..2] == [0.01, 0.01] && rates[2] < 0.01 && rates[3] < 0.001, "{rates:?}");

    // a rate at which nothing is learned any more, so that the loss stays where it is
    let stuck = "--schedule constant --lr 1e-9 --plateau 1";
    good(at, &format!("{SHORT} --epochs 7 {stuck} --out whole"));
    let rates = column(&at.join("whole"), "lr");
    let drops: Vec<f64> = rates.iter().map(|r| (r / 1e-9).log10().round()).collect();
    assert_eq!(drops, [0.0, 0.0, 0.0, -1.0, -1.0, -2.0, -2.0], "{rates:?}");
    good(at, &format!("{SHORT} --epochs 7 {stuck} --early-stop 3 --out early"));
    let epochs = column(&at.join("early"), "epoch").len();
    assert!(epochs < 7, "{epochs}");
    // the same bits after a stop in between; early_stop itself is part of what decides, so it is taken back first
    let config = fs::read_to_string(at.join("early/run.toml")).unwrap();
    fs::write(at.join("early/run.toml"), config.replace("early_stop = 3\n", "")).unwrap();
    good(at, "resume early --force --no-figures --quiet");
    let best = |run: &str| fs::read(at.join(run).join("checkpoints/best.safetensors")).unwrap();
    assert_eq!(column(&at.join("early"), "lr"), rates);
    assert!(best("early") == best("whole"));
}

#[test]
fn classes_are_weighted_in_training_only() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let short = format!("{SHORT} --epochs 1");
    good(at, &format!("{short} --class-weights balanced --out balanced"));
    let weights = "1,1,1,1,1,1,1,1,1,0";
    good(at, &format!("{short} --class-weights {weights} --out without_nine"));
    let text = good(at, "eval without_nine --json");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let predicted: u64 = (0..10).map(|truth| value["confusion"][truth][9].as_u64().unwrap()).sum();
    assert_eq!(predicted, 0, "a class that counts nothing is never learned");
    let text = refused(at, &format!("{short} --class-weights 1,2 --out bad"), 2);
    assert!(text.contains("do not fit 10 classes") && !at.join("bad").exists(), "{text}");
    let text = refused(at, &format!("{short} --class-weights balance"), 2);
    assert!(text.contains("did you mean \"balanced\"?"), "{text}");
}

#[test]
fn tensorboard_gets_one_growing_file_and_changes_no_bit() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let short = SHORT.replace("--dump-every 0", "--dump-every 1");
    good(at, &format!("{short} --epochs 2 --out plain"));
    good(at, &format!("{short} --epochs 2 --tensorboard --out told"));
    for name in ["best.safetensors", "latest.safetensors"] {
        let bytes = |run: &str| fs::read(at.join(run).join("checkpoints").join(name)).unwrap();
        assert!(bytes("plain") == bytes("told"), "{name} differs");
    }
    assert!(!at.join("plain/tensorboard").exists());
    let files: Vec<_> = fs::read_dir(at.join("told/tensorboard")).unwrap().collect();
    assert_eq!(files.len(), 1);
    let bytes = fs::read(files[0].as_ref().unwrap().path()).unwrap();
    let tags = [
        "loss/batch",
        "loss/test",
        "accuracy/test",
        "parameters/conv1.weight",
        "gradients/fc3.bias",
        "conv2/maps",
    ];
    for tag in tags {
        assert!(bytes.windows(tag.len()).any(|w| w == tag.as_bytes()), "{tag} is missing");
    }
}

#[test]
fn shapes_in_cifars_layout_train_to_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let text = good(at, "datasets shapes --limit 300 --write cifar-10-batches-bin");
    assert!(text.contains("300 training and 300 test images of shapes"), "{text}");
    // a record as CIFAR's page describes it: the label, then the red, green and blue planes
    let bytes = fs::read(at.join("cifar-10-batches-bin/data_batch_1.bin")).unwrap();
    let first = glassbox_engine::data::shapes::generate(0, 13, 1).train.pixels;
    let record = &bytes[12 * 3073..][..3073];
    let pixels: Vec<u8> = first.index_axis(ndarray::Axis(0), 12).iter().copied().collect();
    assert!(bytes.len() == 60 * 3073 && record[0] == 2 && record[1..] == pixels);
    let text = refused(at, "datasets shapes --write cifar-10-batches-bin", 2);
    assert!(text.contains("never overwritten"), "{text}");
    let text = refused(at, "datasets digits --write grey", 2);
    assert!(text.contains("1x28x28") && !at.join("grey").exists(), "{text}");
    let short = "--model cifar-quick --limit 100 --batch 20 --epochs 1 --augment flip --no-figures --quiet";
    good(at, &format!("train --data shapes {short} --out made"));
    good(at, &format!("train --data cifar10 --data-dir . {short} --out read"));
    good(at, &format!("train --data cifar-10-batches-bin {short} --out named"));
    let best = |run: &str| fs::read(at.join(run).join("checkpoints/best.safetensors")).unwrap();
    assert!(best("made") == best("read") && best("made") == best("named"));
    assert!(at.join("read/dumps/epoch-001/conv1/kernels.png").is_file());
}
