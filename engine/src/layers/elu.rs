//! ELU (Clevert et al. 2015, arXiv 1511.07289): y = x above zero, alpha (exp(x) - 1) below; y' = 1 above, alpha exp(x) at
//! and below.

use super::options::Value;
use super::{
    At, Compute, Facts, Forward, Key, Kind, Layer, Needs, Pointwise, Role, ShapeError, in_both_types,
    pointwise,
};
use crate::array::{Blocked, Shape, View};
use crate::real::Real;
use std::sync::Arc;

/// X, or alpha (exp(x) - 1) below zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elu {
    /// How far below zero it goes.
    pub alpha: f64,
}

impl Default for Elu {
    /// alpha = 1.
    fn default() -> Self {
        Self { alpha: 1.0 }
    }
}

pub(super) static KIND: Kind = Kind {
    name: "elu",
    summary: "x, or alpha (exp(x) - 1) below zero",
    keys: &[Key { name: "alpha", default: "1", help: "how far below zero it goes" }],
    joins: false,
    make: |o| Ok(Arc::new(Elu { alpha: o.float_or("alpha", 1.0)? })),
    examples: || {
        let [maps, vector] = pointwise::example_shapes();
        vec![
            (Arc::new(Elu::default()) as Arc<dyn Layer>, vec![maps]),
            (Arc::new(Elu { alpha: 0.4 }), vec![vector]),
        ]
    },
};

impl Layer for Elu {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn options(&self) -> Vec<(&'static str, Value)> {
        vec![("alpha", Value::Float(self.alpha))]
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        pointwise::facts(inputs, Needs::INPUTS)
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for Elu {
    fn forward(&self, io: Forward<'_, R>) {
        pointwise::forward(io, |x| self.value(x));
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        pointwise::pull(signal, at.inputs.get(0), &mut out[0], |s, v| s * Pointwise::<R>::slope(self, v, v));
    }

    fn role(&self) -> Role<'_, R> {
        Role::Pointwise(self)
    }
}

impl<R: Real> Pointwise<R> for Elu {
    fn value(&self, x: R) -> R {
        if x > R::zero() { x } else { R::of(self.alpha) * x.exp_m1() }
    }

    fn slope(&self, x: R, _: R) -> R {
        if x > R::zero() { R::one() } else { R::of(self.alpha) * x.exp() }
    }
}
