//! Principal components: the orthogonal directions along which points spread most.
//!
//! Points are centred; the directions are the eigenvectors of the covariance `X^T X / (N - 1)`, or, where there are
//! fewer points than dimensions, come from those of the Gram matrix `X X^T`. The entry of largest size of each
//! direction is made positive, so that nothing is mirrored from one run to the next. Variances are divided by the whole
//! variance, not by that of the directions kept.

use super::eigen::eigen;
use crate::error::{Error, Result};
use ndarray::{Array1, Array2, ArrayView2, Axis};

/// Principal components of some points.
#[derive(Clone, Debug, PartialEq)]
pub struct Pca {
    /// Coordinates along each direction, [points, directions].
    pub scores: Array2<f64>,
    /// Unit directions, [directions, dimensions].
    pub directions: Array2<f64>,
    /// Variance along each direction.
    pub variance: Vec<f64>,
    /// Share of the whole variance along each direction; zero where there is none.
    pub share: Vec<f64>,
}

/// The first `count` principal components of points [N, D].
///
/// # Errors
/// Fewer than two points, or fewer dimensions than components.
pub fn pca(points: ArrayView2<'_, f64>, count: usize) -> Result<Pca> {
    let (n, d) = points.dim();
    if n < 2 || d < count || count == 0 {
        let problem = format!("{n} points of {d} dimensions have no {count} principal components");
        return Err(Error::shape(
            "pca",
            problem,
            "give at least two points, of as many dimensions as components",
        ));
    }
    let mean = points.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(d));
    let x = &points - &mean;
    let freedom = (n - 1) as f64;
    let whole = x.iter().map(|v| v * v).sum::<f64>() / freedom;
    let (values, vectors) = if d <= n { eigen(&x.t().dot(&x)) } else { eigen(&x.dot(&x.t())) };
    let mut directions = Array2::zeros((count, d));
    for (k, mut direction) in directions.outer_iter_mut().enumerate().take(vectors.nrows()) {
        let found = if d <= n { vectors.row(k).to_owned() } else { x.t().dot(&vectors.row(k)) };
        let norm = found.dot(&found).sqrt();
        if norm > 1e-12 * (whole * freedom).sqrt() {
            let largest = found.iter().fold(0.0f64, |m, v| if v.abs() > m.abs() { *v } else { m });
            direction.assign(&(found / (norm * largest.signum())));
        }
    }
    let variance: Vec<f64> =
        (0..count).map(|k| values.get(k).map_or(0.0, |v| v.max(0.0) / freedom)).collect();
    let share = variance.iter().map(|v| if whole > 0.0 { v / whole } else { 0.0 }).collect();
    Ok(Pca { scores: x.dot(&directions.t()), directions, variance, share })
}
