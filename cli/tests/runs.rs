//! Runs as a user makes them, stopped, killed, damaged and resumed; the program itself is driven.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A small run: 6 epochs of 10 steps.
const RUN: &str =
    "--limit 320 --batch 32 --epochs 6 --threads 1 --no-figures --checkpoint-every-steps 3 --quiet";

fn program(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glassbox"));
    command.current_dir(folder).args(line.split_whitespace());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(folder: &Path, line: &str) -> Output {
    program(folder, line).output().unwrap()
}

fn good(folder: &Path, line: &str) -> String {
    let out = run(folder, line);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{line}: {text}");
    text
}

/// Runs what must fail with this exit code; its message.
fn refused(folder: &Path, line: &str, code: i32) -> String {
    let out = run(folder, line);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(code), "{line}: {text}");
    text
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join("checkpoints").join(name)
}

/// What must be equal between runs of the same seed: weights and state to the bit, logs but for the times in them.
fn outcome(run: &Path) -> (Vec<u8>, Vec<u8>, String, Vec<String>) {
    let csv = fs::read_to_string(run.join("log.csv")).unwrap();
    let csv = csv.lines().map(|l| l.split(',').take(7).collect::<Vec<_>>().join(",")).collect::<Vec<_>>();
    let jsonl = fs::read_to_string(run.join("log.jsonl")).unwrap();
    let steps = jsonl.lines().filter(|l| l.contains("\"event\":\"step\"")).map(String::from).collect();
    let bytes = |name| fs::read(file(run, name)).unwrap();
    (bytes("latest.safetensors"), bytes("best.safetensors"), csv.join("\n"), steps)
}

fn equal(a: &Path, b: &Path) {
    let (a, b) = (outcome(a), outcome(b));
    assert!(a.0 == b.0, "latest differs");
    assert!(a.1 == b.1, "best differs");
    assert_eq!((a.2, a.3), (b.2, b.3));
}

#[test]
fn killed_at_any_time_a_run_ends_in_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    good(at, &format!("train --out whole {RUN}"));
    good(at, &format!("train --out undumped {RUN} --dump-every 0"));
    equal(&at.join("whole"), &at.join("undumped"));
    // killed outright, again and again, wherever that falls: loading, training, writing
    let mut line = format!("train --out killed {RUN}");
    for wait in [260u64, 410, 130, 330, 290, 370] {
        let mut child = program(at, &line).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        if at.join("killed/model.toml").is_file() {
            line = "resume killed --quiet --no-figures".into();
        } else {
            let _ = fs::remove_dir_all(at.join("killed"));
        }
    }
    good(at, &line);
    equal(&at.join("whole"), &at.join("killed"));
    let parts = fs::read_dir(at.join("killed/checkpoints")).unwrap();
    assert!(parts.flatten().all(|e| !e.file_name().to_string_lossy().ends_with(".part")));
    // a finished run is left as it is, and can be made longer
    let text = good(at, "resume killed --quiet --no-figures");
    assert!(text.contains("all training is done (6 epochs)"), "{text}");
    equal(&at.join("whole"), &at.join("killed"));
    good(at, "resume killed --quiet --no-figures --epochs 7");
    assert!(fs::read_to_string(at.join("killed/log.csv")).unwrap().lines().count() == 8);
}

#[test]
#[ignore = "takes minutes; cargo test --release -p glassbox --test runs -- --ignored"]
fn killed_at_twenty_random_times_a_run_ends_in_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let start = Instant::now();
    good(at, &format!("train --out whole {RUN}"));
    let whole = start.elapsed().as_millis() as u64;
    let mut random = 20_201_u64;
    for trial in 0..20 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let wait = (random >> 33) % whole;
        let name = format!("killed{trial}");
        let mut child = program(at, &format!("train --out {name} {RUN}")).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        let run = at.join(&name);
        if run.join("model.toml").is_file() {
            let text = good(at, &format!("resume {name} --no-figures"));
            println!("killed after {wait} of {whole} ms: {}", text.lines().next().unwrap_or("").trim());
        } else {
            println!("killed after {wait} of {whole} ms: before there was a run");
            let _ = fs::remove_dir_all(&run);
            good(at, &format!("train --out {name} {RUN}"));
        }
        equal(&at.join("whole"), &run);
    }
}

