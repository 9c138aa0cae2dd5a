//! The loops of the steps, over planes of L images; each instruction set compiles its own copies.

use super::{Op, Planes, Step};
use crate::kernels::LANES;
use crate::kernels::{groups, groups_mut, with_lanes};
use crate::real::Real;
use crate::window::Window;
use std::ops::Range;

/// The steps for any machine.
pub const fn portable<R: Real>() -> Planes<R> {
    Planes { forward: forward::<R>, pull: pull::<R, OneByOne> }
}

/// Forward. See [`super::PlaneForward`].
#[inline(always)]
pub fn forward<R: Real>(step: &Step, lanes: usize, x: &[R], y: &mut [R], switches: &mut [u32]) {
    let [x_plane, y_plane] = step.sizes().map(|size| size * lanes);
    match step.op {
        Op::Copy => y.copy_from_slice(x),
        Op::Rectify => {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = if x < R::zero() { R::zero() } else { x };
            }
        }
        Op::MaxPool(window) => {
            let outputs = y.chunks_exact_mut(y_plane).zip(switches.chunks_exact_mut(y_plane));
            for (x, (y, switches)) in x.chunks_exact(x_plane).zip(outputs) {
                with_lanes!(lanes, pool::<R>(&window, step, x, y, switches));
            }
        }
        Op::AvgPool(window, padded) => {
            let cells = window_cells(window, padded, step.input);
            for (x, y) in x.chunks_exact(x_plane).zip(y.chunks_exact_mut(y_plane)) {
                with_lanes!(lanes, average::<R>(x, step.input[1], y, step.output[1], &cells));
            }
        }
    }
}

/// The pull-back. See [`super::PlanePull`].
#[inline(always)]
pub fn pull<R: Real, U: Unpool<R>>(
    step: &Step,
    lanes: usize,
    dy: &[R],
    y: &[R],
    switches: &[u32],
    dx: &mut [R],
) {
    let [x_plane, y_plane] = step.sizes().map(|size| size * lanes);
    match step.op {
        Op::Copy => dx.copy_from_slice(dy),
        Op::Rectify => {
            for ((dx, &dy), &y) in dx.iter_mut().zip(dy).zip(y) {
                *dx = if y > R::zero() { dy } else { R::zero() };
            }
        }
        Op::MaxPool(window) => {
            let inputs = dy.chunks_exact(y_plane).zip(switches.chunks_exact(y_plane));
            for ((dy, switches), dx) in inputs.zip(dx.chunks_exact_mut(x_plane)) {
                match lanes {
                    1 => U::unpool::<1>(&window, step, dy, switches, dx),
                    _ => U::unpool::<LANES>(&window, step, dy, switches, dx),
                }
            }
        }
        Op::AvgPool(window, padded) => {
            let cells = window_cells(window, padded, step.input);
            for (dy, dx) in dy.chunks_exact(y_plane).zip(dx.chunks_exact_mut(x_plane)) {
                with_lanes!(lanes, spread::<R>(dy, step.output[1], dx, step.input[1], &cells));
            }
        }
    }
}

/// The real inputs that output `o` of an undilated window reads.
#[inline(always)]
pub fn cells(window: &Window, axis: usize, o: usize, len: usize) -> Range<usize> {
    let start = window.start(axis, o);
    let end = (start + window.kernel[axis] as isize).clamp(0, len as isize) as usize;
    (start.max(0) as usize).min(end)..end
}

/// The cells of an averaging window; padding counts up to where a window hangs over its end.
#[inline(always)]
fn window_cells(window: Window, padded: bool, input: [usize; 2]) -> impl Cells {
    move |axis: usize, o: usize| {
        let real = cells(&window, axis, o, input[axis]);
        let (start, last) = (window.start(axis, o), (input[axis] + window.pad_end[axis]) as isize);
        let end = (start + window.kernel[axis] as isize).min(last);
        let count = if padded { (end - start) as usize } else { real.len() };
        (real, count)
    }
}

