//! Portable dense layer: y = W x + b, its two gradients.
//!
//! Blocks of 16 images keep the images side by side; for a single image sixteen outputs go side by side. Sums are ordered
//! by input (forward) and output (data gradient) for both, so an image gives the same bits alone and among others. The
//! weight gradient first turns blocks into rows of images (`[n][inputs]`), so that it runs along the rows of W.

use super::conv::bias as bias_gradient;
use super::{DenseGeometry, groups, groups_mut, par};
use crate::kernels::LANES;
use crate::real::Real;

/// Inputs per job of the data gradient.
const TILE: usize = 64;

/// Scratch for the weight gradient: the batch as rows.
pub fn scratch(g: &DenseGeometry) -> usize {
    if g.lanes == 1 { 0 } else { g.blocks * g.lanes * g.inputs }
}

/// Forward. See [`super::DenseForward`].
pub fn forward<R: Real>(
    g: &DenseGeometry,
    x: &[R],
    weight: &[R],
    bias: Option<&[R]>,
    y: &mut [R],
    _: &mut [R],
) {
    g.check(x, weight, y);
    if g.lanes == 1 {
        return forward_single(g, x, weight, bias, y);
    }
    par::chunks(y, LANES, |job, y| {
        let (block, o) = (job / g.outputs, job % g.outputs);
        let x = &x[block * g.inputs * LANES..][..g.inputs * LANES];
        let row = &weight[o * g.inputs..][..g.inputs];
        let mut sum = [bias.map_or(R::zero(), |b| b[o]); LANES];
        for (&w, x) in row.iter().zip(groups::<R, LANES>(x)) {
            for l in 0..LANES {
                sum[l] += w * x[l];
            }
        }
        y.copy_from_slice(&sum);
    });
}

/// Forward for single images.
fn forward_single<R: Real>(g: &DenseGeometry, x: &[R], weight: &[R], bias: Option<&[R]>, y: &mut [R]) {
    for (x, y) in x.chunks_exact(g.inputs).zip(y.chunks_exact_mut(g.outputs)) {
        par::chunks(y, LANES, |tile, y| {
            let first = tile * LANES;
            let mut sum = [R::zero(); LANES];
            if let Some(bias) = bias {
                sum[..y.len()].copy_from_slice(&bias[first..][..y.len()]);
            }
            let rows: [&[R]; LANES] = std::array::from_fn(|o| {
                // beyond the last output the last row fills up
                &weight[(first + o.min(y.len() - 1)) * g.inputs..][..g.inputs]
            });
            for (i, &x) in x.iter().enumerate() {
                for l in 0..LANES {
                    sum[l] += rows[l][i] * x;
                }
            }
            y.copy_from_slice(&sum[..y.len()]);
        });
    }
}

/// Data gradient. See [`super::DensePull`].
pub fn pull<R: Real>(g: &DenseGeometry, dy: &[R], weight: &[R], dx: &mut [R], _: &mut [R]) {
    g.check(dx, weight, dy);
    par::chunks(dx, g.inputs * g.lanes, |block, dx| {
        let dy = &dy[block * g.outputs * g.lanes..][..g.outputs * g.lanes];
        par::chunks(dx, TILE * g.lanes, |tile, dx| {
            let first = tile * TILE;
            if g.lanes == 1 {
                pull_tile::<R, 1>(g, dy, &weight[first..], dx);
            } else {
                pull_tile::<R, LANES>(g, dy, &weight[first..], dx);
            }
        });
    });
}

fn pull_tile<R: Real, const L: usize>(g: &DenseGeometry, dy: &[R], weight: &[R], dx: &mut [R]) {
    let dx = groups_mut::<R, L>(dx);
    dx.fill([R::zero(); L]);
    for (o, dy) in groups::<R, L>(dy).iter().enumerate() {
        for (&w, dx) in weight[o * g.inputs..].iter().zip(dx.iter_mut()) {
            for l in 0..L {
                dx[l] += w * dy[l];
            }
        }
    }
}

/// Parameter gradients. See [`super::DensePullWeight`].
pub fn pull_weight<R: Real>(
    g: &DenseGeometry,
    x: &[R],
    dy: &[R],
    dweight: &mut [R],
    dbias: Option<&mut [R]>,
    scratch: &mut [R],
) {
    g.check(x, dweight, dy);
    let rows: &[R] = if g.lanes == 1 {
        x
    } else {
        let rows = &mut scratch[..x.len()];
        par::chunks(rows, g.inputs, |image, row| {
            let block = &x[image / LANES * LANES * g.inputs..];
            for (row, &x) in row.iter_mut().zip(block[image % LANES..].iter().step_by(LANES)) {
                *row = x;
            }
        });
        rows
    };
    par::chunks(dweight, g.inputs, |o, dweight| {
        dweight.fill(R::zero());
        for (image, row) in rows.chunks_exact(g.inputs).enumerate() {
            let dy = dy[(image / g.lanes * g.outputs + o) * g.lanes + image % g.lanes];
            for (dweight, &x) in dweight.iter_mut().zip(row) {
                *dweight += dy * x;
            }
        }
    });
    if let Some(dbias) = dbias {
        bias_gradient(dy, g.blocks, g.lanes, dbias);
    }
}
