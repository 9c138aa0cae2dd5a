//! Batches: bytes to normalised numbers, straight into the layout that the kernels read.
//!
//! (p/255 - mean)/std per channel, through a table of 256 values. What an image becomes depends on (seed, epoch, its
//! index in the set) alone, never on its place in the batch.

use super::{Augment, Dataset};
use crate::array::{Blocked, LANES};
use crate::rng::{Purpose, Stream};
use crate::{Error, Result};
use num_traits::Float;
use std::sync::Arc;

/// Turns a data set into batches.
#[derive(Debug)]
pub struct Loader {
    dataset: Arc<Dataset>,
    mean: Vec<f64>,
    std: Vec<f64>,
    augment: Augment,
    seed: u64,
    /// The mean colour in bytes.
    fill: Vec<u8>,
    order: Vec<u32>,
    /// Augmented images of one block, [L][C, H, W].
    scratch: Vec<u8>,
}

impl Loader {
    /// Batches of `dataset`, with a mean and a deviation per channel, of pixels in [0, 1].
    ///
    /// # Errors
    /// [`Error::Request`] where mean and std are not one finite number per channel, std above zero.
    pub fn new(
        dataset: impl Into<Arc<Dataset>>,
        mean: &[f64],
        std: &[f64],
        augment: Augment,
        seed: u64,
    ) -> Result<Self> {
        let mut dataset: Arc<Dataset> = dataset.into();
        let channels = dataset.shape()[0];
        let good = mean.iter().all(|m| m.is_finite()) && std.iter().all(|s| s.is_finite() && *s > 0.0);
        if !good || mean.len() != channels || std.len() != channels {
            return Err(Error::request(
                format!(
                    "mean {mean:?} and std {std:?} do not fit the {channels} channels of \"{}\"",
                    dataset.name
                ),
                "give one number per channel, std above zero",
            ));
        }
        if !dataset.pixels.is_standard_layout() {
            let mut plain = Dataset::clone(&dataset);
            plain.pixels = plain.pixels.as_standard_layout().into_owned();
            dataset = plain.into();
        }
        let scratch = if augment.is_empty() { 0 } else { LANES * dataset.shape().iter().product::<usize>() };
        Ok(Self {
            fill: mean.iter().map(|m| (m * 255.0).round() as u8).collect(),
            mean: mean.to_vec(),
            std: std.to_vec(),
            augment,
            seed,
            order: Vec::with_capacity(dataset.len()),
            scratch: vec![0; scratch],
            dataset,
        })
    }

    /// The images behind the batches.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// The order of an epoch: every index once. The buffer is reused.
    pub fn order(&mut self, epoch: u64) -> &[u32] {
        self.order.clear();
        self.order.extend(0..self.dataset.len() as u32);
        Stream::new(self.seed, Purpose::Order, epoch, 0).shuffle(&mut self.order);
        &self.order
    }

    /// Fills a batch with the images at `indices`, and `targets` with their classes. Padding images become zero.
    ///
    /// Nothing is allocated. Panics where `out` is not [C, H, W] of this set with as many images as `indices` and
    /// `targets` have, or an index is not in the set.
    pub fn fill<R: Float + Default>(
        &mut self,
        epoch: u64,
        indices: &[u32],
        out: &mut Blocked<R>,
        targets: &mut [u32],
    ) {
        let [c, h, w] = self.dataset.shape();
        let (shape, lanes) = (out.shape(), out.lanes());
        assert_eq!((shape.c, shape.h, shape.w), (c, h, w), "shape of the batch");
        assert_eq!((out.batch(), targets.len()), (indices.len(), indices.len()), "images in the batch");
        for (target, &i) in targets.iter_mut().zip(indices) {
            *target = self.dataset.labels[i as usize];
        }
        let block = c * h * w * lanes;
        if block == 0 {
            return;
        }
        for (chosen, out) in indices.chunks(lanes).zip(out.values_mut().chunks_exact_mut(block)) {
            self.fill_block(epoch, chosen, lanes, out);
        }
    }

    /// One block, [C, H, W, L], from at most L images.
    fn fill_block<R: Float>(&mut self, epoch: u64, chosen: &[u32], lanes: usize, out: &mut [R]) {
        let shape = self.dataset.shape();
        let (size, plane) = (shape.iter().product::<usize>(), shape[1] * shape[2]);
        let all = self.dataset.pixels.as_slice().unwrap_or_default();
        let source = |i: u32| &all[i as usize * size..][..size];
        let mut images: [&[u8]; LANES] = [&[]; LANES];
        if self.augment.is_empty() {
            chosen.iter().zip(&mut images).for_each(|(&i, image)| *image = source(i));
        } else {
            for (&i, scratch) in chosen.iter().zip(self.scratch.chunks_exact_mut(size)) {
                scratch.copy_from_slice(source(i));
                self.augment.apply((self.seed, epoch, i.into()), scratch, shape, &self.fill);
            }
            self.scratch.chunks_exact(size).zip(&mut images).for_each(|(scratch, image)| *image = scratch);
        }
        let images = &images[..chosen.len()];
        for (c, out) in out.chunks_exact_mut(plane * lanes).enumerate() {
            let table = table::<R>(self.mean[c], self.std[c]);
            for (p, out) in out.chunks_exact_mut(lanes).enumerate() {
                let (real, padding) = out.split_at_mut(images.len());
                for (value, image) in real.iter_mut().zip(images) {
                    *value = table[usize::from(image[c * plane + p])];
                }
                padding.fill(R::zero());
            }
        }
    }
}

