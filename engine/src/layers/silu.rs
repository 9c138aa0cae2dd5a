//! SiLU, or swish (Elfwing et al. 2017, arXiv 1702.03118): y = x s(x) with the sigmoid s; y' = s (1 + x (1 - s)).

use super::options::{OptionError, Options};
use super::{
    At, Compute, Facts, Forward, Kind, Layer, Needs, Pointwise, Role, ShapeError, in_both_types, pointwise,
};
use crate::array::{Blocked, Shape, View};
use crate::real::Real;
use std::sync::Arc;

/// X / (1 + exp(-x)), value by value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Silu;

pub(super) static KIND: Kind = Kind {
    name: "silu",
    summary: "x / (1 + exp(-x)), value by value",
    keys: &[],
    joins: false,
    make: |_: &mut Options| -> Result<Arc<dyn Layer>, OptionError> { Ok(Arc::new(Silu)) },
    examples: || pointwise::example_shapes().map(|s| (Arc::new(Silu) as Arc<dyn Layer>, vec![s])).to_vec(),
};

impl Layer for Silu {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        pointwise::facts(inputs, Needs::INPUTS)
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for Silu {
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

impl<R: Real> Pointwise<R> for Silu {
    fn value(&self, x: R) -> R {
        x / (R::one() + (-x).exp())
    }

    fn slope(&self, x: R, _: R) -> R {
        {
            let s = R::one() / (R::one() + (-x).exp());
            s * (R::one() + x * (R::one() - s))
        }
    }
}
