//! Max-pooling with switches: each output is the largest value of its window, and its switch says where that was.
//!
//! The switch is the flat index h W + w inside the unpadded input plane of the first maximum in row-major window order;
//! NaN beats every number; the index is always valid. Padding never wins. Saved: `switches`, one per output. The
//! pull-back adds each signal at its switch, so that where windows overlap a cell receives all that it won.

use super::options::{OptionError, Value, pad_value};
use super::{
    At, Compute, Facts, Forward, Key, Kind, Layer, Needs, Role, ShapeError, Sight, forward_planes,
    in_both_types, maps, pull_planes, slide,
};
use crate::array::{Blocked, Shape, View};
use crate::kernels::planes::{Op, Step};
use crate::kernels::{groups, groups_mut, par, with_lanes};
use crate::real::Real;
use crate::trace::{SavedDecl, SavedKind};
use crate::window::Window;
use std::sync::Arc;

/// Max-pooling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxPool {
    /// The sliding window.
    pub window: Window,
}

impl MaxPool {
    /// A square window, its stride its own size.
    pub fn new(kernel: usize) -> Self {
        Self { window: Window { stride: [kernel; 2], ..Window::new([kernel; 2]) } }
    }

    /// With another stride.
    pub fn stride(mut self, stride: usize) -> Self {
        self.window.stride = [stride; 2];
        self
    }

    /// With padding on all sides.
    pub fn pad(mut self, pad: usize) -> Self {
        (self.window.pad, self.window.pad_end) = ([pad; 2], [pad; 2]);
        self
    }

    fn step(&self, input: Shape, output: Shape) -> Step {
        Step { op: Op::MaxPool(self.window), input: input.spatial(), output: output.spatial() }
    }
}

pub(super) const KEYS: [Key; 4] = [
    Key { name: "kernel", default: "", help: "rows and columns of a window: a number or [h, w]" },
    Key { name: "stride", default: "= kernel", help: "step between windows: a number or [h, w]" },
    Key { name: "pad", default: "0", help: "rows and columns around the input, at most half the kernel" },
    Key { name: "ceil", default: "false", help: "let a last window hang over the end" },
];

pub(super) static KIND: Kind = Kind {
    name: "maxpool",
    summary: "the largest value of each window, with switches that say where it was",
    keys: &KEYS,
    joins: false,
    make: |o| {
        let kernel = o.pair("kernel", 1)?;
        let stride = o.pair_or("stride", 1, kernel)?;
        let (pad, pad_end) = o.pad()?;
        let ceil = o.bool_or("ceil", false)?;
        let window = Window { kernel, stride, pad, pad_end, dilation: [1; 2], ceil };
        half_pad(&window)?;
        Ok(Arc::new(MaxPool { window }))
    },
    examples: || {
        vec![
            (Arc::new(MaxPool::new(2)) as Arc<dyn Layer>, vec![Shape::maps(3, 6, 5)]),
            (Arc::new(MaxPool::new(3).stride(2).pad(1)), vec![Shape::maps(2, 7, 6)]),
        ]
    },
};

/// Refuses padding in which a window could lie entirely.
pub(super) fn half_pad(window: &Window) -> Result<(), OptionError> {
    let worst = |axis: usize| window.pad[axis].max(window.pad_end[axis]);
    if (0..2).all(|axis| worst(axis) * 2 <= window.kernel[axis]) {
        return Ok(());
    }
    let problem = format!("pad {:?} is more than half of kernel {:?}", window.pad, window.kernel);
    Err(OptionError::new("pad", problem, "lower pad, so that each window holds at least one value"))
}

impl Layer for MaxPool {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn options(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("kernel", Value::pair(self.window.kernel)),
            ("stride", Value::pair(self.window.stride)),
            ("pad", pad_value(&self.window)),
            ("ceil", Value::Bool(self.window.ceil)),
        ]
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        let shape = maps(inputs)?;
        half_pad(&self.window).map_err(|e| ShapeError::new(e.problem, e.cure))?;
        let [h, w] = slide(&self.window, shape)?;
        let output = Shape::maps(shape.c, h, w);
        Ok(Facts {
            saved: vec![SavedDecl { name: "switches", kind: SavedKind::Switches(output) }],
            sight: Sight::Window(self.window),
            plane: Some(self.step(shape, output)),
            ..Facts::plain(output, Needs::NOTHING)
        })
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for MaxPool {
    fn forward(&self, io: Forward<'_, R>) {
        forward_planes(self.step(io.inputs.get(0).shape, io.output.shape()), io);
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) {
        pull_planes(self.step(out[0].shape(), signal.shape), at, signal, &mut out[0]);
    }

    fn role(&self) -> Role<'_, R> {
        Role::Select
    }
}

