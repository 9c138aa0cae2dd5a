//! Cross-entropy of softmax: -sum_k q_k log p_k with q = (1 - s) onehot + s/K, s the label smoothing (Szegedy et al.
//! 2015, arXiv 1512.00567). Softmax, loss and seed in one pass: the seed is (p - q)/N.

use super::{Cost, Loss, Targets, check_classes, top_class};
use crate::array::{Blocked, View};
use crate::error::{Error, Result};
use crate::real::Real;

/// Cross-entropy of softmax.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CrossEntropy {
    /// Share of the target spread evenly over all classes.
    pub smoothing: f64,
}

impl<R: Real> Loss<R> for CrossEntropy {
    fn cost(
        &self,
        logits: View<'_, R>,
        targets: Targets<'_, R>,
        mut seed: Option<&mut Blocked<R>>,
    ) -> Result<Cost> {
        let Targets::Classes(classes) = targets else {
            return Err(Error::request("cross-entropy needs classes", "use the loss mse for other targets"));
        };
        check_classes(logits, classes)?;
        if let Some(seed) = seed.as_deref_mut() {
            seed.fill(R::zero());
        }
        let (lanes, len, count) = (logits.lanes, logits.block_len(), logits.shape.size());
        let even = self.smoothing / count as f64;
        let mut cost = Cost { images: logits.n, ..Cost::default() };
        for (i, &class) in classes.iter().enumerate() {
            let first = i / lanes * len + i % lanes;
            let image = logits.data[first..].iter().step_by(lanes).take(count);
            let max = image.clone().map(|v| v.wide()).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = image.clone().map(|v| (v.wide() - max).exp()).sum();
            let log_sum = max + sum.ln();
            let target = |k: usize| if k == class as usize { 1.0 - self.smoothing + even } else { even };
            cost.total += image
                .clone()
                .enumerate()
                .filter(|&(k, _)| target(k) != 0.0)
                .map(|(k, v)| target(k) * (log_sum - v.wide()))
                .sum::<f64>();
            cost.correct += usize::from(top_class(logits, i) == class as usize);
            if let Some(seed) = seed.as_deref_mut() {
                let seed = seed.values_mut()[first..].iter_mut().step_by(lanes);
                for ((k, v), seed) in image.enumerate().zip(seed) {
                    *seed = R::of(((v.wide() - log_sum).exp() - target(k)) / logits.n as f64);
                }
            }
        }
        Ok(cost)
    }
}
