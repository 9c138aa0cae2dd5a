//! Local response normalisation over channels (Krizhevsky et al. 2012), PyTorch's definition:
//! y_c = x_c / scale_c^beta, scale_c = k + alpha/size sum_{c'} x_{c'}^2 over c - size/2 ..= c + (size-1)/2.
//!
//! Saved: `scale`.

use super::options::Value;
use super::{At, Compute, Facts, Forward, Key, Kind, Layer, Needs, Role, ShapeError, in_both_types, maps};
use crate::array::{Blocked, Shape, View};
use crate::kernels::par;
use crate::real::Real;
use crate::trace::{Saved, SavedDecl, SavedKind};
use std::ops::Range;
use std::sync::Arc;

/// Local response normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lrn {
    /// Channels in a window.
    pub size: usize,
    /// Weight of the mean square.
    pub alpha: f64,
    /// Exponent.
    pub beta: f64,
    /// Constant term.
    pub k: f64,
}

pub(super) static KIND: Kind = Kind {
    name: "lrn",
    summary: "divides each value by the size of its neighbours across channels",
    keys: &[
        Key { name: "size", default: "", help: "channels in a window" },
        Key { name: "alpha", default: "1e-4", help: "weight of the mean square" },
        Key { name: "beta", default: "0.75", help: "exponent" },
        Key { name: "k", default: "1.0", help: "constant term" },
    ],
    joins: false,
    make: |o| {
        let (size, alpha) = (o.size("size")?, o.float_or("alpha", 1e-4)?);
        Ok(Arc::new(Lrn { size, alpha, beta: o.float_or("beta", 0.75)?, k: o.float_or("k", 1.0)? }))
    },
    examples: || {
        let lrn = |size| Arc::new(Lrn { size, alpha: 0.3, beta: 0.75, k: 2.0 });
        vec![(lrn(5), vec![Shape::maps(7, 3, 2)]), (lrn(4), vec![Shape::maps(6, 2, 3)])]
    },
};

impl Lrn {
    /// Channels in the window of channel `c`.
    fn window(&self, c: usize, channels: usize) -> Range<usize> {
        c.saturating_sub(self.size / 2)..(c + (self.size - 1) / 2 + 1).min(channels)
    }

    /// Channels whose windows hold channel `c`.
    fn holders(&self, c: usize, channels: usize) -> Range<usize> {
        c.saturating_sub((self.size - 1) / 2)..(c + self.size / 2 + 1).min(channels)
    }
}

impl Layer for Lrn {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn options(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("size", Value::Int(self.size as i64)),
            ("alpha", Value::Float(self.alpha)),
            ("beta", Value::Float(self.beta)),
            ("k", Value::Float(self.k)),
        ]
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        let shape = maps(inputs)?;
        let saved = vec![SavedDecl { name: "scale", kind: SavedKind::Values(shape) }];
        Ok(Facts { saved, ..Facts::plain(shape, Needs::INPUTS) })
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for Lrn {
    fn forward(&self, io: Forward<'_, R>) {
        let x = io.inputs.get(0);
        let Saved::Values(scale) = &mut io.saved[0] else { unreachable!("lrn saves its scale") };
        let (plane, channels) = (x.shape.plane() * x.lanes, x.shape.c);
        let (factor, k, beta) = (R::of(self.alpha / self.size as f64), R::of(self.k), R::of(-self.beta));
        par::chunks2(io.output.values_mut(), plane, scale.values_mut(), plane, |job, y, scale| {
            let (block, c) = (job / channels, job % channels);
            scale.fill(R::zero());
            for other in self.window(c, channels) {
                let x = &x.data[(block * channels + other) * plane..];
                scale.iter_mut().zip(x).for_each(|(s, &x)| *s += x * x);
            }
            let x = &x.data[job * plane..];
            for ((y, scale), &x) in y.iter_mut().zip(scale).zip(x) {
                *scale = k + factor * *scale;
                *y = x * scale.powf(beta);
            }
        });
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        let (x, scale) = (at.inputs.get(0), at.saved[0].values().values());
        let (plane, channels) = (x.shape.plane() * x.lanes, x.shape.c);
        let factor = R::of(2.0 * self.alpha * self.beta / self.size as f64);
        let (direct, cross) = (R::of(-self.beta), R::of(-self.beta - 1.0));
        par::chunks(out[0].values_mut(), plane, |job, out| {
            let (block, c) = (job / channels, job % channels);
            out.fill(R::zero());
            for other in self.holders(c, channels) {
                let first = (block * channels + other) * plane;
                let values = x.data[first..].iter().zip(&scale[first..]).zip(&signal.data[first..]);
                for (out, ((&x, &scale), &s)) in out.iter_mut().zip(values) {
                    *out += s * x * scale.powf(cross);
                }
            }
            let first = job * plane;
            let values = x.data[first..].iter().zip(&scale[first..]).zip(&signal.data[first..]);
            for (out, ((&x, &scale), &s)) in out.iter_mut().zip(values) {
                *out = s * scale.powf(direct) - factor * x * *out;
            }
        });
    }

    fn role(&self) -> Role<'_, R> {
        Role::Normalize
    }
}
