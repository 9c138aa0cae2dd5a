//! run.toml: everything that decides a run. The copy in a run folder has every default filled in.

use super::dump::Images;
use crate::error::{Error, Result};
use glassbox_engine::data::Dataset;
use glassbox_engine::graph::Init;
use glassbox_engine::io::atomic;
use glassbox_engine::optim::{Method, Phase, Plateau, Schedule};
use glassbox_engine::train::{LossKind, Recipe};
use glassbox_engine::{Keep, error};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A run, as run.toml says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Data set: a name or a folder.
    pub data: String,
    /// Folder in which named data sets are looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// At most so many images of each half.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Built-in model or model.toml.
    pub model: String,
    /// Weights to start from; left out, fresh ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// How fresh parameters start: pytorch, he, glorot; left out, what suits the net.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// Passes over the training set.
    pub epochs: u64,
    /// Images per step; left out, what suits the net and the number of images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// sgd, adam, adamw, rmsprop; left out, what suits the net.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub optimizer: Option<String>,
    /// Base learning rate; left out, what suits the optimiser and the net.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Share of the last move that sgd keeps.
    pub momentum: f64,
    /// Let sgd look ahead along the momentum.
    pub nesterov: bool,
    /// Decays of the two moments of adam and adamw.
    pub betas: [f64; 2],
    /// Decay of the mean square of rmsprop.
    pub alpha: f64,
    /// Added to the root by adam, adamw, rmsprop.
    pub eps: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// constant, step, cosine, one-cycle, warmup; several with their epochs, as in "warmup:2+constant:5+cosine".
    pub schedule: String,
    /// Epochs between drops of the step schedule.
    pub step_every: usize,
    /// Factor of each drop of the step schedule.
    pub step_gamma: f64,
    /// Epochs of the rise of the warmup schedule.
    pub warmup_epochs: f64,
    /// Lower the learning rate after so many epochs without a better test loss, plus one; left out, never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plateau: Option<u64>,
    /// Factor of each such lowering.
    pub plateau_factor: f64,
    /// Largest norm of all gradients together; left out, no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// cross-entropy, mse.
    pub loss: String,
    /// Share of the target spread evenly over all classes.
    pub label_smoothing: f64,
    /// How much each class counts in training: a number for each, or "balanced"; left out, all alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<ClassWeights>,
    /// Train and test on the first so many training images only: can the net learn them by heart?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overfit: Option<usize>,
    /// Augmentation steps, as in ["crop=4", "flip"]; left out, what suits the data set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment: Option<Vec<String>>,
    /// Seed of first parameters, order, augmentation and dropout.
    pub seed: u64,
    /// Keep to the direct convolution kernels; otherwise Winograd's transforms are used where they are faster, which
    /// rounds otherwise.
    pub exact: bool,
    /// Threads (0: one per processor); results do not depend on it.
    pub threads: usize,
    /// Read activations, gradients and updates as training goes, into diagnosis.jsonl.
    pub diagnose: bool,
    /// Write TensorBoard's event files as well.
    pub tensorboard: bool,
    /// What is dumped as training goes.
    pub dump: Dump,
    /// When checkpoints are written.
    pub checkpoint: Checkpoint,
    /// Stop after so many epochs without a better test accuracy; left out, never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stop: Option<u64>,
}

/// How much each class counts in training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ClassWeights {
    /// "balanced": images / (classes x images of the class).
    Word(String),
    /// A number for each class.
    Each(Vec<f64>),
}

impl FromStr for ClassWeights {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let numbers: std::result::Result<Vec<f64>, _> = text.split(',').map(|t| t.trim().parse()).collect();
        Ok(numbers.map_or_else(|_| Self::Word(text.into()), Self::Each))
    }
}

impl ClassWeights {
    /// The numbers for a training set. Errors: a word that is not "balanced", a class without images.
    pub fn of(&self, data: &Dataset) -> Result<Vec<f64>> {
        match self {
            Self::Each(weights) => Ok(weights.clone()),
            Self::Word(word) if word == "balanced" => {
                let count = |k: usize| data.labels.iter().filter(|&&label| label as usize == k).count();
                let weight = |k: usize| match count(k) {
                    0 => Err(Error::request(
                        format!(
                            "class \"{}\" has no training image, so nothing balances it",
                            data.classes[k]
                        ),
                        "give the weights as numbers",
                    )),
                    n => Ok(data.len() as f64 / (data.classes.len() * n) as f64),
                };
                (0..data.classes.len()).map(weight).collect()
            }
            Self::Word(other) => {
                Err(error::Error::unknown("kind of class weights", other, ["balanced"]).into())
            }
        }
    }
}

