//! dumps/index.json: which files there are, of which moment and layer.

use super::files::make;
use super::probe::Probe;
use crate::error::{Error, Result};
use glassbox_engine::io::atomic;
use glassbox_engine::train::{Place, Progress};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// When a dump was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Its folder: "epoch-001", "step-000120".
    pub at: String,
    /// Epochs done, or the epoch that was under way.
    pub epoch: u64,
    /// Steps done.
    pub step: u64,
}

impl Moment {
    /// After an epoch.
    pub fn epoch(progress: &Progress) -> Self {
        Self { at: format!("epoch-{:03}", progress.epoch), epoch: progress.epoch, step: progress.step }
    }

    /// After a step.
    pub fn step(progress: &Progress) -> Self {
        Self { at: format!("step-{:06}", progress.step), epoch: progress.epoch, step: progress.step }
    }

    /// In words: "epoch 1", "step 120".
    pub fn words(&self) -> String {
        if self.at.starts_with("epoch") {
            format!("epoch {}", self.epoch)
        } else {
            format!("step {}", self.step)
        }
    }

    /// Whether it lies before a place of the run.
    fn is_before(&self, place: Place) -> bool {
        if self.at.starts_with("epoch") { self.epoch <= place.epochs } else { self.step <= place.step }
    }
}

/// The files of one layer at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    #[serde(flatten)]
    pub moment: Moment,
    /// The layer, or "input".
    pub layer: String,
    /// Its kind; of the input, "input".
    pub kind: String,
    /// The files, below dumps.
    pub files: Vec<String>,
}

/// A probe image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Image {
    place: usize,
    class: String,
}

/// What index.json holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Text {
    images: usize,
    of: String,
    probe: Vec<Image>,
    dumps: Vec<Entry>,
}

/// The index of a run's dumps.
#[derive(Debug)]
pub struct Index {
    /// The folder dumps.
    pub folder: PathBuf,
    text: Text,
}

impl Index {
    /// For a run at a place: later dumps are forgotten, for they will be made again. Errors: a folder that cannot be
    /// made or tidied.
    pub fn open(folder: &Path, probe: &Probe, place: Place) -> Result<Self> {
        make(folder)?;
        remove_parts(folder)?;
        let mut index = Self::read(folder)?.unwrap_or(Self { folder: folder.into(), text: Text::default() });
        let image = |n: usize| Image { place: probe.places[n], class: probe.classes[n].clone() };
        index.text.images = probe.len();
        index.text.of = "test set".into();
        index.text.probe = (0..probe.len()).map(image).collect();
        index.text.dumps.retain(|entry| entry.moment.is_before(place));
        Ok(index)
    }

    /// The index of a folder, where there is one. Errors: a file that is no index.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let file = folder.join("index.json");
        if !file.is_file() {
            return Ok(None);
        }
        let text = serde_json::from_str(&atomic::read_text(&file)?).map_err(|e| {
            let cure = "remove the file; the next dump writes it again";
            glassbox_engine::Error::corrupt(&file, "text", format!("it is no index of dumps: {e}"), cure)
        })?;
        Ok(Some(Self { folder: folder.into(), text }))
    }

    /// Adds what one dump wrote, and writes the file.
    pub fn add(&mut self, entries: Vec<Entry>) -> Result<()> {
        self.text.dumps.extend(entries);
        let text = serde_json::to_string_pretty(&self.text)
            .map_err(|e| Error::Failed(format!("the index of dumps cannot be written: {e}")))?;
        Ok(atomic::write(self.folder.join("index.json"), format!("{text}\n").as_bytes())?)
    }

    /// All entries, in the order of time.
    pub fn entries(&self) -> &[Entry] {
        &self.text.dumps
    }

    /// The moments, in the order of time.
    pub fn moments(&self) -> Vec<&Moment> {
        let mut all: Vec<&Moment> = self.text.dumps.iter().map(|e| &e.moment).collect();
        all.dedup();
        all
    }

    /// The layers, in the order of the net.
    pub fn layers(&self) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for entry in &self.text.dumps {
            if !all.contains(&entry.layer.as_str()) {
                all.push(&entry.layer);
            }
        }
        all
    }

    /// What the first probe image is called.
    pub fn first_image(&self) -> Option<String> {
        self.text.probe.first().map(|i| format!("test image {}, a \"{}\"", i.place, i.class))
    }
}

/// Removes what a killed program left half-written; nobody else writes here, for the run folder is locked.
fn remove_parts(folder: &Path) -> Result<()> {
    let list = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "list the folder", e))?;
    for path in list.flatten().map(|entry| entry.path()) {
        let name = path.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned());
        if !(name.starts_with('.') && name.ends_with(".part")) {
            continue;
        }
        let removed =
            if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.map_err(|e| Error::io(&path, "remove what was not finished", e))?;
    }
    Ok(())
}
