//! What all functions of single values share: shapes, loops over the batch, the pull-back by their slope.

use super::{Facts, Forward, Needs, ShapeError, single};
use crate::array::{Blocked, Shape, View};
use crate::kernels::par;
use crate::real::Real;

/// Values per job.
const GRAIN: usize = 1 << 14;

/// The facts of a function of single values.
pub fn facts(inputs: &[Shape], needs: Needs) -> Result<Facts, ShapeError> {
    Ok(Facts::plain(single(inputs)?, needs))
}

/// output = f(input).
pub fn forward<R: Real>(io: Forward<'_, R>, f: impl Fn(R) -> R + Sync + Send) {
    let x = io.inputs.get(0).data;
    par::chunks(io.output.values_mut(), GRAIN, |job, y| {
        for (y, &x) in y.iter_mut().zip(&x[job * GRAIN..]) {
            *y = f(x);
        }
    });
}

/// out = f(signal, other), elementwise; `other` is an input or an output of the same size.
pub fn pull<R: Real>(
    signal: View<'_, R>,
    other: View<'_, R>,
    out: &mut Blocked<R>,
    f: impl Fn(R, R) -> R + Sync + Send,
) {
    par::chunks(out.values_mut(), GRAIN, |job, out| {
        let (signal, other) = (&signal.data[job * GRAIN..], &other.data[job * GRAIN..]);
        for ((out, &s), &o) in out.iter_mut().zip(signal).zip(other) {
            *out = f(s, o);
        }
    });
}

/// out = signal.
pub fn copy<R: Real>(signal: View<'_, R>, out: &mut Blocked<R>) {
    par::chunks(out.values_mut(), GRAIN, |job, out| {
        out.copy_from_slice(&signal.data[job * GRAIN..][..out.len()]);
    });
}

/// Shapes for the examples of a function of single values.
pub fn example_shapes() -> [Shape; 2] {
    [Shape::maps(3, 4, 5), Shape::vector(7)]
}
