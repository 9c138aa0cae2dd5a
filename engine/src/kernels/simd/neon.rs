//! NEON (Advanced SIMD, on every aarch64): a vector is four 128-bit registers; there are 32 of them.
#![allow(unsafe_code)]

use super::Simd;
use std::arch::aarch64::*;

/// Advanced SIMD.
#[derive(Clone, Copy)]
pub struct Neon;

impl Simd for Neon {
    type V = float32x4_t;

    const LANES: usize = 4;

    const CHANNELS: usize = 6;

    const PIXELS: usize = 1;

    const INNER: [[usize; 3]; 3] = [[3, 2, 1], [2, 1, 3], [2, 1, 3]];

    #[inline(always)]
    unsafe fn load(from: *const f32) -> float32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vld1q_f32(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut f32, v: float32x4_t) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_f32(to, v) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vdupq_n_f32(x) }
    }

    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vfmaq_f32(c, a, b) }
    }

    tiles! {
        Neon, "neon", 4 registers;
        outer: 1 => [6, 2, 1], 2 => [2, 1], 3 => [1], 4 => [1], 5 => [1], 6 => [1];
        rows: 1 => [4, 1], 2 => [2, 1], 3 => [1], 4 => [1], 5 => [1], 6 => [1];
        inner: [1, 1, 1], [1, 2, 1], [2, 1, 1], [2, 2, 1], [3, 1, 1], [3, 2, 1], [1, 1, 2], [1, 1,
            3], [2, 1, 2], [2, 1, 3];
        chains: 16
    }
}
