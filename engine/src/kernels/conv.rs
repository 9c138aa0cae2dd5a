//! Portable convolution: plain loops, a vector of images or a row of pixels innermost.
//!
//! y[o,i,j] = b[o] + sum_{c,u,v} W[o,c,u,v] x[c, i s - p + u d, j s - p + v d], x = 0 outside the image. Taps on padding
//! are skipped. One job is one output plane (forward), one input plane (data gradient) or one output channel (weight
//! gradient), so each number is summed in one fixed order whatever the number of threads: (c, u, v) forward, (u, v, o)
//! back, (block, row, column, lane tree) for weights. Blocks of 16 images and single images give the same bits forward
//! and back.

use super::planes::Then;
use super::{ConvGeometry, groups, groups_mut, par};
use crate::kernels::LANES;
use crate::real::Real;

/// Forward. See [`super::ConvForward`].
pub fn forward<R: Real>(
    g: &ConvGeometry,
    x: &[R],
    weight: &[R],
    bias: Option<&[R]>,
    y: &mut [R],
    _: &mut [R],
    then: Option<Then<'_, R>>,
) {
    g.check(x, weight, y);
    let plane = g.output[0] * g.output[1] * g.lanes;
    let (ci, co) = (g.c_in / g.groups, g.c_out / g.groups);
    let taps = g.window.kernel[0] * g.window.kernel[1];
    let in_plane = g.input[0] * g.input[1] * g.lanes;
    par::chunks(y, plane, |job, y| {
        let (block, o) = (job / g.c_out, job % g.c_out);
        let x = &x[(block * g.c_in + o / co * ci) * in_plane..][..ci * in_plane];
        let weight = &weight[o * ci * taps..][..ci * taps];
        let start = bias.map_or(R::zero(), |b| b[o]);
        if g.lanes == 1 { forward_row(g, x, weight, start, y) } else { forward_lanes(g, x, weight, start, y) }
    });
    if let Some(then) = then {
        then.all(y);
    }
}

/// One output plane of a block of images: a pixel at a time, the images side by side.
fn forward_lanes<R: Real>(g: &ConvGeometry, x: &[R], weight: &[R], start: R, y: &mut [R]) {
    let (x, y) = (groups::<R, LANES>(x), groups_mut::<R, LANES>(y));
    let ([h, w], [kh, kw]) = (g.input, g.window.kernel);
    for i in 0..g.output[0] {
        let rows = g.window.taps(0, i, h);
        for j in 0..g.output[1] {
            let columns = g.window.taps(1, j, w);
            let mut sum = [start; LANES];
            for (c, x) in x.chunks_exact(h * w).enumerate() {
                for u in rows.clone() {
                    let row = &x[source(g, 0, i, u) * w..][..w];
                    for v in columns.clone() {
                        let (tap, x) = (weight[(c * kh + u) * kw + v], &row[source(g, 1, j, v)]);
                        for l in 0..LANES {
                            sum[l] += tap * x[l];
                        }
                    }
                }
            }
            y[i * g.output[1] + j] = sum;
        }
    }
}

/// One output plane of one image: a tap at a time, a row of pixels side by side.
fn forward_row<R: Real>(g: &ConvGeometry, x: &[R], weight: &[R], start: R, y: &mut [R]) {
    let ([h, w], [kh, kw], [oh, ow]) = (g.input, g.window.kernel, g.output);
    y.fill(start);
    for (c, x) in x.chunks_exact(h * w).enumerate() {
        for u in 0..kh {
            for i in g.window.outputs_of_tap(0, u, h, oh) {
                let x = &x[source(g, 0, i, u) * w..][..w];
                let y = &mut y[i * ow..][..ow];
                for v in 0..kw {
                    let columns = g.window.outputs_of_tap(1, v, w, ow);
                    if columns.is_empty() {
                        continue;
                    }
                    let tap = weight[(c * kh + u) * kw + v];
                    let x = x[source(g, 1, columns.start, v)..].iter().step_by(g.window.stride[1]);
                    for (y, &x) in y[columns].iter_mut().zip(x) {
                        *y += tap * x;
                    }
                }
            }
        }
    }
}

/// Data gradient. See [`super::ConvPull`].
pub fn pull<R: Real>(g: &ConvGeometry, dy: &[R], weight: &[R], dx: &mut [R], _: &mut [R]) {
    g.check(dx, weight, dy);
    let (ci, co) = (g.c_in / g.groups, g.c_out / g.groups);
    let taps = g.window.kernel[0] * g.window.kernel[1];
    let out_plane = g.output[0] * g.output[1] * g.lanes;
    par::chunks(dx, g.input[0] * g.input[1] * g.lanes, |job, dx| {
        let (block, c) = (job / g.c_in, job % g.c_in);
        let group = c / ci;
        let dy = &dy[(block * g.c_out + group * co) * out_plane..][..co * out_plane];
        // the weights of input channel c: [co][ci][kh][kw] from its first tap on
        let weight = &weight[(group * co * ci + c % ci) * taps..];
        if g.lanes == 1 {
            pull_rows::<R, 1>(g, dy, weight, ci * taps, dx);
        } else {
            pull_rows::<R, LANES>(g, dy, weight, ci * taps, dx);
        }
    });
}

