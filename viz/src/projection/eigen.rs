//! Eigenvalues and eigenvectors of a symmetric matrix, the largest first.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::Array2;

/// Eigenvalues, descending, and unit eigenvectors as rows, of a symmetric matrix.
pub(super) fn eigen(matrix: &Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let n = matrix.nrows();
    let found = SymmetricEigen::new(DMatrix::from_fn(n, n, |i, j| matrix[[i, j]]));
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| found.eigenvalues[b].total_cmp(&found.eigenvalues[a]));
    let values = order.iter().map(|&i| found.eigenvalues[i]).collect();
    let vectors = Array2::from_shape_fn((n, n), |(i, j)| found.eigenvectors[(j, order[i])]);
    (values, vectors)
}
