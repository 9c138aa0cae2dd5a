//! Adam and AdamW: m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2;
//! p -= lr/(1 - b1^t) m / (sqrt(v)/sqrt(1 - b2^t) + eps). Adam adds decay p to g; AdamW shrinks p by lr decay first.

use super::{GRAIN, Optimizer, put_back};
use crate::error::Result;
use crate::kernels::par;
use crate::real::Real;

/// Adam with its two moments, side by side: `[value][first, second]`.
#[derive(Clone, Debug)]
pub struct Adam<R> {
    moments: Vec<[R; 2]>,
    betas: [f64; 2],
    eps: f64,
    decay: f64,
    decoupled: bool,
    steps: u64,
}

impl<R: Real> Adam<R> {
    /// For `len` values; `decoupled` makes it AdamW.
    pub fn new(len: usize, betas: [f64; 2], eps: f64, decay: f64, decoupled: bool) -> Self {
        Self { moments: vec![[R::zero(); 2]; len], betas, eps, decay, decoupled, steps: 0 }
    }
}

impl<R: Real> Optimizer<R> for Adam<R> {
    fn step(&mut self, params: &mut [R], grads: &[R], lr: f64) {
        self.steps += 1;
        let [b1, b2] = self.betas;
        let t = self.steps as i32;
        let (first_bias, second_bias) = (1.0 - b1.powi(t), 1.0 - b2.powi(t));
        let (size, root, eps) = (R::of(lr / first_bias), R::of(1.0 / second_bias.sqrt()), R::of(self.eps));
        let shrink = R::of(if self.decoupled { 1.0 - lr * self.decay } else { 1.0 });
        let decay = R::of(if self.decoupled { 0.0 } else { self.decay });
        let (b1, b2, rest1, rest2) = (R::of(b1), R::of(b2), R::of(1.0 - b1), R::of(1.0 - b2));
        par::chunks2(params, GRAIN, &mut self.moments, GRAIN, |at, params, moments| {
            for ((p, [m, v]), &g) in params.iter_mut().zip(moments).zip(&grads[at * GRAIN..]) {
                *p *= shrink;
                let g = g + decay * *p;
                *m = b1 * *m + rest1 * g;
                *v = b2 * *v + rest2 * g * g;
                *p -= size * *m / (v.sqrt() * root + eps);
            }
        });
    }

    fn state(&self) -> (Vec<(&'static str, &[R])>, u64) {
        (vec![("moments", self.moments.as_flattened())], self.steps)
    }

    fn restore(&mut self, moments: &[(&str, &[R])], steps: u64) -> Result<()> {
        self.steps = steps;
        put_back(self.moments.as_flattened_mut(), "moments", moments)
    }
}
