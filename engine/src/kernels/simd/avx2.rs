//! AVX2 and FMA: a vector is two 256-bit registers; there are 16 of them.
#![allow(unsafe_code)]

use super::{ROWS_AT_ONCE, Simd, WIDTH};
use std::arch::x86_64::*;

/// How far ahead [`dot`] asks for its rows.
const AHEAD: usize = 16 * WIDTH;

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

    #[inline(always)]
    unsafe fn dot(rows: &[*const f32], x: &[f32], sums: &mut [f32; ROWS_AT_ONCE]) {
        // SAFETY: the caller's promise.
        unsafe { dot(rows, x, sums) }
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

/// Four columns of eight rows, from column `at` on: rows k and k + 4 come into one register, then pairs of rows, then of
/// pairs change places.
///
/// # Safety
///
/// The machine has AVX2; every row has four numbers there.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn columns(rows: &[*const f32; 8], at: usize) -> [__m256; 4] {
    const PAIRS: i32 = 0b01_00_01_00;
    const OTHERS: i32 = 0b11_10_11_10;
    // SAFETY: the caller's promise.
    let row = |k: usize| unsafe { _mm_loadu_ps(rows[k].add(at)) };
    let rows = [0, 1, 2, 3].map(|k| _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(row(k)), row(k + 4)));
    let low = [0, 2].map(|k| _mm256_unpacklo_ps(rows[k], rows[k + 1]));
    let high = [0, 2].map(|k| _mm256_unpackhi_ps(rows[k], rows[k + 1]));
    [
        _mm256_shuffle_ps::<PAIRS>(low[0], low[1]),
        _mm256_shuffle_ps::<OTHERS>(low[0], low[1]),
        _mm256_shuffle_ps::<PAIRS>(high[0], high[1]),
        _mm256_shuffle_ps::<OTHERS>(high[0], high[1]),
    ]
}

/// [`Simd::transpose`] in strips of eight rows and four columns.
///
/// # Safety
///
/// The machine has AVX2; both sides have sixteen rows of sixteen numbers.
#[target_feature(enable = "avx2")]
pub unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
    for j in (0..WIDTH).step_by(8) {
        let rows = std::array::from_fn(|k| from.wrapping_add((j + k) * from_step));
        for i in (0..WIDTH).step_by(4) {
            // SAFETY: the caller's promise.
            unsafe {
                for (k, column) in columns(&rows, i).into_iter().enumerate() {
                    _mm256_storeu_ps(to.add((i + k) * to_step + j), column);
                }
            }
        }
    }
}

/// [`Simd::dot`]: strips of eight rows and four columns, a column times a number of x.
///
/// # Safety
///
/// As for [`Simd::dot`], on a machine with AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub unsafe fn dot(rows: &[*const f32], x: &[f32], sums: &mut [f32; ROWS_AT_ONCE]) {
    // SAFETY: the caller's promise.
    unsafe {
        match rows.len().div_ceil(8) {
            1 => dot_eights::<1>(rows, x, sums),
            2 => dot_eights::<2>(rows, x, sums),
            3 => dot_eights::<3>(rows, x, sums),
            _ => dot_eights::<4>(rows, x, sums),
        }
    }
}

/// As many rows as E times eight, the last of them again and again where there are fewer.
///
/// # Safety
///
/// As for [`dot`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn dot_eights<const E: usize>(rows: &[*const f32], x: &[f32], sums: &mut [f32; ROWS_AT_ONCE]) {
    let row = |i: usize| rows[i.min(rows.len() - 1)];
    let rows: [[*const f32; 8]; E] = std::array::from_fn(|e| std::array::from_fn(|k| row(8 * e + k)));
    let (whole, rest) = x.as_chunks::<WIDTH>();
    // SAFETY: `sums` has room for E times eight; every row is as long as x.
    unsafe {
        let mut eights: [__m256; E] = std::array::from_fn(|e| _mm256_loadu_ps(sums.as_ptr().add(8 * e)));
        for (i, x) in whole.iter().enumerate() {
            // a cache line of each row, then that of the next eight rows: more streams than a processor foresees
            for (rows, eight) in rows.iter().zip(&mut eights) {
                for row in rows {
                    _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(i * WIDTH + AHEAD).cast());
                }
                for k in (0..WIDTH).step_by(4) {
                    for (column, x) in columns(rows, i * WIDTH + k).into_iter().zip(&x[k..]) {
                        *eight = _mm256_fmadd_ps(column, _mm256_broadcast_ss(x), *eight);
                    }
                }
            }
        }
        for (e, eight) in eights.into_iter().enumerate() {
            _mm256_storeu_ps(sums.as_mut_ptr().add(8 * e), eight);
        }
        super::dot_rest(rows.as_flattened(), rest, whole.len() * WIDTH, sums);
    }
}
