//! Checkpoints of a run: step-*.safetensors and latest.safetensors hold all that training goes on from,
//! best.safetensors and epoch-*.safetensors (of the epochs that are kept for good, to see how features came to be) hold
//! weights alone, as PyTorch loads them. Each is written whole or not at all, and latest is a
//! file of its own, so that one damaged file leaves another.

use super::config::{self, Config};
use super::stop::Stop;
use crate::error::{Error, Result};
use crate::run::log::to_engine;
use glassbox_engine::Graph;
use glassbox_engine::io::disk::{Disk, System};
use glassbox_engine::io::{Metadata, atomic, weights};
use glassbox_engine::train::{Checkpoint, Event, Every, Flow, Observer, Progress, Standing, checkpoint};
use std::path::{Path, PathBuf};

const LATEST: &str = "latest.safetensors";

/// Snapshots are called by this and their epoch.
pub const SNAPSHOT: &str = "epoch-";

/// The note that holds the configuration.
pub const CONFIG_NOTE: &str = "config";

/// Writes checkpoints, and stops a run that no longer gets better or that somebody asked to stop.
#[derive(Debug)]
pub struct Keeper {
    folder: PathBuf,
    how: config::Checkpoint,
    early_stop: Option<u64>,
    stop: Stop,
    config: String,
    best: f64,
    stale: u64,
    disk: Box<dyn Disk>,
}

impl Keeper {
    /// For a run folder; goes on from a checkpoint's notes. Errors: the folder cannot be made.
    pub fn new(run: &Path, config: &Config, stop: Stop, from: Option<&Checkpoint>) -> Result<Self> {
        let folder = run.join("checkpoints");
        std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "create the folder", e))?;
        let note = |key: &str| from.and_then(|c| c.notes.get(key)?.parse::<f64>().ok());
        Ok(Self {
            folder,
            how: config.checkpoint.clone(),
            early_stop: config.early_stop,
            stop,
            config: config.deciding()?,
            best: note("best").unwrap_or(f64::NEG_INFINITY),
            stale: note("stale").unwrap_or(0.0) as u64,
            disk: Box::new(System),
        })
    }

    /// Whether the run no longer gets better.
    pub fn tired(&self) -> bool {
        self.early_stop.is_some_and(|limit| self.stale >= limit.max(1))
    }

    fn write(
        &self,
        graph: &Graph,
        params: &glassbox_engine::Params<f32>,
        standing: &Standing<'_>,
    ) -> Result<()> {
        let notes = Metadata::from([
            (CONFIG_NOTE.to_string(), self.config.clone()),
            ("best".to_string(), self.best.to_string()),
            ("stale".to_string(), self.stale.to_string()),
        ]);
        let bytes = checkpoint::to_bytes(graph, params, standing, &notes)?;
        if self.how.keep > 0 {
            let name = format!("step-{:06}.safetensors", standing.place.step);
            atomic::write_on(&*self.disk, self.folder.join(name), &bytes)?;
        }
        atomic::write_on(&*self.disk, self.folder.join(LATEST), &bytes)?;
        // the new ones are safe on the disk, so the oldest may go
        for (_, old) in numbered(&self.folder)?.iter().skip(self.how.keep) {
            self.disk.remove(old).map_err(|e| Error::io(old, "remove the old checkpoint", e))?;
        }
        Ok(())
    }

    fn due(&self, event: &Event<'_>, progress: &Progress) -> bool {
        let of_epochs = Every::Epochs(if self.how.every == 0 { u64::MAX } else { self.how.every });
        let last_of_epoch = progress.images == progress.images_per_epoch;
        match event {
            // the end of an epoch writes its own, which knows the evaluation too
            Event::Step { .. } if last_of_epoch => false,
            Event::Step { .. } => self.how.every_steps > 0 && Every::Steps(self.how.every_steps).due(event),
            Event::Epoch { .. } => {
                let of_steps = self.how.every_steps > 0 && progress.step.is_multiple_of(self.how.every_steps);
                of_epochs.due(event) || of_steps
            }
            Event::Begin { .. } => false,
        }
    }
}

