//! The tile of inner products: C planes of the output's gradient x I planes of the input in registers.
//!
//! Each pair is multiplied vector by vector over a rectangle of pixels and a run of image blocks, giving sixteen partial
//! sums that [`fold`] adds as a fixed tree. The fold is a function of its own: inlined after the loop it makes the
//! compiler keep the sums in memory inside the loop, at half the speed.
#![allow(unsafe_code)]
// Constant trip counts over arrays of registers read as what they become.
#![allow(clippy::needless_range_loop)]

use super::{Simd, WIDTH};

/// Partial sums of the largest tile.
#[repr(align(64))]
pub struct Sums(pub [f32; 24 * WIDTH]);

/// A rectangle of output pixels in a run of image blocks. All steps count numbers, not bytes.
#[derive(Clone, Copy)]
pub struct Job {
    /// Image blocks.
    pub blocks: usize,
    /// Output pixels per axis.
    pub pixels: [usize; 2],
    /// First pixel of the first plane of the output's gradient.
    pub dy: *const f32,
    /// Step to the next plane.
    pub dy_plane: usize,
    /// Step to the next block.
    pub dy_block: usize,
    /// Step to the next row and to the next vector in a row.
    pub dy_pixel: [usize; 2],
    /// What the first pixel reads in the first plane of the input.
    pub x: *const f32,
    /// Step to the next plane, or to the next tap.
    pub x_plane: usize,
    /// Step to the next block.
    pub x_block: usize,
    /// Step to the next row and to the next vector in a row.
    pub x_pixel: [usize; 2],
}

/// Multiplies C x I planes and leaves `[C][I][16]` partial sums. A vector is N registers, taken one after the other, so
/// that the inputs of one register at a time are enough.
///
/// # Safety
///
/// The machine has S's instructions; every place that the job names exists.
#[inline(always)]
pub unsafe fn tile<S: Simd, const N: usize, const C: usize, const I: usize>(job: &Job, out: &mut Sums) {
    const { assert!(C * I * WIDTH <= size_of::<Sums>() / size_of::<f32>()) };
    // SAFETY: the caller's promise covers every load; the sums fit `out`, asserted above.
    unsafe {
        let mut sums = [[[S::splat(0.0); N]; I]; C];
        for block in 0..job.blocks {
            for row in 0..job.pixels[0] {
                let mut dy = job.dy.add(block * job.dy_block + row * job.dy_pixel[0]);
                let mut x = job.x.add(block * job.x_block + row * job.x_pixel[0]);
                for _ in 0..job.pixels[1] {
                    for n in 0..N {
                        let mut inputs = [sums[0][0][0]; I];
                        for i in 0..I {
                            inputs[i] = S::load(x.add(i * job.x_plane + n * S::LANES));
                        }
                        for c in 0..C {
                            let d = S::load(dy.add(c * job.dy_plane + n * S::LANES));
                            for i in 0..I {
                                sums[c][i][n] = S::fma(d, inputs[i], sums[c][i][n]);
                            }
                        }
                    }
                    dy = dy.wrapping_add(job.dy_pixel[1]);
                    x = x.wrapping_add(job.x_pixel[1]);
                }
            }
        }
        for c in 0..C {
            for i in 0..I {
                for n in 0..N {
                    S::store(out.0.as_mut_ptr().add((c * I + i) * WIDTH + n * S::LANES), sums[c][i][n]);
                }
            }
        }
    }
}

/// The sum of each group of sixteen, halves added until one is left: `values[i]` = the sum of group i.
#[inline(never)]
pub fn fold(sums: &Sums, values: &mut [f32]) {
    for (value, group) in values.iter_mut().zip(sums.0.as_chunks::<WIDTH>().0) {
        *value = crate::kernels::conv::fold(*group);
    }
}
