//! The program as a user runs it: what it writes, what it says, and how it ends.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use tempfile::TempDir;

fn glassbox(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_glassbox")).args(args).current_dir(folder).output().unwrap()
}

fn ok(folder: &Path, args: &[&str]) -> String {
    let out = glassbox(folder, args);
    let (text, errors) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{args:?}: {text}{errors}");
    text.into_owned()
}

/// What a command that must fail says, and its exit code.
fn fails(folder: &Path, args: &[&str]) -> (i32, String) {
    let out = glassbox(folder, args);
    assert!(!out.status.success(), "{args:?} should have failed");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!text.contains("panicked"), "{args:?}: {text}");
    (out.status.code().unwrap(), text)
}

fn picture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/images").join(name);
    path.to_str().unwrap().to_string()
}

/// A short run that the tests share.
static RUN: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    ok(folder.path(), &["train", "--limit", "400", "--epochs", "2", "--batch", "16", "--quiet"]);
    let run = folder.path().join("runs/lenet-1");
    (folder, run)
});

#[test]
fn a_run_leaves_everything_in_its_folder() {
    let run = &RUN.1;
    for file in [
        "run.toml",
        "model.toml",
        "log.csv",
        "log.jsonl",
        "checkpoints/best.safetensors",
        "checkpoints/latest.safetensors",
        "dumps/index.json",
        "dumps/epoch-001/conv1/maps.png",
        "dumps/epoch-001/conv1/maps.npy",
        "dumps/epoch-002/conv1/kernels.png",
        "figures/curves.svg",
        "figures/architecture.svg",
        "figures/confusion.png",
        "figures/saliency.png",
        "figures/deconvnet.png",
        "figures/grad-cam.png",
        "figures/units/relu2.png",
        "figures/kernels/conv1.png",
    ] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    let layers = [
        "conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "flatten", "fc1", "relu3", "fc2", "relu4",
        "fc3",
    ];
    for layer in layers {
        assert!(run.join(format!("figures/maps/test-image-1/{layer}.png")).is_file(), "{layer}");
    }
    let rows = std::fs::read_to_string(run.join("log.csv")).unwrap();
    assert_eq!(rows.lines().count(), 3, "{rows}");
}

#[test]
fn every_list_lists() {
    let folder = tempfile::tempdir().unwrap();
    for (command, word) in [
        ("methods", "deconvnet"),
        ("layers", "adaptive_avgpool"),
        ("models", "alexnet-cifar"),
        ("datasets", "shapes"),
        ("figure", "feature-maps"),
    ] {
        let text = ok(folder.path(), &[command]);
        assert!(text.contains(word), "{command}: {text}");
    }
}

#[test]
fn a_run_predicts_explains_and_is_traced() {
    let (folder, run) = (tempfile::tempdir().unwrap(), RUN.1.to_str().unwrap());
    let (seven, three) = (picture("seven.png"), picture("three.png"));
    let at = folder.path();
    ok(at, &["predict", run, "--input", &seven, &three, "--out", "logits.npy"]);
    let bytes = std::fs::read(at.join("logits.npy")).unwrap();
    assert!(String::from_utf8_lossy(&bytes[..100]).contains("(2, 10)"), "two images, ten classes");
    ok(at, &["trace", run, "--input", &seven, "--out", "t.safetensors"]);
    let header = std::fs::read(at.join("t.safetensors")).unwrap();
    let header = String::from_utf8_lossy(&header[..2000]).into_owned();
    assert!(header.contains("\"pool1:switches\"") && header.contains("\"relu2\""), "{header}");
    let unit = ["--layer", "relu2", "--unit", "4"];
    for (method, shape, more) in [
        ("gradient", "(1, 1, 28, 28)", &[][..]),
        ("saliency", "(1, 28, 28)", &[]),
        ("deconvnet", "(1, 1, 28, 28)", &unit),
        ("guided-backprop", "(1, 1, 28, 28)", &unit),
        ("grad-cam", "(1, 10, 10)", &["--layer", "relu2"]),
        ("grad-cam", "(1, 28, 28)", &["--layer", "relu2", "--upsample", "--class", "3"]),
    ] {
        let args =
            ["explain", run, "--input", &seven, "--method", method, "--out", "m.npy", "--png", "m.png"];
        ok(at, &[&args[..], more].concat());
        let bytes = std::fs::read(at.join("m.npy")).unwrap();
        assert!(String::from_utf8_lossy(&bytes[..100]).contains(shape), "{method}: {shape}");
        assert_eq!(std::fs::read(at.join("m.png")).unwrap()[..4], *b"\x89PNG");
    }
    let text = ok(at, &["eval", run, "--limit", "200", "--json"]);
    assert!(text.contains("\"images\": 200"), "{text}");
    ok(at, &["figure", "methods", run, "--input", &seven, "--out", "why"]);
    assert!(at.join("why/methods.png").is_file());
}

#[test]
fn training_says_lines_when_piped_and_json_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["train", "--limit", "64", "--epochs", "1", "--no-figures", "--dump-every", "0"];
    let text = ok(folder.path(), &args);
    assert!(text.contains("epoch  1/1") && text.contains("images/s"), "{text}");
    let text = ok(folder.path(), &[&args[..], &["--json"]].concat());
    assert!(text.lines().all(|l| l.starts_with('{')) && text.contains("\"event\":\"end\""), "{text}");
    assert!(ok(folder.path(), &[&args[..], &["--quiet"]].concat()).is_empty());
    // three runs, three folders
    assert!(folder.path().join("runs/lenet-3/run.toml").is_file());
    let text = ok(folder.path(), &["train", "--dry-run", "--optimizer", "adam"]);
    assert!(text.contains("lr = 0.001") && text.contains("[[layer]]"), "{text}");
    // a colour net is not left where grey ones start
    let text = ok(folder.path(), &["train", "--dry-run", "--model", "alexnet-cifar", "--data", "shapes"]);
    for line in [
        "init = \"he\"",
        "optimizer = \"adamw\"",
        "lr = 0.0003",
        "augment = [\"flip\", \"turn\", \"shift=2\"]",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!folder.path().join("runs/lenet-4").exists());
}