impl Observer for Keeper {
    fn on(&mut self, event: &Event<'_>) -> glassbox_engine::Result<Flow> {
        let (graph, params, progress, standing) = match event {
            Event::Begin { .. } => return Ok(Flow::Continue),
            Event::Step { graph, params, progress, standing, .. } => (graph, params, progress, standing),
            Event::Epoch { graph, params, epoch, standing } => (graph, params, &epoch.progress, standing),
        };
        if let Event::Epoch { epoch, .. } = event {
            // without a test set the last is the best
            let score = epoch.test.map_or(epoch.progress.epoch as f64, |t| t.cost.accuracy());
            if score > self.best {
                (self.best, self.stale) = (score, 0);
                let best = self.folder.join("best.safetensors");
                atomic::write_on(&*self.disk, best, &weights::to_bytes(graph, params)?)?;
            } else {
                self.stale += 1;
            }
            if self.how.snapshots.contains(&epoch.progress.epoch) {
                let name = format!("{SNAPSHOT}{:03}.safetensors", epoch.progress.epoch);
                weights::save(self.folder.join(name), graph, params)?;
            }
        }
        let stop = self.stop.asked() || (matches!(event, Event::Epoch { .. }) && self.tired());
        if stop || self.due(event, progress) {
            self.write(graph, params, standing).map_err(to_engine)?;
        }
        Ok(if stop { Flow::Stop } else { Flow::Continue })
    }
}

/// What a run goes on from.
#[derive(Debug, Default)]
pub struct Newest {
    /// The newest complete checkpoint and its file; none where none was written yet.
    pub found: Option<(PathBuf, Checkpoint)>,
    /// What is wrong with the files that were passed over.
    pub damaged: Vec<Error>,
}

/// The newest complete checkpoint of a run. Where that is a numbered one, because writing ended before `latest` or
/// `latest` is damaged, `latest` becomes a copy of it. Errors: there are files, but none is whole; a checkpoint of another
/// model.
pub fn newest(run: &Path, graph: &Graph) -> Result<Newest> {
    let folder = run.join("checkpoints");
    if !folder.is_dir() {
        return Ok(Newest::default());
    }
    remove_parts(&folder)?;
    let mut damaged = Vec::new();
    let mut try_read = |path: &Path| match checkpoint::read(path, graph) {
        Ok(read) => Ok(Some((path.to_path_buf(), read))),
        Err(e @ glassbox_engine::Error::Corrupt { .. }) => {
            damaged.push(Error::Engine(e));
            Ok(None)
        }
        Err(other) => Err(other),
    };
    let latest = folder.join(LATEST);
    let mut found = if latest.is_file() { try_read(&latest)? } else { None };
    for (step, path) in numbered(&folder)? {
        if found.as_ref().is_some_and(|(_, c)| c.place.step >= step) {
            break;
        }
        found = try_read(&path)?.or(found);
    }
    match (found, damaged.is_empty()) {
        (None, false) => Err(damaged.swap_remove(0)),
        (found, _) => {
            if let Some((path, _)) = found.as_ref().filter(|(path, _)| *path != latest) {
                atomic::write(&latest, &atomic::read(path)?)?;
            }
            Ok(Newest { found, damaged })
        }
    }
}

/// step-*.safetensors with their numbers, the newest first.
fn numbered(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let list = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "list the folder", e))?;
    let mut found = Vec::new();
    for entry in list {
        let path = entry.map_err(|e| Error::io(folder, "list the folder", e))?.path();
        let name = path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
        let number = name.strip_prefix("step-").and_then(|n| n.strip_suffix(".safetensors"));
        if let Some(step) = number.and_then(|n| n.parse().ok()) {
            found.push((step, path));
        }
    }
    found.sort();
    found.reverse();
    Ok(found)
}

/// Removes what a killed program left half-written; nobody else writes here, for the folder is locked.
fn remove_parts(folder: &Path) -> Result<()> {
    let list = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "list the folder", e))?;
    for entry in list.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(".glassbox-") && name.ends_with(".part") {
            let path = entry.path();
            std::fs::remove_file(&path).map_err(|e| Error::io(&path, "remove the unfinished file", e))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
