//! The steps of [`crate::kernels::planes`], compiled for wider registers than every machine has.
//!
//! A max-pool's signals go back for a whole block of images at once: at each cell of a window, those images take theirs
//! whose switch names it. Cells start at +0 and so never become -0, and adding zeros for the others changes no bit.
#![allow(unsafe_code)]

use crate::kernels::LANES;
use crate::kernels::planes::steps::{self, OneByOne, Unpool, cells};
use crate::kernels::planes::{Planes, Step};
use crate::kernels::{groups, groups_mut};
use crate::window::Window;
use std::arch::x86_64::*;

/// Adds the signals of a block of images at the cell that its switches name: `dx[l] += dy[l]` where `switches[l] == here`.
trait AddWhere {
    /// # Safety
    ///
    /// The machine has the instructions.
    unsafe fn add_where(dx: &mut [f32; LANES], dy: &[f32; LANES], switches: &[u32; LANES], here: u32);
}

struct With256;

impl AddWhere for With256 {
    #[inline(always)]
    unsafe fn add_where(dx: &mut [f32; LANES], dy: &[f32; LANES], switches: &[u32; LANES], here: u32) {
        for half in [0, LANES / 2] {
            let (dx, dy) = (dx[half..].as_mut_ptr(), dy[half..].as_ptr());
            // SAFETY: eight numbers from `half` on in each array; the instructions are the caller's promise.
            unsafe {
                let switches = _mm256_loadu_si256(switches[half..].as_ptr().cast());
                let wins = _mm256_cmpeq_epi32(switches, _mm256_set1_epi32(here as i32));
                let won = _mm256_and_ps(_mm256_castsi256_ps(wins), _mm256_loadu_ps(dy));
                _mm256_storeu_ps(dx, _mm256_add_ps(_mm256_loadu_ps(dx), won));
            }
        }
    }
}

struct With512;

impl AddWhere for With512 {
    #[inline(always)]
    unsafe fn add_where(dx: &mut [f32; LANES], dy: &[f32; LANES], switches: &[u32; LANES], here: u32) {
        // SAFETY: sixteen numbers in each array; the instructions are the caller's promise.
        unsafe {
            let switches = _mm512_loadu_si512(switches.as_ptr().cast());
            let wins = _mm512_cmpeq_epi32_mask(switches, _mm512_set1_epi32(here as i32));
            let cell = _mm512_loadu_ps(dx.as_ptr());
            let sum = _mm512_mask_add_ps(cell, wins, cell, _mm512_loadu_ps(dy.as_ptr()));
            _mm512_storeu_ps(dx.as_mut_ptr(), sum);
        }
    }
}

impl<A: AddWhere> Unpool<f32> for A {
    #[inline(always)]
    fn unpool<const L: usize>(window: &Window, step: &Step, dy: &[f32], switches: &[u32], dx: &mut [f32]) {
        if L != LANES {
            return OneByOne::unpool::<L>(window, step, dy, switches, dx);
        }
        dx.fill(0.0);
        let (dx, [h, w], [_, ow]) = (groups_mut::<f32, LANES>(dx), step.input, step.output);
        let signals = groups::<f32, LANES>(dy).iter().zip(groups::<u32, LANES>(switches));
        for (at, (dy, switches)) in signals.enumerate() {
            let columns = cells(window, 1, at % ow, w);
            for r in cells(window, 0, at / ow, h) {
                let row = r * w..(r + 1) * w;
                for (dx, c) in dx[row.clone()][columns.clone()].iter_mut().zip(row.start + columns.start..) {
                    // SAFETY: only the tables below lead here, which are handed out only where the machine has the
                    // instructions.
                    unsafe { A::add_where(dx, dy, switches, c as u32) };
                }
            }
        }
    }
}

macro_rules! compiled {
    ($name:ident, $features:literal, $unpool:ty) => {
        /// The steps, compiled with these instructions.
        pub const $name: Planes<f32> = {
            fn forward(step: &Step, lanes: usize, x: &[f32], y: &mut [f32], switches: &mut [u32]) {
                #[target_feature(enable = $features)]
                fn compiled(step: &Step, lanes: usize, x: &[f32], y: &mut [f32], switches: &mut [u32]) {
                    steps::forward(step, lanes, x, y, switches);
                }
                // SAFETY: the table that leads here is handed out only where the machine has the instructions.
                unsafe { compiled(step, lanes, x, y, switches) }
            }
            fn pull(step: &Step, lanes: usize, dy: &[f32], y: &[f32], switches: &[u32], dx: &mut [f32]) {
                #[target_feature(enable = $features)]
                fn compiled(
                    step: &Step,
                    lanes: usize,
                    dy: &[f32],
                    y: &[f32],
                    switches: &[u32],
                    dx: &mut [f32],
                ) {
                    steps::pull::<f32, $unpool>(step, lanes, dy, y, switches, dx);
                }
                // SAFETY: as above.
                unsafe { compiled(step, lanes, dy, y, switches, dx) }
            }
            Planes { forward, pull }
        };
    };
}

compiled!(AVX2, "avx2,fma", With256);
compiled!(AVX512, "avx512f", With512);
