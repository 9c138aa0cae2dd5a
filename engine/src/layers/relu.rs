//! Rectifier: y = max(x, 0); y' = 1 above zero, 0 at and below. NaN passes through.

use super::{At, Compute, Facts, Forward, Kind, Layer, Needs, Role, ShapeError, in_both_types, pointwise};
use crate::array::{Blocked, Shape, View};
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
        pointwise::facts(inputs, Needs::OUTPUT)
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for Relu {
    fn forward(&self, io: Forward<'_, R>) {
        pointwise::forward(io, |x| if x < R::zero() { R::zero() } else { x });
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        pointwise::pull(signal, at.output, &mut out[0], |s, y| if y > R::zero() { s } else { R::zero() });
    }

    fn role(&self) -> Role<'_, R> {
        Role::Rectifier
    }
}
