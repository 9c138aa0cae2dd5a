//! The transforms of F(2x2, 3x3): lane-wise sums and differences, no shuffles.
//!
//! A tile is 4 x 4 pixels d of the input, two pixels from the next; it makes 2 x 2 pixels y of the output:
//!
//! ```text
//! y = A^T [(G g G^T) . (B^T d B)] A
//!       | 1  0 -1  0 |       | 1    0    0  |         | 1  1  1  0 |
//! B^T = | 0  1  1  0 |   G = | 1/2  1/2  1/2|   A^T = | 0  1 -1 -1 |
//!       | 0 -1  1  0 |       | 1/2 -1/2  1/2|
//!       | 0  1  0 -1 |       | 0    0    1  |
//! ```
//!
//! The weight gradient is the transpose: dg = G^T [sum over tiles (A dy A^T) . (B^T d B)] G. The places of a 4 x 4
//! matrix are called points; each point of all tiles and channels forms one product of matrices.
#![allow(unsafe_code)]
// Constant trip counts over arrays of registers read as what they become.
#![allow(clippy::needless_range_loop)]

use super::super::{Simd, WIDTH};

/// What is read outside an image.
#[repr(align(64))]
struct Zeros([f32; WIDTH]);
static ZEROS: Zeros = Zeros([0.0; WIDTH]);

/// Places of tile `t` of channel `c` within a point: tiles in groups of `group` (fewer in the last), each group
/// `[channel][tile]`.
#[derive(Clone, Copy)]
pub struct Places {
    /// All tiles.
    pub tiles: usize,
    /// Tiles in a group.
    pub group: usize,
    /// Channels.
    pub channels: usize,
}

impl Places {
    /// Numbers before tile `t` of channel `c`.
    #[inline(always)]
    pub fn at(&self, c: usize, t: usize) -> usize {
        let first = t / self.group * self.group;
        let len = self.group.min(self.tiles - first);
        (first * self.channels + c * len + t - first) * WIDTH
    }
}

/// A plane of 16 images and where the tiles' first pixels lie in it, be it in the padding.
#[derive(Clone, Copy)]
pub struct Plane {
    /// Its first number.
    pub at: *const f32,
    /// Rows and columns.
    pub size: [usize; 2],
    /// Row and column of the first pixel of a tile.
    pub first: [isize; 2],
}

impl Plane {
    /// Row `first + i`: its address and the step between its columns, or zeros, which do not move.
    #[inline(always)]
    fn row(&self, i: usize) -> (*const f32, usize) {
        let row = self.first[0] + i as isize;
        if row >= 0 && (row as usize) < self.size[0] {
            (self.at.wrapping_add(row as usize * self.size[1] * WIDTH), WIDTH)
        } else {
            (ZEROS.0.as_ptr(), 0)
        }
    }

    /// Column `first + j` of a row, or zeros.
    #[inline(always)]
    fn pixel(&self, (at, step): (*const f32, usize), j: usize) -> *const f32 {
        let column = self.first[1] + j as isize;
        if column >= 0 && (column as usize) < self.size[1] {
            at.wrapping_add(column as usize * step)
        } else {
            ZEROS.0.as_ptr()
        }
    }
}

/// B^T d B of a row of neighbouring tiles: tile `first + i` of channel `channel` to `to + point * i + places`.
#[derive(Clone, Copy)]
pub struct Input {
    /// The plane; `first` is the first tile's.
    pub plane: Plane,
    /// Tiles in the row.
    pub tiles: usize,
    /// Where they go.
    pub places: Places,
    /// The channel that the plane is.
    pub channel: usize,
    /// Number of the first tile.
    pub first: usize,
    /// Point 0.
    pub to: *mut f32,
    /// Step to the next point.
    pub point: usize,
}

/// Runs an [`Input`].
///
/// # Safety
///
/// The machine has S's instructions; the plane exists, and 16 points that hold the places.
#[inline(always)]
pub unsafe fn input<S: Simd, const N: usize>(job: &Input) {
    let rows = [0, 1, 2, 3].map(|i| job.plane.row(i));
    for n in 0..N {
        // SAFETY: `pixel` stays in the plane or in the zeros; the caller's promise for the points.
        unsafe {
            let mut left = columns::<S>(job, &rows, 0, n);
            for t in 0..job.tiles {
                let right = columns::<S>(job, &rows, 2 * t + 2, n);
                let to = job.to.wrapping_add(job.places.at(job.channel, job.first + t) + n * S::LANES);
                for r in 0..4 {
                    let [a, b, c, d] = [left[0][r], left[1][r], right[0][r], right[1][r]];
                    let to = to.wrapping_add(4 * r * job.point);
                    S::store(to, S::sub(a, c));
                    S::store(to.wrapping_add(job.point), S::add(b, c));
                    S::store(to.wrapping_add(2 * job.point), S::sub(c, b));
                    S::store(to.wrapping_add(3 * job.point), S::sub(b, d));
                }
                left = right;
            }
        }
    }
}

/// B^T d for columns `first + j` and `first + j + 1`, register `n`.
///
/// # Safety
///
/// As for [`input`].
#[inline(always)]
unsafe fn columns<S: Simd>(
    job: &Input,
    rows: &[(*const f32, usize); 4],
    j: usize,
    n: usize,
) -> [[S::V; 4]; 2] {
    // SAFETY: the caller's promise.
    unsafe {
        let zero = S::splat(0.0);
        let mut out = [[zero; 4]; 2];
        for i in 0..2 {
            let mut d = [zero; 4];
            for r in 0..4 {
                d[r] = S::load(job.plane.pixel(rows[r], j + i).add(n * S::LANES));
            }
            out[i] = [S::sub(d[0], d[2]), S::add(d[1], d[2]), S::sub(d[2], d[1]), S::sub(d[1], d[3])];
        }
        out
    }
}

