//! The images that are looked at: test images, as the net sees them.

use crate::error::{Error, Result};
use glassbox_engine::data::{Augment, Dataset, Loader};
use glassbox_engine::{Blocked, Graph};
use ndarray::Array4;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which test images are looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Images {
    /// The first so many.
    First(usize),
    /// These, by their place in the test set.
    These(Vec<usize>),
}

impl Images {
    /// Their places in a test set of `len` images. Errors: one that is not in it.
    pub fn of(&self, len: usize) -> Result<Vec<usize>> {
        match self {
            Self::First(n) => Ok((0..*n.min(&len)).collect()),
            Self::These(list) => match list.iter().find(|&&i| i >= len) {
                Some(bad) => Err(Error::request(
                    format!("dump.images names test image {bad}, but there are {len} test images"),
                    "images count from 0",
                )),
                None => Ok(list.clone()),
            },
        }
    }
}

/// The probe images.
#[derive(Debug)]
pub struct Probe {
    /// Their places in the test set.
    pub places: Vec<usize>,
    /// Their classes.
    pub labels: Vec<u32>,
    /// The names of these classes.
    pub classes: Vec<String>,
    /// As the net sees them, [N, C, H, W].
    pub input: Array4<f32>,
}

impl Probe {
    /// The test images at these places. Errors: images that do not fit the net.
    pub fn new(graph: &Graph, test: &Arc<Dataset>, places: &[usize]) -> Result<Self> {
        let pixels = graph.pixels();
        let mut loader = Loader::new(test.clone(), &pixels.mean, &pixels.std, Augment::default(), 0)?;
        let mut input = Blocked::zeros(graph.input(), places.len(), 1);
        let indices: Vec<u32> = places.iter().map(|&i| i as u32).collect();
        let mut labels = vec![0; places.len()];
        loader.fill(0, &indices, &mut input, &mut labels);
        let class = |&k: &u32| test.classes.get(k as usize).cloned().unwrap_or_else(|| k.to_string());
        let classes = labels.iter().map(class).collect();
        Ok(Self { places: places.to_vec(), labels, classes, input: input.to_array4() })
    }

    /// What image `n` of the probe is called.
    pub fn name(&self, n: usize) -> String {
        format!("test image {}, a \"{}\"", self.places[n], self.classes[n])
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_chosen_by_number_or_by_list() {
        assert_eq!(Images::First(3).of(2).unwrap(), [0, 1]);
        assert_eq!(Images::These(vec![4, 1]).of(5).unwrap(), [4, 1]);
        let text = Images::These(vec![5]).of(5).unwrap_err().to_string();
        assert!(text.contains("test image 5") && text.contains("5 test images"), "{text}");
    }
}
