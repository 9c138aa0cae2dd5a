//! class-sensitivity: whether the map knows one class from another.
//!
//! Spearman's rank correlation between the map of the class explained and the map that the same method makes of the
//! same image for another: the one with the smallest logit (`against=least`), or the largest of the others
//! (`against=next`). Near 1 the map is the same whatever is asked, so it shows the image and not the class; near 0 or
//! below, the two classes rest on different pixels. Channels are summed; `magnitudes` beside it is the correlation of
//! magnitudes.
//!
//! Reference: Li et al. 2020 (arXiv 2012.15616), class sensitivity: the most and the least likely class.
//!
//! Limits: two classes may rest on the same pixels with good reason, and signed maps may then be near -1. Methods that
//! do not look at the class (eigen-cam) get 1 by definition. A net of two outputs that mirror each other gets -1 from
//! every signed gradient.

use super::likeness::spearman;
use super::{Better, Case, Measure, Score};
use crate::error::{Error, Result};
use crate::methods::pass::{Pass, each_variant, values};
use crate::methods::{Ask, Key, Settings};
use glassbox_engine::graph::Keep;

pub(super) static MEASURE: Measure = Measure {
    name: "class-sensitivity",
    summary: "rank correlation between the maps of this class and of another",
    better: Better::Low,
    keys: &[Key {
        name: "against",
        default: "least",
        help: "the other class: least (the smallest logit), next (the largest of the others)",
    }],
    run,
    source: include_str!("class_sensitivity.rs"),
};

fn run(case: &Case<'_>, settings: &Settings) -> Result<Vec<Score>> {
    let least = settings.choice("against", &[("least", true), ("next", false)])?;
    let others = others(case, least)?;
    let Some(maps) = case.with_classes(others.clone())? else {
        return Ok(vec![
            Score::none("the maps were given, so no method can be asked for another class");
            case.samples()
        ]);
    };
    let scores = maps.iter().enumerate().map(|(n, other)| {
        let own = case.pixels(n);
        let magnitudes = |v: &[f64]| v.iter().map(|v| v.abs()).collect::<Vec<f64>>();
        let score = match spearman(&own, other) {
            Some(value) => Score::of(value),
            None => Score::none("one of the two maps is the same everywhere"),
        };
        let score = score.with("other_class", others[n]);
        match spearman(&magnitudes(&own), &magnitudes(other)) {
            Some(value) => score.with("magnitudes", value),
            None => score,
        }
    });
    Ok(scores.collect())
}

/// The class to compare with, per image.
fn others(case: &Case<'_>, least: bool) -> Result<Vec<usize>> {
    let graph = case.ask.graph;
    if graph.shape(graph.logits()).size() < 2 {
        let problem = format!("model \"{}\" has a single output: there is no other class", graph.name());
        return Err(Error::request(problem, "leave class-sensitivity out"));
    }
    let ask = Ask { progress: None, ..case.ask.clone() };
    let mut pass = Pass::new(&ask, case.samples(), Keep::Nothing);
    let mut out = Vec::with_capacity(case.samples());
    each_variant(
        &ask,
        &mut pass,
        1,
        |_, _, _| {},
        |pass, batch| {
            for (i, &(sample, _)) in batch.iter().enumerate() {
                let sign = if least { -1.0 } else { 1.0 };
                let logits = values(pass.logits()?, i).map(|v| sign * f64::from(v)).enumerate();
                let others = logits.filter(|(k, _)| *k != case.classes[sample]);
                // of equal ones the first
                let best = others.reduce(|a, b| if b.1 > a.1 { b } else { a });
                out.push(best.map_or(0, |(k, _)| k));
            }
            Ok(())
        },
    )?;
    Ok(out)
}
