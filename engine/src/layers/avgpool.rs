//! Average pooling: each output is the mean of its window.
//!
//! With `count_include_pad` (PyTorch's default) padding counts as zeros, clipped where a window hangs over its end;
//! without it the mean is over real values only.

use super::maxpool::{KEYS, half_pad};
use super::options::{Value, pad_value};
use super::{
    At, Compute, Facts, Forward, Key, Kind, Layer, Needs, Role, ShapeError, Sight, in_both_types, maps, slide,
};
use crate::array::{Blocked, Shape, View};
use crate::kernels::{groups, groups_mut, par, with_lanes};
use crate::real::Real;
use crate::window::Window;
use std::ops::Range;
use std::sync::Arc;

/// Average pooling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AvgPool {
    /// The sliding window.
    pub window: Window,
    /// Whether padding counts as zeros.
    pub count_include_pad: bool,
}

impl AvgPool {
    /// A square window, its stride its own size.
    pub fn new(kernel: usize) -> Self {
        Self { window: Window { stride: [kernel; 2], ..Window::new([kernel; 2]) }, count_include_pad: true }
    }

    /// With another stride.
    pub fn stride(mut self, stride: usize) -> Self {
        self.window.stride = [stride; 2];
        self
    }

    /// Input rows or columns of output `o`, and how many the mean divides by.
    fn cell(&self, axis: usize, o: usize, len: usize) -> (Range<usize>, usize) {
        let taps = self.window.taps(axis, o, len);
        let start = self.window.start(axis, o);
        let first = (start + taps.start as isize) as usize;
        let end = (start + self.window.kernel[axis] as isize).min((len + self.window.pad_end[axis]) as isize);
        let count = if self.count_include_pad { (end - start) as usize } else { taps.len() };
        (first..first + taps.len(), count)
    }
}

pub(super) static KIND: Kind = Kind {
    name: "avgpool",
    summary: "the mean of each window",
    keys: &{
        let [kernel, stride, pad, ceil] = KEYS;
        [
            kernel,
            stride,
            pad,
            ceil,
            Key { name: "count_include_pad", default: "true", help: "count padding as zeros" },
        ]
    },
    joins: false,
    make: |o| {
        let kernel = o.pair("kernel", 1)?;
        let stride = o.pair_or("stride", 1, kernel)?;
        let (pad, pad_end) = o.pad()?;
        let ceil = o.bool_or("ceil", false)?;
        let count_include_pad = o.bool_or("count_include_pad", true)?;
        let window = Window { kernel, stride, pad, pad_end, dilation: [1; 2], ceil };
        half_pad(&window)?;
        Ok(Arc::new(AvgPool { window, count_include_pad }))
    },
    examples: || {
        let window =
            Window { stride: [2, 1], pad: [1; 2], pad_end: [1; 2], ceil: true, ..Window::new([3, 2]) };
        vec![
            (Arc::new(AvgPool::new(2)) as Arc<dyn Layer>, vec![Shape::maps(3, 6, 5)]),
            (Arc::new(AvgPool { window, count_include_pad: false }), vec![Shape::maps(2, 6, 6)]),
        ]
    },
};

impl Layer for AvgPool {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn options(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("kernel", Value::pair(self.window.kernel)),
            ("stride", Value::pair(self.window.stride)),
            ("pad", pad_value(&self.window)),
            ("ceil", Value::Bool(self.window.ceil)),
            ("count_include_pad", Value::Bool(self.count_include_pad)),
        ]
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        let shape = maps(inputs)?;
        half_pad(&self.window).map_err(|e| ShapeError::new(e.problem, e.cure))?;
        let [h, w] = slide(&self.window, shape)?;
        let output = Shape::maps(shape.c, h, w);
        Ok(Facts { sight: Sight::Window(self.window), ..Facts::plain(output, Needs::NOTHING) })
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for AvgPool {
    fn forward(&self, io: Forward<'_, R>) {
        let x = io.inputs.get(0);
        average(x, io.output, |axis, o| self.cell(axis, o, x.shape.spatial()[axis]));
    }

    fn pull(&self, _: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        let size = out[0].shape().spatial();
        spread(signal, &mut out[0], |axis, o| self.cell(axis, o, size[axis]));
    }

    fn role(&self) -> Role<'_, R> {
        Role::Average
    }
}

/// Cells of an output row or column: the inputs that it averages, and the number that it divides by.
pub(super) trait Cells: Fn(usize, usize) -> (Range<usize>, usize) + Sync + Send {}
impl<T: Fn(usize, usize) -> (Range<usize>, usize) + Sync + Send> Cells for T {}

/// y = means of x over cells.
pub(super) fn average<R: Real>(x: View<'_, R>, y: &mut Blocked<R>, cells: impl Cells) {
    let (lanes, w, ow) = (x.lanes, x.shape.w, y.shape().w);
    let (in_plane, out_plane) = (x.shape.plane() * lanes, y.shape().plane() * lanes);
    par::chunks(y.values_mut(), out_plane, |plane, y| {
        let x = &x.data[plane * in_plane..][..in_plane];
        with_lanes!(lanes, average_plane::<R>(x, w, y, ow, &cells));
    });
}

fn average_plane<R: Real, const L: usize>(x: &[R], w: usize, y: &mut [R], ow: usize, cells: &impl Cells) {
    let x = groups::<R, L>(x);
    for (at, y) in groups_mut::<R, L>(y).iter_mut().enumerate() {
        let ((rows, tall), (columns, wide)) = (cells(0, at / ow), cells(1, at % ow));
        let mut sum = [R::zero(); L];
        for r in rows {
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

/// out = each signal spread evenly over its cell; cells that overlap add.
pub(super) fn spread<R: Real>(signal: View<'_, R>, out: &mut Blocked<R>, cells: impl Cells) {
    let (lanes, w, ow) = (signal.lanes, out.shape().w, signal.shape.w);
    let (in_plane, out_plane) = (out.shape().plane() * lanes, signal.shape.plane() * lanes);
    par::chunks(out.values_mut(), in_plane, |plane, out| {
        let signal = &signal.data[plane * out_plane..][..out_plane];
        with_lanes!(lanes, spread_plane::<R>(signal, ow, out, w, &cells));
    });
}

fn spread_plane<R: Real, const L: usize>(
    signal: &[R],
    ow: usize,
    out: &mut [R],
    w: usize,
    cells: &impl Cells,
) {
    let out = groups_mut::<R, L>(out);
    out.fill([R::zero(); L]);
    for (at, signal) in groups::<R, L>(signal).iter().enumerate() {
        let ((rows, tall), (columns, wide)) = (cells(0, at / ow), cells(1, at % ow));
        let count = R::of((tall * wide) as f64);
        let share = signal.map(|s| s / count);
        for r in rows {
            for out in &mut out[r * w..][columns.clone()] {
                for l in 0..L {
                    out[l] += share[l];
                }
            }
        }
    }
}
