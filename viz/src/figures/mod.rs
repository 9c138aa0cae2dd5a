//! Figures: methods and pictures put together. One file and one line each in [`FIGURES`].
//!
//! A figure is a pure function of a [`Scene`] and answers with files: a path below the figures' folder, and bytes. It
//! says what it needs; a scene that lacks it is refused by name.

mod architecture;
pub mod belief;
mod cnnvis;
mod confusion;
mod correspondence;
mod curves;
mod deconvnet;
mod diagnosis;
mod evolution;
pub mod explanation;
mod feature_maps;
mod grad_cam;
mod gradient_x_input;
mod guided_backprop;
mod invariance;
mod kernels;
mod layers;
mod localization;
mod methods;
mod occlusion_sensitivity;
mod projection;
mod saliency;
mod strips;
mod top_images;
mod units;

use crate::belief::Region;
use crate::curves::Epoch;
use crate::diagnosis::Diagnosis;
use crate::error::{Error, Result};
use crate::methods::{Key, Settings};
use crate::set::ImageSet;
use glassbox_engine::{Graph, Params};
use ndarray::{Array2, Array3, Array4, ArrayViewD};
use ndarray_npy::WriteNpyExt;
use std::fmt;

/// Every figure, by name.
pub const FIGURES: &[&Figure] = &[
    &architecture::FIGURE,
    &belief::FIGURE,
    &cnnvis::FIGURE,
    &confusion::FIGURE,
    &correspondence::FIGURE,
    &curves::FIGURE,
    &deconvnet::FIGURE,
    &diagnosis::FIGURE,
    &evolution::FIGURE,
    &feature_maps::FIGURE,
    &grad_cam::FIGURE,
    &gradient_x_input::FIGURE,
    &guided_backprop::FIGURE,
    &invariance::FIGURE,
    &kernels::FIGURE,
    &localization::FIGURE,
    &methods::FIGURE,
    &occlusion_sensitivity::FIGURE,
    &projection::FIGURE,
    &saliency::FIGURE,
    &strips::FIGURE,
    &top_images::FIGURE,
    &units::FIGURE,
];

/// A composed figure.
#[derive(Debug)]
pub struct Figure {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line: what it shows.
    pub summary: &'static str,
    /// What a scene must have.
    pub needs: Needs,
    /// Its options.
    pub keys: &'static [Key],
    /// Draws it.
    pub draw: fn(&Scene<'_>, &Settings) -> Result<Vec<File>>,
}

/// What a figure cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Only the net.
    Net,
    /// Images.
    Images,
    /// Images, and more time than the end of a run should take.
    ImagesAndTime,
    /// The epochs of a run.
    History,
    /// A confusion matrix.
    Confusion,
    /// What a run dumped as it went, at two moments or more.
    Dumps,
    /// A data set.
    Data,
    /// What a run's layers did.
    Diagnosis,
    /// A data set, and parameters from several moments of training.
    Snapshots,
}

/// Parameters from several moments of a run, in its order.
pub trait Snapshots: fmt::Debug {
    /// Number of moments.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When a moment was: "ep 5", a few characters.
    fn label(&self, moment: usize) -> String;

    /// The parameters then. Errors: files that are gone or damaged.
    fn params(&self, moment: usize) -> Result<Params<f32>>;
}

/// A file of a figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path below the figures' folder, with forward slashes.
    pub path: String,
    /// Its content: PNG, SVG text, or the numbers behind a picture as JSON or .npy.
    pub bytes: Vec<u8>,
}

impl File {
    /// A file.
    pub fn new(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), bytes: bytes.into() }
    }

    /// Numbers with their names.
    pub fn json(path: impl Into<String>, value: &serde_json::Value) -> Self {
        Self::new(path, format!("{value:#}\n"))
    }

    /// An array, as numpy reads it.
    ///
    /// # Errors
    /// The writer's own failure.
    pub fn npy(path: impl Into<String>, array: ArrayViewD<'_, f32>) -> Result<Self> {
        let path = path.into();
        let mut bytes = Vec::new();
        match array.as_standard_layout().write_npy(&mut bytes) {
            Ok(()) => Ok(Self { path, bytes }),
            Err(e) => Err(Error::request(format!("cannot write {path}: {e}"), "draw less")),
        }
    }
}

