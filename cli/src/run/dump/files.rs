//! The folder of one dump: filled under a name of its own, and renamed when it is whole.
//!
//! Files are not flushed to the disk one by one, which would take longer than drawing them: after a kill a dump is whole
//! or absent, but after a power cut the last ones may be damaged. They can be made again; checkpoints are flushed.

use super::super::tensorboard::Board;
use super::index::{Entry, Index, Moment};
use crate::error::{Error, Result};
use glassbox_engine::io::npy;
use glassbox_viz::Canvas;
use ndarray::ArrayViewD;
use std::path::{Path, PathBuf};

/// A dump that is being written.
#[derive(Debug)]
pub struct Files<'a> {
    board: Option<&'a Board>,
    moment: Moment,
    part: PathBuf,
    entries: Vec<Entry>,
}

impl<'a> Files<'a> {
    /// Begins one in the folder dumps; its pictures are shown to a TensorBoard as well, if there is one.
    pub fn begin(dumps: &Path, moment: &Moment, board: Option<&'a Board>) -> Result<Self> {
        let part = dumps.join(format!(".{}.part", moment.at));
        if part.exists() {
            remove(&part)?;
        }
        make(&part)?;
        Ok(Self { board, moment: moment.clone(), part, entries: Vec::new() })
    }

    /// Begins the files of a layer.
    pub fn layer(&mut self, name: &str, kind: &str) {
        let (layer, kind) = (name.to_string(), kind.to_string());
        self.entries.push(Entry { moment: self.moment.clone(), layer, kind, files: Vec::new() });
    }

    /// Writes a file of the layer that was begun last.
    pub fn put(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let Some(entry) = self.entries.last_mut() else { return Ok(()) };
        let folder = self.part.join(&entry.layer);
        if entry.files.is_empty() {
            make(&folder)?;
        }
        entry.files.push(format!("{}/{}/{name}", self.moment.at, entry.layer));
        let path = folder.join(name);
        std::fs::write(&path, bytes).map_err(|e| Error::io(&path, "write the file", e))
    }

    /// Writes a picture.
    pub fn png(&mut self, name: &str, canvas: &Canvas) -> Result<()> {
        let bytes = canvas.png_quick()?;
        if let (Some(board), Some(entry)) = (self.board, self.entries.last()) {
            board.image(&format!("{}/{name}", entry.layer), self.moment.step, &bytes)?;
        }
        self.put(&format!("{name}.png"), &bytes)
    }

    /// Writes an array.
    pub fn npy(&mut self, name: &str, array: ArrayViewD<'_, f32>) -> Result<()> {
        let name = format!("{name}.npy");
        let bytes = npy::to_bytes(array, self.part.join(&name))?;
        self.put(&name, &bytes)
    }

    /// Gives the folder its name and adds it to the index.
    pub fn finish(mut self, index: &mut Index) -> Result<()> {
        let own = index.folder.join(&self.moment.at);
        if own.exists() {
            remove(&own)?;
        }
        std::fs::rename(&self.part, &own).map_err(|e| Error::io(&own, "rename the finished dump", e))?;
        self.entries.retain(|entry| !entry.files.is_empty());
        index.add(self.entries)
    }
}

/// Makes a folder with those above it.
pub fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create the folder", e))
}

fn remove(folder: &Path) -> Result<()> {
    std::fs::remove_dir_all(folder).map_err(|e| Error::io(folder, "remove the old dump", e))
}
