//! What is judged: the maps of one method on some images, and what is known of the images.

use crate::error::{Error, Result};
use crate::methods::pass::{classes, standard};
use crate::methods::{Aim, Answer, Ask, Method, Settings, Space, Targets};
use glassbox_engine::Params;
use ndarray::{Array3, ArrayD};
use std::ops::Range;

/// Where the thing is: rows and columns of a box.
pub type Region = [Range<usize>; 2];

/// The maps of one method on some images.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    pub(super) ask: Ask<'a>,
    maker: Option<(&'static Method, Settings)>,
    /// The method's own answer, maps of layers enlarged; `None` where the maps were given.
    pub answer: Option<Answer>,
    /// The class explained, per image.
    pub classes: Vec<usize>,
    /// [N, C, H, W], in that order.
    shares: Vec<f64>,
    /// Where the thing is, per image, if it is known.
    pub boxes: Option<&'a [Region]>,
}

impl<'a> Case<'a> {
    /// The maps that a method makes. A layer is passed on to methods that look at one.
    ///
    /// # Errors
    /// A method that makes images, and all that the method itself refuses.
    pub fn new(ask: &Ask<'a>, method: &'static Method, settings: &Settings) -> Result<Self> {
        if method.space == Space::Made {
            return Err(Error::request(
                format!("method \"{}\" makes an image of its own, no map of one", method.name),
                "judge a method that maps: `methods` lists them",
            ));
        }
        let layer = ask.layer.filter(|_| method.aim == Aim::Layer);
        let upsample = method.space == Space::Layer;
        let mut ask = Ask { layer, upsample, ..ask.clone() };
        // images and classes are checked before the classes are looked up
        let answer = method.run(&ask, settings)?;
        let quiet = Ask { progress: None, ..ask.clone() };
        let found: Vec<usize> = classes(&quiet)?.iter().map(|&(class, _)| class).collect();
        ask.targets = Targets::Each(found.clone());
        let shares = shares(&ask, &answer.map);
        let maker = Some((method, settings.clone()));
        Ok(Self { ask, maker, answer: Some(answer), classes: found, shares, boxes: None })
    }

    /// Maps from elsewhere, [N, H, W], one number per pixel: say, random ones, to compare with.
    ///
    /// # Errors
    /// Maps that do not fit the images.
    pub fn given(ask: &Ask<'a>, maps: &Array3<f32>) -> Result<Self> {
        let (n, _, h, w) = ask.input.dim();
        if maps.dim() != (n, h, w) {
            let problem = format!("{:?} for {n} images of {h}x{w}", maps.dim());
            return Err(Error::shape("maps to judge", problem, "give one number per pixel"));
        }
        let quiet = Ask { progress: None, layer: None, ..ask.clone() };
        let found: Vec<usize> = classes(&quiet)?.iter().map(|&(class, _)| class).collect();
        let shares = shares(ask, &maps.clone().into_dyn());
        let ask = Ask { targets: Targets::Each(found.clone()), layer: None, ..ask.clone() };
        Ok(Self { ask, maker: None, answer: None, classes: found, shares, boxes: None })
    }

    /// With what is known of where the thing is.
    ///
    /// # Errors
    /// Another number of boxes than images, and boxes that are empty or not inside the image.
    pub fn with_boxes(mut self, boxes: &'a [Region]) -> Result<Self> {
        let (n, _, h, w) = self.ask.input.dim();
        if boxes.len() != n {
            let problem = format!("{} boxes for {n} images", boxes.len());
            return Err(Error::request(problem, "give one box per image"));
        }
        if let Some([rows, columns]) =
            boxes.iter().find(|[r, c]| r.is_empty() || c.is_empty() || r.end > h || c.end > w)
        {
            let problem = format!("a box of rows {rows:?} and columns {columns:?} in images of {h}x{w}");
            return Err(Error::request(problem, "give boxes that hold pixels of the image"));
        }
        self.boxes = Some(boxes);
        Ok(self)
    }

    /// Images.
    pub fn samples(&self) -> usize {
        self.ask.samples()
    }

    /// The shares of one image, [C, H, W].
    pub(super) fn shares(&self, sample: usize) -> &[f64] {
        &self.shares[sample * self.ask.size()..][..self.ask.size()]
    }

    /// The shares of one image's pixels, channels summed, [H, W].
    pub fn pixels(&self, sample: usize) -> Vec<f64> {
        over_channels(self.shares(sample), self.ask.graph.input().plane())
    }

    /// The pixels' shares of the same images as the method makes them with other parameters; `None` where the maps
    /// were given, so that no method is known.
    pub(super) fn with_params(&self, params: &Params) -> Result<Option<Vec<Vec<f64>>>> {
        self.again(&Ask { params, ..self.ask.clone() })
    }

    /// Likewise for other classes.
    pub(super) fn with_classes(&self, classes: Vec<usize>) -> Result<Option<Vec<Vec<f64>>>> {
        self.again(&Ask { targets: Targets::Each(classes), ..self.ask.clone() })
    }

    fn again(&self, ask: &Ask<'_>) -> Result<Option<Vec<Vec<f64>>>> {
        let Some((method, settings)) = &self.maker else { return Ok(None) };
        let ask = Ask { progress: None, ..ask.clone() };
        let shares = shares(&ask, &method.run(&ask, settings)?.map);
        let plane = ask.graph.input().plane();
        Ok(Some(shares.chunks_exact(ask.size()).map(|s| over_channels(s, plane)).collect()))
    }
}

/// A map as shares, [N, C, H, W]: one of pixels is spread evenly over channels.
fn shares(ask: &Ask<'_>, map: &ArrayD<f32>) -> Vec<f64> {
    if map.ndim() == 4 {
        return map.iter().map(|&v| f64::from(v)).collect();
    }
    let channels = ask.graph.input().c;
    let spread = |image: ndarray::ArrayViewD<'_, f32>| {
        let pixels: Vec<f64> = image.iter().map(|&v| f64::from(v) / channels as f64).collect();
        pixels.repeat(channels)
    };
    map.outer_iter().flat_map(spread).collect()
}

fn over_channels(shares: &[f64], plane: usize) -> Vec<f64> {
    (0..plane).map(|p| shares[p..].iter().step_by(plane).sum()).collect()
}

/// The images of a question, in memory order, and their baselines.
pub(super) fn with_baselines(
    ask: &Ask<'_>,
    baseline: &crate::methods::baseline::Baseline,
) -> (Vec<f32>, Vec<f32>) {
    let images = standard(ask.input).into_owned();
    let mut bases = images.clone();
    for (image, base) in images.chunks_exact(ask.size()).zip(bases.chunks_exact_mut(ask.size())) {
        baseline.write(ask.graph, image, base);
    }
    (images, bases)
}
