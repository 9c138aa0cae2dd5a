//! Comparing arrays by their largest difference, relative to the largest value expected.

use glassbox_engine::{Blocked, Real};
use ndarray::{ArrayD, IxDyn};

/// Largest difference over the largest magnitude expected (over one, where zeros are expected). Infinite where a number
/// is NaN; panics where shapes differ.
pub fn error(got: &ArrayD<f64>, want: &ArrayD<f64>) -> f64 {
    assert_eq!(got.shape(), want.shape(), "shapes");
    let largest = want.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let difference = |(g, w): (&f64, &f64)| if (g - w).is_nan() { f64::INFINITY } else { (g - w).abs() };
    let worst = got.iter().zip(want).map(difference).fold(0.0, f64::max);
    if largest > 0.0 { worst / largest } else { worst }
}

/// Panics where the error is above `limit`; prints it otherwise, for `--nocapture`.
pub fn close(what: &str, got: &ArrayD<f64>, want: &ArrayD<f64>, limit: f64) {
    let error = error(got, want);
    assert!(error <= limit, "{what}: error {error:e}, allowed {limit:e}");
    println!("{what}: error {error:.1e}");
}

/// An exported copy in double precision.
pub fn wide<R: Real>(array: &Blocked<R>) -> ArrayD<f64> {
    array.to_exported().mapv(Real::wide)
}

/// Blocks of `lanes` images from an array as exported: [N, C, H, W], or [N, C] for vectors.
pub fn blocked<R: Real>(array: &ArrayD<f64>, lanes: usize) -> Blocked<R> {
    let values = array.mapv(R::of);
    Blocked::from_exported(values.view(), lanes).unwrap_or_else(|| panic!("{:?} is no batch", array.shape()))
}

/// Bits of all values, so that equality means the same bits (and not the same numbers).
pub fn bits<R: Real>(values: &[R]) -> Vec<u64> {
    values.iter().map(|v| v.wide().to_bits()).collect()
}

/// Every number once, evenly spaced in (-1, 1) without zero, in a fixed shuffled order: no ties, and no kink within half
/// a step of any value.
pub fn shuffled(shape: &[usize], salt: usize) -> ArrayD<f64> {
    let n: usize = shape.iter().product();
    // a stride that shares no factor with n visits every place once
    let stride = (n * 5 / 8 + salt..).find(|s| gcd(*s, n) == 1).unwrap_or(1);
    // a grid around zero would touch it, so this one is shifted by a quarter step
    let value = |i: usize| ((i * stride + salt) % n) as f64 + 0.75;
    let values = (0..n).map(|i| 2.0 * value(i) / (n as f64 + 1.0) - 1.0).collect();
    ArrayD::from_shape_vec(IxDyn(shape), values).unwrap_or_else(|e| panic!("{e}"))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
