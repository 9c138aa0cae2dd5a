//! The guard against values that are not finite: it finds the first one, and names it.

use crate::array::LANES;
use crate::error::Error;
use crate::graph::Graph;
use crate::kernels::par;
use crate::params::Params;
use crate::real::Real;
use crate::trace::Trace;
use std::sync::atomic::{AtomicBool, Ordering};

const CURE: &str = "lower the learning rate, clip the gradients, or check the data";

/// Values per job.
const GRAIN: usize = 1 << 16;

/// Whether all values are finite; quick, since 0 x is 0 for every finite x alone.
pub fn finite<R: Real>(values: &[R]) -> bool {
    let found = AtomicBool::new(false);
    par::jobs(values.len().div_ceil(GRAIN), |job| {
        let chunk = &values[job * GRAIN..];
        if !all_finite(&chunk[..chunk.len().min(GRAIN)]) {
            found.store(true, Ordering::Relaxed);
        }
    });
    !found.into_inner()
}

/// Adds up in lanes, so that the additions need not wait for each other.
fn all_finite<R: Real>(values: &[R]) -> bool {
    let (groups, rest) = values.as_chunks::<LANES>();
    let mut sums = [R::zero(); LANES];
    for group in groups {
        for (sum, &v) in sums.iter_mut().zip(group) {
            *sum += v * R::zero();
        }
    }
    sums.iter().all(|&sum| sum == R::zero()) && rest.iter().all(|v| v.is_finite())
}

/// Names the first parameter or activation that is not finite; else the loss.
pub fn find<R: Real>(graph: &Graph, params: &Params<R>, trace: &Trace<R>, step: u64) -> Error {
    if let Some(name) = first_parameter(params) {
        return error(step, "parameter", name);
    }
    for (slot, name) in graph.names().iter().enumerate() {
        let Ok(array) = trace.slot(slot) else { continue };
        if (0..array.batch()).any(|i| array.image(i).iter().any(|v| !v.is_finite())) {
            return error(step, "activation", name);
        }
    }
    error(step, "loss", "loss")
}

/// Names the first gradient that is not finite, if there is one.
pub fn check_gradients<R: Real>(gradients: &Params<R>, step: u64) -> Result<(), Error> {
    if finite(gradients.learnable()) {
        return Ok(());
    }
    Err(first_parameter(gradients)
        .map_or_else(|| error(step, "gradient", "all"), |name| error(step, "gradient", name)))
}

fn first_parameter<R: Real>(params: &Params<R>) -> Option<&str> {
    let bad = |values: ndarray::ArrayViewD<'_, R>| values.iter().any(|v| !v.is_finite());
    params.iter().find(|(_, values)| bad(values.view())).map(|(spec, _)| spec.name.as_str())
}

fn error(step: u64, what: &'static str, name: &str) -> Error {
    Error::Diverged { step, what, name: name.to_string(), cure: CURE.to_string() }
}

#[cfg(test)]
mod tests {
    use super::finite;

    #[test]
    fn one_bad_value_among_many_is_seen() {
        let mut values = vec![1e30f32; 100_003];
        assert!(finite(&values));
        for (at, bad) in
            [(7_777, f32::NAN), (0, f32::INFINITY), (99_999, f32::NEG_INFINITY), (100_002, f32::NAN)]
        {
            values[at] = bad;
            assert!(!finite(&values), "{bad} at {at}");
            values[at] = 0.0;
        }
    }
}
