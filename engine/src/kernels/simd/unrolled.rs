//! The input of a convolution with strides, unrolled for single images.
//!
//! What each tap reads is copied into a plane of its own, `[image][channel][row][column of the kernel][output pixels]`,
//! so that sixteen neighbouring outputs lie side by side at every tap and sums can go over (channel, row, column), as
//! those of batches do. Strides make the copies small: each number of the input lies in about kernel / stride of them
//! along an axis.

use super::WIDTH;
use super::single::Reads;
use crate::kernels::{ConvGeometry, par};

/// How forward reads the planes.
pub fn reads(g: &ConvGeometry) -> Reads {
    let ([kh, kw], [oh, ow]) = (g.window.kernel, g.output);
    let line = (oh * ow).next_multiple_of(WIDTH);
    Reads { channel: kh * kw * line, tap: [(kw * line) as isize, line as isize], row: ow, line }
}

/// Scratch without the packed weights: lines of the output, unrolled inputs.
pub fn scratch(g: &ConvGeometry) -> usize {
    let reads = reads(g);
    g.blocks * (g.c_out * reads.line + g.c_in * reads.channel)
}

/// Copies `x [blocks][c_in][h][w]` into the planes; what a tap reads from the padding is 0.
pub fn unroll(g: &ConvGeometry, x: &[f32], planes: &mut [f32]) {
    let ([h, w], [oh, ow], [kh, kw]) = (g.input, g.output, g.window.kernel);
    let (stride, pad, dilation) = (g.window.stride, g.window.pad, g.window.dilation);
    par::chunks(planes, reads(g).line, |plane, to| {
        let (channel, tap) = (plane / (kh * kw), plane % (kh * kw));
        let (u, v) = (tap / kw, tap % kw);
        let x = &x[channel * h * w..][..h * w];
        let columns = g.window.outputs_of_tap(1, v, w, ow);
        to.fill(0.0);
        for i in g.window.outputs_of_tap(0, u, h, oh) {
            let row = &x[(i * stride[0] + u * dilation[0] - pad[0]) * w..][..w];
            let first = (columns.start * stride[1] + v * dilation[1]).saturating_sub(pad[1]);
            let from = row.iter().skip(first).step_by(stride[1]);
            for (to, &x) in to[i * ow..][columns.clone()].iter_mut().zip(from) {
                *to = x;
            }
        }
    });
}
