//! Checkpoints: one safetensors file that holds all that decides how training goes on.
//!
//! Parameters lie under PyTorch's names, as in a file of weights; the optimiser's moments beside them under
//! `optimizer/<moment>`, one row of numbers in the order of the slab. No parameter can have such a name, so the file
//! still loads as weights here. The metadata holds the model text, how far training was, the caller's own notes, and
//! a checksum (CRC-32C) of the whole file, in which the checksum's own eight digits count as zeros: a file of which a
//! single bit changed is refused.
//!
//! No time of day and no measured time is in it, so that runs of the same seed write the same bytes, whether or not
//! they were interrupted.

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::io::safetensors::{self, Content};
use crate::io::{Metadata, atomic, weights};
use crate::loss::Cost;
use crate::optim::{Optimizer, Seen};
use crate::params::Params;
use ndarray::Array1;
use std::path::Path;
use std::str::FromStr;

/// The layout of the files that this version writes.
const VERSION: &str = "1";
const VERSION_KEY: &str = "glassbox.checkpoint";
const CHECKSUM_KEY: &str = "glassbox.crc32c";
const NO_CHECKSUM: &str = "00000000";
const NOTE: &str = "glassbox.note.";
const CURE: &str = "use an older checkpoint";

/// How far training is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Place {
    /// Steps done.
    pub step: u64,
    /// Epochs finished, their evaluation included.
    pub epochs: u64,
    /// Cost of the batches of the epoch that is under way.
    pub cost: Cost,
    /// What reducing the learning rate on a plateau has seen.
    pub seen: Seen,
}

/// What a checkpoint holds beside the parameters, as observers see it.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// How far training is.
    pub place: Place,
    /// The optimiser with its moments.
    pub optimizer: &'a dyn Optimizer<f32>,
}

/// A checkpoint that was read.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Parameters.
    pub params: Params<f32>,
    /// The optimiser's moments by name.
    pub moments: Vec<(String, Vec<f32>)>,
    /// Steps that the optimiser has done.
    pub optimizer_steps: u64,
    /// How far training was.
    pub place: Place,
    /// What the writer noted, by key.
    pub notes: Metadata,
}

/// The bytes of a checkpoint: the same state gives the same bytes. `notes` ride along under keys of their own.
///
/// # Errors
/// None that a graph and its own parameters can cause; [`Error::Request`] as for [`safetensors::to_bytes`].
pub fn to_bytes(
    graph: &Graph,
    params: &Params<f32>,
    standing: &Standing<'_>,
    notes: &Metadata,
) -> Result<Vec<u8>> {
    let (moments, optimizer_steps) = standing.optimizer.state();
    let mut tensors = weights::to_tensors(params);
    for (name, values) in moments {
        let array = Array1::from(values.to_vec());
        tensors.insert(format!("{}{name}", weights::RESERVED), array.into());
    }
    let Place { step, epochs, cost, seen } = standing.place;
    let mut metadata = Metadata::from([
        (CHECKSUM_KEY.into(), NO_CHECKSUM.into()),
        (VERSION_KEY.into(), VERSION.into()),
        (weights::MODEL_KEY.into(), graph.to_toml()),
        ("format".into(), "pt".into()),
    ]);
    let numbers = [
        ("step", step.to_string()),
        ("epochs", epochs.to_string()),
        ("cost.total", cost.total.to_string()),
        ("cost.images", cost.images.to_string()),
        ("cost.correct", cost.correct.to_string()),
        ("optimizer.steps", optimizer_steps.to_string()),
    ];
    metadata.extend(numbers.map(|(key, value)| (format!("glassbox.{key}"), value)));
    if let Some(best) = seen.best {
        let numbers = [
            ("best", best.to_string()),
            ("stale", seen.stale.to_string()),
            ("drops", seen.drops.to_string()),
        ];
        metadata.extend(numbers.map(|(key, value)| (format!("glassbox.plateau.{key}"), value)));
    }
    metadata.extend(notes.iter().map(|(key, value)| (format!("{NOTE}{key}"), value.clone())));
    let mut bytes = safetensors::to_bytes(&tensors, &metadata)?;
    if let Some(at) = checksum_place(&bytes) {
        let digits = format!("{:08x}", crc32c::crc32c(&bytes));
        bytes[at..at + 8].copy_from_slice(digits.as_bytes());
    }
    Ok(bytes)
}

/// Reads a checkpoint of this net.
///
/// # Errors
/// [`Error::Io`]; [`Error::Corrupt`] for a file that is cut off, changed, or holds no training state;
/// [`Error::Request`] for one of another model or of a newer program.
pub fn read(path: impl AsRef<Path>, graph: &Graph) -> Result<Checkpoint> {
    parse(&atomic::read(&path)?, path, graph)
}

