//! Leaky rectifier (Maas et al. 2013): y = x above zero, slope x at and below.

use super::options::Value;
use super::{
    At, Compute, Facts, Forward, Key, Kind, Layer, Needs, Pointwise, Role, ShapeError, in_both_types,
    pointwise,
};
use crate::array::{Blocked, Shape, View};
use crate::real::Real;
use std::sync::Arc;

/// x, or slope x below zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeakyRelu {
    /// The slope below zero.
    pub slope: f64,
}

pub(super) static KIND: Kind = Kind {
    name: "leaky_relu",
    summary: "x, or slope x below zero",
    keys: &[Key { name: "slope", default: "0.01", help: "slope below zero" }],
    joins: false,
    make: |o| Ok(Arc::new(LeakyRelu { slope: o.float_or("slope", 0.01)? })),
    examples: || {
        pointwise::example_shapes()
            .map(|s| (Arc::new(LeakyRelu { slope: 0.1 }) as Arc<dyn Layer>, vec![s]))
            .to_vec()
    },
};

impl Layer for LeakyRelu {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn options(&self) -> Vec<(&'static str, Value)> {
        vec![("slope", Value::Float(self.slope))]
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        pointwise::facts(inputs, Needs::INPUTS)
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for LeakyRelu {
    fn forward(&self, io: Forward<'_, R>) {
        pointwise::forward(io, |x| self.value(x));
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        pointwise::pull(signal, at.inputs.get(0), &mut out[0], |s, x| s * Pointwise::<R>::slope(self, x, x));
    }

    fn role(&self) -> Role<'_, R> {
        Role::Pointwise(self)
    }
}

impl<R: Real> Pointwise<R> for LeakyRelu {
    fn value(&self, x: R) -> R {
        if x > R::zero() { x } else { x * R::of(self.slope) }
    }

    fn slope(&self, x: R, _: R) -> R {
        if x > R::zero() { R::one() } else { R::of(self.slope) }
    }
}
