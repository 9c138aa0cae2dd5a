//! The two number types of the engine: `f32`, the fast one, and `f64`, for gradient checks and oracles.

use num_traits::{Float, NumAssign};
use std::fmt::{Debug, Display};
use std::iter::Sum;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// `f32` or `f64`.
pub trait Real:
    sealed::Sealed + Float + NumAssign + Sum + Default + Debug + Display + Send + Sync + 'static
{
    /// "f32" or "f64".
    const NAME: &'static str;

    /// The nearest value to `x`.
    fn of(x: f64) -> Self;

    /// This value in double precision.
    fn wide(self) -> f64;

    /// The Gauss error function, to the type's precision.
    fn erf(self) -> Self;

    /// The kernels of an instruction set for this type; without `exact`, those that may transform.
    fn kernels(isa: crate::kernels::Isa, exact: bool) -> &'static crate::kernels::Kernels<Self>;

    /// A layer's arithmetic in this type.
    fn compute(layer: &dyn crate::layers::Layer) -> &dyn crate::layers::Compute<Self>;
}

impl Real for f32 {
    const NAME: &'static str = "f32";

    fn of(x: f64) -> Self {
        x as f32
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }

    fn erf(self) -> Self {
        erf(f64::from(self)) as f32
    }

    fn kernels(isa: crate::kernels::Isa, exact: bool) -> &'static crate::kernels::Kernels<Self> {
        crate::kernels::table_f32(isa, exact)
    }

    fn compute(layer: &dyn crate::layers::Layer) -> &dyn crate::layers::Compute<Self> {
        layer.f32()
    }
}

impl Real for f64 {
    const NAME: &'static str = "f64";

    fn of(x: f64) -> Self {
        x
    }

    fn wide(self) -> f64 {
        self
    }

    fn erf(self) -> Self {
        erf(self)
    }

    fn kernels(_: crate::kernels::Isa, _: bool) -> &'static crate::kernels::Kernels<Self> {
        crate::kernels::table_f64()
    }

    fn compute(layer: &dyn crate::layers::Layer) -> &dyn crate::layers::Compute<Self> {
        layer.f64()
    }
}

/// The error function to double precision: its Maclaurin series near zero, the continued fraction of the complement
/// (Abramowitz and Stegun 7.1.6 and 7.1.14) beyond.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a < 2.5 {
        // 2/sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (1 3 5 .. (2n+1))
        let (mut term, mut sum) = (x, x);
        for n in 1..80 {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
            if term.abs() < 1e-18 * sum.abs() {
                break;
            }
        }
        return std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum;
    }
    let mut tail = 0.0;
    for n in (1..=60).rev() {
        tail = f64::from(n) * 0.5 / (a + tail);
    }
    let complement = (-a * a).exp() / ((a + tail) * std::f64::consts::PI.sqrt());
    x.signum() * (1.0 - complement)
}

#[cfg(test)]
mod tests {
    use super::erf;

    #[test]
    fn erf_matches_tables() {
        // Abramowitz and Stegun, table 7.1, and values beyond it
        for (x, want) in [
            (0.0, 0.0),
            (0.1, 0.112_462_916_018_284_9),
            (0.5, 0.520_499_877_813_046_5),
            (1.0, 0.842_700_792_949_714_9),
            (2.0, 0.995_322_265_018_952_7),
            (2.6, 0.999_763_965_583_470_7),
            (3.5, 0.999_999_256_901_627_7),
        ] {
            assert!((erf(x) - want).abs() < 1e-15, "{x}: {} {want}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
    }
}
