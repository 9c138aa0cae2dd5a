//! Stochastic gradient descent: g += decay p; v = momentum v + g; p -= lr v, or with Nesterov p -= lr (g + momentum v).

use super::{Optimizer, put_back, sweep};
use crate::error::Result;
use crate::real::Real;

/// Stochastic gradient descent with its velocity.
#[derive(Clone, Debug)]
pub struct Sgd<R> {
    velocity: Vec<R>,
    momentum: f64,
    nesterov: bool,
    decay: f64,
    steps: u64,
}

impl<R: Real> Sgd<R> {
    /// For `len` values.
    pub fn new(len: usize, momentum: f64, nesterov: bool, decay: f64) -> Self {
        Self { velocity: vec![R::zero(); len], momentum, nesterov, decay, steps: 0 }
    }
}

impl<R: Real> Optimizer<R> for Sgd<R> {
    fn step(&mut self, params: &mut [R], grads: &[R], lr: f64) {
        let (lr, decay, momentum, nesterov) =
            (R::of(lr), R::of(self.decay), R::of(self.momentum), self.nesterov);
        sweep(params, &mut self.velocity, grads, |p, v, g| {
            let g = g + decay * *p;
            *v = momentum * *v + g;
            *p -= lr * if nesterov { g + momentum * *v } else { *v };
        });
        self.steps += 1;
    }

    fn state(&self) -> (Vec<(&'static str, &[R])>, u64) {
        (vec![("velocity", &self.velocity)], self.steps)
    }

    fn restore(&mut self, moments: &[(&str, &[R])], steps: u64) -> Result<()> {
        self.steps = steps;
        put_back(&mut self.velocity, "velocity", moments)
    }
}
