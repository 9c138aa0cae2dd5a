//! Hyperbolic tangent: y' = 1 - y^2.

use super::options::{OptionError, Options};
use super::{
    At, Compute, Facts, Forward, Kind, Layer, Needs, Pointwise, Role, ShapeError, in_both_types, pointwise,
};
use crate::array::{Blocked, Shape, View};
use crate::real::Real;
use std::sync::Arc;

/// Hyperbolic tangent, value by value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tanh;

pub(super) static KIND: Kind = Kind {
    name: "tanh",
    summary: "hyperbolic tangent, value by value",
    keys: &[],
    joins: false,
    make: |_: &mut Options| -> Result<Arc<dyn Layer>, OptionError> { Ok(Arc::new(Tanh)) },
    examples: || pointwise::example_shapes().map(|s| (Arc::new(Tanh) as Arc<dyn Layer>, vec![s])).to_vec(),
};

impl Layer for Tanh {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        pointwise::facts(inputs, Needs::OUTPUT)
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for Tanh {
    fn forward(&self, io: Forward<'_, R>) {
        pointwise::forward(io, |x| self.value(x));
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        pointwise::pull(signal, at.output, &mut out[0], |s, v| s * Pointwise::<R>::slope(self, v, v));
    }

    fn role(&self) -> Role<'_, R> {
        Role::Pointwise(self)
    }
}

impl<R: Real> Pointwise<R> for Tanh {
    fn value(&self, x: R) -> R {
        x.tanh()
    }

    fn slope(&self, _: R, y: R) -> R {
        R::one() - y * y
    }
}
