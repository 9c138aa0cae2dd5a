//! Gradient clipping by the norm of all gradients together (Pascanu et al. 2013, arXiv 1211.5063).

use crate::real::Real;

/// The Euclidean norm, in double precision.
pub fn norm<R: Real>(values: &[R]) -> f64 {
    values.iter().map(|v| v.wide() * v.wide()).sum::<f64>().sqrt()
}

/// Scales the gradients down where their norm exceeds `limit`; returns the norm before.
pub fn clip_norm<R: Real>(grads: &mut [R], limit: f64) -> f64 {
    let size = norm(grads);
    if size > limit {
        let scale = R::of(limit / (size + 1e-6));
        grads.iter_mut().for_each(|g| *g *= scale);
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gradients_above_the_limit_are_scaled() {
        let mut g = [3.0f64, 4.0];
        assert_eq!(clip_norm(&mut g, 10.0), 5.0);
        assert_eq!(g, [3.0, 4.0]);
        clip_norm(&mut g, 1.0);
        assert!((norm(&g) - 1.0).abs() < 1e-6);
    }
}
