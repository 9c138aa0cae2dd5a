//! log.csv and log.jsonl: one row an epoch in both, and one a step in the second.

use crate::error::{Error, Result};
use glassbox_engine::io::atomic;
use glassbox_engine::train::{Event, Flow, Observer, Place};
use glassbox_viz::curves::Epoch;
use glassbox_viz::figures::History;
use serde_json::json;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What an epoch came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// From 1.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
    /// Mean loss of the training batches as they were seen.
    pub train_loss: f64,
    /// Their accuracy.
    pub train_accuracy: f64,
    /// Mean loss on the test set.
    pub test_loss: Option<f64>,
    /// Accuracy on the test set.
    pub test_accuracy: Option<f64>,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Seconds of training.
    pub seconds: f64,
    /// Images trained per second.
    pub images_per_s: f64,
}

/// Writes the logs, each line at once.
#[derive(Debug)]
pub struct Log {
    csv: Lines,
    jsonl: Lines,
}

const HEAD: &str = "epoch,step,train_loss,train_accuracy,test_loss,test_accuracy,lr,seconds,images_per_s";

impl Log {
    /// Starts the logs of a run folder, or goes on with them from a checkpoint: later lines, which will be written
    /// again, are dropped.
    pub fn open(run: &Path, place: Place) -> Result<Self> {
        let (csv, jsonl) = (run.join("log.csv"), run.join("log.jsonl"));
        if csv.exists() {
            let epoch = |line: &str| line.split(',').next().and_then(|n| n.parse::<u64>().ok());
            let keep = |line: &str| line == HEAD || epoch(line).is_some_and(|n| n <= place.epochs);
            cut(&csv, keep)?;
        } else {
            atomic::write(&csv, format!("{HEAD}\n").as_bytes())?;
        }
        if jsonl.exists() {
            cut(&jsonl, |line| {
                let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
                let upto = |key: &str, most: u64| value[key].as_u64().is_some_and(|n| n <= most);
                if value["event"] == "epoch" { upto("epoch", place.epochs) } else { upto("step", place.step) }
            })?;
        }
        Ok(Self { csv: Lines::open(csv)?, jsonl: Lines::open(jsonl)? })
    }

    fn epoch(&mut self, row: Row) -> Result<()> {
        let cell = |v: Option<f64>| v.map_or(String::new(), |v| v.to_string());
        self.csv.add(format!(
            "{},{},{},{},{},{},{},{:.3},{:.1}",
            row.epoch,
            row.step,
            row.train_loss,
            row.train_accuracy,
            cell(row.test_loss),
            cell(row.test_accuracy),
            row.lr,
            row.seconds,
            row.images_per_s
        ))?;
        let line = json!({
            "event": "epoch", "epoch": row.epoch, "step": row.step, "train_loss": row.train_loss,
            "train_accuracy": row.train_accuracy, "test_loss": row.test_loss,
            "test_accuracy": row.test_accuracy, "lr": row.lr, "seconds": row.seconds,
            "images_per_s": row.images_per_s,
        });
        self.jsonl.add(line.to_string())
    }
}

/// A file that grows line by line. A line is one write, so that a killed program loses at most the last one.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    file: File,
}

impl Lines {
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let open = File::options().append(true).create(true).open(&path);
        let file = open.map_err(|e| Error::io(&path, "open the log", e))?;
        Ok(Self { path, file })
    }

    pub(super) fn add(&mut self, mut line: String) -> Result<()> {
        line.push('\n');
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|e| Error::io(&self.path, "write the log", e))
    }
}

/// Keeps the lines that `keep` wants; one without its end was cut off by a kill, and goes.
pub(super) fn cut(path: &Path, keep: impl Fn(&str) -> bool) -> Result<()> {
    let text = String::from_utf8_lossy(&atomic::read(path)?).into_owned();
    let whole = text.split_inclusive('\n').filter(|l| l.ends_with('\n') && keep(l.trim_end_matches('\n')));
    Ok(atomic::write(path, whole.collect::<String>().as_bytes())?)
}