/// What is dumped as training goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dump {
    /// Of deconvnet, grad-cam, gradients, histograms, kernels, maps, saliency, switches, all.
    pub what: Vec<String>,
    /// Layers; empty for all that have pictures of their own.
    pub layers: Vec<String>,
    /// After the first epoch, every so many, and the last; 0 for never; left out, about ten times over the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    /// Every so many steps as well; 0 for none in between.
    pub every_steps: u64,
    /// Test images that are looked at: the first so many, or a list of their places.
    pub images: Images,
}

impl Default for Dump {
    fn default() -> Self {
        let what = vec!["maps".into(), "kernels".into()];
        Self { what, layers: Vec::new(), every: None, every_steps: 0, images: Images::First(1) }
    }
}

/// When checkpoints are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checkpoint {
    /// Every so many epochs; 0 for only the last.
    pub every: u64,
    /// Every so many steps as well; 0 for none in between.
    pub every_steps: u64,
    /// How many step-*.safetensors are kept; best and latest always are.
    pub keep: usize,
    /// Epochs whose weights are kept for good, as epoch-*.safetensors.
    pub snapshots: Vec<u64>,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self { every: 1, every_steps: 0, keep: 3, snapshots: vec![1, 2, 5, 10, 20, 30, 40, 64] }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "digits".into(),
            data_dir: None,
            limit: None,
            model: "lenet".into(),
            weights: None,
            init: None,
            epochs: 15,
            batch: None,
            optimizer: None,
            lr: None,
            momentum: 0.9,
            nesterov: false,
            betas: [0.9, 0.999],
            alpha: 0.99,
            eps: 1e-8,
            weight_decay: 5e-4,
            schedule: "one-cycle".into(),
            step_every: 10,
            step_gamma: 0.1,
            warmup_epochs: 1.0,
            plateau: None,
            plateau_factor: 0.1,
            clip: None,
            loss: "cross-entropy".into(),
            label_smoothing: 0.0,
            class_weights: None,
            overfit: None,
            augment: None,
            seed: 1,
            exact: false,
            threads: 0,
            diagnose: false,
            tensorboard: false,
            dump: Dump::default(),
            checkpoint: Checkpoint::default(),
            early_stop: None,
        }
    }
}

/// Dumps over a run, unless the user says how often.
const DUMPS: u64 = 10;

/// Tables that a finished run adds to its copy; they decide nothing.
const RECORD: &str = "record";

/// The version of this program.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version in a run's record, where it is newer than this program in more than repairs.
fn newer(record: Option<&toml::Value>) -> Option<String> {
    let theirs = record?.get("glassbox")?.as_str()?;
    let rank = |v: &str| {
        let mut numbers = v.split('.').map(|n| n.parse::<u64>().unwrap_or(0));
        [numbers.next(), numbers.next()].map(|n| n.unwrap_or(0))
    };
    (rank(theirs) > rank(VERSION)).then(|| theirs.to_string())
}

impl Config {
    /// The defaults of a run that is to learn a few images by heart.
    pub fn by_heart() -> Self {
        Self {
            epochs: 200,
            optimizer: Some("adam".into()),
            schedule: "constant".into(),
            weight_decay: 0.0,
            checkpoint: Checkpoint { every: 0, ..Checkpoint::default() },
            early_stop: Some(40),
            ..Self::default()
        }
    }

