//! Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167): y = weight (x - mean) rstd + bias per channel, with
//! rstd = 1 / sqrt(var + eps).
//!
//! In training mean and variance are the batch's own (biased), over images and pixels; padding images enter nothing.
//! In evaluation they are the running ones. Saved: `mean`, `var`, `rstd`, as used. The trainer then moves the running
//! statistics: running = (1 - momentum) running + momentum batch, with the unbiased variance, as in PyTorch. Parameters:
//! weight, bias, running_mean, running_var, num_batches_tracked.

use super::options::Value;
use super::{
    At, Batch, Compute, Facts, Forward, Key, Kind, Layer, Needs, Role, ShapeError, in_both_types, single,
};
use crate::array::{Blocked, Shape, View};
use crate::kernels::par;
use crate::params::{ParamDecl, ParamRole, ParamViewsMut};
use crate::real::Real;
use crate::trace::{Inputs, Mode, Saved, SavedDecl, SavedKind};
use std::sync::Arc;

/// Batch normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// Added to the variance.
    pub eps: f64,
    /// Share of the batch in the running statistics.
    pub momentum: f64,
}

impl Default for BatchNorm {
    fn default() -> Self {
        Self { eps: 1e-5, momentum: 0.1 }
    }
}

pub(super) static KIND: Kind = Kind {
    name: "batchnorm",
    summary: "each channel to mean 0 and variance 1, then scaled and shifted",
    keys: &[
        Key { name: "eps", default: "1e-5", help: "added to the variance" },
        Key { name: "momentum", default: "0.1", help: "share of the batch in the running statistics" },
    ],
    joins: false,
    make: |o| {
        Ok(Arc::new(BatchNorm { eps: o.float_or("eps", 1e-5)?, momentum: o.float_or("momentum", 0.1)? }))
    },
    examples: || {
        let layer = BatchNorm::default();
        vec![(Arc::new(layer), vec![Shape::maps(3, 4, 5)]), (Arc::new(layer), vec![Shape::vector(6)])]
    },
};

impl Layer for BatchNorm {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn options(&self) -> Vec<(&'static str, Value)> {
        vec![("eps", Value::Float(self.eps)), ("momentum", Value::Float(self.momentum))]
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        let shape = single(inputs)?;
        let decl =
            |name, dims: &[usize], role| ParamDecl { name, dims: dims.to_vec(), role, fan_in: 1, fan_out: 1 };
        let channels = [shape.c];
        let saved = |name| SavedDecl { name, kind: SavedKind::Channels(shape.c) };
        Ok(Facts {
            params: vec![
                decl("weight", &channels, ParamRole::Scale),
                decl("bias", &channels, ParamRole::Bias),
                decl("running_mean", &channels, ParamRole::RunningMean),
                decl("running_var", &channels, ParamRole::RunningVar),
                decl("num_batches_tracked", &[], ParamRole::Count),
            ],
            saved: vec![saved("mean"), saved("var"), saved("rstd")],
            mixes: true,
            ..Facts::plain(shape, Needs::INPUTS)
        })
    }

    in_both_types!();
}

/// The sum of f(value of a, value of b) over the images and pixels of channel `c`, in double precision: pixel by pixel,
/// then lane by lane, padding images left out.
fn channel_sum<R: Real>(a: View<'_, R>, b: View<'_, R>, c: usize, f: impl Fn(f64, f64) -> f64) -> f64 {
    let (plane, lanes) = (a.shape.plane() * a.lanes, a.lanes);
    let mut sum = 0.0;
    for block in 0..a.blocks() {
        let at = (block * a.shape.c + c) * plane;
        let real = a.real_lanes(block);
        for (a, b) in a.data[at..][..plane].chunks_exact(lanes).zip(b.data[at..][..plane].chunks_exact(lanes))
        {
            sum += a[..real].iter().zip(&b[..real]).map(|(a, b)| f(a.wide(), b.wide())).sum::<f64>();
        }
    }
    sum
}

impl BatchNorm {
    fn statistics<R: Real>(&self, x: View<'_, R>, mean: &mut [R], var: &mut [R]) {
        let count = (x.n * x.shape.plane()) as f64;
        par::chunks2(mean, 1, var, 1, |c, mean, var| {
            let m = channel_sum(x, x, c, |x, _| x) / count;
            let v = channel_sum(x, x, c, |x, _| (x - m) * (x - m)) / count;
            (mean[0], var[0]) = (R::of(m), R::of(v));
        });
    }
}

fn three<R: Real>(saved: &mut [Saved<R>]) -> [&mut Vec<R>; 3] {
    let [Saved::Channels(mean), Saved::Channels(var), Saved::Channels(rstd)] = saved else {
        unreachable!("batch-norm saves mean, var and rstd")
    };
    [mean, var, rstd]
}

