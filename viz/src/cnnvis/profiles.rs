//! What units say of each class: means of activations over a data set.

use crate::error::{Error, Result};
use crate::set::{ImageSet, each_batch};
use glassbox_engine::{Graph, Params};
use ndarray::{Array2, ArrayView2, Axis};

/// What a map counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The mean over its places.
    Mean,
    /// Its largest value.
    Max,
}

/// What the units of a layer say.
#[derive(Clone, Debug, PartialEq)]
pub struct Profiles {
    /// Mean activation on the images of each class, [units, classes]; zero for classes without images.
    pub classes: Array2<f32>,
    /// Mean over all images of each unit's largest activation.
    pub strength: Vec<f32>,
}

/// Profiles of the units at `slots`, and the number of images of each class.
///
/// # Errors
/// Images that the net does not take; a label beyond its classes.
pub fn profiles(
    graph: &Graph,
    params: &Params<f32>,
    set: &dyn ImageSet,
    slots: &[usize],
    pooling: Pooling,
    progress: Option<&dyn Fn(usize, usize)>,
) -> Result<(Vec<Profiles>, Vec<usize>)> {
    let classes = graph.output().size();
    let units = |slot: &usize| graph.shape(*slot).c;
    let mut sums: Vec<Array2<f64>> = slots.iter().map(|s| Array2::zeros((units(s), classes))).collect();
    let mut peaks: Vec<Vec<f64>> = slots.iter().map(|s| vec![0.0; units(s)]).collect();
    let mut counts = vec![0; classes];
    each_batch(graph, params, set, progress, |trace, images| {
        for (n, &image) in images.iter().enumerate() {
            let label = set.label(image);
            if label >= classes {
                let problem = format!("image {image} of {} is of class {label}", set.name());
                let cure = format!("name data with at most {classes} classes, as the model has");
                return Err(Error::request(problem, cure));
            }
            counts[label] += 1;
            for ((&slot, sums), peaks) in slots.iter().zip(&mut sums).zip(&mut peaks) {
                let maps = trace.slot(slot)?.image(n);
                for (k, map) in maps.axis_iter(Axis(0)).enumerate() {
                    let (mean, peak) = facts(map);
                    sums[[k, label]] += if pooling == Pooling::Mean { mean } else { peak };
                    peaks[k] += peak;
                }
            }
        }
        Ok(())
    })?;
    let all = counts.iter().sum::<usize>().max(1) as f64;
    let share = |sums: Array2<f64>| {
        Array2::from_shape_fn(sums.dim(), |at| (sums[at] / counts[at.1].max(1) as f64) as f32)
    };
    let done = sums.into_iter().zip(peaks).map(|(sums, peaks)| Profiles {
        classes: share(sums),
        strength: peaks.into_iter().map(|p| (p / all) as f32).collect(),
    });
    Ok((done.collect(), counts))
}

/// Mean and largest value of a map.
fn facts(map: ArrayView2<'_, f32>) -> (f64, f64) {
    let (mut sum, mut peak) = (0.0, f64::NEG_INFINITY);
    for &v in map {
        sum += f64::from(v);
        peak = peak.max(f64::from(v));
    }
    (sum / map.len() as f64, peak)
}
