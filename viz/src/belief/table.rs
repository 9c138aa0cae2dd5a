//! Many methods judged by many measures on the same images, with a random map among them for comparison.

use super::{Better, Case, Measure, Region, Score, mean};
use crate::error::Result;
use crate::methods::{Ask, Facts, Method, Settings};
use glassbox_engine::rng::{Purpose, Stream};
use ndarray::Array3;
use serde_json::{Map, Value, json};

/// What the row of the random map is called.
pub const RANDOM: &str = "random map";

/// What is judged, and how.
#[derive(Clone, Debug)]
pub struct Jury {
    /// The methods, with their options.
    pub methods: Vec<(&'static Method, Settings)>,
    /// The measures, with theirs.
    pub measures: Vec<(&'static Measure, Settings)>,
    /// Seed of a random map that is judged along with the methods; none is if `None`.
    pub random: Option<u64>,
}

/// One method, judged.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The method; `None` for the random map.
    pub method: Option<(&'static Method, Settings)>,
    /// Its maps, channels summed, one per image, [H, W]; those of layers enlarged.
    pub maps: Array3<f32>,
    /// What is known of each map.
    pub facts: Vec<Facts>,
    /// Per measure, one score per image.
    pub scores: Vec<Vec<Score>>,
}

impl Verdict {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.method.as_ref().map_or(RANDOM, |(method, _)| method.name)
    }
}

/// Every method, judged by every measure.
#[derive(Clone, Debug)]
pub struct Table {
    /// The class explained, per image.
    pub classes: Vec<usize>,
    /// The measures, with their options.
    pub measures: Vec<(&'static Measure, Settings)>,
    /// One a method.
    pub verdicts: Vec<Verdict>,
}

impl Jury {
    /// Judges. A layer is passed on to methods that look at one; progress counts pairs of method and measure.
    ///
    /// # Errors
    /// What methods and measures refuse; boxes that do not fit.
    pub fn judge(&self, ask: &Ask<'_>, boxes: Option<&[Region]>) -> Result<Table> {
        let makers = self.methods.iter().map(|(m, s)| Some((*m, s.clone())));
        let makers: Vec<_> = makers.chain(self.random.map(|_| None)).collect();
        let total = makers.len() * self.measures.len();
        let quiet = Ask { progress: None, ..ask.clone() };
        let (n, _, h, w) = ask.input.dim();
        let (mut verdicts, mut classes, mut done) = (Vec::new(), Vec::new(), 0);
        for maker in makers {
            let case = match &maker {
                Some((method, settings)) => Case::new(&quiet, method, settings)?,
                None => Case::given(&quiet, &noise(self.random.unwrap_or(0), n, h, w))?,
            };
            let case = match boxes {
                Some(boxes) => case.with_boxes(boxes)?,
                None => case,
            };
            let mut scores = Vec::new();
            for (measure, settings) in &self.measures {
                scores.push(measure.judge(&case, settings)?);
                done += 1;
                ask.progress(done, total);
            }
            let pixels: Vec<f32> = (0..n).flat_map(|i| case.pixels(i)).map(|v| v as f32).collect();
            let maps = Array3::from_shape_vec((n, h, w), pixels)
                .unwrap_or_else(|e| unreachable!("one number per pixel: {e}"));
            let facts = case.answer.as_ref().map(|a| a.facts.clone()).unwrap_or_default();
            classes.clone_from(&case.classes);
            verdicts.push(Verdict { method: maker, maps, facts, scores });
        }
        Ok(Table { classes, measures: self.measures.clone(), verdicts })
    }
}

/// Maps that know nothing: uniform in [0, 1).
fn noise(seed: u64, n: usize, h: usize, w: usize) -> Array3<f32> {
    let mut streams: Vec<Stream> =
        (0..n).map(|sample| Stream::new(seed, Purpose::Measure, sample as u64, u64::MAX)).collect();
    Array3::from_shape_fn((n, h, w), |(sample, _, _)| streams[sample].unit() as f32)
}

impl Table {
    /// The verdict, by index, whose mean is the best by a measure; random maps do not compete.
    pub fn best(&self, measure: usize) -> Option<usize> {
        let means = self.verdicts.iter().enumerate().filter(|(_, v)| v.method.is_some());
        let means = means.filter_map(|(i, v)| Some((i, mean(&v.scores[measure])?.0)));
        self.better(measure, means)
    }

    /// The verdict, by index, whose map of one image is the best by a measure.
    pub fn best_at(&self, measure: usize, sample: usize) -> Option<usize> {
        let values = self.verdicts.iter().enumerate().filter(|(_, v)| v.method.is_some());
        let values = values.filter_map(|(i, v)| Some((i, v.scores[measure][sample].value?)));
        self.better(measure, values)
    }

    fn better(&self, measure: usize, values: impl Iterator<Item = (usize, f64)>) -> Option<usize> {
        let sign = if self.measures[measure].0.better == Better::High { 1.0 } else { -1.0 };
        // of equal ones the first
        values.reduce(|a, b| if sign * b.1 > sign * a.1 { b } else { a }).map(|(i, _)| i)
    }

    /// All of it as JSON: per method its options, the facts of its maps, and per measure the mean, the number of
    /// images that have a score, and every image's score with its details.
    pub fn report(&self) -> Value {
        let options = |s: &Settings| s.all().map(|(k, v)| (k.to_string(), v.into())).collect::<Map<_, _>>();
        let measures = self.measures.iter().map(|(m, s)| {
            let better = if m.better == Better::High { "high" } else { "low" };
            json!({ "measure": m.name, "asks": m.summary, "better": better, "settings": options(s) })
        });
        let verdicts = self.verdicts.iter().map(|v| {
            let scores = self.measures.iter().zip(&v.scores).map(|((m, _), scores)| {
                let mut out = Map::new();
                if let Some((mean, count)) = mean(scores) {
                    out.insert("mean".into(), json!(mean));
                    out.insert("images".into(), json!(count));
                }
                out.insert("scores".into(), scores.iter().map(Score::report).collect());
                (m.name.to_string(), Value::Object(out))
            });
            let mut out = Map::new();
            out.insert("method".into(), v.name().into());
            if let Some((_, settings)) = &v.method {
                out.insert("settings".into(), options(settings).into());
                out.insert("facts".into(), v.facts.iter().map(Facts::report).collect());
            }
            out.insert("measures".into(), scores.collect::<Map<_, _>>().into());
            Value::Object(out)
        });
        json!({
            "classes": self.classes,
            "measures": measures.collect::<Vec<_>>(),
            "methods": verdicts.collect::<Vec<_>>(),
        })
    }
}