/// A dy A^T of one tile of one channel.
#[derive(Clone, Copy)]
pub struct Gradient {
    /// The plane of the output's gradient; `first` is the tile's.
    pub plane: Plane,
    /// Point 0 of the tile.
    pub to: *mut f32,
    /// Step to the next point.
    pub point: usize,
}

/// Runs a [`Gradient`].
///
/// # Safety
///
/// The machine has S's instructions; the plane exists, and a vector at each of the 16 points.
#[inline(always)]
pub unsafe fn gradient<S: Simd, const N: usize>(job: &Gradient) {
    let rows = [job.plane.row(0), job.plane.row(1)];
    for n in 0..N {
        // SAFETY: `pixel` stays in the plane or in the zeros; the caller's promise for the points.
        unsafe {
            let zero = S::splat(0.0);
            let mut down = [[zero; 4]; 2];
            for j in 0..2 {
                let a = S::load(job.plane.pixel(rows[0], j).add(n * S::LANES));
                let b = S::load(job.plane.pixel(rows[1], j).add(n * S::LANES));
                down[j] = [a, S::add(a, b), S::sub(a, b), S::sub(zero, b)];
            }
            for r in 0..4 {
                let (a, b) = (down[0][r], down[1][r]);
                let to = job.to.wrapping_add(4 * r * job.point + n * S::LANES);
                S::store(to, a);
                S::store(to.wrapping_add(job.point), S::add(a, b));
                S::store(to.wrapping_add(2 * job.point), S::sub(a, b));
                S::store(to.wrapping_add(3 * job.point), S::sub(zero, b));
            }
        }
    }
}

/// A^T m A + start of one tile of one channel: up to 2 x 2 pixels.
#[derive(Clone, Copy)]
pub struct Output {
    /// Point 0 of the tile.
    pub from: *const f32,
    /// Step to the next point.
    pub point: usize,
    /// What is added to each pixel.
    pub start: f32,
    /// First pixel.
    pub to: *mut f32,
    /// Step to the next row.
    pub row: usize,
    /// Rows and columns that exist, 1 or 2.
    pub size: [usize; 2],
}

/// Runs an [`Output`].
///
/// # Safety
///
/// The machine has S's instructions; a vector exists at each of the 16 points and at each pixel.
#[inline(always)]
pub unsafe fn output<S: Simd, const N: usize>(job: &Output) {
    for n in 0..N {
        // SAFETY: the caller's promise.
        unsafe {
            let start = S::splat(job.start);
            // A^T m, column by column
            let mut down = [[start; 4]; 2];
            for s in 0..4 {
                let mut m = [start; 4];
                for r in 0..4 {
                    m[r] = S::load(job.from.add((4 * r + s) * job.point + n * S::LANES));
                }
                down[0][s] = S::add(S::add(m[0], m[1]), m[2]);
                down[1][s] = S::sub(S::sub(m[1], m[2]), m[3]);
            }
            for r in 0..2 {
                if r < job.size[0] {
                    let [a, b, c, d] = down[r];
                    let to = job.to.add(r * job.row + n * S::LANES);
                    S::store(to, S::add(S::add(S::add(a, b), c), start));
                    if job.size[1] > 1 {
                        S::store(to.add(WIDTH), S::add(S::sub(S::sub(b, c), d), start));
                    }
                }
            }
        }
    }
}

/// G g G^T of C kernels side by side: `taps[3 u + v]` to `points[4 r + s]`.
pub fn kernels<const C: usize>(taps: &[[f32; C]; 9]) -> [[f32; C]; 16] {
    // G times a column of three
    let across = |a: [f32; C], b: [f32; C], c: [f32; C]| {
        let mut out = [a, [0.0; C], [0.0; C], c];
        for i in 0..C {
            let half = 0.5 * (a[i] + c[i]);
            out[1][i] = half + 0.5 * b[i];
            out[2][i] = half - 0.5 * b[i];
        }
        out
    };
    let columns = [0, 1, 2].map(|v| across(taps[v], taps[3 + v], taps[6 + v]));
    let mut points = [[0.0; C]; 16];
    for r in 0..4 {
        points[4 * r..4 * r + 4].copy_from_slice(&across(columns[0][r], columns[1][r], columns[2][r]));
    }
    points
}

/// G^T m G of C matrices side by side: `points[4 r + s]` to `taps[3 u + v]`.
pub fn taps<const C: usize>(points: &[[f32; C]; 16]) -> [[f32; C]; 9] {
    // G^T times a column of four
    let across = |a: [f32; C], b: [f32; C], c: [f32; C], d: [f32; C]| {
        let mut out = [[0.0; C]; 3];
        for i in 0..C {
            let half = 0.5 * (b[i] + c[i]);
            out[0][i] = a[i] + half;
            out[1][i] = 0.5 * (b[i] - c[i]);
            out[2][i] = half + d[i];
        }
        out
    };
    let columns = [0, 1, 2, 3].map(|s| across(points[s], points[4 + s], points[8 + s], points[12 + s]));
    let mut taps = [[0.0; C]; 9];
    for u in 0..3 {
        let row = across(columns[0][u], columns[1][u], columns[2][u], columns[3][u]);
        taps[3 * u..3 * u + 3].copy_from_slice(&row);
    }
    taps
}