/// Parses the bytes of a checkpoint; `file` only names it in messages.
///
/// # Errors
/// As for [`read`].
pub fn parse(bytes: &[u8], file: impl AsRef<Path>, graph: &Graph) -> Result<Checkpoint> {
    let file = file.as_ref();
    let content = checked(bytes, file)?;
    same_model(&content, file, graph)?;
    let params = weights::from_content(&content, graph, file)?;
    let moments = content.tensors.iter().filter_map(|(name, tensor)| {
        let name = name.strip_prefix(weights::RESERVED)?;
        Some((name.to_string(), tensor.to_f32().into_iter().collect()))
    });
    let note = |(key, value): (&String, &String)| Some((key.strip_prefix(NOTE)?.to_string(), value.clone()));
    Ok(Checkpoint {
        params,
        moments: moments.collect(),
        optimizer_steps: number(&content, file, "optimizer.steps")?,
        place: Place {
            step: number(&content, file, "step")?,
            epochs: number(&content, file, "epochs")?,
            cost: Cost {
                total: number(&content, file, "cost.total")?,
                images: number(&content, file, "cost.images")?,
                correct: number(&content, file, "cost.correct")?,
            },
            seen: if content.metadata.contains_key("glassbox.plateau.best") {
                Seen {
                    best: Some(number(&content, file, "plateau.best")?),
                    stale: number(&content, file, "plateau.stale")?,
                    drops: number(&content, file, "plateau.drops")?,
                }
            } else {
                Seen::default()
            },
        },
        notes: content.metadata.iter().filter_map(note).collect(),
    })
}

/// The content of a file whose every bit is as it was written.
fn checked(bytes: &[u8], file: &Path) -> Result<Content> {
    let at = checksum_place(bytes);
    if let Some(at) = at {
        let mut blank = crc32c::crc32c(&bytes[..at]);
        blank = crc32c::crc32c_append(blank, NO_CHECKSUM.as_bytes());
        blank = crc32c::crc32c_append(blank, &bytes[at + 8..]);
        let said = String::from_utf8_lossy(&bytes[at..at + 8]);
        if said != format!("{blank:08x}") {
            let problem = format!("its bytes add up to {blank:08x}, not {said}: it is damaged or cut off");
            return Err(Error::corrupt(file, "checksum", problem, CURE));
        }
    }
    let content = safetensors::parse(bytes, file)?;
    match (content.metadata.get(VERSION_KEY).map(String::as_str), at) {
        (Some(VERSION), Some(_)) => Ok(content),
        (Some(other), Some(_)) => Err(Error::request(
            format!("{} is a checkpoint of layout {other}, this program knows {VERSION}", file.display()),
            "use the version of the program that wrote it",
        )),
        _ => {
            let problem = "it holds weights, but no state of training";
            Err(Error::corrupt(file, "metadata", problem, "resume from a checkpoint that training wrote"))
        }
    }
}

/// Where the checksum's digits lie. In the metadata's other texts a quote is escaped, so this finds none of them.
fn checksum_place(bytes: &[u8]) -> Option<usize> {
    let key = format!("\"{CHECKSUM_KEY}\":\"");
    let at = bytes.windows(key.len()).position(|window| window == key.as_bytes())? + key.len();
    (at + 8 <= bytes.len()).then_some(at)
}

fn same_model(content: &Content, file: &Path, graph: &Graph) -> Result<()> {
    let own = graph.to_toml();
    let theirs = content.metadata.get(weights::MODEL_KEY).map_or("", String::as_str);
    if own == theirs {
        return Ok(());
    }
    let differs = own.lines().zip(theirs.lines()).enumerate().find(|(_, (a, b))| a != b);
    let where_ = differs.map_or("one text is longer".to_string(), |(i, (a, b))| {
        format!("line {} of the model is \"{a}\", the checkpoint's is \"{b}\"", i + 1)
    });
    Err(Error::request(
        format!("{} is a checkpoint of another model: {where_}", file.display()),
        "put the model back as it was, or start a new run with these weights (--weights)",
    ))
}

