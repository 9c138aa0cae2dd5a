//! log.csv and log.jsonl: one row an epoch in both, and one a step in the second.

use crate::error::{Error, Result};
use glassbox_engine::train::{Event, Flow, Observer};
use glassbox_viz::curves::Epoch;
use glassbox_viz::figures::History;
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write};
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

/// Writes the logs, and keeps the rows for the curves.
#[derive(Debug)]
pub struct Log {
    csv: BufWriter<File>,
    jsonl: BufWriter<File>,
    folder: PathBuf,
    /// The epochs so far.
    pub rows: Vec<Row>,
    /// Loss of each step so far.
    pub step_losses: Vec<f64>,
}

impl Log {
    /// Starts the logs of a new run folder.
    pub fn create(folder: &Path) -> Result<Self> {
        let open = |name: &str| {
            let path = folder.join(name);
            File::create_new(&path).map(BufWriter::new).map_err(|e| Error::io(&path, "create the log", e))
        };
        let mut log = Self {
            csv: open("log.csv")?,
            jsonl: open("log.jsonl")?,
            folder: folder.to_path_buf(),
            rows: Vec::new(),
            step_losses: Vec::new(),
        };
        let head = "epoch,step,train_loss,train_accuracy,test_loss,test_accuracy,lr,seconds,images_per_s";
        log.write(|log| writeln!(log.csv, "{head}"))?;
        Ok(log)
    }

    fn write(&mut self, job: impl FnOnce(&mut Self) -> std::io::Result<()>) -> Result<()> {
        let folder = self.folder.clone();
        job(self).map_err(|e| Error::io(folder, "write the log", e))
    }

    fn epoch(&mut self, row: Row) -> Result<()> {
        let cell = |v: Option<f64>| v.map_or(String::new(), |v| v.to_string());
        self.rows.push(row);
        self.write(|log| {
            writeln!(
                log.csv,
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
            )?;
            let line = json!({
                "event": "epoch", "epoch": row.epoch, "step": row.step, "train_loss": row.train_loss,
                "train_accuracy": row.train_accuracy, "test_loss": row.test_loss,
                "test_accuracy": row.test_accuracy, "lr": row.lr, "seconds": row.seconds,
                "images_per_s": row.images_per_s,
            });
            writeln!(log.jsonl, "{line}")?;
            log.csv.flush()?;
            log.jsonl.flush()
        })
    }
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
        images_per_s: epoch.train.images as f64 / epoch.seconds.max(1e-9),
    }
}

impl Observer for Log {
    fn on(&mut self, event: &Event<'_>) -> glassbox_engine::Result<Flow> {
        let done = match event {
            Event::Begin { .. } => Ok(()),
            Event::Step { progress, cost, lr, .. } => {
                self.step_losses.push(cost.mean());
                let line = json!({
                    "event": "step", "step": progress.step, "epoch": progress.epoch, "loss": cost.mean(),
                    "accuracy": cost.accuracy(), "lr": lr,
                });
                self.write(|log| writeln!(log.jsonl, "{line}"))
            }
            Event::Epoch { epoch, .. } => self.epoch(row(epoch)),
        };
        done.map(|()| Flow::Continue).map_err(to_engine)
    }
}

/// The epochs and steps of a run folder, out of its log.jsonl. Errors: no such file, lines that are no JSON.
pub fn history(run: &Path) -> Result<History> {
    let file = run.join("log.jsonl");
    let text = glassbox_engine::io::atomic::read_text(&file)?;
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
