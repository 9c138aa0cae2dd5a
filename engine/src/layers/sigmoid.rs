//! Sigmoid: y = 1 / (1 + exp(-x)); y' = y (1 - y).

use super::options::{OptionError, Options};
use super::{
    At, Compute, Facts, Forward, Kind, Layer, Needs, Pointwise, Role, ShapeError, in_both_types, pointwise,
};
use crate::array::{Blocked, Shape, View};
use crate::real::Real;
use std::sync::Arc;

/// 1 / (1 + exp(-x)), value by value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sigmoid;

pub(super) static KIND: Kind = Kind {
    name: "sigmoid",
    summary: "1 / (1 + exp(-x)), value by value",
    keys: &[],
    joins: false,
    make: |_: &mut Options| -> Result<Arc<dyn Layer>, OptionError> { Ok(Arc::new(Sigmoid)) },
    examples: || pointwise::example_shapes().map(|s| (Arc::new(Sigmoid) as Arc<dyn Layer>, vec![s])).to_vec(),
};

impl Layer for Sigmoid {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        pointwise::facts(inputs, Needs::OUTPUT)
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for Sigmoid {
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

impl<R: Real> Pointwise<R> for Sigmoid {
    fn value(&self, x: R) -> R {
        R::one() / (R::one() + (-x).exp())
    }

    fn slope(&self, _: R, y: R) -> R {
        y * (R::one() - y)
    }
}