fn number<T: FromStr>(content: &Content, file: &Path, key: &str) -> Result<T> {
    let text = content.metadata.get(&format!("glassbox.{key}")).map_or("", String::as_str);
    text.parse().map_err(|_| {
        Error::corrupt(file, format!("metadata glassbox.{key}"), format!("\"{text}\" is no number"), CURE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Augment, Loader, digits};
    use crate::graph::{Init, models};
    use crate::optim::Method;
    use crate::rng::{Purpose, Stream};
    use crate::train::{Event, Flow, Observer, Recipe, Trainer};

    fn sample() -> (Graph, Vec<u8>) {
        let graph = models::named("gap-small").unwrap();
        let params = graph.init::<f32>(Init::He, 3);
        let len = graph.layout().learnable_len();
        let mut optimizer = Method::named("adam").unwrap().build::<f32>(len, 0.0);
        optimizer.step(params.clone().learnable_mut(), params.learnable(), 0.1);
        let cost = Cost { total: 0.1 + 0.2, images: 7, correct: 5 };
        let seen = Seen { best: Some(0.1), stale: 2, drops: 1 };
        let place = Place { step: 12, epochs: 1, cost, seen };
        let notes = Metadata::from([("why".to_string(), "\"quoted\"".to_string())]);
        let bytes = to_bytes(&graph, &params, &Standing { place, optimizer: &*optimizer }, &notes).unwrap();
        (graph, bytes)
    }

    #[test]
    fn what_is_written_is_read_back_and_still_loads_as_weights() {
        let (graph, bytes) = sample();
        let read = parse(&bytes, "x", &graph).unwrap();
        assert_eq!(read.params.slab(), graph.init::<f32>(Init::He, 3).slab());
        assert_eq!((read.place.step, read.place.epochs, read.place.cost.total), (12, 1, 0.1 + 0.2));
        assert_eq!(read.notes["why"], "\"quoted\"");
        assert_eq!((read.moments.len(), read.optimizer_steps), (1, 1));
        assert!(read.moments[0].1.iter().any(|&m| m != 0.0));
        let content = safetensors::parse(&bytes, "x").unwrap();
        let weights: Params<f32> = weights::from_content(&content, &graph, "x").unwrap();
        assert_eq!(weights.slab(), read.params.slab());
    }

    #[test]
    fn a_thousand_flipped_bits_and_every_kind_of_cut_are_refused() {
        let (graph, bytes) = sample();
        let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        let mut stream = Stream::new(5, Purpose::Demo, 0, 0);
        for i in 0..1000 {
            // half of them in the header, which is small
            let byte = stream.below(if i % 2 == 0 { header } else { bytes.len() });
            let mut bad = bytes.clone();
            bad[byte] ^= 1 << stream.below(8);
            let error = parse(&bad, "x", &graph).unwrap_err();
            assert_eq!(error.exit_code(), 4, "byte {byte}: {error}");
        }
        for _ in 0..100 {
            let keep = stream.below(bytes.len());
            assert_eq!(parse(&bytes[..keep], "x", &graph).unwrap_err().exit_code(), 4, "{keep} bytes kept");
        }
    }

    #[test]
    fn another_model_and_plain_weights_are_named() {
        let (_, bytes) = sample();
        let other = models::named("lenet").unwrap();
        let text = parse(&bytes, "x", &other).unwrap_err().to_string();
        assert!(text.contains("another model") && text.contains("gap-small"), "{text}");
        let params = other.init::<f32>(Init::He, 1);
        let plain = safetensors::to_bytes(&weights::to_tensors(&params), &Metadata::new()).unwrap();
        let text = parse(&plain, "x", &other).unwrap_err().to_string();
        assert!(text.contains("no state of training"), "{text}");
    }

    /// A net in training on 36 digits, in batches of 8, the last of an epoch half as large.
    fn training(model: &str, method: &str, epochs: u64) -> (Trainer, Loader) {
        let graph = models::named(model).unwrap().adapted([1, 28, 28], Some(10)).unwrap();
        let graph = graph.with_pixels(vec![0.13], vec![0.31]);
        let method = Method::named(method).unwrap();
        let recipe = Recipe { epochs, batch: 8, method, lr: 1e-3, weight_decay: 1e-3, ..Recipe::default() };
        let data = digits::load().unwrap().train.limit(36);
        let augment = Augment::parse(&["shift=2".to_string()]).unwrap();
        let loader = Loader::new(data, &[0.13], &[0.31], augment, recipe.seed).unwrap();
        let params = graph.init(Init::PyTorch, 1);
        (Trainer::new(graph, params, recipe).unwrap(), loader)
    }

    /// Takes a checkpoint after every step.
    #[derive(Default)]
    struct EveryStep(Vec<Vec<u8>>);
    impl Observer for EveryStep {
        fn on(&mut self, event: &Event<'_>) -> Result<Flow> {
            if let Event::Step { graph, params, standing, .. } = event {
                self.0.push(to_bytes(graph, params, standing, &Metadata::new())?);
            }
            Ok(Flow::Continue)
        }
    }

    /// Resumes after each step; the number of runs that ended in the uninterrupted run's bits.
    fn resumed(model: &str, method: &str, epochs: u64) -> (usize, usize) {
        let (mut whole, mut loader) = training(model, method, epochs);
        let mut taken = EveryStep::default();
        whole.run(&mut loader, None, &mut [&mut taken]).unwrap();
        let end = |t: &Trainer| to_bytes(t.graph(), t.params(), &t.standing(), &Metadata::new()).unwrap();
        let want = end(&whole);
        let same = taken.0.iter().filter(|bytes| {
            let (mut again, mut loader) = training(model, method, epochs);
            again.restore(parse(bytes, "x", again.graph()).unwrap()).unwrap();
            again.run(&mut loader, None, &mut []).unwrap();
            end(&again) == want
        });
        (same.count(), taken.0.len())
    }

    #[test]
    fn resumed_after_each_of_forty_steps_the_bits_are_the_same() {
        assert_eq!(resumed("lenet", "adam", 8), (40, 40));
    }

    #[test]
    fn running_statistics_are_resumed_too() {
        assert_eq!(resumed("resnet-small", "rmsprop", 2), (10, 10));
    }
}
