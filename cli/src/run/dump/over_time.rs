//! The maps of the first probe image at every moment that was dumped, read back from dumps.

use super::index::{Entry, Index};
use crate::error::Result;
use glassbox_engine::io::npy;
use glassbox_viz::figures::Dumps;
use ndarray::{Array3, Axis, Ix4};
use std::path::Path;

/// Most moments that are read; more are left out evenly.
const MOST: usize = 60;

/// The maps over time of every layer that has some at all moments; none where the run has no dumps. Errors: files that
/// are damaged or missing.
pub fn over_time(run: &Path) -> Result<Option<Dumps>> {
    let Some(index) = Index::read(&run.join("dumps"))? else { return Ok(None) };
    let Some(image) = index.first_image() else { return Ok(None) };
    let all = index.moments();
    let count = all.len().min(MOST);
    let moments: Vec<_> = (0..count).map(|i| all[i * (all.len() - 1) / (count - 1).max(1)]).collect();
    let mut dumps = Dumps { image, moments: moments.iter().map(|m| m.words()).collect(), layers: Vec::new() };
    for layer in index.layers() {
        let entries = index.entries().iter().filter(|e| e.layer == layer && moments.contains(&&e.moment));
        let maps = entries.map(|entry| maps(&index, entry)).collect::<Result<Option<Vec<_>>>>()?;
        if let Some(maps) = maps.filter(|maps| maps.len() == moments.len()) {
            dumps.layers.push((layer.to_string(), maps));
        }
    }
    Ok(Some(dumps))
}

/// The first image's maps, [C, h, w]; none of a vector, or where maps were not dumped.
fn maps(index: &Index, entry: &Entry) -> Result<Option<Array3<f32>>> {
    let Some(file) = entry.files.iter().find(|file| file.ends_with("/maps.npy")) else { return Ok(None) };
    let array = npy::read(index.folder.join(file))?.into_dimensionality::<Ix4>().ok();
    Ok(array.filter(|a| !a.is_empty()).map(|a| a.index_axis_move(Axis(0), 0)))
}
