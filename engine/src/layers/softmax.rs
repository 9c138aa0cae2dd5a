//! Softmax over channels: y_c = exp(x_c - max) / sum exp(x - max), at each place.

use super::{
    At, Compute, Facts, Forward, Kind, Layer, Needs, Role, ShapeError, in_both_types, pointwise, single,
};
use crate::array::{Blocked, Shape, View};
use crate::kernels::par;
use crate::real::Real;
use std::sync::Arc;

/// Probabilities over channels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Softmax;

pub(super) static KIND: Kind = Kind {
    name: "softmax",
    summary: "probabilities over channels",
    keys: &[],
    joins: false,
    make: |_| Ok(Arc::new(Softmax)),
    examples: || pointwise::example_shapes().map(|s| (Arc::new(Softmax) as Arc<dyn Layer>, vec![s])).to_vec(),
};

impl Layer for Softmax {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        Ok(Facts::plain(single(inputs)?, Needs::OUTPUT))
    }

    in_both_types!();
}

/// Runs `job(block of y, block of a, block of b, place)` for every place of every image: the values of one place lie
/// `step` apart, as many as there are channels.
pub(super) fn over_channels<R: Real>(
    a: View<'_, R>,
    b: View<'_, R>,
    out: &mut Blocked<R>,
    job: impl Fn(&mut [R], &[R], &[R], usize) + Sync + Send,
) {
    let (len, step) = (a.block_len(), a.shape.plane() * a.lanes);
    par::chunks(out.values_mut(), len, |block, out| {
        let (a, b) = (&a.data[block * len..][..len], &b.data[block * len..][..len]);
        for place in 0..step {
            job(&mut out[place..], &a[place..], &b[place..], step);
        }
    });
}

/// The logarithm of sum exp over values `step` apart.
pub(super) fn log_sum_exp<R: Real>(x: &[R], step: usize) -> R {
    let max = x.iter().step_by(step).copied().fold(R::neg_infinity(), R::max);
    max + x.iter().step_by(step).map(|&x| (x - max).exp()).sum::<R>().ln()
}

impl<R: Real> Compute<R> for Softmax {
    fn forward(&self, io: Forward<'_, R>) {
        let x = io.inputs.get(0);
        over_channels(x, x, io.output, |y, x, _, step| {
            let max = x.iter().step_by(step).copied().fold(R::neg_infinity(), R::max);
            let mut sum = R::zero();
            for (y, &x) in y.iter_mut().step_by(step).zip(x.iter().step_by(step)) {
                *y = (x - max).exp();
                sum += *y;
            }
            y.iter_mut().step_by(step).for_each(|y| *y /= sum);
        });
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        // dx = y (dy - sum y dy)
        over_channels(signal, at.output, &mut out[0], |out, s, y, step| {
            let dot: R = s.iter().step_by(step).zip(y.iter().step_by(step)).map(|(&s, &y)| s * y).sum();
            let values = s.iter().step_by(step).zip(y.iter().step_by(step));
            out.iter_mut().step_by(step).zip(values).for_each(|(out, (&s, &y))| *out = y * (s - dot));
        });
    }

    fn role(&self) -> Role<'_, R> {
        Role::Softmax
    }
}