/// (p/255 - mean)/std for each byte p, computed in f64 and rounded once.
fn table<R: Float>(mean: f64, std: f64) -> [R; 256] {
    std::array::from_fn(|p| R::from((p as f64 / 255.0 - mean) / std).unwrap_or_else(R::zero))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Shape;
    use ndarray::Array4;

    fn sample() -> Dataset {
        Dataset {
            name: "sample".into(),
            pixels: Array4::from_shape_fn((40, 2, 3, 4), |(n, c, h, w)| {
                (n * 31 + c * 97 + h * 13 + w * 5) as u8
            }),
            labels: (0..40).map(|i| i % 7).collect(),
            classes: (0..7).map(|i| i.to_string()).collect(),
        }
    }

    fn loader(steps: &[&str]) -> Loader {
        Loader::new(sample(), &[0.3, 0.6], &[0.2, 0.5], Augment::parse(steps).unwrap(), 9).unwrap()
    }

    /// A batch whose buffer was full of NaN.
    fn fill(loader: &mut Loader, epoch: u64, indices: &[u32], lanes: usize) -> (Blocked<f32>, Vec<u32>) {
        let mut out = Blocked::zeros(Shape::maps(2, 3, 4), indices.len(), lanes);
        out.fill(f32::NAN);
        let mut targets = vec![99; indices.len()];
        loader.fill(epoch, indices, &mut out, &mut targets);
        (out, targets)
    }

    #[test]
    fn values_are_normalised_into_their_places() {
        let indices: Vec<u32> = (3..24).rev().collect();
        for lanes in [1, LANES] {
            let (out, targets) = fill(&mut loader(&[]), 0, &indices, lanes);
            for (n, &i) in indices.iter().enumerate() {
                assert_eq!(targets[n], i % 7);
                for ((c, h, w), &value) in out.image(n).indexed_iter() {
                    let pixel = f64::from(sample().pixels[[i as usize, c, h, w]]);
                    let want = (pixel / 255.0 - [0.3, 0.6][c]) / [0.2, 0.5][c];
                    assert_eq!(value, want as f32);
                }
            }
            let padding = out.values().chunks(lanes).skip(24).flat_map(|group| &group[21 % lanes..]);
            assert!(lanes == 1 || padding.clone().count() == 24 * 11 && padding.clone().all(|&v| v == 0.0));
        }
    }

    #[test]
    fn augmented_images_do_not_depend_on_the_batch() {
        let mut loader = loader(&["shift=2", "flip", "cutout=2"]);
        let indices: Vec<u32> = (0..37).collect();
        let (together, _) = fill(&mut loader, 5, &indices, LANES);
        for &i in &indices {
            let (single, _) = fill(&mut loader, 5, &[i], 1);
            assert_eq!(single.image(0), together.image(i as usize));
        }
        let (other, _) = fill(&mut loader, 6, &indices, LANES);
        assert_ne!(other.values(), together.values());
    }

    #[test]
    fn each_epoch_has_its_own_order_of_all_images() {
        let mut loader = loader(&[]);
        let (first, second) = (loader.order(0).to_vec(), loader.order(1).to_vec());
        assert_ne!(first, second);
        assert_eq!(loader.order(0), first);
        let mut sorted = second;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..40).collect::<Vec<u32>>());
    }

    #[test]
    fn means_that_do_not_fit_are_refused() {
        for (mean, std) in
            [(&[0.5][..], &[0.5, 0.5][..]), (&[0.5, 0.5], &[0.5, 0.0]), (&[f64::NAN, 0.5], &[1.0, 1.0])]
        {
            assert!(Loader::new(sample(), mean, std, Augment::default(), 0).is_err());
        }
    }

    #[test]
    fn other_layouts_of_the_same_pixels_give_the_same_batch() {
        let mut odd = sample();
        odd.pixels = odd
            .pixels
            .permuted_axes([0, 1, 3, 2])
            .as_standard_layout()
            .into_owned()
            .permuted_axes([0, 1, 3, 2]);
        assert!(!odd.pixels.is_standard_layout());
        let mut odd = Loader::new(odd, &[0.3, 0.6], &[0.2, 0.5], Augment::default(), 9).unwrap();
        let indices = [7, 8, 39];
        assert_eq!(
            fill(&mut odd, 0, &indices, 1).0.values(),
            fill(&mut loader(&[]), 0, &indices, 1).0.values()
        );
    }
}
