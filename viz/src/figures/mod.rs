//! Figures: methods and pictures put together. One file and one line each in [`FIGURES`].
//!
//! A figure is a pure function of a [`Scene`] and answers with files: a path below the figures' folder, and bytes. It
//! says what it needs; a scene that lacks it is refused by name.

mod architecture;
pub mod belief;
mod confusion;
mod curves;
mod deconvnet;
mod evolution;
pub mod explanation;
mod feature_maps;
mod grad_cam;
mod gradient_x_input;
mod guided_backprop;
mod kernels;
mod methods;
mod saliency;
mod units;

use crate::belief::Region;
use crate::curves::Epoch;
use crate::error::{Error, Result};
use glassbox_engine::{Graph, Params};
use ndarray::{Array2, Array3, Array4};

/// Every figure, by name.
pub const FIGURES: &[&Figure] = &[
    &architecture::FIGURE,
    &belief::FIGURE,
    &confusion::FIGURE,
    &curves::FIGURE,
    &deconvnet::FIGURE,
    &evolution::FIGURE,
    &feature_maps::FIGURE,
    &grad_cam::FIGURE,
    &gradient_x_input::FIGURE,
    &guided_backprop::FIGURE,
    &kernels::FIGURE,
    &methods::FIGURE,
    &saliency::FIGURE,
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
    /// Draws it.
    pub draw: fn(&Scene<'_>) -> Result<Vec<File>>,
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
}

/// A file of a figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path below the figures' folder, with forward slashes.
    pub path: String,
    /// Its content: PNG, or SVG text.
    pub bytes: Vec<u8>,
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
#[derive(Debug)]
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
    /// One layer to draw, where a figure draws layers; all by default.
    pub layer: Option<String>,
}

impl Figure {
    /// Draws it. Errors: a scene that lacks what it needs; an unknown layer; what its methods cannot do.
    pub fn files(&self, scene: &Scene<'_>) -> Result<Vec<File>> {
        if let Some(layer) = &scene.layer {
            scene.graph.slot(layer)?;
        }
        if self.drawable(scene) {
            return (self.draw)(scene);
        }
        let (lacks, cure) = match self.needs {
            Needs::Net => unreachable!("every scene has a net"),
            Needs::Images | Needs::ImagesAndTime => ("images", "give some with --input, or name a run"),
            Needs::History => ("the epochs of a run", "name a run folder"),
            Needs::Dumps => ("what a run dumped at two moments or more", "name a run folder with dumps"),
            Needs::Confusion => ("a confusion matrix", "name a run folder, or data with --data"),
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
        }
    }
}

impl Scene<'_> {
    /// Whether a layer is to be drawn.
    fn wants(&self, layer: &str) -> bool {
        self.layer.as_ref().is_none_or(|only| only == layer)
    }

    /// The images, which [`Figure::files`] has made sure of.
    fn images(&self) -> Result<&Images> {
        self.images.as_ref().ok_or_else(|| Error::request("there are no images", "give some"))
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
                ["mod", "explanation"].contains(&&*name) || names.contains(&&*name),
                "{name} is not listed"
            );
        }
    }

    #[test]
    fn a_scene_without_what_a_figure_needs_is_refused_by_name() {
        let graph = glassbox_engine::graph::models::named("lenet").unwrap();
        let params = graph.init(Default::default(), 1);
        let scene = Scene {
            graph: &graph,
            params: &params,
            images: None,
            history: None,
            confusion: None,
            dumps: None,
            layer: None,
        };
        for figure in FIGURES.iter().filter(|f| f.needs != Needs::Net) {
            let text = figure.files(&scene).unwrap_err().to_string();
            assert!(text.contains(figure.name), "{text}");
        }
    }
}
