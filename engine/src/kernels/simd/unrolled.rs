//! Forward convolution of single images with strides.
//!
//! What each tap reads is copied into a plane of its own, `[image][channel][row][column of the kernel][output pixels]`,
//! so that sixteen neighbouring outputs lie side by side at every tap and the sums go over (channel, row, column), as
//! those of batches do. Strides make the copies small: each number of the input lies in about kernel / stride of them
//! along an axis.
#![allow(unsafe_code)]

use super::pack::Packing;
use super::single::{Sweep, Taps};
use super::{Shared, Simd, WIDTH, outer};
use crate::kernels::planes::Then;
use crate::kernels::{ConvGeometry, par};

/// Numbers of a plane: the output's pixels in whole vectors.
fn line(g: &ConvGeometry) -> usize {
    (g.output[0] * g.output[1]).next_multiple_of(WIDTH)
}

/// Planes per input channel.
fn taps(g: &ConvGeometry) -> usize {
    g.window.kernel[0] * g.window.kernel[1]
}

/// Scratch without the packed weights: lines of the output, unrolled inputs.
pub fn scratch(g: &ConvGeometry) -> usize {
    g.blocks * (g.c_out + g.c_in * taps(g)) * line(g)
}

/// Copies `x [blocks][c_in][h][w]` into the planes; what a tap reads from the padding is 0.
fn unroll(g: &ConvGeometry, x: &[f32], planes: &mut [f32]) {
    let ([h, w], [_, ow], [_, kw]) = (g.input, g.output, g.window.kernel);
    let (stride, pad, dilation) = (g.window.stride, g.window.pad, g.window.dilation);
    par::chunks(planes, line(g), |plane, to| {
        let (channel, tap) = (plane / taps(g), plane % taps(g));
        let (u, v) = (tap / kw, tap % kw);
        let x = &x[channel * h * w..][..h * w];
        let rows = g.window.outputs_of_tap(0, u, h, g.output[0]);
        let columns = g.window.outputs_of_tap(1, v, w, ow);
        to.fill(0.0);
        for i in rows {
            let row = &x[(i * stride[0] + u * dilation[0] - pad[0]) * w..][..w];
            let first = (columns.start * stride[1] + v * dilation[1]).saturating_sub(pad[1]);
            let from = row.iter().skip(first).step_by(stride[1]);
            for (to, &x) in to[i * ow..][columns.clone()].iter_mut().zip(from) {
                *to = x;
            }
        }
    });
}

/// Forward; the caller has checked the lengths.
pub fn forward<S: Simd>(
    g: &ConvGeometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    scratch: &mut [f32],
    then: Option<Then<'_, f32>>,
) {
    let (line, taps, [kh, kw]) = (line(g), taps(g), g.window.kernel);
    let (to, rest) = scratch.split_at_mut(g.blocks * g.c_out * line);
    let (planes, rest) = rest.split_at_mut(g.blocks * g.c_in * taps * line);
    let packed = &mut rest[..weight.len()];
    let packing = Packing::forward(g, S::CHANNELS);
    unroll(g, x, planes);
    packing.pack(weight, packed);
    let sweep = Sweep { vectors: line / WIDTH, columns: kw, blocks: g.blocks, packing, planes, packed };
    let shared = Shared::new(to);
    sweep.jobs(|image, group, part, first, vectors| {
        let from = (image * g.c_in + group * packing.read) * taps;
        let channel = group * packing.written + part.start;
        let every = [Taps::all(kh), Taps::all(kw)];
        let mut job = outer::Job {
            x_channel: taps * line,
            x_tap: [(kw * line) as isize, line as isize],
            y: shared.at((image * g.c_out + channel) * line + first * WIDTH),
            y_channel: line,
            ..sweep.job(from * line + first * WIDTH, group, &part, every, vectors)
        };
        if let Some(bias) = bias {
            job.start[..part.len()].copy_from_slice(&bias[channel..][..part.len()]);
        }
        // SAFETY: whole vectors of the planes of these channels; the line is this job's own in `to`.
        unsafe { S::outer(part.len(), &job) };
    });
    let (to, pixels) = (&*to, g.output[0] * g.output[1]);
    par::chunks(y, pixels, |channel, y| y.copy_from_slice(&to[channel * line..][..pixels]));
    if let Some(then) = then {
        then.all(y);
    }
}