/// Images to look at, with what is known of them.
#[derive(Clone, Debug)]
pub struct Images {
    /// As the net sees them, [N, C, H, W].
    pub input: Array4<f32>,
    /// True class of each, or empty.
    pub labels: Vec<usize>,
    /// What each is called: "test image 3", or a file name.
    pub names: Vec<String>,
    /// Where the thing is in each, or empty.
    pub boxes: Vec<Region>,
}

impl Images {
    /// What image `n` is called.
    pub fn name(&self, n: usize) -> &str {
        self.names.get(n).map_or("an image", String::as_str)
    }

    /// The true class of image `n`, if it is known.
    pub fn label(&self, n: usize) -> Option<usize> {
        self.labels.get(n).copied()
    }
}

/// The epochs of a run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// One entry an epoch.
    pub epochs: Vec<Epoch>,
    /// (epochs done, loss) of each step.
    pub steps: Vec<(f64, f64)>,
}

/// Counts on a data set.
#[derive(Clone, Debug)]
pub struct Confusion {
    /// What was measured on what.
    pub title: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Counts, [true class, predicted class].
    pub counts: Array2<u64>,
}

/// Maps of one image that a run dumped as it went.
#[derive(Clone, Debug, Default)]
pub struct Dumps {
    /// What the image is called.
    pub image: String,
    /// When they were taken: "epoch 1".
    pub moments: Vec<String>,
    /// Layers, each with its maps [C, h, w] at every moment.
    pub layers: Vec<(String, Vec<Array3<f32>>)>,
}

/// What figures are made of.
#[derive(Clone)]
pub struct Scene<'a> {
    /// The net.
    pub graph: &'a Graph,
    /// What it learned.
    pub params: &'a Params<f32>,
    /// Images to look at.
    pub images: Option<Images>,
    /// The epochs of the run.
    pub history: Option<History>,
    /// Counts on the test set.
    pub confusion: Option<Confusion>,
    /// What the run dumped as it went.
    pub dumps: Option<Dumps>,
    /// What the run's layers did.
    pub diagnosis: Option<Diagnosis>,
    /// One layer to draw, where a figure draws layers; all by default.
    pub layer: Option<String>,
    /// A data set, for figures that look at many images.
    pub data: Option<&'a dyn ImageSet>,
    /// Parameters from several moments of the run.
    pub snapshots: Option<&'a dyn Snapshots>,
    /// Called with (done, total) now and then on long ways.
    pub progress: Option<&'a dyn Fn(usize, usize)>,
}

impl fmt::Debug for Scene<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scene")
            .field("model", &self.graph.name())
            .field("data", &self.data)
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}

impl Figure {
    /// Its options: the defaults, changed by `key=value` texts. Errors: an unknown key, with the nearest spelling.
    pub fn settings<S: AsRef<str>>(&self, pairs: &[S]) -> Result<Settings> {
        Settings::read(&format!("figure \"{}\"", self.name), self.keys, pairs)
    }

    /// Draws it. Errors: a scene that lacks what it needs; an unknown layer; what its methods cannot do.
    pub fn files(&self, scene: &Scene<'_>, settings: &Settings) -> Result<Vec<File>> {
        if let Some(layer) = &scene.layer {
            scene.graph.slot(layer)?;
        }
        if self.drawable(scene) {
            return (self.draw)(scene, settings);
        }
        let (lacks, cure) = match self.needs {
            Needs::Net => unreachable!("every scene has a net"),
            Needs::Images | Needs::ImagesAndTime => ("images", "give some with --input, or name a run"),
            Needs::History => ("the epochs of a run", "name a run folder"),
            Needs::Dumps => ("what a run dumped at two moments or more", "name a run folder with dumps"),
            Needs::Confusion => ("a confusion matrix", "name a run folder, or data with --data"),
            Needs::Data => ("a data set", "name a run folder, or data with --data"),
            Needs::Snapshots => ("a data set and the checkpoints of a run", "name a run folder"),
            Needs::Diagnosis => {
                ("what a run's layers did", "name the folder of a run trained with --diagnose")
            }
        };
        Err(Error::request(format!("figure \"{}\" needs {lacks}", self.name), cure))
    }