    /// Reads a run.toml. Errors: unknown keys, with the nearest spelling; values of the wrong kind; a newer program's.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&atomic::read_text(path)?, &path.display().to_string())
    }

    /// Reads the text of a run.toml.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let line_at = |at: usize| text[..at.min(text.len())].matches('\n').count() + 1;
        let wrong = |line, problem: String, cure: String| {
            Error::Engine(error::Error::Text { file: file.into(), line, problem, cure })
        };
        let mut table: toml::Table = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |s| line_at(s.start));
            wrong(line, format!("this is not TOML: {}", e.message()), "mend the line".into())
        })?;
        if let Some(version) = newer(table.remove(RECORD).as_ref()) {
            let line = text.lines().position(|l| l.trim_start().starts_with("glassbox")).map_or(1, |l| l + 1);
            let problem = format!("it was written by glassbox {version}, and this is {VERSION}");
            return Err(wrong(line, problem, "use that version, or a newer one".into()));
        }
        let known =
            toml::Table::try_from(full()).map_err(|e| wrong(1, e.to_string(), "report this".into()))?;
        check_keys(&table, &known, &|key, known| {
            let line = text.lines().position(|l| l.trim_start().starts_with(key)).map_or(1, |l| l + 1);
            wrong(line, format!("unknown key \"{key}\""), error::suggest(key, known))
        })?;
        // read from the text itself, so that errors know their line
        toml::from_str::<Config>(text).map_err(|e| {
            let line = e.span().map_or(1, |s| line_at(s.start));
            let start = e.span().map_or(0, |s| s.start);
            let key = text[..start]
                .rfind('\n')
                .map_or(text, |at| &text[at + 1..])
                .split('=')
                .next()
                .unwrap_or("")
                .trim();
            wrong(
                line,
                format!("key \"{key}\" has the wrong form: {}", e.message()),
                "see glassbox train --help".into(),
            )
        })
    }

    /// The text of a run.toml with every default filled in.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self)
            .map_err(|e| Error::request(format!("the configuration cannot be written: {e}"), "report this"))
    }

    /// The keys that decide what is learned, as text: two runs with the same ones have the same bits.
    pub fn deciding(&self) -> Result<String> {
        let mut table = table_of(&self.to_toml()?);
        table.retain(|key, _| {
            !["threads", "data_dir", "diagnose", "tensorboard", "dump", "checkpoint"].contains(&key)
        });
        toml::to_string(&table)
            .map_err(|e| Error::request(format!("the configuration cannot be written: {e}"), "report this"))
    }

    /// What was changed since `before`, a text of [`Config::deciding`]: a line for each key.
    pub fn changes_since(&self, before: &str) -> Result<Vec<String>> {
        let (old, new) = (table_of(before), table_of(&self.deciding()?));
        let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
        keys.sort();
        keys.dedup();
        let text = |table: &toml::Table, key: &str| {
            table.get(key).map_or_else(|| "nothing".to_string(), toml::Value::to_string)
        };
        let changed = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
        Ok(changed.map(|key| format!("{key}: {} -> {}", text(&old, key), text(&new, key))).collect())
    }

    /// How to train, checked; where optimiser, rate and batch are not filled in, as for grey images. Errors: unknown names,
    /// numbers out of range.
    pub fn recipe(&self) -> Result<Recipe> {
        let [beta1, beta2] = self.betas;
        let method = match Method::named(self.optimizer.as_deref().unwrap_or("sgd"))? {
            Method::Sgd { .. } => Method::Sgd { momentum: self.momentum, nesterov: self.nesterov },
            Method::Adam { .. } => Method::Adam { beta1, beta2, eps: self.eps },
            Method::AdamW { .. } => Method::AdamW { beta1, beta2, eps: self.eps },
            Method::RmsProp { .. } => Method::RmsProp { alpha: self.alpha, eps: self.eps },
        };
        let names = glassbox_engine::loss::LOSSES.iter().map(|(name, _)| *name);
        let loss = match self.loss.as_str() {
            "cross-entropy" => LossKind::CrossEntropy { smoothing: self.label_smoothing },
            "mse" => LossKind::MeanSquaredError,
            other => return Err(error::Error::unknown("loss", other, names).into()),
        };
        for (key, value, range) in [
            ("momentum", self.momentum, 0.0..1.0),
            ("betas[0]", beta1, 0.0..1.0),
            ("betas[1]", beta2, 0.0..1.0),
            ("alpha", self.alpha, 0.0..1.0),
            ("plateau_factor", self.plateau_factor, f64::MIN_POSITIVE..1.0),
            ("warmup_epochs", self.warmup_epochs, 0.0..f64::INFINITY),
            ("label_smoothing", self.label_smoothing, 0.0..1.0),
            ("weight_decay", self.weight_decay, 0.0..f64::INFINITY),
            ("clip", self.clip.unwrap_or(1.0), f64::MIN_POSITIVE..f64::INFINITY),
        ] {
            if !range.contains(&value) {
                let cure = format!("give a number of at least {} and below {}", range.start, range.end);
                return Err(Error::request(format!("{key} = {value} is out of range"), cure));
            }
        }
        if self.epochs == 0 {
            return Err(Error::request("epochs = 0 trains nothing", "give at least 1"));
        }
        Ok(Recipe {
            epochs: self.epochs,
            batch: self.batch.unwrap_or(Recipe::default().batch),
            method,
            lr: self.lr.unwrap_or(0.05),
            weight_decay: self.weight_decay,
            schedule: self.schedule()?,
            plateau: self.plateau.map(|patience| Plateau { patience, factor: self.plateau_factor }),
            clip: self.clip,
            loss,
            seed: self.seed,
            keep: Keep::Everything,
            exact: self.exact,
            ..Recipe::default()
        })
    }

    /// The schedule, or several one after another.
    fn schedule(&self) -> Result<Schedule> {
        let parts: Vec<&str> = self.schedule.split('+').map(str::trim).collect();
        if let [one] = parts[..] {
            return self.phase(one).map(|phase| phase.schedule);
        }
        let phases: Vec<Phase> = parts.iter().map(|part| self.phase(part)).collect::<Result<_>>()?;
        let unclear = phases.iter().take(phases.len() - 1).position(|phase| !phase.epochs.is_finite());
        match unclear {
            None => Ok(Schedule::Phases(phases)),
            Some(i) => Err(Error::request(
                format!("schedule \"{}\" does not say how many epochs \"{}\" lasts", self.schedule, parts[i]),
                format!("write {}:EPOCHS; only the last part takes what is left", parts[i]),
            )),
        }
    }

    /// One part of a schedule, as in "warmup:2"; without a number it lasts for ever, but for a warm-up.
    fn phase(&self, text: &str) -> Result<Phase> {
        let (name, epochs) = match text.split_once(':') {
            None => (text, None),
            Some((name, number)) => match number.trim().parse::<f64>() {
                Ok(epochs) if epochs.is_finite() && epochs > 0.0 => (name.trim(), Some(epochs)),
                _ => {
                    let problem = format!("schedule \"{text}\": \"{number}\" is no number of epochs");
                    return Err(Error::request(problem, "write it as in warmup:2+cosine"));
                }
            },
        };
        let (schedule, epochs) = match Schedule::named(name)? {
            Schedule::Step { .. } => {
                (Schedule::Step { every: self.step_every, gamma: self.step_gamma }, epochs)
            }
            Schedule::Warmup { .. } => {
                let epochs = epochs.unwrap_or(self.warmup_epochs);
                (Schedule::Warmup { epochs }, Some(epochs))
            }
            other => (other, epochs),
        };
        Ok(Phase { epochs: epochs.unwrap_or(f64::INFINITY), schedule })
    }

    /// Epochs between dumps, or as many as make about ten over the run.
    pub fn dump_every(&self) -> u64 {
        self.dump.every.unwrap_or(self.epochs.div_ceil(DUMPS).max(1))
    }

    /// How fresh parameters start. Errors: an unknown name.
    pub fn initialiser(&self) -> Result<Init> {
        Ok(self.init.as_deref().map_or(Ok(Init::default()), Init::named)?)
    }
}