impl<R: Real> Compute<R> for BatchNorm {
    fn forward(&self, io: Forward<'_, R>) {
        let x = io.inputs.get(0);
        let [mean, var, rstd] = three(io.saved);
        match io.mode {
            Mode::Train { .. } => self.statistics(x, mean, var),
            Mode::Eval => {
                mean.copy_from_slice(io.params.get(2));
                var.copy_from_slice(io.params.get(3));
            }
        }
        for (rstd, &var) in rstd.iter_mut().zip(var.iter()) {
            *rstd = R::one() / (var + R::of(self.eps)).sqrt();
        }
        let (weight, bias) = (io.params.get(0), io.params.get(1));
        let (mean, rstd) = (&mean[..], &rstd[..]);
        let plane = x.shape.plane() * x.lanes;
        par::chunks(io.output.values_mut(), plane, |job, y| {
            let c = job % x.shape.c;
            let (scale, mean, bias) = (weight[c] * rstd[c], mean[c], bias[c]);
            for (y, &x) in y.iter_mut().zip(&x.data[job * plane..]) {
                *y = (x - mean) * scale + bias;
            }
        });
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], scratch: &mut [R]) {
        let x = at.inputs.get(0);
        let (mean, rstd, weight) = (at.saved[0].channels(), at.saved[2].channels(), at.params.get(0));
        let (plane, channels) = (x.shape.plane() * x.lanes, x.shape.c);
        if at.mode == Mode::Eval {
            return par::chunks(out[0].values_mut(), plane, |job, out| {
                let scale = weight[job % channels] * rstd[job % channels];
                for (out, &s) in out.iter_mut().zip(&signal.data[job * plane..]) {
                    *out = s * scale;
                }
            });
        }
        // dx = weight rstd (dy - mean(dy) - x^ mean(dy x^)), x^ = (x - mean) rstd
        let count = (x.n * x.shape.plane()) as f64;
        let (mean_dy, mean_dyx) = scratch[..2 * channels].split_at_mut(channels);
        par::chunks2(mean_dy, 1, mean_dyx, 1, |c, dy, dyx| {
            let (m, r) = (mean[c].wide(), rstd[c].wide());
            dy[0] = R::of(channel_sum(signal, signal, c, |s, _| s) / count);
            dyx[0] = R::of(channel_sum(signal, x, c, |s, x| s * (x - m) * r) / count);
        });
        let (mean_dy, mean_dyx) = (&mean_dy[..], &mean_dyx[..]);
        par::chunks(out[0].values_mut(), plane, |job, out| {
            let c = job % channels;
            let scale = weight[c] * rstd[c];
            let values = signal.data[job * plane..].iter().zip(&x.data[job * plane..]);
            for (out, (&s, &x)) in out.iter_mut().zip(values) {
                *out = scale * (s - mean_dy[c] - (x - mean[c]) * rstd[c] * mean_dyx[c]);
            }
        });
        out[0].clear_padding();
    }

    fn pull_params(&self, at: &At<'_, R>, signal: View<'_, R>, mut grads: ParamViewsMut<'_, R>, _: &mut [R]) {
        let x = at.inputs.get(0);
        let (mean, rstd) = (at.saved[0].channels(), at.saved[2].channels());
        let (dweight, dbias) = grads.first_two();
        let Some(dbias) = dbias else { unreachable!("batch-norm has a bias") };
        par::chunks2(dweight, 1, dbias, 1, |c, dweight, dbias| {
            let (m, r) = (mean[c].wide(), rstd[c].wide());
            dweight[0] = R::of(channel_sum(signal, x, c, |s, x| s * (x - m) * r));
            dbias[0] = R::of(channel_sum(signal, signal, c, |s, _| s));
        });
    }

    fn fold_statistics(&self, inputs: Inputs<'_, R>, saved: &[Saved<R>], mut params: ParamViewsMut<'_, R>) {
        let x = inputs.get(0);
        let count = (x.n * x.shape.plane()) as f64;
        let unbias = if count > 1.0 { count / (count - 1.0) } else { 1.0 };
        let m = self.momentum;
        let mix = |running: &mut [R], batch: &[R], factor: f64| {
            for (running, &batch) in running.iter_mut().zip(batch) {
                *running = R::of((1.0 - m) * running.wide() + m * batch.wide() * factor);
            }
        };
        mix(params.get(2), saved[0].channels(), 1.0);
        mix(params.get(3), saved[1].channels(), unbias);
        params.get(4)[0] += R::one();
    }

    fn scratch(&self, inputs: &[Shape], _: Batch) -> usize {
        2 * inputs[0].c
    }

    fn role(&self) -> Role<'_, R> {
        Role::Rescale
    }
}
