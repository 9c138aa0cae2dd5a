//! Images as points: their pixels, or what a layer makes of them.

use crate::error::{Error, Result};
use crate::set::{ImageSet, each_batch};
use glassbox_engine::{Graph, Params};
use ndarray::{Array2, Axis};

/// How a map becomes numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// One number a place: all that the next layer reads.
    Flatten,
    /// Its mean: one number a channel, wherever in the image a thing lies.
    Mean,
}

/// Most numbers of all images at one slot: two gigabytes of them.
pub const MOST: usize = 1 << 28;

/// The points of every image at some slots, [N, D] each; slot 0 is the input, as pixels in [0, 1].
///
/// # Errors
/// Images that the net does not take; more than [`MOST`] numbers.
pub fn points(
    graph: &Graph,
    params: &Params<f32>,
    set: &dyn ImageSet,
    slots: &[usize],
    pooling: Pooling,
    progress: Option<&dyn Fn(usize, usize)>,
) -> Result<Vec<Array2<f64>>> {
    let length = |&slot: &usize| {
        let shape = graph.shape(slot);
        if pooling == Pooling::Mean { shape.c } else { shape.size() }
    };
    if let Some(slot) = slots.iter().find(|&slot| set.len() * length(slot) > MOST) {
        let (n, d, name) = (set.len(), length(slot), &graph.names()[*slot]);
        let problem =
            format!("{n} images of {d} numbers at layer \"{name}\" are more than memory is taken for");
        return Err(Error::request(problem, "take fewer images, or maps by their means (pool=mean)"));
    }
    let mut out: Vec<Array2<f64>> = slots.iter().map(|s| Array2::zeros((set.len(), length(s)))).collect();
    let deviation = &graph.pixels().std;
    each_batch(graph, params, set, progress, |trace, images| {
        for (points, &slot) in out.iter_mut().zip(slots) {
            let maps = trace.slot(slot)?;
            for (i, &image) in images.iter().enumerate() {
                let mut row = points.row_mut(image);
                let mut cells = row.iter_mut();
                for (c, map) in maps.image(i).axis_iter(Axis(0)).enumerate() {
                    // distances between pixels do not depend on the mean that was taken out
                    let unit = if slot == 0 { deviation.get(c).copied().unwrap_or(1.0) } else { 1.0 };
                    match pooling {
                        Pooling::Flatten => {
                            cells.by_ref().zip(map).for_each(|(cell, &v)| *cell = unit * f64::from(v));
                        }
                        Pooling::Mean => {
                            let mean = map.iter().map(|&v| f64::from(v)).sum::<f64>() / map.len() as f64;
                            cells.next().into_iter().for_each(|cell| *cell = unit * mean);
                        }
                    }
                }
            }
        }
        Ok(())
    })?;
    Ok(out)
}
