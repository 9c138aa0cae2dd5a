//! RMSprop: s = alpha s + (1 - alpha) g^2; p -= lr g / (sqrt(s) + eps).

use super::{Optimizer, put_back, sweep};
use crate::error::Result;
use crate::real::Real;

/// RMSprop with its mean square.
#[derive(Clone, Debug)]
pub struct RmsProp<R> {
    square: Vec<R>,
    alpha: f64,
    eps: f64,
    decay: f64,
    steps: u64,
}

impl<R: Real> RmsProp<R> {
    /// For `len` values.
    pub fn new(len: usize, alpha: f64, eps: f64, decay: f64) -> Self {
        Self { square: vec![R::zero(); len], alpha, eps, decay, steps: 0 }
    }
}

impl<R: Real> Optimizer<R> for RmsProp<R> {
    fn step(&mut self, params: &mut [R], grads: &[R], lr: f64) {
        let (lr, decay, eps) = (R::of(lr), R::of(self.decay), R::of(self.eps));
        let (alpha, rest) = (R::of(self.alpha), R::of(1.0 - self.alpha));
        sweep(params, &mut self.square, grads, |p, s, g| {
            let g = g + decay * *p;
            *s = alpha * *s + rest * g * g;
            *p -= lr * g / (s.sqrt() + eps);
        });
        self.steps += 1;
    }

    fn state(&self) -> (Vec<(&'static str, &[R])>, u64) {
        (vec![("square", &self.square)], self.steps)
    }

    fn restore(&mut self, moments: &[(&str, &[R])], steps: u64) -> Result<()> {
        self.steps = steps;
        put_back(&mut self.square, "square", moments)
    }
}
