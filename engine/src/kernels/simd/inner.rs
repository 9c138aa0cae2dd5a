//! The tile of inner products: C planes of the output's gradient x I planes of the input in registers.
//!
//! Each pair is multiplied vector by vector over output pixels and a run of image blocks, giving sixteen partial sums
//! that [`fold`] adds as a fixed tree. Up to three neighbouring taps of a kernel row share the tile: what one of them
//! loads the next finds in the nearest cache, which halves what comes from the second. The fold is a function of its own: inlined after the loop it makes the
//! compiler keep the sums in memory inside the loop, at half the speed.
#![allow(unsafe_code)]
// Constant trip counts over arrays of registers read as what they become.
#![allow(clippy::needless_range_loop)]

use super::{Simd, WIDTH};

/// Partial sums of the largest tile.
#[repr(align(64))]
pub struct Sums(pub [f32; 24 * WIDTH]);

/// Rows of output pixels in a run of image blocks. All steps count numbers, not bytes.
#[derive(Clone, Copy)]
pub struct Job {
    /// Image blocks.
    pub blocks: usize,
    /// Output rows.
    pub rows: usize,
    /// Output columns that read, of three neighbouring taps, the last, the last two, all, the first two, the first; the
    /// others are padding there. Of two taps: none, the last, both, the first,
    /// none; of one tap only the third counts.
    pub columns: [usize; 5],
    /// First pixel of the first plane of the output's gradient.
    pub dy: *const f32,
    /// Step to the next plane.
    pub dy_plane: usize,
    /// Step to the next block.
    pub dy_block: usize,
    /// Step to the next row and to the next vector in a row.
    pub dy_pixel: [usize; 2],
    /// Where the first pixel's first tap lies in the first plane of the input, be it in the padding.
    pub x: *const f32,
    /// Step to the next plane.
    pub x_plane: usize,
    /// Step to the next tap.
    pub x_tap: usize,
    /// Step to the next block.
    pub x_block: usize,
    /// Step to the next row and to the next vector in a row.
    pub x_pixel: [usize; 2],
    /// How far on the planes lie that are wanted next; 0 for none.
    pub x_ahead: usize,
}

/// The sums of a tile: C output channels, I input channels, T taps, N registers each.
type Registers<V, const N: usize, const C: usize, const I: usize, const T: usize> = [[[[V; N]; T]; I]; C];

/// Multiplies C x I planes at T neighbouring taps and leaves `[C][I][T][16]` partial sums, each over (block, row,
/// column). A vector is N registers, taken one after the other, so that the inputs of one register at a time are enough.
///
/// # Safety
///
/// The machine has S's instructions; every place that the job names exists.
#[inline(always)]
pub unsafe fn tile<S: Simd, const N: usize, const C: usize, const I: usize, const T: usize>(
    job: &Job,
    out: &mut Sums,
) {
    const { assert!(C * I * T * WIDTH <= size_of::<Sums>() / size_of::<f32>() && T <= 3) };
    // SAFETY: the caller's promise covers every load; the sums fit `out`, asserted above.
    unsafe {
        let mut sums: Registers<S::V, N, C, I, T> = [[[[S::splat(0.0); N]; T]; I]; C];
        for block in 0..job.blocks {
            for row in 0..job.rows {
                let mut at = (
                    job.dy.wrapping_add(block * job.dy_block + row * job.dy_pixel[0]),
                    job.x.wrapping_add(block * job.x_block + row * job.x_pixel[0]),
                );
                let n = job.columns;
                if job.x_ahead > 0 {
                    for column in 0..n.iter().sum() {
                        for i in 0..I {
                            let on = i * job.x_plane + column * job.x_pixel[1] + job.x_ahead;
                            S::prefetch(at.1.wrapping_add(on));
                        }
                    }
                }
                if T == 3 {
                    columns::<S, N, C, I, T, 2, 3>(job, n[0], &mut at, &mut sums);
                }
                if T >= 2 {
                    columns::<S, N, C, I, T, 1, T>(job, n[1], &mut at, &mut sums);
                }
                columns::<S, N, C, I, T, 0, T>(job, n[2], &mut at, &mut sums);
                if T == 3 {
                    columns::<S, N, C, I, T, 0, 2>(job, n[3], &mut at, &mut sums);
                }
                if T >= 2 {
                    columns::<S, N, C, I, T, 0, 1>(job, n[if T == 3 { 4 } else { 3 }], &mut at, &mut sums);
                }
            }
        }
        for c in 0..C {
            for i in 0..I {
                for t in 0..T {
                    for n in 0..N {
                        let to = out.0.as_mut_ptr().add(((c * I + i) * T + t) * WIDTH + n * S::LANES);
                        S::store(to, sums[c][i][t][n]);
                    }
                }
            }
        }
    }
}

/// `count` columns that read the taps LOW..HIGH; moves `at` (dy, x) on.
///
/// # Safety
///
/// As for [`tile`].
#[inline(always)]
unsafe fn columns<
    S: Simd,
    const N: usize,
    const C: usize,
    const I: usize,
    const T: usize,
    const LOW: usize,
    const HIGH: usize,
>(
    job: &Job,
    count: usize,
    at: &mut (*const f32, *const f32),
    sums: &mut Registers<S::V, N, C, I, T>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        for _ in 0..count {
            let (dy, x) = *at;
            for n in 0..N {
                let mut inputs = [[sums[0][0][0][0]; T]; I];
                for i in 0..I {
                    for t in LOW..HIGH {
                        inputs[i][t] =
                            S::load(x.wrapping_add(i * job.x_plane + t * job.x_tap + n * S::LANES));
                    }
                }
                for c in 0..C {
                    let d = S::load(dy.wrapping_add(c * job.dy_plane + n * S::LANES));
                    for i in 0..I {
                        for t in LOW..HIGH {
                            sums[c][i][t][n] = S::fma(d, inputs[i][t], sums[c][i][t][n]);
                        }
                    }
                }
            }
            *at = (dy.wrapping_add(job.dy_pixel[1]), x.wrapping_add(job.x_pixel[1]));
        }
    }
}

/// The full tile for `channels` input channels and `taps` in a kernel row.
pub fn full<S: Simd>(channels: usize, taps: usize) -> [usize; 3] {
    S::INNER[if taps == 1 {
        0
    } else if channels == 1 {
        1
    } else {
        2
    }]
}

/// The sum of each group of sixteen, halves added until one is left: `values[i]` = the sum of group i.
#[inline(never)]
pub fn fold(sums: &Sums, values: &mut [f32]) {
    for (value, group) in values.iter_mut().zip(sums.0.as_chunks::<WIDTH>().0) {
        *value = crate::kernels::conv::fold(*group);
    }
}
