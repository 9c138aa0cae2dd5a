//! Slow oracles in double precision, written from the definitions, on arrays [N, C, H, W].

use ndarray::{Array4, s};

/// A window over (height, width), by its numbers alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    /// Taps per axis.
    pub kernel: [usize; 2],
    /// Steps per axis.
    pub stride: [usize; 2],
    /// Padding on both sides, per axis.
    pub pad: [usize; 2],
    /// Distance of taps, per axis.
    pub dilation: [usize; 2],
}

impl Geometry {
    /// floor((H + 2p - d(k-1) - 1)/s) + 1 per axis, or `None` where a window does not fit.
    pub fn output(&self, input: [usize; 2]) -> Option<[usize; 2]> {
        let axis = |a: usize| {
            let span = self.dilation[a] * (self.kernel[a] - 1) + 1;
            (input[a] + 2 * self.pad[a]).checked_sub(span).map(|room| room / self.stride[a] + 1)
        };
        Some([axis(0)?, axis(1)?])
    }

    /// Position of a tap in the padded input.
    fn tap(&self, axis: usize, output: usize, tap: usize) -> usize {
        output * self.stride[axis] + tap * self.dilation[axis]
    }
}

/// The input inside a frame of padding that holds `value`.
fn framed(x: &Array4<f64>, pad: [usize; 2], value: f64) -> Array4<f64> {
    let (n, c, h, w) = x.dim();
    let mut out = Array4::from_elem((n, c, h + 2 * pad[0], w + 2 * pad[1]), value);
    out.slice_mut(s![.., .., pad[0]..pad[0] + h, pad[1]..pad[1] + w]).assign(x);
    out
}

fn unframed(x: &Array4<f64>, pad: [usize; 2]) -> Array4<f64> {
    let (_, _, h, w) = x.dim();
    x.slice(s![.., .., pad[0]..h - pad[0], pad[1]..w - pad[1]]).to_owned()
}

/// Calls `f(n, o, i, r, c, kr, kc, y, x)` for each product of a convolution: image, output channel, input channel, output
/// place, tap, and the tap's row and column in the padded input.
fn products(
    g: &Geometry,
    groups: usize,
    (n, c, _, _): (usize, usize, usize, usize),
    [outputs, oh, ow]: [usize; 3],
    mut f: impl FnMut([usize; 9]),
) {
    for image in 0..n {
        for o in 0..outputs {
            let first = o / (outputs / groups) * (c / groups);
            for i in 0..c / groups {
                for (r, q) in (0..oh).flat_map(|r| (0..ow).map(move |q| (r, q))) {
                    for (kr, kc) in (0..g.kernel[0]).flat_map(|a| (0..g.kernel[1]).map(move |b| (a, b))) {
                        f([image, o, first + i, r, q, kr, kc, g.tap(0, r, kr), g.tap(1, q, kc)]);
                    }
                }
            }
        }
    }
}

/// Convolution: y[o] = b[o] + sum over the group's channels and taps of w x. `w` is [out, in/groups, kh, kw].
pub fn conv(x: &Array4<f64>, w: &Array4<f64>, b: &[f64], g: &Geometry, groups: usize) -> Array4<f64> {
    let (n, _, h, width) = x.dim();
    let outputs = w.dim().0;
    let [oh, ow] = g.output([h, width]).unwrap_or([0; 2]);
    let padded = framed(x, g.pad, 0.0);
    let mut y = Array4::from_shape_fn((n, outputs, oh, ow), |(_, o, _, _)| b.get(o).copied().unwrap_or(0.0));
    let per_group = w.dim().1;
    products(g, groups, x.dim(), [outputs, oh, ow], |[m, o, i, r, q, kr, kc, py, px]| {
        y[[m, o, r, q]] += w[[o, i % per_group, kr, kc]] * padded[[m, i, py, px]];
    });
    y
}

/// Gradients of sum(dy conv(x, w)) with respect to x and w.
pub fn conv_gradients(
    x: &Array4<f64>,
    w: &Array4<f64>,
    dy: &Array4<f64>,
    g: &Geometry,
    groups: usize,
) -> (Array4<f64>, Array4<f64>) {
    let (_, outputs, oh, ow) = dy.dim();
    let padded = framed(x, g.pad, 0.0);
    let (mut dx, mut dw) = (Array4::zeros(padded.dim()), Array4::zeros(w.dim()));
    let per_group = w.dim().1;
    products(g, groups, x.dim(), [outputs, oh, ow], |[m, o, i, r, q, kr, kc, py, px]| {
        dx[[m, i, py, px]] += w[[o, i % per_group, kr, kc]] * dy[[m, o, r, q]];
        dw[[o, i % per_group, kr, kc]] += padded[[m, i, py, px]] * dy[[m, o, r, q]];
    });
    (unframed(&dx, g.pad), dw)
}