fn table_of(text: &str) -> toml::Table {
    toml::from_str(text).unwrap_or_default()
}

/// A configuration with every key present, those without default too.
fn full() -> Config {
    Config {
        data_dir: Some(PathBuf::new()),
        limit: Some(1),
        batch: Some(1),
        init: Some(String::new()),
        optimizer: Some(String::new()),
        weights: Some(PathBuf::new()),
        lr: Some(0.1),
        clip: Some(1.0),
        augment: Some(Vec::new()),
        early_stop: Some(1),
        plateau: Some(1),
        class_weights: Some(ClassWeights::Each(Vec::new())),
        overfit: Some(1),
        dump: Dump { every: Some(1), ..Dump::default() },
        ..Config::default()
    }
}

/// Refuses keys that `known` does not have, in tables below too.
fn check_keys(
    table: &toml::Table,
    known: &toml::Table,
    error: &dyn Fn(&str, &[&str]) -> Error,
) -> Result<()> {
    for (key, value) in table {
        match (value, known.get(key)) {
            (toml::Value::Table(value), Some(toml::Value::Table(known))) => check_keys(value, known, error)?,
            (_, Some(_)) => {}
            (_, None) => {
                let names: Vec<&str> = known.keys().map(String::as_str).collect();
                return Err(error(key, &names));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_survive_their_text_and_unknown_keys_are_named() {
        let config = full();
        assert_eq!(Config::parse(&config.to_toml().unwrap(), "run.toml").unwrap(), config);
        let message = |text: &str| Config::parse(text, "run.toml").unwrap_err().to_string();
        let text = message("data = \"digits\"\nepoch = 3\n");
        assert!(text.starts_with("run.toml:2: unknown key \"epoch\"; did you mean \"epochs\"?"), "{text}");
        let text = message("[dump]\nevry = 3\n");
        assert!(text.contains("did you mean \"every\"?"), "{text}");
        for (version, newer) in [("0.1.0", false), ("0.1.99", false), ("0.99.0", true), ("2.0.0", true)] {
            let text = message(&format!("hologram = 1\n[record]\nglassbox = \"{version}\"\n"));
            assert_eq!(text.starts_with("run.toml:3: it was written by glassbox"), newer, "{text}");
        }
        let text = message("epochs = \"three\"\n");
        assert!(text.contains("epochs"), "{text}");
    }

    #[test]
    fn changes_are_told_key_by_key_and_only_where_they_decide() {
        let old = Config::default();
        let new = Config { epochs: 99, threads: 7, clip: Some(1.0), ..old.clone() };
        let changes = new.changes_since(&old.deciding().unwrap()).unwrap();
        let epochs = format!("epochs: {} -> 99", Config::default().epochs);
        assert_eq!(changes, ["clip: nothing -> 1.0", &epochs]);
    }

    #[test]
    fn schedules_are_mixed_by_their_epochs() {
        let of = |text: &str| Config { schedule: text.into(), ..Config::default() }.recipe();
        let phase = |epochs, schedule| Phase { epochs, schedule };
        let mixed = Schedule::Phases(vec![
            phase(1.0, Schedule::Warmup { epochs: 1.0 }),
            phase(2.5, Schedule::Constant),
            phase(f64::INFINITY, Schedule::Cosine),
        ]);
        assert_eq!(of("warmup + constant:2.5 + cosine").unwrap().schedule, mixed);
        assert_eq!(of("warmup:3").unwrap().schedule, Schedule::Warmup { epochs: 3.0 });
        for (text, says) in [
            ("constant+cosine", "does not say how many epochs \"constant\" lasts"),
            ("warmup:x+cosine", "\"x\" is no number of epochs"),
            ("warmup:1+cosin", "did you mean \"cosine\"?"),
            ("warmup:1+", "unknown schedule"),
        ] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn class_weights_are_numbers_or_balanced() {
        let mut data = glassbox_engine::data::digits::load().unwrap().train.limit(40);
        data.labels = (0..40).map(|i| if i < 22 { 0 } else { 1 + i % 9 }).collect();
        let of = |text: &str| text.parse::<ClassWeights>().unwrap().of(&data);
        assert_eq!(of("1,2.5").unwrap(), [1.0, 2.5]);
        let balanced = of("balanced").unwrap();
        assert_eq!((balanced[0], balanced[1]), (40.0 / 220.0, 2.0));
        assert!(of("balance").unwrap_err().to_string().contains("did you mean \"balanced\"?"));
        data.labels.fill(3);
        let error = ClassWeights::Word("balanced".into()).of(&data).unwrap_err().to_string();
        assert!(error.contains("class \"0\" has no training image"), "{error}");
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let bad = Config { momentum: 1.5, ..Config::default() };
        assert!(bad.recipe().unwrap_err().to_string().contains("momentum = 1.5"));
        let bad = Config { optimizer: Some("adm".into()), ..Config::default() };
        assert!(bad.recipe().unwrap_err().to_string().contains("did you mean \"adam\"?"));
    }
}
