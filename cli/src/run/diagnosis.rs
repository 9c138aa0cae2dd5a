//! diagnosis.jsonl: what every layer did in an epoch. The first line holds the edges of all histograms; each other line
//! is an epoch.

use super::log::{Lines, cut};
use crate::error::Result;
use glassbox_engine::data::Dataset;
use glassbox_engine::io::atomic;
use glassbox_engine::train::diagnosis::{Diagnosis, Layer, Report, Stats, edges};
use glassbox_engine::train::{Observer, Place};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

const FILE: &str = "diagnosis.jsonl";
/// Steps of an epoch that are read.
const STEPS: u64 = 8;
/// Test images by which units are judged.
const IMAGES: usize = 1000;

/// An observer that writes the file of a run; later lines than the place, which will be written again, are dropped.
pub fn observer(run: &Path, test: &Arc<Dataset>, place: Place) -> Result<Box<dyn Observer>> {
    let path = run.join(FILE);
    if path.exists() {
        cut(&path, |line| {
            let value: Value = serde_json::from_str(line).unwrap_or_default();
            value.get("edges").is_some() || value["epoch"].as_u64().is_some_and(|n| n <= place.epochs)
        })?;
    } else {
        atomic::write(&path, format!("{}\n", json!({ "edges": edges() })).as_bytes())?;
    }
    let mut lines = Lines::open(path)?;
    let judges = if test.len() > IMAGES { Arc::new(test.limit(IMAGES)) } else { test.clone() };
    let write = move |report: &Report| lines.add(line(report).to_string()).map_err(super::log::to_engine);
    Ok(Box::new(Diagnosis::new(STEPS, Some(judges), write)))
}

fn line(report: &Report) -> Value {
    json!({
        "epoch": report.epoch, "steps": report.steps, "images": report.images,
        "layers": report.layers.iter().map(layer).collect::<Vec<_>>(),
    })
}

fn layer(layer: &Layer) -> Value {
    let changes = layer.changes.iter().map(|c| {
        json!({
            "name": c.name, "weight_norm": c.weight, "gradient_norm": c.gradient, "update_norm": c.update,
            "ratio": c.ratio,
        })
    });
    json!({
        "layer": layer.name, "activation": stats(&layer.activation), "gradient": stats(&layer.gradient),
        "weights": stats(&layer.weights), "parameters": changes.collect::<Vec<_>>(),
        "units": layer.units.map(|u| u.units), "dead": layer.units.and_then(|u| u.dead),
        "saturated": layer.units.and_then(|u| u.saturated),
    })
}

fn stats(stats: &Stats) -> Value {
    if stats.count == 0 {
        return Value::Null;
    }
    json!({
        "count": stats.count, "mean": stats.mean(), "std": stats.std(), "min": stats.min, "max": stats.max,
        "zero_share": stats.zero_share(), "histogram": stats.bins,
    })
}
