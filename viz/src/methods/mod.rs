//! Methods that look inside a net: pure functions of a net, its parameters and some images.
//!
//! A method answers with the raw signed array and, sample by sample, with facts that say how far it can be trusted;
//! cutting, normalising and colouring are for pictures. What holds for all of them: the score is the logit, never
//! the loss; the net runs in evaluation and nothing of it is changed; no number mixes two samples of a batch; a map
//! that says nothing is zeros with the reason, never NaN; chance comes from an explicit seed, keyed by (seed,
//! sample, draw), so that results depend neither on the batch nor on threads.
//!
//! One file and one line each in [`METHODS`]; the head of the file is the method's manual page ([`Method::manual`]).

mod answer;
mod ask;
pub(crate) mod baseline;
mod cams;
mod fold;
mod fourier;
pub(crate) mod pass;
mod paths;
mod project;
mod relevance;
mod residual;
pub(crate) mod score;
mod settings;
mod smooth;
mod studio;
mod wobble;

mod ablation_cam;
mod activation_maximization;
mod cam;
mod class_model;
mod deconvnet;
mod deep_dream;
mod deeplift;
mod eigen_cam;
mod expected_gradients;
mod grad_cam;
mod grad_cam_plus_plus;
mod gradient;
mod gradient_x_input;
mod guided_backprop;
mod guided_grad_cam;
mod hires_cam;
mod integrated_gradients;
mod inversion;
mod layer_cam;
mod lrp_epsilon;
mod lrp_epsilon_plus;
mod lrp_gamma_box;
mod occlusion;
mod rise;
mod saliency;
mod score_cam;
mod smoothgrad;
mod smoothgrad_squared;
mod vargrad;
mod xgrad_cam;

pub use answer::{Answer, Facts, LayerSum, Residual};
pub use ask::{Ask, Targets, Unit};
pub(crate) use deconvnet::OVERLAP;
pub use settings::{Key, Settings};
pub use smooth::{Moment, under_noise};

use crate::error::{Error, Result};

/// Every method, by name.
pub static METHODS: &[&Method] = &[
    &ablation_cam::METHOD,
    &activation_maximization::METHOD,
    &cam::METHOD,
    &class_model::METHOD,
    &deconvnet::METHOD,
    &deep_dream::METHOD,
    &deeplift::METHOD,
    &eigen_cam::METHOD,
    &expected_gradients::METHOD,
    &grad_cam::METHOD,
    &grad_cam_plus_plus::METHOD,
    &gradient::METHOD,
    &gradient_x_input::METHOD,
    &guided_backprop::METHOD,
    &guided_grad_cam::METHOD,
    &hires_cam::METHOD,
    &integrated_gradients::METHOD,
    &inversion::METHOD,
    &layer_cam::METHOD,
    &lrp_epsilon::METHOD,
    &lrp_epsilon_plus::METHOD,
    &lrp_gamma_box::METHOD,
    &occlusion::METHOD,
    &rise::METHOD,
    &saliency::METHOD,
    &score_cam::METHOD,
    &smoothgrad::METHOD,
    &smoothgrad_squared::METHOD,
    &vargrad::METHOD,
    &xgrad_cam::METHOD,
];

/// What a method's array lies over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// The input: [N, C, H, W].
    Input,
    /// The input's pixels, channels reduced: [N, H, W].
    Pixels,
    /// A layer's places: [N, h, w], or [N, H, W] enlarged.
    Layer,
    /// An image that was made: [N, C, H, W].
    Made,
}

/// What a method can be pointed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// A class.
    Class,
    /// A class, or with a layer one of its units.
    ClassOrUnit,
    /// A class, seen at a layer.
    Layer,
}

/// A method: its name, its options, and what it computes.
#[derive(Debug)]
pub struct Method {
    /// Its name in the literature, as on the command line.
    pub name: &'static str,
    /// One line: what it shows.
    pub summary: &'static str,
    /// Its options.
    pub keys: &'static [Key],
    /// What its array lies over.
    pub space: Space,
    /// What it can be pointed at.
    pub aim: Aim,
    run: Run<f32>,
    run64: Run<f64>,
    source: &'static str,
}

