//! Concat: two or more arrays of one height and width laid side by side along the channels, in the order of `from`.

use super::add::joined;
use super::{At, Compute, Facts, Forward, Kind, Layer, Needs, Role, ShapeError, in_both_types};
use crate::array::{Blocked, Shape, View};
use crate::kernels::par;
use crate::real::Real;
use std::sync::Arc;

/// Its inputs side by side along the channels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Concat;

pub(super) static KIND: Kind = Kind {
    name: "concat",
    summary: "two or more layers side by side along the channels",
    keys: &[],
    joins: true,
    make: |_| Ok(Arc::new(Concat)),
    examples: || {
        vec![
            (Arc::new(Concat), vec![Shape::maps(3, 4, 5), Shape::maps(2, 4, 5)]),
            (Arc::new(Concat), vec![Shape::vector(3), Shape::vector(1), Shape::vector(2)]),
        ]
    },
};

impl Layer for Concat {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        let first = joined(inputs)?;
        if let Some(other) = inputs.iter().find(|s| (s.h, s.w, s.flat) != (first.h, first.w, first.flat)) {
            return Err(ShapeError::new(
                format!("it cannot lay {first} and {other} side by side"),
                "give both branches the same height and width",
            ));
        }
        let c = inputs.iter().map(|s| s.c).sum();
        Ok(Facts::plain(Shape { c, ..first }, Needs::NOTHING))
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for Concat {
    fn forward(&self, io: Forward<'_, R>) {
        let inputs = io.inputs;
        let len = io.output.shape().size() * io.output.lanes();
        par::chunks(io.output.values_mut(), len, |block, mut y| {
            for i in 0..inputs.len() {
                let x = inputs.get(i);
                let (front, back) = y.split_at_mut(x.block_len());
                front.copy_from_slice(&x.data[block * x.block_len()..][..x.block_len()]);
                y = back;
            }
        });
    }

    fn pull(&self, _: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        let mut first = 0;
        for out in out {
            let len = out.shape().size() * out.lanes();
            par::chunks(out.values_mut(), len, |block, out| {
                out.copy_from_slice(&signal.data[block * signal.block_len() + first..][..len]);
            });
            first += len;
        }
    }

    fn role(&self) -> Role<'_, R> {
        Role::Concat
    }
}
