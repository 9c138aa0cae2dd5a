//! Figures through the program: numbers beside pictures, options, and what is said where a figure cannot be drawn.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use std::path::Path;
use std::process::Command;

/// What the program says, and whether it ended well.
fn run(folder: &Path, line: &str) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_glassbox"))
        .args(line.split(' '))
        .current_dir(folder)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.success(), text.concat())
}

#[test]
fn studies_write_pictures_and_numbers_for_three_kinds_of_nets() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (model, data, layer) in
        [("lenet", "digits", "relu2"), ("gap-small", "digits", "relu2"), ("resnet-small", "shapes", "relu2")]
    {
        for (figure, file) in [
            ("top-images", format!("top-images/{layer}.json")),
            ("correspondence", "correspondence.json".to_string()),
        ] {
            let line = format!(
                "figure {figure} --model {model} --data {data} --limit 80 --layer {layer} --out {model}"
            );
            let (good, text) = run(at, &line);
            assert!(good, "{model} {figure}: {text}");
            let text = std::fs::read_to_string(at.join(model).join(file)).unwrap();
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["model"], model);
        }
        let top = std::fs::read(at.join(model).join(format!("top-images/{layer}-images.npy"))).unwrap();
        assert!(top.starts_with(b"\x93NUMPY"));
    }
}

#[test]
fn figures_that_cannot_be_drawn_name_the_layer_or_the_key() {
    let folder = tempfile::tempdir().unwrap();
    for (line, parts) in [
        ("figure top-images --model lenet --limit 20 --set cuont=3", &["cuont", "count", "top-images"][..]),
        ("figure saliency --model lenet --limit 20 --set count=3", &["saliency", "no options"]),
        ("figure top-images --model lenet --limit 20 --set channels=3,900", &["relu1", "900", "0 to 5"]),
        ("figure top-images --model lenet --limit 20 --layer relu9", &["relu9", "did you mean"]),
        ("figure top-images --model resnet-small --data digits --limit 20", &["3x32x32", "--data"]),
        (
            "figure occlusion-sensitivity --model lenet --limit 20 --layer relu3",
            &["relu3", "vector", "--layer"],
        ),
        ("figure occlusion-sensitivity --model lenet --limit 20 --set window=40", &["40", "28x28"]),
        ("figure correspondence --model lenet --limit 20 --set class=77", &["class 77", "digits"]),
        ("figure evolution --model lenet", &["evolution", "run folder"]),
        ("figure grad-cam --model lenet --limit 20 --set resize=smooth", &["resize", "bilinear"]),
    ] {
        let (good, text) = run(folder.path(), line);
        assert!(!good, "{line}: {text}");
        for part in parts {
            assert!(text.contains(part), "{line}: {text} lacks {part}");
        }
    }
}

#[test]
fn methods_that_cannot_answer_say_what_would() {
    let folder = tempfile::tempdir().unwrap();
    let seven = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/images/seven.png");
    for (line, parts) in [
        ("--method gradient --class 10", &["class 10", "0 to 9"][..]),
        ("--method gradient --class 1,2", &["2 classes for 1 images", "one class per image"]),
        ("--method grad-cam --layer fc1", &["fc1", "relu2"]),
        ("--method cam", &["lenet", "grad-cam"]),
        ("--method lrp-epsilon --set epsilom=1", &["epsilom", "did you mean \"epsilon\"?"]),
        ("--method deconvnet --layer relu1 --unit 77", &["channel 77", "0 to 5"]),
        ("--method deconvnet --layer relu1 --unit x", &["--unit x", "K,Y,X"]),
        ("--method eigen-cam --class 3", &["eigen-cam", "no class", "--class 3"]),
        ("--method deconvnet --layer relu1 --unit 2 --class 3", &["--unit", "--class 3"]),
    ] {
        let line = format!("explain --model lenet --input {seven} {line}");
        let output = Command::new(env!("CARGO_BIN_EXE_glassbox"))
            .args(line.split(' '))
            .current_dir(folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{line}: {text}");
        for part in parts {
            assert!(text.contains(part), "{line}: {text} lacks {part}");
        }
    }
}
