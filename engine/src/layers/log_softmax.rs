//! Log-softmax over channels: y_c = x_c - log sum exp x, at each place.

use super::softmax::{log_sum_exp, over_channels};
use super::{
    At, Compute, Facts, Forward, Kind, Layer, Needs, Role, ShapeError, in_both_types, pointwise, single,
};
use crate::array::{Blocked, Shape, View};
use crate::real::Real;
use std::sync::Arc;

/// Logarithms of probabilities over channels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LogSoftmax;

pub(super) static KIND: Kind = Kind {
    name: "log_softmax",
    summary: "logarithms of probabilities over channels",
    keys: &[],
    joins: false,
    make: |_| Ok(Arc::new(LogSoftmax)),
    examples: || {
        pointwise::example_shapes().map(|s| (Arc::new(LogSoftmax) as Arc<dyn Layer>, vec![s])).to_vec()
    },
};

impl Layer for LogSoftmax {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        Ok(Facts::plain(single(inputs)?, Needs::OUTPUT))
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for LogSoftmax {
    fn forward(&self, io: Forward<'_, R>) {
        let x = io.inputs.get(0);
        over_channels(x, x, io.output, |y, x, _, step| {
            let total = log_sum_exp(x, step);
            y.iter_mut().step_by(step).zip(x.iter().step_by(step)).for_each(|(y, &x)| *y = x - total);
        });
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        // dx = dy - exp(y) sum dy
        over_channels(signal, at.output, &mut out[0], |out, s, y, step| {
            let sum: R = s.iter().step_by(step).copied().sum();
            let values = s.iter().step_by(step).zip(y.iter().step_by(step));
            out.iter_mut().step_by(step).zip(values).for_each(|(out, (&s, &y))| *out = s - y.exp() * sum);
        });
    }

    fn role(&self) -> Role<'_, R> {
        Role::Softmax
    }
}
