//! Add: the sum of two or more arrays of one shape, in the order of `from`.

use super::{At, Compute, Facts, Forward, Kind, Layer, Needs, Role, ShapeError, in_both_types, pointwise};
use crate::array::{Blocked, Shape, View};
use crate::kernels::par;
use crate::real::Real;
use std::sync::Arc;

/// The sum of its inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Add;

pub(super) static KIND: Kind = Kind {
    name: "add",
    summary: "the sum of two or more layers",
    keys: &[],
    joins: true,
    make: |_| Ok(Arc::new(Add)),
    examples: || {
        vec![(Arc::new(Add), vec![Shape::maps(3, 4, 5); 2]), (Arc::new(Add), vec![Shape::vector(6); 3])]
    },
};

impl Layer for Add {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        let first = joined(inputs)?;
        match inputs.iter().find(|s| **s != first) {
            None => Ok(Facts::plain(first, Needs::NOTHING)),
            Some(other) => Err(ShapeError::new(
                format!("it cannot add {first} and {other}"),
                "give both branches the same channels, height and width",
            )),
        }
    }

    in_both_types!();
}

/// The first of two or more inputs, or an error that says so.
pub(super) fn joined(inputs: &[Shape]) -> Result<Shape, ShapeError> {
    match inputs {
        [first, _, ..] => Ok(*first),
        _ => Err(ShapeError::new(
            format!("it joins two or more layers, not {}", inputs.len()),
            "name them: from = [\"a\", \"b\"]",
        )),
    }
}

/// Values per job.
const GRAIN: usize = 1 << 14;

impl<R: Real> Compute<R> for Add {
    fn forward(&self, io: Forward<'_, R>) {
        let inputs = io.inputs;
        par::chunks(io.output.values_mut(), GRAIN, |job, y| {
            y.copy_from_slice(&inputs.get(0).data[job * GRAIN..][..y.len()]);
            for i in 1..inputs.len() {
                for (y, &x) in y.iter_mut().zip(&inputs.get(i).data[job * GRAIN..]) {
                    *y += x;
                }
            }
        });
    }

    fn pull(&self, _: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        for out in out {
            pointwise::copy(signal, out);
        }
    }

    fn role(&self) -> Role<'_, R> {
        Role::Sum
    }
}