#[test]
fn wrong_requests_name_the_cure_and_exit_with_2() {
    let (folder, run) = (tempfile::tempdir().unwrap(), RUN.1.to_str().unwrap());
    let at = folder.path();
    let seven = picture("seven.png");
    let explain = ["explain", run, "--input", &seven, "--method"];
    for (args, says) in [
        (vec!["train", "--model", "lenett"], "did you mean \"lenet\"?"),
        (vec!["train", "--optimizer", "addam"], "did you mean \"adam\"?"),
        (vec!["train", "--model", "zfnet", "--data", "shapes"], "does not fit images of 3x32x32"),
        (vec!["train", "--lr", "-1"], "learning rate -1 is not positive"),
        (vec!["train", "--schedule", "cosin"], "did you mean \"cosine\"?"),
        (vec!["train", "--batch", "0"], "at least 1 image"),
        (vec!["train", "--momentum", "2"], "momentum = 2"),
        (vec!["train", "--augment", "flp"], "did you mean \"flip\"?"),
        (vec!["train", "--loss", "hinge"], "cross-entropy"),
        (vec!["train", "--limit", "0"], "at least 1"),
        (vec!["inspect"], "no net is named"),
        (vec!["figure", "curvs", run], "did you mean \"curves\"?"),
        (vec!["figure", "curves", "--model", "lenet"], "needs the epochs of a run"),
        ([&explain[..], &["gradcam"]].concat(), "did you mean \"grad-cam\"?"),
        ([&explain[..], &["grad-cam", "--layer", "relu9"]].concat(), "unknown layer \"relu9\""),
        ([&explain[..], &["grad-cam", "--layer", "fc1"]].concat(), "fc1"),
        ([&explain[..], &["saliency", "--class", "12"]].concat(), "class 12 is out of range"),
        ([&explain[..], &["saliency", "--class", "1,2"]].concat(), "2 classes for 1 images"),
        ([&explain[..], &["deconvnet", "--set", "overlop=sum"]].concat(), "did you mean \"overlap\"?"),
        ([&explain[..], &["deconvnet", "--layer", "relu2", "--unit", "99"]].concat(), "99"),
        ([&explain[..], &["deconvnet", "--layer", "relu2", "--unit", "x"]].concat(), "--unit x"),
    ] {
        let (code, text) = fails(at, &args);
        assert_eq!(code, 2, "{args:?}: {text}");
        assert!(text.contains(says), "{args:?}: {text}");
    }
    assert!(!at.join("runs").exists(), "nothing is written before everything is checked");
}

#[test]
fn corrupt_files_exit_with_4_and_missing_ones_with_1() {
    let (folder, run) = (tempfile::tempdir().unwrap(), RUN.1.to_str().unwrap());
    let at = folder.path();
    let put = |name: &str, bytes: &[u8]| std::fs::write(at.join(name), bytes).unwrap();
    let whole = std::fs::read(RUN.1.join("checkpoints/best.safetensors")).unwrap();
    put("cut.safetensors", &whole[..whole.len() - 5]);
    put("lies.safetensors", &[0xff; 64]);
    put("cut.png", &std::fs::read(picture("seven.png")).unwrap()[..60]);
    put(
        "cut.npy",
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,28,28), }",
    );
    std::fs::create_dir(at.join("idx")).unwrap();
    for name in [
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    ] {
        put(&format!("idx/{name}"), &[0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 28, 0, 0, 0, 28, 1, 2, 3]);
    }
    for args in [
        &["inspect", "--weights", "cut.safetensors"][..],
        &["inspect", "--weights", "lies.safetensors"],
        &[
            "inspect",
            "--model",
            "mnist-example",
            "--weights",
            RUN.1.join("checkpoints/best.safetensors").to_str().unwrap(),
        ],
        &["predict", run, "--input", "cut.png"],
        &["predict", run, "--input", "cut.npy"],
        &["train", "--data", "idx"],
    ] {
        let (code, text) = fails(at, args);
        assert_eq!(code, 4, "{args:?}: {text}");
    }
    let (code, text) = fails(at, &["train", "--data", "mnist", "--data-dir", "nowhere"]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("train-images") && text.contains("nowhere") && text.contains("--data-dir"),
        "{text}"
    );
    put(
        "wrong.toml",
        b"[model]\ninput = [1, 28, 28]\n[[layer]]\nname = \"a\"\nkind = \"conv\"\nout = 4\nkernel = 40\n",
    );
    let (code, text) = fails(at, &["inspect", "--model", "wrong.toml"]);
    assert_eq!(code, 2);
    assert!(
        text.contains("wrong.toml:3") && text.contains("kernel 40x40 does not fit its input 28x28"),
        "{text}"
    );
    let (code, text) = fails(at, &["train", "--out", run]);
    assert_ne!(code, 0);
    assert!(text.contains("exists"), "{text}");
}

#[test]
fn gradients_are_checked_and_divergence_exits_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let text = ok(folder.path(), &["gradcheck", "--model", "gap-small", "--samples", "4"]);
    assert!(text.contains("conv1.weight"), "{text}");
    let (code, text) =
        fails(folder.path(), &["train", "--limit", "200", "--lr", "1e20", "--schedule", "constant"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("is not finite"), "{text}");
}
