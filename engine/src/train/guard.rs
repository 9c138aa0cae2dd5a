//! The guard against values that are not finite: it finds the first one, and names it.

use crate::error::Error;
use crate::graph::Graph;
use crate::params::Params;
use crate::real::Real;
use crate::trace::Trace;

const CURE: &str = "lower the learning rate, clip the gradients, or check the data";

/// Whether all values are finite; quick, since 0 x is 0 for every finite x alone.
pub fn finite<R: Real>(values: &[R]) -> bool {
    let zero = |chunk: &[R]| chunk.iter().fold(R::zero(), |sum, &v| sum + v * R::zero());
    values.chunks(1 << 12).all(|chunk| zero(chunk) == R::zero())
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
        let mut values = vec![1e30f32; 10_000];
        assert!(finite(&values));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            values[7_777] = bad;
            assert!(!finite(&values));
        }
    }
}
