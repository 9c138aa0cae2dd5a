//! Weights that a run kept from its epochs, for figures that show how features came to be.

use super::checkpoint::SNAPSHOT;
use crate::error::{Error, Result};
use glassbox_engine::io::weights;
use glassbox_engine::{Graph, Params};
use glassbox_viz::figures::Snapshots;
use std::path::{Path, PathBuf};

/// The kept epochs of a run, then its best weights.
#[derive(Debug)]
pub struct Kept {
    graph: Graph,
    files: Vec<(String, PathBuf)>,
}

impl Kept {
    /// Those that lie in a run folder. Errors: a folder that cannot be listed.
    pub fn of(run: &Path, graph: &Graph) -> Result<Self> {
        let folder = run.join("checkpoints");
        let mut epochs: Vec<(u64, PathBuf)> = Vec::new();
        let list = std::fs::read_dir(&folder).map_err(|e| Error::io(&folder, "list the folder", e))?;
        for entry in list {
            let path = entry.map_err(|e| Error::io(&folder, "list the folder", e))?.path();
            let name = path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
            let number = name.strip_prefix(SNAPSHOT).and_then(|n| n.strip_suffix(".safetensors"));
            epochs.extend(number.and_then(|n| n.parse().ok()).map(|n| (n, path)));
        }
        epochs.sort();
        let mut files: Vec<_> = epochs.into_iter().map(|(n, path)| (format!("ep {n}"), path)).collect();
        let best = folder.join("best.safetensors");
        if best.is_file() {
            files.push(("best".into(), best));
        }
        Ok(Self { graph: graph.clone(), files })
    }
}

impl Snapshots for Kept {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn label(&self, moment: usize) -> String {
        self.files[moment].0.clone()
    }

    fn params(&self, moment: usize) -> glassbox_viz::Result<Params<f32>> {
        Ok(weights::load(&self.files[moment].1, Some(self.graph.clone()))?.1)
    }
}
