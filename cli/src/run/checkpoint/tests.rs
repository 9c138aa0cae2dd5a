//! Checkpoints on a disk that fails: every call of a whole run's writing in turn, by an error, by a short write, and by
//! the program's own death at that call. What was complete before must be complete afterwards, and a run that goes on
//! from it must end in the uninterrupted run's bits.
#![cfg(unix)]

use super::*;
use glassbox_engine::data::{Augment, Loader, digits};
use glassbox_engine::graph::{Init, models};
use glassbox_engine::train::Trainer;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::NamedTempFile;

/// ENOSPC, EIO, EROFS, and how they come: at once, or after half of a write.
const ERRORS: [(How, &str); 4] = [
    (How::Error(28), "No space left on device"),
    (How::Half(28), "No space left on device"),
    (How::Error(5), "Input/output error"),
    (How::Error(30), "Read-only file system"),
];

/// What happens at the call that fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// It returns this error.
    Error(i32),
    /// A write takes half of its bytes and the next one this error; another call takes the error at once.
    Half(i32),
    /// A write takes half of its bytes, and all goes on.
    Short,
    /// The program dies there by SIGKILL, in the middle of a write.
    Death,
}

/// A disk on which one call fails. It flushes nothing, which no test here could see.
#[derive(Debug)]
struct Faulty {
    calls: Arc<AtomicUsize>,
    at: usize,
    how: How,
}

impl Faulty {
    /// Counts a call; fails where it is its turn.
    fn call(&self) -> io::Result<()> {
        let n = self.calls.fetch_add(1, Ordering::SeqCst);
        match self.how {
            How::Error(code) | How::Half(code) if n == self.at => Err(io::Error::from_raw_os_error(code)),
            How::Death if n == self.at => die(),
            _ => Ok(()),
        }
    }
}

