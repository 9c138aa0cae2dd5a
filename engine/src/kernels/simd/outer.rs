//! The tile of outer products: C output channels x P pixels in registers, one sum over (channel, row, column).
//!
//! Per tap it loads P vectors and multiplies them by C broadcast weights. Trip counts of the inner loops are constants,
//! so that the sums stay in registers; other counts are instances of their own. Eight channels x three pixels on
//! 512-bit registers take 24 sums, 3 inputs and a weight of 32 registers.
#![allow(unsafe_code)]
// Constant trip counts over arrays of registers read as what they become.
#![allow(clippy::needless_range_loop)]

use super::{MOST, Simd};

/// A rectangle of pixels that read the same taps. All steps count numbers, not bytes.
#[derive(Clone, Copy)]
pub struct Job {
    /// Input channels.
    pub channels: usize,
    /// Taps per axis.
    pub taps: [usize; 2],
    /// First pixel's first tap in the first input channel.
    pub x: *const f32,
    /// Step to the next input channel.
    pub x_channel: usize,
    /// Steps to the next tap.
    pub x_tap: [isize; 2],
    /// Steps to the next pixel.
    pub x_pixel: [usize; 2],
    /// How far on the cache line lies that is wanted soon, per channel and pixel; 0 for none.
    pub x_ahead: usize,
    /// First tap's weight of the first input channel for the tile's first channel.
    pub weight: *const f32,
    /// Step between the tile's channels, for [`Simd::outer_rows`]; side by side otherwise.
    pub weight_lane: usize,
    /// Step to the next input channel.
    pub weight_channel: usize,
    /// Steps to the next tap.
    pub weight_tap: [usize; 2],
    /// What the sums start from,
    pub start: [f32; MOST],
    /// or go on from what y holds.
    pub resume: bool,
    /// First pixel of the first output channel.
    pub y: *mut f32,
    /// Step to the next output channel.
    pub y_channel: usize,
    /// Steps to the next pixel.
    pub y_pixel: [usize; 2],
    /// Pixels per axis.
    pub pixels: [usize; 2],
}

impl Job {
    /// One pixel, no channels, one tap each: what is not said of a job of few steps.
    pub fn blank(x: *const f32, weight: *const f32, y: *mut f32) -> Self {
        Self {
            channels: 0,
            taps: [1; 2],
            x,
            x_channel: 0,
            x_tap: [0; 2],
            x_pixel: [0; 2],
            x_ahead: 0,
            weight,
            weight_lane: 1,
            weight_channel: 0,
            weight_tap: [0; 2],
            start: [0.0; MOST],
            resume: false,
            y,
            y_channel: 0,
            y_pixel: [0; 2],
            pixels: [1; 2],
        }
    }

    /// All pixels.
    pub fn total(&self) -> usize {
        self.pixels[0] * self.pixels[1]
    }
}

/// Tiles of P pixels from pixel `next` on, as long as P are left; returns the first pixel that is left. A vector is N
/// registers; `PACKED` weights lie side by side.
///
/// # Safety
///
/// The machine has S's instructions; every place that the job names exists.
#[inline(always)]
pub unsafe fn tiles<S: Simd, const PACKED: bool, const N: usize, const C: usize, const P: usize>(
    job: &Job,
    mut next: usize,
) -> usize {
    let (total, width) = (job.total(), job.pixels[1]);
    if next + P > total {
        return next;
    }
    let (mut i, mut j) = (next / width, next % width);
    while next + P <= total {
        let mut x = [job.x; P];
        let mut y = [job.y; P];
        for p in 0..P {
            x[p] = job.x.wrapping_add(i * job.x_pixel[0] + j * job.x_pixel[1]);
            y[p] = job.y.wrapping_add(i * job.y_pixel[0] + j * job.y_pixel[1]);
            j += 1;
            if j == width {
                (i, j) = (i + 1, 0);
            }
        }
        // SAFETY: the caller's promise, for P pixels of the rectangle.
        unsafe { tile::<S, PACKED, N, C, P>(job, x, y) };
        next += P;
    }
    next
}

/// One tile.
///
/// # Safety
///
/// As for [`tiles`].
#[inline(always)]
unsafe fn tile<S: Simd, const PACKED: bool, const N: usize, const C: usize, const P: usize>(
    job: &Job,
    x: [*const f32; P],
    y: [*mut f32; P],
) {
    let lane = if PACKED { 1 } else { job.weight_lane };
    // SAFETY: the caller's promise covers every load (each pixel's taps in each channel, C weights per tap, sums to go
    // on from) and every store (each pixel in C output channels).
    unsafe {
        let mut sums = [[[S::splat(0.0); N]; P]; C];
        for c in 0..C {
            for p in 0..P {
                for n in 0..N {
                    sums[c][p][n] = S::splat(job.start[c]);
                }
            }
        }
        if job.resume {
            for c in 0..C {
                for p in 0..P {
                    for n in 0..N {
                        sums[c][p][n] = S::load(y[p].add(c * job.y_channel + n * S::LANES));
                    }
                }
            }
        }
        for channel in 0..job.channels {
            if job.x_ahead > 0 {
                for p in 0..P {
                    S::prefetch(x[p].wrapping_add(channel * job.x_channel + job.x_ahead));
                }
            }
            for u in 0..job.taps[0] {
                let mut at = (channel * job.x_channel) as isize + u as isize * job.x_tap[0];
                let mut weight = job.weight.add(channel * job.weight_channel + u * job.weight_tap[0]);
                for _ in 0..job.taps[1] {
                    let mut pixels = [[sums[0][0][0]; N]; P];
                    for p in 0..P {
                        for n in 0..N {
                            pixels[p][n] = S::load(x[p].offset(at).add(n * S::LANES));
                        }
                    }
                    for c in 0..C {
                        let w = S::splat(*weight.add(c * lane));
                        for p in 0..P {
                            for n in 0..N {
                                sums[c][p][n] = S::fma(w, pixels[p][n], sums[c][p][n]);
                            }
                        }
                    }
                    at += job.x_tap[1];
                    weight = weight.wrapping_add(job.weight_tap[1]);
                }
            }
        }
        for c in 0..C {
            for p in 0..P {
                for n in 0..N {
                    S::store(y[p].add(c * job.y_channel + n * S::LANES), sums[c][p][n]);
                }
            }
        }
    }
}
