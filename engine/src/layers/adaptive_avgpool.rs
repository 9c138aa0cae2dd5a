//! Adaptive average pooling: a given output size; output i averages rows floor(i H / O) to ceil((i + 1) H / O), as in
//! PyTorch.

use super::avgpool::{average, spread};
use super::options::Value;
use super::{
    At, Compute, Facts, Forward, Key, Kind, Layer, Needs, Role, ShapeError, Sight, in_both_types, maps,
};
use crate::array::{Blocked, Shape, View};
use crate::real::Real;
use std::ops::Range;
use std::sync::Arc;

/// Means over a grid of a given size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdaptiveAvgPool {
    /// Output (height, width).
    pub out: [usize; 2],
}

impl AdaptiveAvgPool {
    fn cell(&self, axis: usize, o: usize, len: usize) -> (Range<usize>, usize) {
        let out = self.out[axis];
        let (first, end) = (o * len / out, ((o + 1) * len).div_ceil(out));
        (first..end, end - first)
    }
}

pub(super) static KIND: Kind = Kind {
    name: "adaptive_avgpool",
    summary: "means over a grid of a given size",
    keys: &[Key { name: "out", default: "", help: "output rows and columns: a number or [h, w]" }],
    joins: false,
    make: |o| Ok(Arc::new(AdaptiveAvgPool { out: o.pair("out", 1)? })),
    examples: || vec![(Arc::new(AdaptiveAvgPool { out: [3, 2] }), vec![Shape::maps(2, 7, 5)])],
};

impl Layer for AdaptiveAvgPool {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn options(&self) -> Vec<(&'static str, Value)> {
        vec![("out", Value::pair(self.out))]
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        let shape = maps(inputs)?;
        let output = Shape::maps(shape.c, self.out[0], self.out[1]);
        Ok(Facts { sight: Sight::Whole, ..Facts::plain(output, Needs::NOTHING) })
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for AdaptiveAvgPool {
    fn forward(&self, io: Forward<'_, R>) {
        let x = io.inputs.get(0);
        average(x, io.output, |axis, o| self.cell(axis, o, x.shape.spatial()[axis]));
    }

    fn pull(&self, _: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        let size = out[0].shape().spatial();
        spread(signal, &mut out[0], |axis, o| self.cell(axis, o, size[axis]));
    }

    fn role(&self) -> Role<'_, R> {
        Role::Average
    }
}
