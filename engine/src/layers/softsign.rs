//! Softsign (Turian et al. 2009): y = x / (1 + |x|); y' = 1 / (1 + |x|)^2.

use super::options::{OptionError, Options};
use super::{
    At, Compute, Facts, Forward, Kind, Layer, Needs, Pointwise, Role, ShapeError, in_both_types, pointwise,
};
use crate::array::{Blocked, Shape, View};
use crate::real::Real;
use std::sync::Arc;

/// x / (1 + |x|).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Softsign;

pub(super) static KIND: Kind = Kind {
    name: "softsign",
    summary: "x / (1 + |x|), between -1 and 1",
    keys: &[],
    joins: false,
    make: |_: &mut Options| -> Result<Arc<dyn Layer>, OptionError> { Ok(Arc::new(Softsign)) },
    examples: || {
        pointwise::example_shapes().map(|s| (Arc::new(Softsign) as Arc<dyn Layer>, vec![s])).to_vec()
    },
};

impl Layer for Softsign {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        pointwise::facts(inputs, Needs::INPUTS)
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for Softsign {
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

impl<R: Real> Pointwise<R> for Softsign {
    fn value(&self, x: R) -> R {
        x / (R::one() + x.abs())
    }

    fn slope(&self, x: R, _: R) -> R {
        (R::one() + x.abs()).powi(-2)
    }
}