#[cfg(unix)]
#[test]
fn a_signal_stops_with_a_checkpoint_and_a_run_in_use_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let line = "train --out long --limit 320 --epochs 100000 --threads 1 --no-figures --dump-every 0 --quiet";
    for (signal, line) in [("-INT", line), ("-TERM", "resume long --no-figures --quiet")] {
        let child = program(at, line).spawn().unwrap();
        let epochs = || fs::read_to_string(at.join("long/log.csv")).unwrap_or_default().lines().count();
        let before = epochs();
        while epochs() < before.max(1) + 2 {
            std::thread::sleep(Duration::from_millis(10));
        }
        let text = refused(at, "resume long", 2);
        assert!(text.contains(&format!("in use by process {}", child.id())), "{text}");
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        let out = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(130), "{text}");
        assert!(text.contains("with a checkpoint; go on with: glassbox resume long"), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_the_program_within_the_step() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    // one epoch is one step, of seconds
    let line =
        "train --out long --model alexnet-cifar --data shapes --limit 768 --batch 768 --threads 1 --quiet";
    let child = program(at, line).spawn().unwrap();
    while !at.join("long/model.toml").is_file() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    let signal = || Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    signal();
    std::thread::sleep(Duration::from_millis(100));
    let second = Instant::now();
    signal();
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(130), "{text}");
    assert!(!text.contains("with a checkpoint"), "{text}");
    assert!(second.elapsed() < Duration::from_secs(2), "it went on for {:?}", second.elapsed());
    assert!(!file(&at.join("long"), "latest.safetensors").exists());
}

#[test]
fn what_does_not_belong_together_is_refused_and_damage_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let short = "--limit 64 --batch 32 --epochs 2 --threads 1 --no-figures --dump-every 0 --quiet";
    good(at, &format!("train --out a {short}"));
    let a = at.join("a");
    let config = fs::read_to_string(a.join("run.toml")).unwrap();
    let write = |text: String| fs::write(a.join("run.toml"), text).unwrap();
    let longer = "resume a --no-figures --quiet --epochs 3";

    write(config.replace("momentum = 0.9", "momentum = 0.8"));
    let text = refused(at, longer, 2);
    assert!(text.contains("momentum: 0.9 -> 0.8") && text.contains("--force"), "{text}");
    write(config.replace("limit = 64", "limit = 63"));
    let text = refused(at, longer, 2);
    assert!(text.contains("the training images of \"digits\" have changed"), "{text}");
    write(config.clone());
    let model = fs::read_to_string(a.join("model.toml")).unwrap();
    fs::write(a.join("model.toml"), model.replace("out = 84", "out = 85")).unwrap();
    let text = refused(at, longer, 2);
    assert!(text.contains("checkpoint of another model"), "{text}");
    fs::write(a.join("model.toml"), model).unwrap();

    // the latest cut off, the newest step with one bit flipped: the step before is used, and both are named
    let latest = fs::read(file(&a, "latest.safetensors")).unwrap();
    fs::write(file(&a, "latest.safetensors"), &latest[..latest.len() / 2]).unwrap();
    let step = file(&a, "step-000004.safetensors");
    let mut bytes = fs::read(&step).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&step, bytes).unwrap();
    let text = good(at, "resume a --no-figures");
    assert!(text.contains("passed over") && text.contains("latest.safetensors: checksum"), "{text}");
    assert!(text.contains("step-000004") && text.contains("going on after step 2"), "{text}");
    assert!(latest == fs::read(file(&a, "latest.safetensors")).unwrap(), "the same bits again");

    for name in ["latest", "step-000002", "step-000004"] {
        fs::write(file(&a, &format!("{name}.safetensors")), b"nothing").unwrap();
    }
    refused(at, "resume a --no-figures", 4);
    assert!(refused(at, "resume nowhere", 2).contains("is no run folder"));
}

