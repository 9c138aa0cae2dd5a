//! Checkpoints of a run: step-*.safetensors, latest and best, each written whole or not at all.

use super::config::Checkpoint;
use crate::error::{Error, Result};
use crate::run::log::to_engine;
use glassbox_engine::io::weights;
use glassbox_engine::train::{Event, Every, Flow, Observer};
use glassbox_engine::{Graph, Params};
use std::path::{Path, PathBuf};

/// Writes checkpoints, and stops a run that no longer gets better.
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    every: Every,
    keep: usize,
    early_stop: Option<u64>,
    written: Vec<PathBuf>,
    best: f64,
    stale: u64,
}

impl Keeper {
    /// For a new run folder.
    pub fn create(run: &Path, how: &Checkpoint, early_stop: Option<u64>) -> Result<Self> {
        let folder = run.join("checkpoints");
        std::fs::create_dir(&folder).map_err(|e| Error::io(&folder, "create the folder", e))?;
        let every = if how.every == 0 { Every::Epochs(u64::MAX) } else { Every::Epochs(how.every) };
        let (keep, best) = (how.keep, f64::NEG_INFINITY);
        Ok(Self { folder, every, keep, early_stop, written: Vec::new(), best, stale: 0 })
    }

    fn write(&mut self, graph: &Graph, params: &Params<f32>, step: u64) -> Result<()> {
        if self.keep > 0 {
            let path = self.folder.join(format!("step-{step:06}.safetensors"));
            weights::save(&path, graph, params)?;
            self.written.push(path);
        }
        weights::save(self.folder.join("latest.safetensors"), graph, params)?;
        while self.written.len() > self.keep {
            let old = self.written.remove(0);
            std::fs::remove_file(&old).map_err(|e| Error::io(&old, "remove the old checkpoint", e))?;
        }
        Ok(())
    }
}

impl Observer for Keeper {
    fn on(&mut self, event: &Event<'_>) -> glassbox_engine::Result<Flow> {
        let Event::Epoch { graph, params, epoch } = event else { return Ok(Flow::Continue) };
        if self.every.due(event) {
            self.write(graph, params, epoch.progress.step).map_err(to_engine)?;
        }
        // without a test set the last is the best
        let score = epoch.test.map_or(epoch.progress.epoch as f64, |t| t.cost.accuracy());
        if score > self.best {
            (self.best, self.stale) = (score, 0);
            weights::save(self.folder.join("best.safetensors"), graph, params)?;
        } else {
            self.stale += 1;
        }
        let tired = self.early_stop.is_some_and(|limit| self.stale >= limit.max(1));
        Ok(if tired { Flow::Stop } else { Flow::Continue })
    }
}
