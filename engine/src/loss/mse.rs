//! Mean squared error: the mean over images and outputs of (y - t)^2, PyTorch's definition; classes become one-hot
//! vectors. The seed is 2 (y - t)/(N K).

use super::{Loss, Targets, Whole, check_classes, in_groups, top_class};
use crate::array::{Blocked, View};
use crate::error::{Error, Result};
use crate::real::Real;

/// Mean squared error.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MeanSquaredError;

impl<R: Real> Loss<R> for MeanSquaredError {
    fn part(
        &self,
        logits: View<'_, R>,
        targets: Targets<'_, R>,
        whole: Whole,
        mut seed: Option<&mut Blocked<R>>,
        sums: &mut dyn FnMut(f64),
    ) -> Result<usize> {
        match targets {
            Targets::Classes(classes) => check_classes(logits, classes)?,
            Targets::Values(values)
                if (values.shape, values.n, values.lanes) == (logits.shape, logits.n, logits.lanes) => {}
            Targets::Values(values) => {
                let problem = format!(
                    "targets are {} x {}, outputs {} x {}",
                    values.n, values.shape, logits.n, logits.shape
                );
                return Err(Error::request(problem, "give one target of the output's shape per image"));
            }
        }
        if let Some(seed) = seed.as_deref_mut() {
            seed.fill(R::zero());
        }
        let (lanes, len, count) = (logits.lanes, logits.block_len(), logits.shape.size());
        let mut correct = 0;
        in_groups(logits.n, sums, |i| {
            let first = i / lanes * len + i % lanes;
            let mut cost = 0.0;
            for k in 0..count {
                let at = first + k * lanes;
                let target = match targets {
                    Targets::Classes(classes) => f64::from(u8::from(classes[i] as usize == k)),
                    Targets::Values(values) => values.data[at].wide(),
                };
                let error = logits.data[at].wide() - target;
                cost += error * error / count as f64;
                if let Some(seed) = seed.as_deref_mut() {
                    seed.values_mut()[at] = R::of(2.0 * error / (whole.images * count) as f64);
                }
            }
            if let Targets::Classes(classes) = targets {
                correct += usize::from(top_class(logits, i) == classes[i] as usize);
            }
            cost
        });
        Ok(correct)
    }
}