#[cfg(unix)]
#[test]
fn a_full_disk_names_the_file_and_leaves_the_old_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    good(
        at,
        "train --out a --limit 64 --batch 32 --epochs 1 --threads 1 --no-figures --dump-every 0 --quiet",
    );
    let a = at.join("a");
    let before = fs::read(file(&a, "latest.safetensors")).unwrap();
    // no file may grow beyond 100 KiB or so
    let script = format!(
        "trap '' XFSZ; ulimit -f 200; exec {} resume a --epochs 2 --no-figures --quiet",
        env!("CARGO_BIN_EXE_glassbox")
    );
    let out = Command::new("sh").arg("-c").arg(script).current_dir(at).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("checkpoints/") && text.contains(".safetensors: cannot write the file"), "{text}");
    assert!(fs::read(file(&a, "latest.safetensors")).unwrap() == before);
    good(at, "resume a --no-figures --quiet");
}

#[test]
fn a_configuration_of_a_newer_program_is_refused_by_its_version() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let short = "--limit 64 --batch 32 --epochs 1 --threads 1 --no-figures --dump-every 0 --quiet";
    good(at, &format!("train --out a {short}"));
    let config = fs::read_to_string(at.join("a/run.toml")).unwrap();
    let own = concat!("glassbox = \"", env!("CARGO_PKG_VERSION"), "\"");
    assert!(config.contains(own), "{config}");
    let newer = format!("hologram = 3\n{}", config.replace(own, "glassbox = \"7.1.0\""));
    fs::write(at.join("a/run.toml"), &newer).unwrap();
    let before = fs::read(file(&at.join("a"), "latest.safetensors")).unwrap();
    for line in ["resume a --epochs 2 --no-figures", "eval a", "train a/run.toml --out b"] {
        let text = refused(at, line, 2);
        assert!(text.contains("a/run.toml") && text.contains("written by glassbox 7.1.0"), "{line}: {text}");
        assert!(text.contains(concat!("this is ", env!("CARGO_PKG_VERSION"))), "{line}: {text}");
    }
    assert!(fs::read_to_string(at.join("a/run.toml")).unwrap() == newer && !at.join("b").exists());
    assert!(fs::read(file(&at.join("a"), "latest.safetensors")).unwrap() == before);
}

#[cfg(unix)]
#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let short = "--limit 64 --batch 32 --epochs 1 --threads 1 --no-figures --dump-every 0 --quiet";
    good(at, &format!("train --out a {short}"));
    // a file where a folder must be made: refused for every user, root too
    fs::write(at.join("plain"), b"text").unwrap();
    let text = refused(at, &format!("train --runs plain {short}"), 1);
    assert!(text.contains("plain") && text.contains("cannot create the folder"), "{text}");
    assert_eq!(fs::read(at.join("plain")).unwrap(), b"text");
    let mode = |path: &str, mode: u32| {
        fs::set_permissions(at.join(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    let old = fs::read(file(&at.join("a"), "latest.safetensors")).unwrap();
    mode("a/checkpoints", 0o555);
    mode("a", 0o555);
    // root may write all the same; checkpoint/tests.rs lets the calls themselves fail
    if fs::write(at.join("a/probe"), b"").is_err() {
        let text = refused(at, "resume a --epochs 2 --no-figures", 1);
        assert!(text.contains("a/") && text.contains("Permission denied"), "{text}");
        let text = refused(at, &format!("train --out a/b {short}"), 1);
        assert!(text.contains("cannot create the folder: Permission denied"), "{text}");
    }
    mode("a", 0o755);
    mode("a/checkpoints", 0o755);
    assert!(fs::read(file(&at.join("a"), "latest.safetensors")).unwrap() == old);
}
