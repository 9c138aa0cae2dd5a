//! Do I believe it? Measures that judge a map: does it change when the net's weights do, does it name the pixels that
//! the class hangs on, does it know one class from another, does it point at the thing.
//!
//! A measure takes a [`Case`], the maps of one method on some images, and gives each image a [`Score`]. It reads a map
//! as shares: one signed number per input value, the larger the more it speaks for the class. Maps of pixels and of
//! layers (enlarged half-pixel bilinearly) are spread evenly over channels. What chance there is comes from an
//! explicit seed, keyed by (seed, sample, draw).
//!
//! One file and one line each in [`MEASURES`]; the head of the file is the measure's manual page
//! ([`Measure::manual`]).

mod case;
mod curve;
pub mod likeness;
mod table;

mod class_sensitivity;
mod deletion;
mod infidelity;
mod insertion;
mod model_randomization;
mod pointing_game;
mod sensitivity_n;

pub use case::{Case, Region};
pub use table::{Jury, RANDOM, Table, Verdict};

use crate::error::{Error, Result};
use crate::methods::{Key, Settings};
use serde_json::{Map, Value, json};

/// Every measure, by name.
pub static MEASURES: &[&Measure] = &[
    &class_sensitivity::MEASURE,
    &deletion::MEASURE,
    &infidelity::MEASURE,
    &insertion::MEASURE,
    &model_randomization::MEASURE,
    &pointing_game::MEASURE,
    &sensitivity_n::MEASURE,
];

/// Which way a measure points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Larger is better.
    High,
    /// Smaller is better.
    Low,
}

/// A measure: its name, its options, and how it judges.
#[derive(Debug)]
pub struct Measure {
    /// Its name in the literature, as on the command line.
    pub name: &'static str,
    /// One line: what it asks.
    pub summary: &'static str,
    /// Which way is good.
    pub better: Better,
    /// Its options.
    pub keys: &'static [Key],
    run: fn(&Case<'_>, &Settings) -> Result<Vec<Score>>,
    source: &'static str,
}

/// What a measure says of one image's map.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// The number; `None` where there is none, for a reason.
    pub value: Option<f64>,
    /// Why there is no number.
    pub reason: Option<String>,
    /// What else was found on the way.
    pub details: Map<String, Value>,
}

impl Score {
    /// A number.
    fn of(value: f64) -> Self {
        Self { value: Some(value), ..Self::default() }
    }

    /// No number, and why.
    fn none(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::default() }
    }

    /// With a detail.
    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.into(), value.into());
        self
    }

    /// As JSON; what is not known is left out.
    pub fn report(&self) -> Value {
        let mut out = Map::new();
        if let Some(value) = self.value {
            out.insert("value".into(), json!(value));
        }
        if let Some(reason) = &self.reason {
            out.insert("reason".into(), json!(reason));
        }
        out.extend(self.details.clone());
        Value::Object(out)
    }
}

/// The mean of the scores that have a value, and how many have; `None` where none has.
pub fn mean(scores: &[Score]) -> Option<(f64, usize)> {
    let values: Vec<f64> = scores.iter().filter_map(|s| s.value).collect();
    (!values.is_empty()).then(|| (values.iter().sum::<f64>() / values.len() as f64, values.len()))
}

impl Measure {
    /// Its defaults, changed by `key=value` texts. Errors: a text without `=`, an unknown key, a key given twice.
    pub fn settings<S: AsRef<str>>(&self, pairs: &[S]) -> Result<Settings> {
        Settings::read(&format!("measure \"{}\"", self.name), self.keys, pairs)
    }

    /// Judges the maps of a case, image by image. Errors: options out of range; what the method itself refuses.
    pub fn judge(&self, case: &Case<'_>, settings: &Settings) -> Result<Vec<Score>> {
        (self.run)(case, settings)
    }

    /// Its manual page: definition, reference, defaults, limits.
    pub fn manual(&self) -> String {
        crate::methods::manual(self.source)
    }
}

/// The measure of that name. Errors: an unknown name, with the nearest spelling and all names.
pub fn named(name: &str) -> Result<&'static Measure> {
    let found = MEASURES.iter().copied().find(|m| m.name == name);
    found.ok_or_else(|| Error::unknown("measure", name, MEASURES.iter().map(|m| m.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_alphabetical_and_every_file_is_listed() {
        let names: Vec<&str> = MEASURES.iter().map(|m| m.name).collect();
        assert!(names.is_sorted(), "{names:?}");
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/belief")).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let name = file.trim_end_matches(".rs").replace('_', "-");
            let shared = ["case", "curve", "likeness", "mod", "table"];
            assert!(shared.contains(&&*name) || names.contains(&&*name), "{name} is not listed");
        }
    }

    #[test]
    fn every_manual_starts_with_the_name_and_cites_its_source() {
        for measure in MEASURES {
            let manual = measure.manual();
            assert!(manual.starts_with(&format!("{}: ", measure.name)), "{manual}");
            assert!(manual.contains("Reference") && manual.contains("Limits"), "{}", measure.name);
            assert!(measure.keys.iter().all(|k| !k.default.is_empty() && !k.help.is_empty()));
        }
    }

    #[test]
    fn unknown_names_and_keys_are_answered_with_the_nearest() {
        let text = named("delition").unwrap_err().to_string();
        assert!(text.contains("did you mean \"deletion\"?"), "{text}");
        let text = deletion::MEASURE.settings(&["stap=3"]).unwrap_err().to_string();
        assert!(text.contains("did you mean \"step\"?") && text.contains("measure \"deletion\""), "{text}");
    }
}
