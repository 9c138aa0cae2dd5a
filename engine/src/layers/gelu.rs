//! GELU (Hendrycks and Gimpel 2016, arXiv 1606.08415), the exact form: y = x P(x) with the standard normal
//! distribution P = (1 + erf(x / sqrt 2)) / 2; y' = P + x p(x) with its density p.

use super::options::{OptionError, Options};
use super::{
    At, Compute, Facts, Forward, Kind, Layer, Needs, Pointwise, Role, ShapeError, in_both_types, pointwise,
};
use crate::array::{Blocked, Shape, View};
use crate::real::Real;
use std::sync::Arc;

/// X times the normal distribution function, value by value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gelu;

pub(super) static KIND: Kind = Kind {
    name: "gelu",
    summary: "x times the normal distribution function, value by value",
    keys: &[],
    joins: false,
    make: |_: &mut Options| -> Result<Arc<dyn Layer>, OptionError> { Ok(Arc::new(Gelu)) },
    examples: || pointwise::example_shapes().map(|s| (Arc::new(Gelu) as Arc<dyn Layer>, vec![s])).to_vec(),
};

impl Layer for Gelu {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        pointwise::facts(inputs, Needs::INPUTS)
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for Gelu {
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

impl<R: Real> Pointwise<R> for Gelu {
    fn value(&self, x: R) -> R {
        x * normal(x)
    }

    fn slope(&self, x: R, _: R) -> R {
        {
            let density = (-x * x * R::of(0.5)).exp()
                * R::of(0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2);
            normal(x) + x * density
        }
    }
}

/// The standard normal distribution function.
fn normal<R: Real>(x: R) -> R {
    let half = R::of(0.5);
    half + half * (x * R::of(std::f64::consts::FRAC_1_SQRT_2)).erf()
}