    /// Whether the scene has what it needs.
    pub fn drawable(&self, scene: &Scene<'_>) -> bool {
        match self.needs {
            Needs::Net => true,
            Needs::Images | Needs::ImagesAndTime => {
                scene.images.as_ref().is_some_and(|i| i.input.dim().0 > 0)
            }
            Needs::History => scene.history.as_ref().is_some_and(|h| !h.epochs.is_empty()),
            Needs::Confusion => scene.confusion.is_some(),
            Needs::Dumps => scene.dumps.as_ref().is_some_and(|d| d.moments.len() > 1),
            Needs::Data => scene.data.is_some_and(|set| !set.is_empty()),
            Needs::Snapshots => {
                scene.data.is_some_and(|set| !set.is_empty())
                    && scene.snapshots.is_some_and(|s| !s.is_empty())
            }
            Needs::Diagnosis => scene.diagnosis.is_some(),
        }
    }
}

impl<'a> Scene<'a> {
    /// A net, and nothing else yet.
    pub fn new(graph: &'a Graph, params: &'a Params<f32>) -> Self {
        Self {
            graph,
            params,
            images: None,
            history: None,
            confusion: None,
            diagnosis: None,
            dumps: None,
            layer: None,
            data: None,
            snapshots: None,
            progress: None,
        }
    }

    /// Whether a layer is to be drawn.
    fn wants(&self, layer: &str) -> bool {
        self.layer.as_ref().is_none_or(|only| only == layer)
    }

    /// The images, which [`Figure::files`] has made sure of.
    fn images(&self) -> Result<&Images> {
        self.images.as_ref().ok_or_else(|| Error::request("there are no images", "give some"))
    }

    /// The snapshots, which [`Figure::files`] has made sure of.
    fn snapshots(&self) -> Result<&'a dyn Snapshots> {
        self.snapshots.ok_or_else(|| Error::request("there are no snapshots", "name a run"))
    }

    /// The data set, which [`Figure::files`] has made sure of.
    fn data(&self) -> Result<&'a dyn ImageSet> {
        self.data.ok_or_else(|| Error::request("there is no data set", "give one"))
    }
}

/// The figure of that name. Errors: an unknown name, with the nearest spelling.
pub fn named(name: &str) -> Result<&'static Figure> {
    let found = FIGURES.iter().copied().find(|f| f.name == name);
    found.ok_or_else(|| Error::unknown("figure", name, FIGURES.iter().map(|f| f.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_alphabetical_and_every_file_is_listed() {
        let names: Vec<&str> = FIGURES.iter().map(|f| f.name).collect();
        assert!(names.is_sorted_by_key(|n| n.replace('-', "_")), "{names:?}");
        for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/figures")).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let name = file.trim_end_matches(".rs").replace('_', "-");
            assert!(
                ["mod", "explanation", "layers"].contains(&&*name) || names.contains(&&*name),
                "{name} is not listed"
            );
        }
    }

    #[test]
    fn a_scene_without_what_a_figure_needs_is_refused_by_name() {
        let graph = glassbox_engine::graph::models::named("lenet").unwrap();
        let params = graph.init(Default::default(), 1);
        let scene = Scene::new(&graph, &params);
        for figure in FIGURES.iter().filter(|f| f.needs != Needs::Net) {
            let text = figure.files(&scene, &figure.settings::<&str>(&[]).unwrap()).unwrap_err().to_string();
            assert!(text.contains(figure.name), "{text}");
        }
    }
}