type Run<R> = fn(&Ask<'_, R>, &Settings) -> Result<Answer<R>>;

impl Method {
    /// Answers a question. Errors: images or classes that do not fit the net, a layer or unit where the method takes
    /// none, options out of range, and conditions of the method that the net does not meet.
    pub fn run(&self, ask: &Ask<'_>, settings: &Settings) -> Result<Answer> {
        self.check(ask)?;
        (self.run)(ask, settings)
    }

    /// Answers in double precision. Errors: as [`Method::run`].
    pub fn run64(&self, ask: &Ask<'_, f64>, settings: &Settings) -> Result<Answer<f64>> {
        self.check(ask)?;
        (self.run64)(ask, settings)
    }

    /// Whether it asks about a class; the others see the same whatever the class.
    pub fn sees_class(&self) -> bool {
        !["deep-dream", "eigen-cam", "inversion"].contains(&self.name)
    }

    /// Whether its values are shares of the logit, or of its difference from a baseline's, so that their sum over the
    /// channels of a pixel is the pixel's own share.
    pub fn shares(&self) -> bool {
        let names = ["deeplift", "expected-gradients", "gradient-x-input", "integrated-gradients"];
        names.contains(&self.name) || self.name.starts_with("lrp-")
    }

    /// Its manual page: formula, reference, defaults, limits.
    pub fn manual(&self) -> String {
        manual(self.source)
    }

    fn check<R: glassbox_engine::Real>(&self, ask: &Ask<'_, R>) -> Result<()> {
        ask.check()?;
        let refuse = |what: &str, given: bool, taken: bool| {
            if !given || taken {
                return Ok(());
            }
            Err(Error::request(
                format!("method \"{}\" takes no {what}", self.name),
                "leave it out, or see `methods` for those that do",
            ))
        };
        refuse("layer", ask.layer.is_some(), self.aim != Aim::Class)?;
        refuse("enlarging", ask.upsample, self.space == Space::Layer)?;
        refuse("unit", ask.unit.is_some(), self.aim == Aim::ClassOrUnit)
    }
}

/// The manual page that a source file starts with.
pub(crate) fn manual(source: &str) -> String {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
}

/// The method of that name. Errors: an unknown name, with the nearest spelling and all names.
pub fn named(name: &str) -> Result<&'static Method> {
    let found = METHODS.iter().copied().find(|m| m.name == name);
    found.ok_or_else(|| Error::unknown("method", name, METHODS.iter().map(|m| m.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of this folder that hold no method.
    const SHARED: &str = "answer ask baseline cams fold fourier mod pass paths project relevance residual score settings \
                          smooth studio wobble";

    #[test]
    fn methods_are_alphabetical_and_every_file_is_listed() {
        let names: Vec<&str> = METHODS.iter().map(|m| m.name).collect();
        let key = |n: &&str| n.replace(['-', '+'], "_");
        assert!(names.iter().map(key).is_sorted(), "{names:?}");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/methods");
        for entry in std::fs::read_dir(folder).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let stem = file.trim_end_matches(".rs");
            let name = stem.replace("_plus_plus", "++").replace('_', "-");
            assert!(SHARED.split(' ').any(|s| s == stem) || names.contains(&&*name), "{stem} is not listed");
        }
    }

    #[test]
    fn every_manual_starts_with_the_name_and_cites_its_source() {
        for method in METHODS {
            let manual = method.manual();
            assert!(manual.starts_with(&format!("{}: ", method.name)), "{manual}");
            assert!(manual.contains("Reference") && manual.contains("Limits"), "{}", method.name);
        }
    }

    #[test]
    fn unknown_names_are_answered_with_the_nearest() {
        let text = named("gradcam").unwrap_err().to_string();
        assert!(text.contains("did you mean \"grad-cam\"?"), "{text}");
    }
}
