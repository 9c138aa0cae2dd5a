//! Flatten: maps [C, H, W] become a vector; its index is c H W + h W + w, and so it lies in memory already.

use super::{
    At, Compute, Facts, Forward, Kind, Layer, Needs, Role, ShapeError, Sight, forward_planes, in_both_types,
    pull_planes, single,
};
use crate::array::{Blocked, Shape, View};
use crate::kernels::planes::{Op, Step};
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
        let shape = single(inputs)?;
        let facts = Facts::plain(Shape::vector(shape.size()), Needs::NOTHING);
        // each number of the vector sees one cell, but whoever reads the vector reads all of them
        Ok(Facts { sight: Sight::Whole, plane: Some(step(shape)), ..facts })
    }

    in_both_types!();
}

fn step(shape: Shape) -> Step {
    Step::same(Op::Copy, shape.spatial())
}

impl<R: Real> Compute<R> for Flatten {
    fn forward(&self, io: Forward<'_, R>) {
        forward_planes(step(io.inputs.get(0).shape), io);
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        pull_planes(step(out[0].shape()), at, signal, &mut out[0]);
    }

    fn role(&self) -> Role<'_, R> {
        Role::Wire
    }
}
