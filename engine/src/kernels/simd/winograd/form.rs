//! The matrices of the forms F(m x m, r x r), along one axis: lane-wise sums and products, no shuffles.
//!
//! A tile is n x n pixels d of the input, n = m + r - 1, which make m x m pixels y of the output:
//!
//! ```text
//! y = A^T [(G g G^T) . (B^T d B)] A
//! ```
//!
//! and the weight gradient is the transpose: dg = G^T [sum over tiles of (A dy A^T) . (B^T d B)] G. The places of an n x n
//! matrix are called points; each point of all tiles and channels forms one product of matrices.
//!
//! With n = 4 the polynomials are evaluated at 0, 1, -1 and infinity:
//!
//! ```text
//!       | 1  0 -1  0 |       | 1    0    0  |         | 1  1  1  0 |
//! B^T = | 0  1  1  0 |   G = | 1/2  1/2  1/2|   A^T = | 0  1 -1 -1 |
//!       | 0 -1  1  0 |       | 1/2 -1/2  1/2|
//!       | 0  1  0 -1 |       | 0    0    1  |
//! ```
//!
//! With n = 6 they are 0, a, -a, b, -b and infinity with a = sqrt(1/2), b = sqrt(2). Whole numbers (1, 2) would spare a few
//! products, but powers of a and b stay nearer to 1, and the errors are half as large (root mean square) or a third (at
//! worst). Row p of G is (1, p, p^2, ...) / f(p) with f = -3/2 at +-a and 6 at +-b; column p of A^T is (1, p, p^2, ...);
//! a row of B^T holds the coefficients of x (x^2 - 1/2) (x^2 - 2) without the factor of its point.
#![allow(unsafe_code)]
// Constant trip counts over arrays of registers read as what they become.
#![allow(clippy::needless_range_loop)]

use super::super::Simd;
use std::f32::consts::{FRAC_1_SQRT_2, SQRT_2};

/// F(m x m, r x r).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// F(2x2, 3x3): 16 products for 36.
    Two3,
    /// F(4x4, 3x3): 36 products for 144.
    Four3,
    /// F(2x2, 5x5): 36 products for 100.
    Two5,
}

/// The most points of a tile,
pub const POINTS: usize = 36;

/// and the most taps of a kernel.
pub const TAPS: usize = 25;

impl Form {
    /// The form with the fewest products for an output of `size` pixels; `None` for kernels that have none.
    pub fn of(kernel: [usize; 2], size: [usize; 2]) -> Option<Self> {
        let products =
            |form: Self| form.points() * size.map(|n| n.div_ceil(form.makes())).iter().product::<usize>();
        match kernel {
            [3, 3] if products(Self::Four3) < products(Self::Two3) => Some(Self::Four3),
            [3, 3] => Some(Self::Two3),
            [5, 5] => Some(Self::Two5),
            _ => None,
        }
    }

    /// m: pixels that a tile makes along an axis.
    pub fn makes(self) -> usize {
        match self {
            Self::Two3 | Self::Two5 => 2,
            Self::Four3 => 4,
        }
    }

    /// n: pixels of a tile along an axis.
    pub fn side(self) -> usize {
        match self {
            Self::Two3 => 4,
            Self::Four3 | Self::Two5 => 6,
        }
    }

    /// r: taps along an axis.
    pub fn taps(self) -> usize {
        self.side() + 1 - self.makes()
    }

    /// Points of a tile.
    pub fn points(self) -> usize {
        self.side() * self.side()
    }

    /// G g G^T of C kernels side by side: `taps[r u + v]` to `points[n i + j]`.
    pub fn kernels<const C: usize>(self, taps: &[[f32; C]; TAPS], points: &mut [[f32; C]; POINTS]) {
        match self {
            Self::Two3 => both::<3, 4, C>(taps, points, kernel),
            Self::Four3 => both::<3, 6, C>(taps, points, kernel),
            Self::Two5 => both::<5, 6, C>(taps, points, kernel),
        }
    }

    /// G^T p G of C matrices side by side: `points[n i + j]` to `taps[r u + v]`.
    pub fn kernel_gradients<const C: usize>(self, points: &[[f32; C]; POINTS], taps: &mut [[f32; C]; TAPS]) {
        match self {
            Self::Two3 => both::<4, 3, C>(points, taps, kernel_gradient),
            Self::Four3 => both::<6, 3, C>(points, taps, kernel_gradient),
            Self::Two5 => both::<6, 5, C>(points, taps, kernel_gradient),
        }
    }
}

/// A matrix of F x F turned into one of T x T by `along` down its columns, then along its rows.
fn both<const F: usize, const T: usize, const C: usize>(
    from: &[[f32; C]],
    to: &mut [[f32; C]],
    along: impl Fn([[f32; C]; F]) -> [[f32; C]; T],
) {
    let columns: [_; F] = std::array::from_fn(|j| along(std::array::from_fn(|i| from[F * i + j])));
    for i in 0..T {
        to[T * i..T * (i + 1)].copy_from_slice(&along(std::array::from_fn(|j| columns[j][i])));
    }
}

/// A pair of points, p and -p.
struct Pair {
    p: f32,
    square: f32,
    /// 1 / f(p).
    scale: f32,
}

/// The pairs of points of a tile of n.
fn pairs(n: usize) -> &'static [Pair] {
    const FOUR: [Pair; 1] = [Pair { p: 1.0, square: 1.0, scale: 0.5 }];
    const SIX: [Pair; 2] = [
        Pair { p: FRAC_1_SQRT_2, square: 0.5, scale: -2.0 / 3.0 },
        Pair { p: SQRT_2, square: 2.0, scale: 1.0 / 6.0 },
    ];
    if n == 4 { &FOUR } else { &SIX }
}

