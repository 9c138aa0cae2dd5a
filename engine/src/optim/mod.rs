//! Optimisers: one loop over the parameter slab each, PyTorch's definitions and defaults. One file and one line each.

mod adam;
mod clip;
mod rmsprop;
pub mod schedule;
mod sgd;

pub use adam::Adam;
pub use clip::{clip_norm, norm};
pub use rmsprop::RmsProp;
pub use schedule::{Phase, Plateau, Schedule, Seen};
pub use sgd::Sgd;

use crate::error::{Error, Result};
use crate::kernels::par;
use crate::real::Real;
use std::fmt::Debug;

/// An optimiser with its moments.
pub trait Optimizer<R: Real>: Debug + Send {
    /// Moves the parameters by their gradients; both are the learnable part of a slab.
    fn step(&mut self, params: &mut [R], grads: &[R], lr: f64);

    /// Its moments with their names, for checkpoints, and the number of steps done.
    fn state(&self) -> (Vec<(&'static str, &[R])>, u64);

    /// Puts moments back. Errors: other names or lengths than [`Optimizer::state`] gives.
    fn restore(&mut self, moments: &[(&str, &[R])], steps: u64) -> Result<()>;
}

/// The optimisers by name, with their hyper-parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Adam (Kingma and Ba 2014, arXiv 1412.6980).
    Adam {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        eps: f64,
    },
    /// AdamW: Adam with decoupled weight decay (Loshchilov and Hutter 2017, arXiv 1711.05101).
    AdamW {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root of the second moment.
        eps: f64,
    },
    /// RMSprop (Tieleman and Hinton 2012).
    RmsProp {
        /// Decay of the mean square.
        alpha: f64,
        /// Added to its root.
        eps: f64,
    },
    /// Stochastic gradient descent.
    Sgd {
        /// Share of the last move that is kept.
        momentum: f64,
        /// Look ahead along the momentum (Nesterov 1983).
        nesterov: bool,
    },
}

impl Method {
    /// The names, in [`Method::named`].
    pub const NAMES: &'static [&'static str] = &["adam", "adamw", "rmsprop", "sgd"];

    /// By name, with PyTorch's defaults (momentum 0). Errors: an unknown name.
    pub fn named(name: &str) -> Result<Self> {
        let (beta1, beta2, eps) = (0.9, 0.999, 1e-8);
        match name {
            "adam" => Ok(Self::Adam { beta1, beta2, eps }),
            "adamw" => Ok(Self::AdamW { beta1, beta2, eps }),
            "rmsprop" => Ok(Self::RmsProp { alpha: 0.99, eps }),
            "sgd" => Ok(Self::Sgd { momentum: 0.0, nesterov: false }),
            _ => Err(Error::unknown("optimizer", name, Self::NAMES.iter().copied())),
        }
    }

    /// An optimiser for `len` learnable values. `weight_decay` is added to the gradient as L2 does, in AdamW it shrinks
    /// the parameters directly.
    pub fn build<R: Real>(self, len: usize, weight_decay: f64) -> Box<dyn Optimizer<R>> {
        match self {
            Self::Adam { beta1, beta2, eps } => {
                Box::new(Adam::new(len, [beta1, beta2], eps, weight_decay, false))
            }
            Self::AdamW { beta1, beta2, eps } => {
                Box::new(Adam::new(len, [beta1, beta2], eps, weight_decay, true))
            }
            Self::RmsProp { alpha, eps } => Box::new(RmsProp::new(len, alpha, eps, weight_decay)),
            Self::Sgd { momentum, nesterov } => Box::new(Sgd::new(len, momentum, nesterov, weight_decay)),
        }
    }
}

/// Values per job.
const GRAIN: usize = 1 << 14;

/// Runs `job(params, moment, grads)` over chunks.
fn sweep<R: Real>(
    params: &mut [R],
    moment: &mut [R],
    grads: &[R],
    job: impl Fn(&mut R, &mut R, R) + Sync + Send,
) {
    par::chunks2(params, GRAIN, moment, GRAIN, |at, params, moment| {
        let values = params.iter_mut().zip(moment).zip(&grads[at * GRAIN..]);
        values.for_each(|((p, m), &g)| job(p, m, g));
    });
}

/// Copies a moment back, or says what does not fit.
fn put_back<R: Real>(own: &mut [R], name: &str, moments: &[(&str, &[R])]) -> Result<()> {
    match moments.iter().find(|(n, _)| *n == name) {
        Some((_, values)) if values.len() == own.len() => {
            own.copy_from_slice(values);
            Ok(())
        }
        Some((_, values)) => Err(Error::request(
            format!("optimiser moment \"{name}\" has {} values, not {}", values.len(), own.len()),
            "resume with the model that the checkpoint was made with",
        )),
        None => Err(Error::request(
            format!("the checkpoint holds no optimiser moment \"{name}\""),
            "resume with the optimiser that the checkpoint was made with",
        )),
    }
}
