//! Dropout (Srivastava et al. 2014): in training each value is dropped with probability p and the others are scaled by
//! 1/(1-p); in evaluation values pass unchanged.
//!
//! The draws of a sample are a function of (seed, step, layer, place in the batch). Saved: `mask`, 1 where a value
//! passed.

use super::options::{OptionError, Value};
use super::{
    At, Compute, Facts, Forward, Key, Kind, Layer, Needs, Role, ShapeError, in_both_types, pointwise, single,
};
use crate::array::{Blocked, Shape, View};
use crate::kernels::par;
use crate::real::Real;
use crate::rng::{Purpose, Stream};
use crate::trace::{Mode, Saved, SavedDecl, SavedKind};
use std::sync::Arc;

/// Drops values in training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability of being dropped, in [0, 1).
    pub p: f64,
}

pub(super) static KIND: Kind = Kind {
    name: "dropout",
    summary: "drops values in training, passes them in evaluation",
    keys: &[Key { name: "p", default: "0.5", help: "probability of being dropped" }],
    joins: false,
    make: |o| {
        let p = o.float_or("p", 0.5)?;
        if (0.0..1.0).contains(&p) {
            return Ok(Arc::new(Dropout { p }));
        }
        Err(OptionError::new(
            "p",
            format!("key \"p\" cannot be {p}"),
            "write a number of at least 0 and below 1",
        ))
    },
    examples: || vec![(Arc::new(Dropout { p: 0.4 }), vec![Shape::maps(3, 4, 5)])],
};

impl Layer for Dropout {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn options(&self) -> Vec<(&'static str, Value)> {
        vec![("p", Value::Float(self.p))]
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        let shape = single(inputs)?;
        let saved = vec![SavedDecl { name: "mask", kind: SavedKind::Mask(shape) }];
        Ok(Facts { saved, ..Facts::plain(shape, Needs::NOTHING) })
    }

    in_both_types!();
}

impl Dropout {
    /// Fills the masks of a block whose first sample is `first`: one stream per real sample, 32 bits per value.
    fn draw(&self, first: usize, lanes: usize, real: usize, [seed, step, key]: [u64; 3], mask: &mut [u8]) {
        let limit = (self.p * 4_294_967_296.0) as u32;
        mask.fill(0);
        for lane in 0..real {
            let sample = (first + lane) as u64;
            let mut stream = Stream::new(seed, Purpose::Dropout, step, key.wrapping_add(sample));
            for mask in mask[lane..].iter_mut().step_by(lanes) {
                *mask = u8::from(stream.bits() >= limit);
            }
        }
    }
}

impl<R: Real> Compute<R> for Dropout {
    fn forward(&self, io: Forward<'_, R>) {
        let x = io.inputs.get(0);
        let Saved::Mask(mask) = &mut io.saved[0] else { unreachable!("dropout saves a mask") };
        let Mode::Train { seed, step } = io.mode else {
            mask.fill(1);
            return pointwise::copy(x, io.output);
        };
        let (len, scale, key, first) = (x.block_len(), R::of(1.0 / (1.0 - self.p)), io.key, io.first);
        par::chunks2(io.output.values_mut(), len, mask.values_mut(), len, |block, y, mask| {
            self.draw(first + block * x.lanes, x.lanes, x.real_lanes(block), [seed, step, key], mask);
            for ((y, &x), &mask) in y.iter_mut().zip(&x.data[block * len..]).zip(mask.iter()) {
                *y = if mask == 1 { x * scale } else { R::zero() };
            }
        });
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        if at.mode == Mode::Eval {
            return pointwise::copy(signal, &mut out[0]);
        }
        let (len, scale) = (signal.block_len(), R::of(1.0 / (1.0 - self.p)));
        let mask = at.saved[0].mask().values();
        par::chunks(out[0].values_mut(), len, |block, out| {
            let (signal, mask) = (&signal.data[block * len..], &mask[block * len..]);
            for ((out, &s), &mask) in out.iter_mut().zip(signal).zip(mask) {
                *out = if mask == 1 { s * scale } else { R::zero() };
            }
        });
    }

    fn role(&self) -> Role<'_, R> {
        Role::Wire
    }
}
