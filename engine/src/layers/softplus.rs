//! Softplus (Dugas et al. 2001): y = ln(1 + exp(x)), a smooth rectifier; y' = 1 / (1 + exp(-x)). Written so that it neither
//! overflows for large x nor loses small values.

use super::options::{OptionError, Options};
use super::{
    At, Compute, Facts, Forward, Kind, Layer, Needs, Pointwise, Role, ShapeError, in_both_types, pointwise,
};
use crate::array::{Blocked, Shape, View};
use crate::real::Real;
use std::sync::Arc;

/// ln(1 + exp(x)).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Softplus;

pub(super) static KIND: Kind = Kind {
    name: "softplus",
    summary: "a smooth rectifier: ln(1 + exp(x))",
    keys: &[],
    joins: false,
    make: |_: &mut Options| -> Result<Arc<dyn Layer>, OptionError> { Ok(Arc::new(Softplus)) },
    examples: || {
        pointwise::example_shapes().map(|s| (Arc::new(Softplus) as Arc<dyn Layer>, vec![s])).to_vec()
    },
};

impl Layer for Softplus {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        pointwise::facts(inputs, Needs::INPUTS)
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for Softplus {
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

impl<R: Real> Pointwise<R> for Softplus {
    fn value(&self, x: R) -> R {
        x.max(R::zero()) + (-x.abs()).exp().ln_1p()
    }

    fn slope(&self, x: R, _: R) -> R {
        R::one() / (R::one() + (-x).exp())
    }
}
