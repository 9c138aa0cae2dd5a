//! Global average pooling (Lin et al. 2013, arXiv 1312.4400): one mean per channel, as maps of 1 x 1.

use super::avgpool::{average, spread};
use super::{At, Compute, Facts, Forward, Kind, Layer, Needs, Role, ShapeError, Sight, in_both_types, maps};
use crate::array::{Blocked, Shape, View};
use crate::real::Real;
use std::sync::Arc;

/// One mean per channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GlobalAvgPool;

pub(super) static KIND: Kind = Kind {
    name: "global_avgpool",
    summary: "one mean per channel",
    keys: &[],
    joins: false,
    make: |_| Ok(Arc::new(GlobalAvgPool)),
    examples: || vec![(Arc::new(GlobalAvgPool), vec![Shape::maps(3, 4, 5)])],
};

impl Layer for GlobalAvgPool {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        let shape = maps(inputs)?;
        Ok(Facts { sight: Sight::Whole, ..Facts::plain(Shape::maps(shape.c, 1, 1), Needs::NOTHING) })
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for GlobalAvgPool {
    fn forward(&self, io: Forward<'_, R>) {
        let x = io.inputs.get(0);
        let size = x.shape.spatial();
        average(x, io.output, |axis, _| (0..size[axis], size[axis]));
    }

    fn pull(&self, _: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        let size = out[0].shape().spatial();
        spread(signal, &mut out[0], |axis, _| (0..size[axis], size[axis]));
    }

    fn role(&self) -> Role<'_, R> {
        Role::Average
    }
}
