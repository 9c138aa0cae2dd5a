//! SELU (Klambauer et al. 2017, arXiv 1706.02515): y = s x above zero, s a (exp(x) - 1) below, with the constants a and s
//! that keep mean 0 and variance 1; y' = s above, s a exp(x) at and below.

use super::options::{OptionError, Options};
use super::{
    At, Compute, Facts, Forward, Kind, Layer, Needs, Pointwise, Role, ShapeError, in_both_types, pointwise,
};
use crate::array::{Blocked, Shape, View};
use crate::real::Real;
use std::sync::Arc;

/// Depth of the flat part, before scaling.
const ALPHA: f64 = 1.673_263_242_354_377_2;
/// Slope above zero.
const SCALE: f64 = 1.050_700_987_355_480_5;

/// s x, or s a (exp(x) - 1) below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Selu;

pub(super) static KIND: Kind = Kind {
    name: "selu",
    summary: "an elu scaled to keep mean 0 and variance 1",
    keys: &[],
    joins: false,
    make: |_: &mut Options| -> Result<Arc<dyn Layer>, OptionError> { Ok(Arc::new(Selu)) },
    examples: || pointwise::example_shapes().map(|s| (Arc::new(Selu) as Arc<dyn Layer>, vec![s])).to_vec(),
};

impl Layer for Selu {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        pointwise::facts(inputs, Needs::INPUTS)
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for Selu {
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

impl<R: Real> Pointwise<R> for Selu {
    fn value(&self, x: R) -> R {
        if x > R::zero() { R::of(SCALE) * x } else { R::of(SCALE * ALPHA) * x.exp_m1() }
    }

    fn slope(&self, x: R, _: R) -> R {
        if x > R::zero() { R::of(SCALE) } else { R::of(SCALE * ALPHA) * x.exp() }
    }
}
