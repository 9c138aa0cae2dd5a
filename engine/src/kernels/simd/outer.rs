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
    /// First tap's weights of the first input channel; those of the tile's channels lie side by side.
    pub weight: *const f32,
    /// Step to the next input channel.
    pub weight_channel: usize,
    /// Steps to the next tap.
    pub weight_tap: [usize; 2],
    /// What the sums start from.
    pub start: [f32; MOST],
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
    /// All pixels.
    pub fn total(&self) -> usize {
        self.pixels[0] * self.pixels[1]
    }
}

/// Tiles of P pixels from pixel `next` on, as long as P are left; returns the first pixel that is left.
///
/// # Safety
///
/// The machine has S's instructions; every place that the job names exists.
#[inline(always)]
pub unsafe fn tiles<S: Simd, const C: usize, const P: usize>(job: &Job, mut next: usize) -> usize {
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
        unsafe { tile::<S, C, P>(job, x, y) };
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
unsafe fn tile<S: Simd, const C: usize, const P: usize>(job: &Job, x: [*const f32; P], y: [*mut f32; P]) {
    // SAFETY: the caller's promise covers every load (each pixel's taps in each channel, C weights per tap) and every
    // store (each pixel in C output channels).
    unsafe {
        let mut sums = [[S::splat(0.0); P]; C];
        for c in 0..C {
            sums[c] = [S::splat(job.start[c]); P];
        }
        for channel in 0..job.channels {
            for u in 0..job.taps[0] {
                let mut at = (channel * job.x_channel) as isize + u as isize * job.x_tap[0];
                let mut weight = job.weight.add(channel * job.weight_channel + u * job.weight_tap[0]);
                for _ in 0..job.taps[1] {
                    let mut pixels = [sums[0][0]; P];
                    for p in 0..P {
                        pixels[p] = S::load(x[p].offset(at));
                    }
                    for c in 0..C {
                        let w = S::splat(*weight.add(c));
                        for p in 0..P {
                            sums[c][p] = S::fma(w, pixels[p], sums[c][p]);
                        }
                    }
                    at += job.x_tap[1];
                    weight = weight.wrapping_add(job.weight_tap[1]);
                }
            }
        }
        for c in 0..C {
            for p in 0..P {
                S::store(y[p].add(c * job.y_channel), sums[c][p]);
            }
        }
    }
}