/// The row of an epoch.
pub fn row(epoch: &glassbox_engine::train::Epoch<'_>) -> Row {
    Row {
        epoch: epoch.progress.epoch,
        step: epoch.progress.step,
        train_loss: epoch.train.mean(),
        train_accuracy: epoch.train.accuracy(),
        test_loss: epoch.test.map(|t| t.cost.mean()),
        test_accuracy: epoch.test.map(|t| t.cost.accuracy()),
        lr: epoch.lr,
        seconds: epoch.seconds,
        images_per_s: epoch.timed as f64 / epoch.seconds.max(1e-9),
    }
}

impl Observer for Log {
    fn on(&mut self, event: &Event<'_>) -> glassbox_engine::Result<Flow> {
        let done = match event {
            Event::Begin { .. } => Ok(()),
            Event::Step { progress, cost, lr, .. } => {
                let line = json!({
                    "event": "step", "step": progress.step, "epoch": progress.epoch, "loss": cost.mean(),
                    "accuracy": cost.accuracy(), "lr": lr,
                });
                self.jsonl.add(line.to_string())
            }
            Event::Epoch { epoch, .. } => self.epoch(row(epoch)),
        };
        done.map(|()| Flow::Continue).map_err(to_engine)
    }
}

/// The epochs and steps of a run folder, out of its log.jsonl. Errors: no such file, lines that are no JSON.
pub fn history(run: &Path) -> Result<History> {
    let file = run.join("log.jsonl");
    let text = atomic::read_text(&file)?;
    let mut history = History::default();
    let mut losses: Vec<(u64, f64)> = Vec::new();
    let mut per_epoch = 1.0;
    for (i, line) in text.lines().enumerate() {
        let value: serde_json::Value = serde_json::from_str(line).map_err(|e| {
            let problem = format!("it is not JSON: {e}");
            glassbox_engine::Error::corrupt(
                &file,
                format!("line {}", i + 1),
                problem,
                "restore the file from the run",
            )
        })?;
        let number = |key: &str| value[key].as_f64();
        match value["event"].as_str() {
            Some("step") => {
                losses.push((value["step"].as_u64().unwrap_or(0), number("loss").unwrap_or(f64::NAN)))
            }
            Some("epoch") => {
                let epoch = number("epoch").unwrap_or(0.0);
                per_epoch = number("step").unwrap_or(1.0) / epoch.max(1.0);
                history.epochs.push(Epoch {
                    epoch,
                    train_loss: number("train_loss"),
                    test_loss: number("test_loss"),
                    train_accuracy: number("train_accuracy"),
                    test_accuracy: number("test_accuracy"),
                });
            }
            _ => {}
        }
    }
    history.steps = losses.iter().map(|&(step, loss)| (step as f64 / per_epoch, loss)).collect();
    Ok(history)
}

/// An error of the program as the engine's, which observers return.
pub fn to_engine(error: Error) -> glassbox_engine::Error {
    match error {
        Error::Engine(e) => e,
        other => glassbox_engine::Error::request(other.to_string(), "see above"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_after_the_checkpoint_and_half_lines_are_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let (csv, jsonl) = (dir.path().join("log.csv"), dir.path().join("log.jsonl"));
        std::fs::write(&csv, format!("{HEAD}\n1,10,a\n2,20,b\n3,30,c\n")).unwrap();
        let steps = "{\"event\":\"step\",\"step\":20}\n{\"event\":\"epoch\",\"epoch\":2,\"step\":20}\n";
        let later = "{\"event\":\"step\",\"step\":21}\n{\"event\":\"step\",\"step\":2";
        std::fs::write(&jsonl, format!("{steps}{later}")).unwrap();
        Log::open(dir.path(), Place { step: 20, epochs: 2, ..Place::default() }).unwrap();
        assert_eq!(std::fs::read_to_string(&csv).unwrap(), format!("{HEAD}\n1,10,a\n2,20,b\n"));
        assert_eq!(std::fs::read_to_string(&jsonl).unwrap(), steps);
        // the steps of an epoch are done, its evaluation is not
        Log::open(dir.path(), Place { step: 20, epochs: 1, ..Place::default() }).unwrap();
        assert_eq!(std::fs::read_to_string(&csv).unwrap(), format!("{HEAD}\n1,10,a\n"));
        assert_eq!(std::fs::read_to_string(&jsonl).unwrap(), steps.split_inclusive('\n').next().unwrap());
    }
}