/// G times R taps.
fn kernel<const R: usize, const N: usize, const C: usize>(taps: [[f32; C]; R]) -> [[f32; C]; N] {
    let mut points = [[0.0; C]; N];
    points[0] = taps[0];
    points[N - 1] = taps[R - 1];
    for (k, Pair { p, square, scale }) in pairs(N).iter().enumerate() {
        for c in 0..C {
            // taps of even and of odd powers of p
            let mut sums = [0.0; 2];
            for t in (0..R).rev() {
                sums[t % 2] = sums[t % 2] * square + taps[t][c];
            }
            let (even, odd) = (scale * sums[0], scale * p * sums[1]);
            points[2 * k + 1][c] = even + odd;
            points[2 * k + 2][c] = even - odd;
        }
    }
    points
}

/// G^T times N points.
fn kernel_gradient<const N: usize, const R: usize, const C: usize>(points: [[f32; C]; N]) -> [[f32; C]; R] {
    let mut taps = [[0.0; C]; R];
    taps[0] = points[0];
    taps[R - 1] = points[N - 1];
    for (k, Pair { p, square, scale }) in pairs(N).iter().enumerate() {
        for c in 0..C {
            let (plus, minus) = (points[2 * k + 1][c], points[2 * k + 2][c]);
            let mut terms = [scale * (plus + minus), scale * p * (plus - minus)];
            for t in 0..R {
                taps[t][c] += terms[t % 2];
                terms[t % 2] *= square;
            }
        }
    }
    taps
}

/// a + c b.
///
/// # Safety
///
/// The machine has S's instructions.
#[inline(always)]
unsafe fn plus<S: Simd>(a: S::V, c: f32, b: S::V) -> S::V {
    // SAFETY: the caller's promise.
    unsafe { S::fma(S::splat(c), b, a) }
}

/// B^T d.
///
/// # Safety
///
/// The machine has S's instructions.
#[inline(always)]
pub unsafe fn input<S: Simd, const N: usize>(d: [S::V; N]) -> [S::V; N] {
    let mut v = d;
    // SAFETY: the caller's promise.
    unsafe {
        if N == 4 {
            v[0] = S::sub(d[0], d[2]);
            v[1] = S::add(d[1], d[2]);
            v[2] = S::sub(d[2], d[1]);
            v[3] = S::sub(d[1], d[3]);
        } else {
            v[0] = plus::<S>(S::add(d[0], d[4]), -2.5, d[2]);
            for k in 0..2 {
                let Pair { p, square, .. } = &pairs(N)[k];
                // the other pair's square is 1 / square
                let even = plus::<S>(d[4], -1.0 / square, d[2]);
                let odd = plus::<S>(d[3], -1.0 / square, d[1]);
                v[2 * k + 1] = plus::<S>(even, *p, odd);
                v[2 * k + 2] = plus::<S>(even, -p, odd);
            }
            v[5] = plus::<S>(S::add(d[1], d[5]), -2.5, d[3]);
        }
    }
    v
}

/// A dy: M pixels to N points.
///
/// # Safety
///
/// The machine has S's instructions.
#[inline(always)]
pub unsafe fn gradient<S: Simd, const M: usize, const N: usize>(dy: [S::V; M]) -> [S::V; N] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut points = [dy[0]; N];
        if N == 4 {
            points[1] = S::add(dy[0], dy[1]);
            points[2] = S::sub(dy[0], dy[1]);
            points[3] = S::sub(S::splat(0.0), dy[1]);
            return points;
        }
        for k in 0..2 {
            let Pair { p, square, .. } = &pairs(N)[k];
            let [mut even, mut odd] = [dy[0], dy[1]];
            if M == 4 {
                even = plus::<S>(even, *square, dy[2]);
                odd = plus::<S>(odd, *square, dy[3]);
            }
            points[2 * k + 1] = plus::<S>(even, *p, odd);
            points[2 * k + 2] = plus::<S>(even, -p, odd);
        }
        points[N - 1] = dy[M - 1];
        points
    }
}

/// A^T m: N points to M pixels.
///
/// # Safety
///
/// The machine has S's instructions.
#[inline(always)]
pub unsafe fn output<S: Simd, const N: usize, const M: usize>(m: [S::V; N]) -> [S::V; M] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut y = [m[0]; M];
        if N == 4 {
            y[0] = S::add(S::add(m[0], m[1]), m[2]);
            y[1] = S::sub(S::sub(m[1], m[2]), m[3]);
            return y;
        }
        let even = [S::add(m[1], m[2]), S::add(m[3], m[4])];
        let odd = [S::sub(m[1], m[2]), S::sub(m[3], m[4])];
        y[0] = S::add(m[0], S::add(even[0], even[1]));
        let last = m[N - 1];
        let scaled = plus::<S>(odd[1], 0.5, odd[0]);
        if M == 2 {
            y[1] = plus::<S>(last, SQRT_2, scaled);
        } else {
            y[1] = plus::<S>(S::splat(0.0), SQRT_2, scaled);
            y[2] = plus::<S>(S::add(even[1], even[1]), 0.5, even[0]);
            y[3] = plus::<S>(last, 2.0 * SQRT_2, plus::<S>(odd[1], 0.125, odd[0]));
        }
        y
    }
}
