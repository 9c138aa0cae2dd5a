//! AVX2 and FMA: a vector is two 256-bit registers; there are 16 of them.
#![allow(unsafe_code)]

use super::{Simd, WIDTH};
use std::arch::x86_64::*;

/// AVX2 with fused multiply-add.
#[derive(Clone, Copy)]
pub struct Avx2;

impl Simd for Avx2 {
    type V = __m256;

    const LANES: usize = 8;

    const CHANNELS: usize = 6;

    const PIXELS: usize = 1;

    const INNER: [[usize; 3]; 3] = [[3, 2, 1], [2, 1, 3], [2, 1, 3]];

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m256) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn prefetch(at: *const f32) {
        // SAFETY: a hint, without effect on any address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }

    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
        // SAFETY: the caller's promise.
        unsafe { transpose(from, from_step, to, to_step) }
    }

    tiles! {
        Avx2, "avx2,fma", 2 registers;
        outer: 1 => [6, 2, 1], 2 => [2, 1], 3 => [1], 4 => [1], 5 => [1], 6 => [1];
        rows: 1 => [4, 1], 2 => [2, 1], 3 => [1], 4 => [1], 5 => [1], 6 => [1];
        inner: [1, 1, 1], [1, 2, 1], [2, 1, 1], [2, 2, 1], [3, 1, 1], [3, 2, 1], [1, 1, 2], [1, 1,
            3], [2, 1, 2], [2, 1, 3];
        chains: 12
    }
}

/// [`Simd::transpose`] in four squares of 8 x 8: pairs of rows, then of pairs, then of halves change places.
///
/// # Safety
///
/// The machine has AVX2; both sides have sixteen rows of sixteen numbers.
#[target_feature(enable = "avx2")]
pub unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
    const PAIRS: i32 = 0b01_00_01_00;
    const OTHERS: i32 = 0b11_10_11_10;
    for i in (0..WIDTH).step_by(8) {
        for j in (0..WIDTH).step_by(8) {
            // SAFETY: the caller's promise.
            let row = |k: usize| unsafe { _mm256_loadu_ps(from.add((j + k) * from_step + i)) };
            let low = [0, 2, 4, 6].map(|k| _mm256_unpacklo_ps(row(k), row(k + 1)));
            let high = [0, 2, 4, 6].map(|k| _mm256_unpackhi_ps(row(k), row(k + 1)));
            // each holds columns k and k + 4 of four rows
            let columns = |at: usize| {
                [
                    _mm256_shuffle_ps::<PAIRS>(low[at], low[at + 1]),
                    _mm256_shuffle_ps::<OTHERS>(low[at], low[at + 1]),
                    _mm256_shuffle_ps::<PAIRS>(high[at], high[at + 1]),
                    _mm256_shuffle_ps::<OTHERS>(high[at], high[at + 1]),
                ]
            };
            let (upper, lower) = (columns(0), columns(2));
            for k in 0..4 {
                let halves = [
                    _mm256_permute2f128_ps::<0x20>(upper[k], lower[k]),
                    _mm256_permute2f128_ps::<0x31>(upper[k], lower[k]),
                ];
                for (half, v) in halves.into_iter().enumerate() {
                    // SAFETY: the caller's promise.
                    unsafe { _mm256_storeu_ps(to.add((i + k + 4 * half) * to_step + j), v) };
                }
            }
        }
    }
}
