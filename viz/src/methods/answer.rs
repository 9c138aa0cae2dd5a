//! What a method answers: the raw signed array, and beside it, sample by sample, how far it can be trusted.

use crate::number::short;
use glassbox_engine::Real;
use ndarray::{ArrayD, Axis};
use serde_json::{Map, Value, json};

/// Residuals that are no identity's: sizes, which nobody expects to be zero.
const SIZES: [&str; 5] =
    ["energy left out", "feature residual", "split halves", "standard error", "stationarity"];

/// How far a map is from an identity that theory gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Residual {
    /// Name of the identity: "completeness".
    pub name: &'static str,
    /// Left side minus right side; 0 where the identity holds exactly.
    pub value: f64,
    /// The size that `value` is to be compared with: the quantity that should have been met, or the sum of
    /// magnitudes.
    pub scale: f64,
    /// The identity in words.
    pub meaning: &'static str,
}

impl Residual {
    /// In a few words: "completeness off by 1.2e-6 of 3.4" for an identity, "standard error 0.02 of 0.3" for a size.
    pub fn text(&self) -> String {
        let between = if SIZES.contains(&self.name) { "" } else { "off by " };
        format!("{} {between}{} of {}", self.name, short(self.value), short(self.scale))
    }

    /// |value| / scale; the value itself where the scale is zero.
    pub fn relative(&self) -> f64 {
        if self.scale > 0.0 { self.value.abs() / self.scale } else { self.value.abs() }
    }
}

/// What flowed through one layer: lets a reader see where relevance is lost or blows up.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSum {
    /// The layer whose output it is, or "input".
    pub layer: String,
    /// Sum over the signal.
    pub sum: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

/// What is known of one sample's map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The class explained, if one was.
    pub class: Option<usize>,
    /// The unit that the signal started at, (channel, row, column), if one did.
    pub unit: Option<[usize; 3]>,
    /// The logit of the class, or the activation of the unit; `None` for methods that look at neither.
    pub score: Option<f64>,
    /// Smallest value of the map.
    pub min: f64,
    /// Largest value of the map.
    pub max: f64,
    /// The map is zero everywhere.
    pub all_zero: bool,
    /// Why the map says nothing, where it is zero or constant.
    pub reason: Option<String>,
    /// The identity that theory gives, where it gives one.
    pub residual: Option<Residual>,
    /// Why there is no residual, where a method has none under its options.
    pub unchecked: Option<&'static str>,
    /// Sums per layer, for methods that conserve something on the way down.
    pub layers: Vec<LayerSum>,
}

/// What a method answers.
#[derive(Clone, Debug)]
pub struct Answer<R = f32> {
    /// Raw signed values: [N, C, H, W] in the input's space; [N, H, W] where channels were reduced; [N, h, w] at a
    /// layer.
    pub map: ArrayD<R>,
    /// One per sample.
    pub facts: Vec<Facts>,
    /// What a reader should know of all maps: the layer chosen, the resizing used.
    pub notes: Vec<String>,
}

impl<R: Real> Answer<R> {
    /// Puts range and flags into the facts; `why_zero` explains a map of zeros.
    pub(super) fn new(map: ArrayD<R>, mut facts: Vec<Facts>, why_zero: impl Fn(&Facts) -> String) -> Self {
        for (facts, map) in facts.iter_mut().zip(map.axis_iter(Axis(0))) {
            (facts.min, facts.max) = range(map.iter().map(|v| v.wide()));
            facts.all_zero = facts.min == 0.0 && facts.max == 0.0;
            if facts.all_zero && facts.reason.is_none() {
                facts.reason = Some(why_zero(facts));
            } else if facts.min == facts.max && facts.reason.is_none() {
                facts.reason = Some("the map is the same everywhere, so it points nowhere".into());
            }
        }
        Self { map, facts, notes: Vec::new() }
    }

    /// With a note.
    pub(super) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Facts and notes as JSON, to lie beside the array: {"samples": [..], "notes": [..]}.
    pub fn report(&self) -> Value {
        json!({ "samples": self.facts.iter().map(Facts::report).collect::<Vec<_>>(), "notes": self.notes })
    }
}

impl Facts {
    /// As JSON; what is not known is left out.
    pub fn report(&self) -> Value {
        let mut out = Map::new();
        if let Some(class) = self.class {
            out.insert("class".into(), json!(class));
        }
        if let Some(unit) = self.unit {
            out.insert("unit".into(), json!(unit));
        }
        if let Some(score) = self.score {
            out.insert("score".into(), json!(score));
        }
        out.insert("min".into(), json!(self.min));
        out.insert("max".into(), json!(self.max));
        out.insert("all_zero".into(), json!(self.all_zero));
        if let Some(reason) = &self.reason {
            out.insert("reason".into(), json!(reason));
        }
        if let Some(r) = &self.residual {
            let relative = r.relative();
            let entry = json!({ "name": r.name, "value": r.value, "scale": r.scale, "relative": relative, "meaning": r.meaning });
            out.insert("residual".into(), entry);
        }
        if let Some(why) = self.unchecked {
            out.insert("no_residual".into(), json!(why));
        }
        if !self.layers.is_empty() {
            let sums = self
                .layers
                .iter()
                .map(|l| json!({ "layer": l.layer, "sum": l.sum, "min": l.min, "max": l.max }));
            out.insert("layers".into(), sums.collect());
        }
        Value::Object(out)
    }
}

/// Smallest and largest of some values; (0, 0) of none.
pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low <= high { (low, high) } else { (0.0, 0.0) }
}
