//! diagnosis.jsonl: what every layer did in an epoch. The first line holds the edges of all histograms; each other line
//! is an epoch.

use super::log::{Lines, cut};
use crate::error::{Error, Result};
use glassbox_engine::data::Dataset;
use glassbox_engine::io::atomic;
use glassbox_engine::train::diagnosis::{Diagnosis, Layer, Report, Stats, edges};
use glassbox_engine::train::{Observer, Place};
use glassbox_viz::diagnosis as viz;
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

/// What a run's file says, or nothing if the run was not diagnosed. Errors: a file that is not what it should be.
pub fn read(run: &Path) -> Result<Option<viz::Diagnosis>> {
    let path = run.join(FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let mut out = viz::Diagnosis::default();
    for (i, line) in atomic::read_text(&path)?.lines().enumerate() {
        let value: Value = serde_json::from_str(line).map_err(|e| {
            let (at, problem) = (format!("line {}", i + 1), format!("it is not JSON: {e}"));
            Error::from(glassbox_engine::Error::corrupt(&path, at, problem, "restore the file from the run"))
        })?;
        match (value["edges"].as_array(), value["epoch"].as_u64()) {
            (Some(edges), _) => out.edges = edges.iter().filter_map(Value::as_f64).collect(),
            (_, Some(epoch)) => {
                out.epochs.push(epoch);
                value["layers"].as_array().into_iter().flatten().for_each(|layer| take(&mut out, layer));
            }
            _ => {}
        }
    }
    Ok((!out.epochs.is_empty()).then_some(out))
}

/// Adds one layer of the newest epoch.
fn take(out: &mut viz::Diagnosis, layer: &Value) {
    let (name, epochs) = (layer["layer"].as_str().unwrap_or_default(), out.epochs.len());
    if !out.layers.iter().any(|t| t.name == name) {
        let values = vec![vec![None; epochs - 1]; viz::PANELS.len()];
        let histograms = vec![vec![Vec::new(); epochs - 1]; viz::HISTOGRAMS.len()];
        out.layers.push(viz::Track { name: name.into(), values, histograms });
    }
    let Some(track) = out.layers.iter_mut().find(|t| t.name == name) else { return };
    let weight = layer["parameters"].as_array().and_then(|list| list.first());
    let units = layer["units"].as_f64().filter(|n| *n > 0.0);
    let share = |key: &str| layer[key].as_f64().zip(units).map(|(n, all)| n / all);
    let values = [
        weight.and_then(|w| w["ratio"].as_f64()),
        layer["gradient"]["std"].as_f64(),
        layer["activation"]["std"].as_f64(),
        layer["activation"]["zero_share"].as_f64(),
        share("dead"),
        share("saturated"),
    ];
    track.values.iter_mut().zip(values).for_each(|(all, new)| all.push(new));
    for (all, key) in track.histograms.iter_mut().zip(["activation", "gradient", "weights"]) {
        let counts = layer[key]["histogram"].as_array();
        all.push(counts.into_iter().flatten().filter_map(Value::as_u64).collect());
    }
}
