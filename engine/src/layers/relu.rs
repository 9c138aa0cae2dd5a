//! Rectifier: y = max(x, 0); y' = 1 above zero, 0 at and below. NaN passes through.

use super::{
    At, Compute, Facts, Forward, Kind, Layer, Needs, Role, ShapeError, forward_planes, in_both_types,
    pointwise, pull_planes,
};
use crate::array::{Blocked, Shape, View};
use crate::kernels::planes::{Op, Step};
use crate::real::Real;
use std::sync::Arc;

/// max(x, 0), value by value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Relu;

pub(super) static KIND: Kind = Kind {
    name: "relu",
    summary: "max(x, 0), value by value",
    keys: &[],
    joins: false,
    make: |_| Ok(Arc::new(Relu)),
    examples: || pointwise::example_shapes().map(|s| (Arc::new(Relu) as Arc<dyn Layer>, vec![s])).to_vec(),
};

impl Layer for Relu {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        let facts = pointwise::facts(inputs, Needs::OUTPUT)?;
        Ok(Facts { plane: Some(step(facts.output)), ..facts })
    }

    in_both_types!();
}

fn step(shape: Shape) -> Step {
    Step::same(Op::Rectify, shape.spatial())
}

impl<R: Real> Compute<R> for Relu {
    fn forward(&self, io: Forward<'_, R>) {
        forward_planes(step(io.output.shape()), io);
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        pull_planes(step(signal.shape), at, signal, &mut out[0]);
    }

    fn role(&self) -> Role<'_, R> {
        Role::Rectifier
    }
}
