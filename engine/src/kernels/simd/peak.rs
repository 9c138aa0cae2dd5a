//! Independent chains of multiply-adds in registers: what the machine can do at most.
#![allow(unsafe_code)]
// Constant trip counts over arrays of registers read as what they become.
#![allow(clippy::needless_range_loop)]

use super::{Simd, WIDTH};

/// `rounds` multiply-adds in each of N chains; returns their floating-point operations and their sum, so that nobody
/// leaves them out.
///
/// # Safety
///
/// The machine has S's instructions.
#[inline(always)]
pub unsafe fn chains<S: Simd, const N: usize>(rounds: usize) -> (usize, f32) {
    let mut out = [0.0; WIDTH];
    // SAFETY: the caller's promise; `out` has room for a register of any set.
    unsafe {
        let (a, b) = (S::splat(std::hint::black_box(0.999)), S::splat(0.001));
        let mut sums = [b; N];
        for _ in 0..rounds {
            for n in 0..N {
                sums[n] = S::fma(sums[n], a, b);
            }
        }
        for n in 1..N {
            sums[0] = S::fma(sums[n], a, sums[0]);
        }
        S::store(out.as_mut_ptr(), sums[0]);
    }
    (2 * S::LANES * N * rounds, out.iter().sum())
}