/// Transposed convolution: each input times the kernel, added into the output at stride steps; `pad` rows and columns
/// are cut off on all sides and `extra` added at the end. `w` is [in, out / groups, kh, kw].
pub fn conv_transpose(
    x: &Array4<f64>,
    w: &Array4<f64>,
    b: &[f64],
    g: &Geometry,
    extra: [usize; 2],
    groups: usize,
) -> Array4<f64> {
    let (n, c, h, width) = x.dim();
    let outputs = w.dim().1;
    let full =
        |a: usize, len: usize| (len - 1) * g.stride[a] + (g.kernel[a] - 1) * g.dilation[a] + 1 + extra[a];
    let mut y = Array4::zeros((n, outputs * groups, full(0, h), full(1, width)));
    for ((m, i, r, q), &v) in x.indexed_iter() {
        assert!(i < c);
        for (o, kr, kc) in (0..outputs)
            .flat_map(|o| (0..g.kernel[0]).map(move |a| (o, a)))
            .flat_map(|(o, a)| (0..g.kernel[1]).map(move |k| (o, a, k)))
        {
            let group = i / (c / groups);
            let (row, column) = (r * g.stride[0] + kr * g.dilation[0], q * g.stride[1] + kc * g.dilation[1]);
            y[[m, group * outputs + o, row, column]] += v * w[[i, o, kr, kc]];
        }
    }
    let mut y = unframed(&y, g.pad);
    for ((_, o, _, _), v) in y.indexed_iter_mut() {
        *v += b.get(o).copied().unwrap_or(0.0);
    }
    y
}

/// Max-pooling with its switches: the flat place, in the unpadded plane, of the first largest value in row-major order.
pub fn maxpool(x: &Array4<f64>, g: &Geometry) -> (Array4<f64>, Array4<usize>) {
    let (n, c, h, w) = x.dim();
    let [oh, ow] = g.output([h, w]).unwrap_or([0; 2]);
    let padded = framed(x, g.pad, f64::NEG_INFINITY);
    let (mut y, mut switches) = (Array4::zeros((n, c, oh, ow)), Array4::zeros((n, c, oh, ow)));
    for ((m, i, r, q), y) in y.indexed_iter_mut() {
        *y = f64::NEG_INFINITY;
        for (kr, kc) in (0..g.kernel[0]).flat_map(|a| (0..g.kernel[1]).map(move |b| (a, b))) {
            let (py, px) = (g.tap(0, r, kr), g.tap(1, q, kc));
            if padded[[m, i, py, px]] > *y {
                *y = padded[[m, i, py, px]];
                switches[[m, i, r, q]] = (py - g.pad[0]) * w + px - g.pad[1];
            }
        }
    }
    (y, switches)
}

/// The adjoint of max-pooling: each signal added at its switch.
pub fn unpool(dy: &Array4<f64>, switches: &Array4<usize>, [h, w]: [usize; 2]) -> Array4<f64> {
    let (n, c, _, _) = dy.dim();
    let mut dx = Array4::zeros((n, c, h, w));
    for (((m, i, _, _), &v), &s) in dy.indexed_iter().zip(switches) {
        dx[[m, i, s / w, s % w]] += v;
    }
    dx
}

/// Average pooling; padding counts as zeros, or not at all.
pub fn avgpool(x: &Array4<f64>, g: &Geometry, include_pad: bool) -> Array4<f64> {
    let (n, c, h, w) = x.dim();
    let [oh, ow] = g.output([h, w]).unwrap_or([0; 2]);
    let padded = framed(x, g.pad, 0.0);
    let real = framed(&Array4::ones((1, 1, h, w)), g.pad, if include_pad { 1.0 } else { 0.0 });
    Array4::from_shape_fn((n, c, oh, ow), |(m, i, r, q)| {
        let rows = r * g.stride[0]..r * g.stride[0] + g.kernel[0];
        let columns = q * g.stride[1]..q * g.stride[1] + g.kernel[1];
        let sum = padded.slice(s![m, i, rows.clone(), columns.clone()]).sum();
        sum / real.slice(s![0, 0, rows, columns]).sum()
    })
}
