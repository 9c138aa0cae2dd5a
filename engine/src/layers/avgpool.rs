//! Average pooling: each output is the mean of its window.
//!
//! With `count_include_pad` (PyTorch's default) padding counts as zeros, clipped where a window hangs over its end;
//! without it the mean is over real values only.

use super::maxpool::{KEYS, half_pad};
use super::options::{Value, pad_value};
use super::{
    At, Compute, Facts, Forward, Key, Kind, Layer, Needs, Role, ShapeError, Sight, forward_planes,
    in_both_types, maps, pull_planes, slide,
};
use crate::array::{Blocked, Shape, View};
use crate::kernels::planes::steps::{Cells, average as average_plane, spread as spread_plane};
use crate::kernels::planes::{Op, Step};
use crate::kernels::{par, with_lanes};
use crate::real::Real;
use crate::window::Window;
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

    fn step(&self, input: Shape, output: Shape) -> Step {
        let op = Op::AvgPool(self.window, self.count_include_pad);
        Step { op, input: input.spatial(), output: output.spatial() }
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
        Ok(Facts {
            sight: Sight::Window(self.window),
            plane: Some(self.step(shape, output)),
            ..Facts::plain(output, Needs::NOTHING)
        })
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for AvgPool {
    fn forward(&self, io: Forward<'_, R>) {
        forward_planes(self.step(io.inputs.get(0).shape, io.output.shape()), io);
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        pull_planes(self.step(out[0].shape(), signal.shape), at, signal, &mut out[0]);
    }

    fn role(&self) -> Role<'_, R> {
        Role::Average
    }
}

/// y = means of x over cells.
pub(super) fn average<R: Real>(x: View<'_, R>, y: &mut Blocked<R>, cells: impl Cells) {
    let (lanes, w, ow) = (x.lanes, x.shape.w, y.shape().w);
    let (in_plane, out_plane) = (x.shape.plane() * lanes, y.shape().plane() * lanes);
    par::chunks(y.values_mut(), out_plane, |plane, y| {
        let x = &x.data[plane * in_plane..][..in_plane];
        with_lanes!(lanes, average_plane::<R>(x, w, y, ow, &cells));
    });
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