#[inline(always)]
fn pool<R: Real, const L: usize>(window: &Window, step: &Step, x: &[R], y: &mut [R], switches: &mut [u32]) {
    let (x, [h, w], [_, ow]) = (groups::<R, L>(x), step.input, step.output);
    let (y, switches) = (groups_mut::<R, L>(y), groups_mut::<u32, L>(switches));
    for (i, (y, switches)) in y.chunks_exact_mut(ow).zip(switches.chunks_exact_mut(ow)).enumerate() {
        let rows = cells(window, 0, i, h);
        for (j, (y, switches)) in y.iter_mut().zip(switches).enumerate() {
            let columns = cells(window, 1, j, w);
            let first = rows.start * w + columns.start;
            let (mut best, mut place) = (x[first], [first as u32; L]);
            for r in rows.clone() {
                for c in columns.clone() {
                    let (x, here) = (&x[r * w + c], (r * w + c) as u32);
                    for l in 0..L {
                        // NaN beats every number, and the first of several wins; no branch, so that all images of a block
                        // are compared at once
                        let wins = (x[l] > best[l]) | (x[l].is_nan() & !best[l].is_nan());
                        best[l] = if wins { x[l] } else { best[l] };
                        place[l] = if wins { here } else { place[l] };
                    }
                }
            }
            *y = best;
            *switches = place;
        }
    }
}

/// How the signals of a max-pool find their cells.
pub trait Unpool<R> {
    /// Zeros a plane of L images and adds each signal at its switch, in row-major order of the windows.
    fn unpool<const L: usize>(window: &Window, step: &Step, dy: &[R], switches: &[u32], dx: &mut [R]);
}

/// Image by image.
pub struct OneByOne;

impl<R: Real> Unpool<R> for OneByOne {
    #[inline(always)]
    fn unpool<const L: usize>(_: &Window, _: &Step, dy: &[R], switches: &[u32], dx: &mut [R]) {
        dx.fill(R::zero());
        let dx = groups_mut::<R, L>(dx);
        for (dy, switches) in groups::<R, L>(dy).iter().zip(groups::<u32, L>(switches)) {
            for l in 0..L {
                dx[switches[l] as usize][l] += dy[l];
            }
        }
    }
}

/// Cells of an output row or column (axis, place): the inputs that it averages, and the number that it divides by.
pub trait Cells: Fn(usize, usize) -> (Range<usize>, usize) + Sync + Send {}
impl<T: Fn(usize, usize) -> (Range<usize>, usize) + Sync + Send> Cells for T {}

/// y = means of x over cells; `w` and `ow` are the widths of x and y.
#[inline(always)]
pub fn average<R: Real, const L: usize>(x: &[R], w: usize, y: &mut [R], ow: usize, cells: &impl Cells) {
    let x = groups::<R, L>(x);
    for (i, y) in groups_mut::<R, L>(y).chunks_exact_mut(ow).enumerate() {
        let (rows, tall) = cells(0, i);
        for (j, y) in y.iter_mut().enumerate() {
            let (columns, wide) = cells(1, j);
            let mut sum = [R::zero(); L];
            for r in rows.clone() {
                for x in &x[r * w..][columns.clone()] {
                    for l in 0..L {
                        sum[l] += x[l];
                    }
                }
            }
            let count = R::of((tall * wide) as f64);
            *y = sum.map(|s| s / count);
        }
    }
}

/// dx = each signal spread evenly over its cell; cells that overlap add. `ow` and `w` are the widths of dy and dx.
#[inline(always)]
pub fn spread<R: Real, const L: usize>(dy: &[R], ow: usize, dx: &mut [R], w: usize, cells: &impl Cells) {
    let dx = groups_mut::<R, L>(dx);
    dx.fill([R::zero(); L]);
    for (i, dy) in groups::<R, L>(dy).chunks_exact(ow).enumerate() {
        let (rows, tall) = cells(0, i);
        for (j, dy) in dy.iter().enumerate() {
            let (columns, wide) = cells(1, j);
            let count = R::of((tall * wide) as f64);
            let share = dy.map(|s| s / count);
            for r in rows.clone() {
                for dx in &mut dx[r * w..][columns.clone()] {
                    for l in 0..L {
                        dx[l] += share[l];
                    }
                }
            }
        }
    }
}