fn die() -> ! {
    Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status().unwrap();
    loop {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
}

impl Disk for Faulty {
    fn create(&self, folder: &Path) -> io::Result<NamedTempFile> {
        self.call()?;
        System.create(folder)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        let half = &bytes[..bytes.len() / 2];
        let turn = self.calls.load(Ordering::SeqCst) == self.at;
        match self.how {
            How::Death if turn => {
                System.write(file, half)?;
                die()
            }
            // the rest comes by a call of its own, which is the one that fails
            How::Half(_) if turn && bytes.len() > 1000 && file.metadata()?.len() == 0 => {
                System.write(file, half)
            }
            How::Short if turn => {
                self.call()?;
                System.write(file, half)
            }
            _ => {
                self.call()?;
                System.write(file, bytes)
            }
        }
    }

    fn sync(&self, _: &File) -> io::Result<()> {
        self.call()
    }

    fn rename(&self, file: NamedTempFile, path: &Path) -> io::Result<()> {
        self.call()?;
        System.rename(file, path)
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.call()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        System.remove(path)
    }
}

fn graph() -> Graph {
    let graph = models::named("gap-small").unwrap().adapted([1, 28, 28], Some(10)).unwrap();
    graph.with_pixels(vec![0.13], vec![0.31])
}

/// Trains to the end from what the folder holds: 5 steps, with a checkpoint after 2, 4 and 5 of them.
/// The calls that were made of the disk.
fn train(run: &Path, at: usize, how: How) -> (usize, Result<()>) {
    let config = Config {
        epochs: 1,
        batch: Some(8),
        checkpoint: config::Checkpoint { every: 1, every_steps: 2, keep: 1, snapshots: Vec::new() },
        ..Config::default()
    };
    let graph = graph();
    let from = newest(run, &graph).unwrap().found.map(|(_, checkpoint)| checkpoint);
    let mut keeper = Keeper::new(run, &config, Stop::default(), from.as_ref()).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    keeper.disk = Box::new(Faulty { calls: calls.clone(), at, how });
    let data = digits::load().unwrap().train.limit(36);
    let augment = Augment::parse(&["shift=2".to_string()]).unwrap();
    let mut loader = Loader::new(data, &[0.13], &[0.31], augment, 1).unwrap();
    let params = graph.init(Init::PyTorch, 1);
    let mut trainer = Trainer::new(graph, params, config.recipe().unwrap()).unwrap();
    if let Some(from) = from {
        trainer.restore(from).unwrap();
    }
    let done = trainer.run(&mut loader, None, &mut [&mut keeper]).map(drop).map_err(Error::Engine);
    (calls.load(Ordering::SeqCst), done)
}

/// Every file of a run's checkpoints, by name.
fn files(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let list = fs::read_dir(run.join("checkpoints")).unwrap().flatten();
    list.map(|e| (e.file_name().to_string_lossy().into_owned(), fs::read(e.path()).unwrap())).collect()
}

/// The uninterrupted run: how many calls it makes, and what it leaves.
fn whole() -> (usize, BTreeMap<String, Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let (calls, done) = train(dir.path(), usize::MAX, How::Short);
    done.unwrap();
    (calls, files(dir.path()))
}

/// Goes on with a run and compares what it leaves with what an uninterrupted one does.
fn goes_on(run: &Path, want: &BTreeMap<String, Vec<u8>>, what: &str) {
    train(run, usize::MAX, How::Short).1.unwrap();
    let mut got = files(run);
    // an old checkpoint whose removal failed may stay
    got.retain(|name, _| want.contains_key(name) || !name.starts_with("step-"));
    assert!(got.keys().eq(want.keys()), "{what}: {:?}", got.keys());
    assert!(got == *want, "{what}: other bits");
}

#[test]
fn each_call_that_fails_leaves_the_old_files_and_names_file_and_cause() {
    let (calls, want) = whole();
    assert!(calls > 35, "{calls} calls");
    for (how, cause) in ERRORS {
        for n in 0..calls {
            let dir = tempfile::tempdir().unwrap();
            let (_, done) = train(dir.path(), n, how);
            let Err(error) = done else { panic!("call {n}, {how:?}: no error") };
            let text = error.to_string();
            assert!(text.contains("checkpoints/") && text.contains(".safetensors: cannot "), "{text}");
            assert!(text.contains(cause), "{text}");
            whole_or_absent(dir.path(), n);
            goes_on(dir.path(), &want, &format!("call {n}, {how:?}"));
        }
    }
}

/// No file is half-written, and nothing temporary is left behind by a program that could clean up.
fn whole_or_absent(run: &Path, n: usize) {
    let graph = graph();
    for (name, bytes) in files(run) {
        let sound = match name.as_str() {
            "best.safetensors" => weights::load::<f32>(run.join("checkpoints").join(&name), None).map(drop),
            _ => checkpoint::parse(&bytes, &name, &graph).map(drop),
        };
        assert!(sound.is_ok(), "call {n}: {name}: {sound:?}");
    }
}

#[test]
fn short_writes_are_carried_on() {
    let (calls, want) = whole();
    for n in 0..calls {
        let dir = tempfile::tempdir().unwrap();
        train(dir.path(), n, How::Short).1.unwrap();
        assert!(files(dir.path()) == want, "call {n}");
    }
}

const RUN: &str = "GLASSBOX_TEST_RUN";
const CALL: &str = "GLASSBOX_TEST_CALL";

/// Trains until it dies at the call that the environment names; a part of the next test, in a process of its own.
#[test]
#[ignore = "it kills its own process; killed_at_each_point_of_writing starts it"]
fn victim() {
    let run = std::env::var_os(RUN).expect("the run's folder");
    let call = std::env::var(CALL).unwrap().parse().unwrap();
    train(Path::new(&run), call, How::Death).1.unwrap();
    panic!("call {call} was never made");
}

#[test]
fn killed_at_each_point_of_writing_the_newest_complete_checkpoint_is_used() {
    use std::os::unix::process::ExitStatusExt;
    let (calls, want) = whole();
    for n in 0..calls {
        let dir = tempfile::tempdir().unwrap();
        let mut victim = Command::new(std::env::current_exe().unwrap());
        victim.args(["--exact", "run::checkpoint::tests::victim", "--ignored"]);
        let out = victim.env(RUN, dir.path()).env(CALL, n.to_string()).output().unwrap();
        assert_eq!(out.status.signal(), Some(9), "call {n}: {}", String::from_utf8_lossy(&out.stdout));
        let sound = |name: &String| !name.ends_with(".part");
        let left: Vec<String> = files(dir.path()).into_keys().filter(sound).collect();
        let found = newest(dir.path(), &graph()).unwrap();
        assert!(found.damaged.is_empty(), "call {n}: {:?}", found.damaged);
        let steps =
            left.iter().filter_map(|n| n.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok());
        let most = steps.max().unwrap_or(0);
        assert_eq!(found.found.map_or(0, |(_, c)| c.place.step), most, "call {n}: {left:?}");
        goes_on(dir.path(), &want, &format!("killed at call {n}"));
    }
}
