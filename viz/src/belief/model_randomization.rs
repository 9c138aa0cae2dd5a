//! model-randomization: whether the map notices that the net's weights are replaced by random ones.
//!
//! Layers that learned something are given fresh values, one after the other from the logits down, each on top of the
//! ones before (`order=cascading`), or each alone (`order=independent`); the same method then maps the same class
//! again. The score is the mean over layers of the likeness between the new map and the old one, channels summed:
//! Spearman's rank correlation of magnitudes (`likeness=magnitudes`), of signed values (`signed`), or structural
//! similarity of magnitudes over their largest (`ssim`). All three are in `layers` beside it. A map that explains the
//! net falls to about 0; one that stays is drawn by the image and the architecture. A new map without any variation
//! counts as 0.
//!
//! Reference: Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim 2018 (arXiv 1810.03292), sections 3 and 4.
//!
//! Limits: chance (`seed`); fresh values come from `init`, which should be what the net was trained from. Some
//! likeness is due to the input alone where a map is multiplied by it. Guided backpropagation and DeconvNet are known
//! to fall slowly.

use super::likeness::{spearman, ssim};
use super::{Better, Case, Measure, Score};
use crate::error::{Error, Result};
use crate::methods::{Key, Settings};
use glassbox_engine::graph::Init;
use glassbox_engine::{Graph, Params};
use serde_json::{Value, json};

pub(super) static MEASURE: Measure = Measure {
    name: "model-randomization",
    summary: "likeness of the map to those of the same net with random weights",
    better: Better::Low,
    keys: &[
        Key { name: "order", default: "cascading", help: "cascading (from the logits down) or independent" },
        Key { name: "likeness", default: "magnitudes", help: "what is scored: magnitudes, signed or ssim" },
        Key { name: "init", default: "pytorch", help: "where fresh values come from: glorot, he, pytorch" },
        Key { name: "seed", default: "0", help: "seed of the fresh values" },
    ],
    run,
    source: include_str!("model_randomization.rs"),
};

/// Likenesses of two maps.
struct Alike {
    magnitudes: f64,
    signed: f64,
    ssim: f64,
}

impl Alike {
    fn of(old: &[f64], new: &[f64], h: usize, w: usize) -> Self {
        let sizes = |v: &[f64]| -> Vec<f64> {
            let top = v.iter().fold(0.0, |top: f64, v| top.max(v.abs()));
            v.iter().map(|v| if top > 0.0 { v.abs() / top } else { 0.0 }).collect()
        };
        let (a, b) = (sizes(old), sizes(new));
        Self {
            magnitudes: spearman(&a, &b).unwrap_or(0.0),
            signed: spearman(old, new).unwrap_or(0.0),
            ssim: ssim(&a, &b, h, w, 1.0),
        }
    }
}

/// Fresh values for layer `i`.
fn refresh(graph: &Graph, i: usize, fresh: &Params, params: &mut Params) {
    for spec in graph.layout().of_layer(i) {
        let place = spec.offset..spec.offset + spec.len;
        params.slab_mut()[place.clone()].copy_from_slice(&fresh.slab()[place]);
    }
}

fn run(case: &Case<'_>, settings: &Settings) -> Result<Vec<Score>> {
    let cascading = settings.choice("order", &[("cascading", true), ("independent", false)])?;
    let scored = settings.choice("likeness", &[("magnitudes", 0), ("signed", 1), ("ssim", 2)])?;
    let init = settings.choice("init", Init::NAMES)?;
    let graph = case.ask.graph;
    let shape = graph.input();
    let learned: Vec<usize> =
        (0..graph.logits()).rev().filter(|&i| !graph.layout().of_layer(i).is_empty()).collect();
    if learned.is_empty() {
        let problem = format!("model \"{}\" has no parameters to replace", graph.name());
        return Err(Error::request(problem, "leave model-randomization out"));
    }
    let fresh: Params = graph.init(init, settings.seed()?);
    let olds: Vec<Vec<f64>> = (0..case.samples()).map(|n| case.pixels(n)).collect();
    let mut found: Vec<Vec<Alike>> = Vec::new();
    let mut params = case.ask.params.clone();
    for (done, &layer) in learned.iter().enumerate() {
        if !cascading {
            params = case.ask.params.clone();
        }
        refresh(graph, layer, &fresh, &mut params);
        let Some(news) = case.with_params(&params)? else {
            let reason = "the maps were given, so no method can be run on another net";
            return Ok(vec![Score::none(reason); case.samples()]);
        };
        found.push(olds.iter().zip(&news).map(|(a, b)| Alike::of(a, b, shape.h, shape.w)).collect());
        case.ask.progress(done + 1, learned.len());
    }
    let scores = olds.iter().enumerate().map(|(n, old)| {
        if old.iter().all(|v| *v == old[0]) {
            return Score::none("the map is the same everywhere, so nothing can be like it or not");
        }
        let value = |a: &Alike| [a.magnitudes, a.signed, a.ssim][scored];
        let mean = found.iter().map(|f| value(&f[n])).sum::<f64>() / learned.len() as f64;
        let layers = learned.iter().zip(&found).map(|(&i, f)| {
            let Alike { magnitudes, signed, ssim } = f[n];
            json!({ "layer": graph.nodes()[i].name, "magnitudes": magnitudes, "signed": signed, "ssim": ssim })
        });
        Score::of(mean).with("layers", layers.collect::<Vec<Value>>())
    });
    Ok(scores.collect())
}
