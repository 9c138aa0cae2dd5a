//! A net so small that every number can be checked with pencil and paper: a 5x5 picture, one 3x3 kernel, ReLU, a 2x2
//! max-pool with stride 1, and two classes.
//!
//! Pooled values are 4, 4, 5, 5. Both upper windows hold 4 twice, so their switches are ties, and each pair of windows
//! points at one shared cell. Scores are 5 and 1.25; for class 0 the loss is 0.0232455.

use crate::error::Result;
use glassbox_engine::layers::{Conv, Dense, Flatten, MaxPool, Relu};
use glassbox_engine::{Graph, Params};
use ndarray::{Array3, ArrayD, ArrayViewD};

const IMAGE: [f32; 25] = [
    0., 0., 2., 0., 0., //
    0., 2., 2., 0., 0., //
    0., 0., 2., 0., 0., //
    0., 0., 2., 0., 1., //
    0., 1., 2., 1., 0.,
];
const KERNEL: [f32; 9] = [-0.5, 1., -0.5, -0.5, 1., 0., -0.5, 1., 0.5];
const DENSE: [f32; 8] = [0.5, -0.25, 0.25, 0.5, -0.5, 0.25, 0.5, 0.];

/// The net, its parameters and its image, [1, 5, 5].
///
/// # Errors
/// None that could happen.
pub fn net() -> Result<(Graph, Params<f32>, Array3<f32>)> {
    let graph = Graph::builder("pencil", [1, 5, 5])
        .layer("conv", Conv::new(1, 3))
        .layer("relu", Relu)
        .layer("pool", MaxPool::new(2).stride(1))
        .layer("flatten", Flatten)
        .layer("dense", Dense::new(2))
        .build()?;
    let mut params = Params::zeros(graph.layout().clone());
    for (name, values) in [
        ("conv.weight", &KERNEL[..]),
        ("conv.bias", &[-1.]),
        ("dense.weight", &DENSE),
        ("dense.bias", &[0.25, -0.25]),
    ] {
        let shape = params.get(name)?.raw_dim();
        let array = ArrayViewD::from_shape(shape, values);
        params.set(name, array.map_or_else(|_| ArrayD::zeros(vec![0]), |a| a.to_owned()).view())?;
    }
    let image = Array3::from_shape_fn((1, 5, 5), |(_, y, x)| IMAGE[y * 5 + x]);
    Ok((graph, params, image))
}
