//! ELU with alpha = 1 (Clevert et al. 2015, arXiv 1511.07289): y = x above zero, exp(x) - 1 below; y' = 1 above, exp(x)
//! at and below.

use super::options::{OptionError, Options};
use super::{
    At, Compute, Facts, Forward, Kind, Layer, Needs, Pointwise, Role, ShapeError, in_both_types, pointwise,
};
use crate::array::{Blocked, Shape, View};
use crate::real::Real;
use std::sync::Arc;

/// X, or exp(x) - 1 below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Elu;

pub(super) static KIND: Kind = Kind {
    name: "elu",
    summary: "x, or exp(x) - 1 below zero",
    keys: &[],
    joins: false,
    make: |_: &mut Options| -> Result<Arc<dyn Layer>, OptionError> { Ok(Arc::new(Elu)) },
    examples: || pointwise::example_shapes().map(|s| (Arc::new(Elu) as Arc<dyn Layer>, vec![s])).to_vec(),
};

impl Layer for Elu {
    fn kind(&self) -> &'static Kind {
        &KIND
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
        if x > R::zero() { x } else { x.exp_m1() }
    }

    fn slope(&self, x: R, _: R) -> R {
        if x > R::zero() { R::one() } else { x.exp() }
    }
}