/// What a cell receives that several overlapping windows point at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Their sum: the adjoint of pooling.
    Sum,
    /// The last one in row-major window order.
    Last,
    /// The largest by magnitude.
    Max,
}

/// Puts each value of `signal` at its switch, zeros elsewhere (Zeiler and Fergus 2014, section 2.1).
///
/// `signal` and `switches` have the shape of the pool's output, `out` that of its input.
pub fn unpool<R: Real>(signal: View<'_, R>, switches: &Blocked<u32>, overlap: Overlap, out: &mut Blocked<R>) {
    let lanes = signal.lanes;
    let (out_plane, in_plane) = (signal.shape.plane() * lanes, out.shape().plane() * lanes);
    let switches = switches.values();
    par::chunks(out.values_mut(), in_plane, |plane, out| {
        let signal = &signal.data[plane * out_plane..][..out_plane];
        let switches = &switches[plane * out_plane..][..out_plane];
        with_lanes!(lanes, scatter::<R>(signal, switches, overlap, out));
    });
}

/// Unpools one plane of L images.
fn scatter<R: Real, const L: usize>(signal: &[R], switches: &[u32], overlap: Overlap, out: &mut [R]) {
    out.fill(R::zero());
    let out = groups_mut::<R, L>(out);
    for (values, switches) in groups::<R, L>(signal).iter().zip(groups::<u32, L>(switches)) {
        for l in 0..L {
            let (value, cell) = (values[l], &mut out[switches[l] as usize][l]);
            match overlap {
                Overlap::Sum => *cell += value,
                Overlap::Last => *cell = value,
                Overlap::Max => *cell = if value.abs() > cell.abs() { value } else { *cell },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::planes::steps;
    use ndarray::{Array4, array};

    fn pooled(layer: MaxPool, x: &Array4<f64>) -> (Array4<f64>, Array4<u32>) {
        let (n, c, h, w) = x.dim();
        let [oh, ow] = layer.window.output([h, w]).unwrap();
        let (mut y, mut s) = (Array4::zeros((n, c, oh, ow)), Array4::zeros((n, c, oh, ow)));
        for (x, (mut y, mut s)) in x.outer_iter().zip(y.outer_iter_mut().zip(s.outer_iter_mut())) {
            for ((x, mut y), mut s) in x.outer_iter().zip(y.outer_iter_mut()).zip(s.outer_iter_mut()) {
                let x = x.as_standard_layout().to_owned();
                let step = Step { op: Op::MaxPool(layer.window), input: [h, w], output: [oh, ow] };
                let (x, y) = (x.as_slice().unwrap(), y.as_slice_mut().unwrap());
                steps::forward::<f64>(&step, 1, x, y, s.as_slice_mut().unwrap());
            }
        }
        (y, s)
    }

    #[test]
    fn ties_go_to_the_first_and_nan_beats_every_number() {
        let (_, s) = pooled(MaxPool::new(2), &Array4::ones((1, 1, 4, 4)));
        assert_eq!(s.into_raw_vec_and_offset().0, [0, 2, 8, 10]);
        let x = array![[[[1.0, f64::NAN, 3.0], [f64::NAN, 9.0, f64::INFINITY]]]];
        let (y, s) = pooled(MaxPool { window: Window { stride: [1; 2], ..Window::new([2, 2]) } }, &x);
        assert!(y[[0, 0, 0, 0]].is_nan() && s[[0, 0, 0, 0]] == 1);
        assert!(y[[0, 0, 0, 1]].is_nan() && s[[0, 0, 0, 1]] == 1);
    }

    #[test]
    fn overlapping_windows_add_at_the_cell_that_they_share() {
        // a peak in the middle of 5x5 wins all four 3x3 windows of stride 2
        let mut x = Array4::<f64>::zeros((1, 1, 5, 5));
        x[[0, 0, 2, 2]] = 1.0;
        let (_, s) = pooled(MaxPool::new(3).stride(2), &x);
        let switches = Blocked::from_array4(s.view(), 1);
        let signal = Blocked::from_array4(array![[[[1.0, -7.0], [3.0, 4.0]]]].view(), 1);
        let at_peak = |overlap| {
            let mut out = Blocked::zeros(Shape::maps(1, 5, 5), 1, 1);
            out.fill(f64::NAN);
            unpool(signal.view(), &switches, overlap, &mut out);
            assert_eq!(out.values().iter().filter(|v| **v != 0.0).count(), 1);
            out.image(0)[[0, 2, 2]]
        };
        assert_eq!([Overlap::Sum, Overlap::Last, Overlap::Max].map(at_peak), [1.0, 4.0, -7.0]);
    }
}
