//! Dumps as training goes: what the probe images look like in every layer, and the kernels, epoch by epoch.
//!
//! dumps/epoch-001/<layer>/{maps.png, maps.npy, kernels.png}, and dumps/index.json that lists them all. The probe
//! images are the first test images; a pass of their own in evaluation shows them, so training is not touched.

use super::config::Dump;
use super::log::to_engine;
use crate::error::{Error, Result};
use glassbox_engine::data::{Augment, Dataset, Loader};
use glassbox_engine::io::{atomic, npy};
use glassbox_engine::train::{Event, Every, Flow, Observer};
use glassbox_engine::{Blocked, Graph, Mode, Params, forward};
use glassbox_viz::tiles::FeatureMaps;
use glassbox_viz::weights::Kernels;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What can be dumped.
const WHAT: [&str; 2] = ["kernels", "maps"];

/// Writes dumps.
#[derive(Debug)]
pub struct Dumper {
    folder: PathBuf,
    every: Every,
    what: Vec<String>,
    layers: Vec<String>,
    probe: Blocked<f32>,
    index: Vec<serde_json::Value>,
}

impl Dumper {
    /// For a run folder in which `epochs` are done; dumps of later epochs will be written again, the same. Errors:
    /// unknown layers or kinds of dumps.
    pub fn open(run: &Path, dump: &Dump, graph: &Graph, test: &Arc<Dataset>, epochs: u64) -> Result<Self> {
        for layer in &dump.layers {
            graph.slot(layer)?;
        }
        if let Some(bad) = dump.what.iter().find(|w| !WHAT.contains(&w.as_str())) {
            return Err(glassbox_engine::Error::unknown("kind of dump", bad, WHAT).into());
        }
        let images = dump.images.min(test.len());
        let probe = probe(graph, test, images)?;
        let folder = run.join("dumps");
        let every = if dump.every == 0 || images == 0 { Every::Never } else { Every::Epochs(dump.every) };
        if every != Every::Never {
            make(&folder)?;
        }
        Ok(Self {
            every,
            what: dump.what.clone(),
            layers: dump.layers.clone(),
            index: listed(&folder, epochs),
            folder,
            probe,
        })
    }

    fn write(&mut self, graph: &Graph, params: &Params<f32>, epoch: u64) -> Result<()> {
        let name = format!("epoch-{epoch:03}");
        let folder = self.folder.join(&name);
        make(&folder)?;
        let trace = forward(graph, params, &self.probe, Mode::Eval)?;
        for (i, node) in graph.nodes().iter().enumerate() {
            if !self.layers.is_empty() && !self.layers.contains(&node.name) {
                continue;
            }
            let own = folder.join(&node.name);
            make(&own)?;
            let mut files = Vec::new();
            if self.what.iter().any(|w| w == "maps") {
                let title = format!("{} after epoch {epoch}, test image 0", node.name);
                let maps = trace.slot(i + 1)?;
                atomic::write(own.join("maps.png"), &FeatureMaps::new(title, maps.image(0)).draw()?.png()?)?;
                npy::write(own.join("maps.npy"), maps.to_exported().view())?;
                files.extend(["maps.png", "maps.npy"]);
            }
            let weight = params.get(&format!("{}.weight", node.name)).ok().filter(|w| w.ndim() == 4);
            if let (Some(weight), true) = (weight, self.what.iter().any(|w| w == "kernels")) {
                let title = format!("kernels of {} after epoch {epoch}", node.name);
                if let Ok(weight) = weight.into_dimensionality() {
                    atomic::write(own.join("kernels.png"), &Kernels::new(title, weight).draw()?.png()?)?;
                    files.push("kernels.png");
                }
            }
            let files: Vec<String> = files.iter().map(|f| format!("{name}/{}/{f}", node.name)).collect();
            self.index.push(
                json!({"epoch": epoch, "layer": node.name, "kind": node.layer.kind().name, "files": files}),
            );
        }
        let index =
            json!({"images": self.probe.batch(), "of": "test set, from its start", "dumps": self.index});
        Ok(atomic::write(self.folder.join("index.json"), format!("{index:#}\n").as_bytes())?)
    }
}

/// What the index lists of the epochs that are done.
fn listed(folder: &Path, epochs: u64) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(folder.join("index.json")).unwrap_or_default();
    let index: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let done = |entry: &&serde_json::Value| entry["epoch"].as_u64().is_some_and(|n| n <= epochs);
    index["dumps"].as_array().into_iter().flatten().filter(done).cloned().collect()
}

/// The first test images, as the net sees them.
fn probe(graph: &Graph, test: &Arc<Dataset>, images: usize) -> Result<Blocked<f32>> {
    let pixels = graph.pixels();
    let mut loader = Loader::new(test.clone(), &pixels.mean, &pixels.std, Augment::default(), 0)?;
    let mut probe =
        Blocked::zeros(graph.input(), images, if images == 1 { 1 } else { glassbox_engine::LANES });
    let indices: Vec<u32> = (0..images as u32).collect();
    loader.fill(0, &indices, &mut probe, &mut vec![0; images]);
    Ok(probe)
}

fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, "create the folder", e))
}

impl Observer for Dumper {
    fn on(&mut self, event: &Event<'_>) -> glassbox_engine::Result<Flow> {
        if let Event::Epoch { graph, params, epoch, .. } = event
            && self.every.due(event)
        {
            self.write(graph, params, epoch.progress.epoch).map_err(to_engine)?;
        }
        Ok(Flow::Continue)
    }
}
