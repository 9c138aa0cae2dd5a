//! One half of a data set, as figures look at it.

use crate::error::{Error, Result};
use glassbox_engine::array::Shape;
use glassbox_engine::data::{Augment, Dataset, Loader};
use glassbox_engine::{Blocked, Graph};
use glassbox_viz::set::ImageSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Labelled images, normalised as a net expects.
#[derive(Debug)]
pub struct Shown {
    name: String,
    data: Arc<Dataset>,
    loader: Mutex<Loader>,
}

impl Shown {
    /// The images of one `half` ("test", "training") of a data set. Errors: images that the model does not take.
    pub fn new(graph: &Graph, data: &Arc<Dataset>, half: &str) -> Result<Self> {
        check(graph, data)?;
        let pixels = graph.pixels();
        let loader = Loader::new(data.clone(), &pixels.mean, &pixels.std, Augment::default(), 0)?;
        let name = format!("the {half} images of {}", data.name);
        Ok(Self { name, data: data.clone(), loader: Mutex::new(loader) })
    }
}

/// Errors: images of another shape than the model takes.
pub fn check(graph: &Graph, data: &Dataset) -> Result<()> {
    let [c, h, w] = data.shape();
    let (shape, input) = (Shape::maps(c, h, w), graph.input());
    if shape == input {
        return Ok(());
    }
    Err(Error::request(
        format!("images of {} are {shape}, but model \"{}\" takes {input}", data.name, graph.name()),
        "name the data that the model is for with --data",
    ))
}

impl ImageSet for Shown {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.data.len()
    }

    fn shape(&self) -> Shape {
        let [c, h, w] = self.data.shape();
        Shape::maps(c, h, w)
    }

    fn label(&self, image: usize) -> usize {
        self.data.labels[image] as usize
    }

    fn fill(&self, which: &[usize], batch: &mut Blocked<f32>) {
        let which: Vec<u32> = which.iter().map(|&i| i as u32).collect();
        let mut labels = vec![0; which.len()];
        // a loader keeps nothing between batches, so one whose user panicked is as good as new
        let mut loader = self.loader.lock().unwrap_or_else(PoisonError::into_inner);
        loader.fill(0, &which, batch, &mut labels);
    }
}
