//! AVX-512: a vector is one 512-bit register; there are 32 of them.
#![allow(unsafe_code)]

use super::{ROWS_AT_ONCE, Simd};
use std::arch::x86_64::*;

/// AVX-512 (the foundation instructions are enough).
#[derive(Clone, Copy)]
pub struct Avx512;

impl Simd for Avx512 {
    type V = __m512;

    const LANES: usize = 16;

    const CHANNELS: usize = 8;

    const PIXELS: usize = 3;

    const INNER: [[usize; 3]; 3] = [[8, 3, 1], [8, 1, 3], [4, 2, 3]];

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: __m512) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_ps(to, v) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn prefetch(at: *const f32) {
        // SAFETY: a hint, without effect on any address.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
    }

    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
        // SAFETY: the caller's promise; whatever has AVX-512 has AVX2.
        unsafe { super::avx2::transpose(from, from_step, to, to_step) }
    }

    #[inline(always)]
    unsafe fn dot(rows: &[*const f32], x: &[f32], sums: &mut [f32; ROWS_AT_ONCE]) {
        // SAFETY: the caller's promise; whatever has AVX-512 has AVX2 and FMA.
        unsafe { super::avx2::dot(rows, x, sums) }
    }

    tiles! {
        Avx512, "avx512f", 1 registers;
        outer: 1 => [8, 4, 1], 2 => [8, 4, 1], 3 => [6, 3, 1], 4 => [6, 2, 1], 5 => [4, 2, 1], 6 => [4, 2, 1],
            7 => [3, 1], 8 => [3, 1];
        rows: 1 => [8, 4, 1], 2 => [4, 1], 3 => [4, 1], 4 => [4, 1], 5 => [4, 1], 6 => [4, 1];
        inner: [1, 1, 1], [1, 2, 1], [1, 3, 1], [2, 1, 1], [2, 2, 1], [2, 3, 1], [3, 1, 1], [3, 2,
            1], [3, 3, 1], [4, 1, 1], [4, 2, 1], [4, 3, 1], [5, 1, 1], [5, 2, 1], [5, 3, 1], [6,
            1, 1], [6, 2, 1], [6, 3, 1], [7, 1, 1], [7, 2, 1], [7, 3, 1], [8, 1, 1], [8, 2, 1],
            [8, 3, 1], [1, 1, 2], [1, 1, 3], [2, 1, 2], [2, 1, 3], [3, 1, 2], [3, 1, 3], [4, 1,
            2], [4, 1, 3], [5, 1, 2], [5, 1, 3], [6, 1, 2], [6, 1, 3], [7, 1, 2], [7, 1, 3], [8,
            1, 2], [8, 1, 3], [1, 2, 2], [1, 2, 3], [2, 2, 2], [2, 2, 3], [3, 2, 2], [3, 2, 3],
            [4, 2, 2], [4, 2, 3];
        chains: 16
    }
}