/// One input plane: each tap scatters the rows of every output channel that it reads.
fn pull_rows<R: Real, const L: usize>(g: &ConvGeometry, dy: &[R], weight: &[R], step: usize, dx: &mut [R]) {
    let (dy, dx) = (groups::<R, L>(dy), groups_mut::<R, L>(dx));
    let ([h, w], [kh, kw], [oh, ow]) = (g.input, g.window.kernel, g.output);
    dx.fill([R::zero(); L]);
    for u in 0..kh {
        for v in 0..kw {
            let columns = g.window.outputs_of_tap(1, v, w, ow);
            if columns.is_empty() {
                continue;
            }
            for i in g.window.outputs_of_tap(0, u, h, oh) {
                let dx = &mut dx[source(g, 0, i, u) * w..][source(g, 1, columns.start, v)..];
                for (o, dy) in dy.chunks_exact(oh * ow).enumerate() {
                    let tap = weight[o * step + u * kw + v];
                    let dy = &dy[i * ow..][columns.clone()];
                    for (dx, dy) in dx.iter_mut().step_by(g.window.stride[1]).zip(dy) {
                        for l in 0..L {
                            dx[l] += tap * dy[l];
                        }
                    }
                }
            }
        }
    }
}

/// Parameter gradients. See [`super::ConvPullWeight`].
pub fn pull_weight<R: Real>(
    g: &ConvGeometry,
    x: &[R],
    dy: &[R],
    dweight: &mut [R],
    dbias: Option<&mut [R]>,
    _: &mut [R],
) {
    g.check(x, dweight, dy);
    let taps = g.c_in / g.groups * g.window.kernel[0] * g.window.kernel[1];
    par::chunks(dweight, taps, |o, dweight| {
        if g.lanes == 1 {
            weight_of_channel::<R, 1>(g, o, x, dy, dweight);
        } else {
            weight_of_channel::<R, LANES>(g, o, x, dy, dweight);
        }
    });
    if let Some(dbias) = dbias {
        let plane = g.output[0] * g.output[1] * g.lanes;
        bias(dy, g.blocks, plane, dbias);
    }
}

/// dW[o, .., .., ..] over the whole batch.
fn weight_of_channel<R: Real, const L: usize>(
    g: &ConvGeometry,
    o: usize,
    x: &[R],
    dy: &[R],
    dweight: &mut [R],
) {
    let ([h, w], [kh, kw], [oh, ow]) = (g.input, g.window.kernel, g.output);
    let (ci, co) = (g.c_in / g.groups, g.c_out / g.groups);
    let (x, dy) = (groups::<R, L>(x), groups::<R, L>(dy));
    dweight.fill(R::zero());
    for block in 0..g.blocks {
        let dy = &dy[(block * g.c_out + o) * oh * ow..][..oh * ow];
        let x = &x[(block * g.c_in + o / co * ci) * h * w..][..ci * h * w];
        for (c, x) in x.chunks_exact(h * w).enumerate() {
            for u in 0..kh {
                for v in 0..kw {
                    let columns = g.window.outputs_of_tap(1, v, w, ow);
                    if columns.is_empty() {
                        continue;
                    }
                    let mut sum = [R::zero(); L];
                    for i in g.window.outputs_of_tap(0, u, h, oh) {
                        let x = &x[source(g, 0, i, u) * w..][source(g, 1, columns.start, v)..];
                        let dy = &dy[i * ow..][columns.clone()];
                        for (x, dy) in x.iter().step_by(g.window.stride[1]).zip(dy) {
                            for l in 0..L {
                                sum[l] += x[l] * dy[l];
                            }
                        }
                    }
                    dweight[(c * kh + u) * kw + v] += fold(sum);
                }
            }
        }
    }
}

/// dbias[o] = the sum of dy over images and pixels; `dy [blocks][dbias.len()][plane]`, plane values per channel.
pub fn bias<R: Real>(dy: &[R], blocks: usize, plane: usize, dbias: &mut [R]) {
    let channels = dbias.len();
    par::chunks(dbias, 1, |o, dbias| {
        dbias[0] = (0..blocks).map(|block| sum(&dy[(block * channels + o) * plane..][..plane])).sum();
    });
}

/// The sum of values, in sixteen interleaved parts folded as a tree.
pub fn sum<R: Real>(values: &[R]) -> R {
    let (whole, rest) = values.as_chunks::<LANES>();
    let mut parts = [R::zero(); LANES];
    for group in whole {
        for l in 0..LANES {
            parts[l] += group[l];
        }
    }
    fold(parts) + rest.iter().copied().sum()
}

/// The sum of a group, as a tree: halves are added until one is left.
pub fn fold<R: Real, const L: usize>(mut parts: [R; L]) -> R {
    let mut half = L / 2;
    while half > 0 {
        for l in 0..half {
            parts[l] += parts[l + half];
        }
        half /= 2;
    }
    parts[0]
}

/// Input row or column under `tap` of output `o`, which must not be padding.
fn source(g: &ConvGeometry, axis: usize, o: usize, tap: usize) -> usize {
    o * g.window.stride[axis] + tap * g.window.dilation[axis] - g.window.pad[axis]
}
