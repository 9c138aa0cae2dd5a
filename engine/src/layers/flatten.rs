//! Flatten: maps [C, H, W] become a vector; its index is c H W + h W + w, and so it lies in memory already.

use super::{
    At, Compute, Facts, Forward, Kind, Layer, Needs, Role, ShapeError, Sight, in_both_types, pointwise,
    single,
};
use crate::array::{Blocked, Shape, View};
use crate::real::Real;
use std::sync::Arc;

/// Maps as one vector.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flatten;

pub(super) static KIND: Kind = Kind {
    name: "flatten",
    summary: "maps as one vector, channel by channel",
    keys: &[],
    joins: false,
    make: |_| Ok(Arc::new(Flatten)),
    examples: || vec![(Arc::new(Flatten), vec![Shape::maps(3, 4, 5)])],
};

impl Layer for Flatten {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        let output = Shape::vector(single(inputs)?.size());
        // each number of the vector sees one cell, but whoever reads the vector reads all of them
        Ok(Facts { sight: Sight::Whole, ..Facts::plain(output, Needs::NOTHING) })
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for Flatten {
    fn forward(&self, io: Forward<'_, R>) {
        pointwise::copy(io.inputs.get(0), io.output);
    }

    fn pull(&self, _: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        pointwise::copy(signal, &mut out[0]);
    }

    fn role(&self) -> Role<'_, R> {
        Role::Wire
    }
}
