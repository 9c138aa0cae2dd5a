//! Dense layer by tiles.
//!
//! A batch is a 1 x 1 convolution whose pixels are the blocks of images, so a weight is read once per batch:
//!
//! * forward: the tile's weights are rows of W; inputs go in chunks that stay in the cache for all outputs,
//! * data gradient: a panel of W (outputs x a few inputs) is copied together, since its rows lie far apart,
//! * weight gradient: a panel of x is turned into `[image][input]`, so that a vector is sixteen weights of a row of dW.
//!
//! For single images a vector is a few outputs, whose rows of W are turned to lie side by side (forward), or sixteen inputs
//! (data gradient); their weight gradient is the portable one. Sums are ordered by input (forward), output
//! (data gradient) and image (weight gradient), with and without other images beside one.
#![allow(unsafe_code)]

use super::{MOST, Parts, ROWS, ROWS_AT_ONCE, Shared, Simd, WIDTH, outer};
use crate::kernels::{DenseGeometry, conv as portable, par};
use std::ops::Range;

/// Outputs per job of the forward pass.
const OUTPUTS: usize = 4 * ROWS;

/// Input values of all images in a chunk of the forward pass: 256 KiB.
const CHUNK: usize = 1 << 16;

/// Inputs per job of the data gradient.
const PANEL: usize = 8 * ROWS;

/// Outputs per panel of the data gradient, images per panel of the weight gradient.
const DEPTH: usize = 64;

/// Inputs per job of the weight gradient.
const VECTORS: usize = 4 * WIDTH;

/// Weights, inputs or sums that a tile works on.
#[repr(align(64))]
struct Panel<const N: usize>([f32; N]);

/// Forward. See [`crate::kernels::DenseForward`].
pub fn forward<S: Simd>(
    g: &DenseGeometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    _: &mut [f32],
) {
    g.check(x, weight, y);
    assert!(bias.is_none_or(|b| b.len() == g.outputs), "one bias per output");
    if g.lanes == 1 {
        return forward_single::<S>(g, x, weight, bias, y);
    }
    let per_job = Parts::new(g.outputs, OUTPUTS);
    let chunk = (CHUNK / WIDTH / g.blocks.max(1)).max(64);
    let to = Shared::new(y);
    par::jobs(if g.blocks == 0 { 0 } else { per_job.count }, |job| {
        let outputs = per_job.get(job);
        for first in (0..g.inputs.max(1)).step_by(chunk) {
            for part in Parts::new(outputs.len(), ROWS).iter() {
                let part = outputs.start + part.start..outputs.start + part.end;
                let mut start = [0.0; MOST];
                if let Some(bias) = bias {
                    start[..part.len()].copy_from_slice(&bias[part.clone()]);
                }
                let at = (x[first * WIDTH..].as_ptr(), weight[part.start * g.inputs + first..].as_ptr());
                let job = outer::Job {
                    channels: chunk.min(g.inputs - first),
                    x_channel: WIDTH,
                    x_pixel: [0, g.inputs * WIDTH],
                    weight_lane: g.inputs,
                    weight_channel: 1,
                    start,
                    resume: first > 0,
                    y_channel: WIDTH,
                    y_pixel: [0, g.outputs * WIDTH],
                    pixels: [1, g.blocks],
                    ..outer::Job::blank(at.0, at.1, to.at(part.start * WIDTH))
                };
                // SAFETY: inputs, rows and blocks lie in arrays whose lengths are checked above; no other job writes
                // these outputs.
                unsafe { S::outer_rows(part.len(), &job) };
            }
        }
    });
}

/// Forward for single images: a few rows of W at a time.
fn forward_single<S: Simd>(
    g: &DenseGeometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let parts = Parts::new(g.outputs, ROWS_AT_ONCE);
    let to = Shared::new(y);
    par::jobs(g.blocks * parts.count, |job| {
        let (image, part) = (job / parts.count, parts.get(job % parts.count));
        let x = &x[image * g.inputs..][..g.inputs];
        let weight = &weight[part.start * g.inputs..part.end * g.inputs];
        let rows: [*const f32; ROWS_AT_ONCE] =
            std::array::from_fn(|i| weight.as_ptr().wrapping_add(i * g.inputs));
        let mut sums = [0.0; ROWS_AT_ONCE];
        if let Some(bias) = bias {
            sums[..part.len()].copy_from_slice(&bias[part.clone()]);
        }
        // SAFETY: the rows of the part are sliced above, each as long as x.
        unsafe { S::dot(&rows[..part.len()], x, &mut sums) };
        // SAFETY: the part lies in this image's outputs, and no other job has it.
        let y = unsafe { to.slice(image * g.outputs + part.start, part.len()) };
        y.copy_from_slice(&sums[..part.len()]);
    });
}

/// Data gradient. See [`crate::kernels::DensePull`].
pub fn pull<S: Simd>(g: &DenseGeometry, dy: &[f32], weight: &[f32], dx: &mut [f32], _: &mut [f32]) {
    g.check(dx, weight, dy);
    if g.lanes == 1 {
        return pull_single::<S>(g, dy, weight, dx);
    }
    let panels = Parts::new(g.inputs, PANEL);
    let to = Shared::new(dx);
    par::jobs(if g.blocks == 0 { 0 } else { panels.count }, |job| {
        let inputs = panels.get(job);
        let mut panel = Panel([0.0; DEPTH * PANEL]);
        for first in (0..g.outputs.max(1)).step_by(DEPTH) {
            let depth = DEPTH.min(g.outputs - first);
            for (row, o) in panel.0.chunks_exact_mut(PANEL).zip(first..first + depth) {
                let weight = &weight[o * g.inputs..][inputs.clone()];
                row[..inputs.len()].copy_from_slice(weight);
                // the same row of the next panel comes while this one is multiplied
                for line in (0..inputs.len()).step_by(WIDTH) {
                    S::prefetch(weight.as_ptr().wrapping_add(DEPTH * g.inputs + line));
                }
            }
            for part in Parts::new(inputs.len(), ROWS).iter() {
                let (at, weight) = (dy[first * WIDTH..].as_ptr(), panel.0[part.start..].as_ptr());
                let job = outer::Job {
                    channels: depth,
                    x_channel: WIDTH,
                    x_pixel: [0, g.outputs * WIDTH],
                    weight_channel: PANEL,
                    resume: first > 0,
                    y_channel: WIDTH,
                    y_pixel: [0, g.inputs * WIDTH],
                    pixels: [1, g.blocks],
                    ..outer::Job::blank(at, weight, to.at((inputs.start + part.start) * WIDTH))
                };
                // SAFETY: outputs and blocks lie in arrays whose lengths are checked above, the weights in the panel; no
                // other job writes these inputs.
                unsafe { S::outer(part.len(), &job) };
            }
        }
    });
}

/// The vectors of a row of W in a range of `inputs`: how many whole ones, and how many numbers are left.
fn vectors(inputs: &Range<usize>) -> (usize, usize) {
    (inputs.len() / WIDTH, inputs.len() % WIDTH)
}

/// Data gradient for single images: rows of W, weighted by dy; the images take the place of channels.
fn pull_single<S: Simd>(g: &DenseGeometry, dy: &[f32], weight: &[f32], dx: &mut [f32]) {
    let (tiles, images) = (Parts::new(g.inputs, 8 * WIDTH), Parts::new(g.blocks, ROWS));
    let to = Shared::new(dx);
    par::jobs(tiles.count * images.count, |job| {
        let (inputs, part) = (tiles.get(job / images.count), images.get(job % images.count));
        let (whole, rest) = vectors(&inputs);
        let job = outer::Job {
            channels: 1,
            taps: [1, g.outputs],
            x_tap: [0, g.inputs as isize],
            x_pixel: [0, WIDTH],
            weight_lane: g.outputs,
            weight_tap: [0, 1],
            y_channel: g.inputs,
            y_pixel: [0, WIDTH],
            pixels: [1, whole],
            ..outer::Job::blank(
                weight.as_ptr().wrapping_add(inputs.start),
                dy[part.start * g.outputs..].as_ptr(),
                to.at(part.start * g.inputs + inputs.start),
            )
        };
        // SAFETY: whole vectors of W's rows in this job's inputs, and its images' outputs, in arrays whose lengths the
        // caller checked; no other job writes these inputs of these images.
        unsafe { S::outer_rows(part.len(), &job) };
        if rest > 0 {
            pull_rest::<S>(g, dy, weight, inputs.end - rest..inputs.end, part, to);
        }
    });
}

/// The last, incomplete vector of the inputs, through whole ones.
fn pull_rest<S: Simd>(
    g: &DenseGeometry,
    dy: &[f32],
    weight: &[f32],
    inputs: Range<usize>,
    part: Range<usize>,
    to: Shared,
) {
    let mut sums = Panel([0.0; MOST * WIDTH]);
    let mut panel = Panel([0.0; DEPTH * WIDTH]);
    for first in (0..g.outputs).step_by(DEPTH) {
        let depth = DEPTH.min(g.outputs - first);
        for (row, o) in panel.0.chunks_exact_mut(WIDTH).zip(first..first + depth) {
            row[..inputs.len()].copy_from_slice(&weight[o * g.inputs..][inputs.clone()]);
        }
        let job = outer::Job {
            channels: depth,
            x_channel: WIDTH,
            weight_lane: g.outputs,
            weight_channel: 1,
            resume: true,
            y_channel: WIDTH,
            ..outer::Job::blank(
                panel.0.as_ptr(),
                dy[part.start * g.outputs + first..].as_ptr(),
                sums.0.as_mut_ptr(),
            )
        };
        // SAFETY: whole vectors of the panel and of the sums, and these outputs of these images.
        unsafe { S::outer_rows(part.len(), &job) };
    }
    for (image, sums) in part.zip(sums.0.chunks_exact(WIDTH)) {
        // SAFETY: these inputs of this image exist, and no other job has them.
        let dx = unsafe { to.slice(image * g.inputs + inputs.start, inputs.len()) };
        dx.copy_from_slice(&sums[..inputs.len()]);
    }
}

/// Parameter gradients. See [`crate::kernels::DensePullWeight`].
pub fn pull_weight<S: Simd>(
    g: &DenseGeometry,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
    dbias: Option<&mut [f32]>,
    scratch: &mut [f32],
) {
    if g.lanes == 1 {
        // bound by writing dW, row by row
        return crate::kernels::dense::pull_weight(g, x, dy, dweight, dbias, scratch);
    }
    g.check(x, dweight, dy);
    if let Some(dbias) = dbias {
        assert_eq!(dbias.len(), g.outputs, "one bias per output");
        portable::bias(dy, g.blocks, g.lanes, dbias);
    }
    if g.blocks == 0 {
        return dweight.fill(0.0);
    }
    let tiles = Parts::new(g.inputs, VECTORS);
    let to = Shared::new(dweight);
    let images = g.blocks * WIDTH;
    par::jobs(tiles.count, |job| {
        let inputs = job * VECTORS..g.inputs.min((job + 1) * VECTORS);
        let mut panel = Panel([0.0; DEPTH * VECTORS]);
        for first in (0..images).step_by(DEPTH) {
            let depth = DEPTH.min(images - first);
            gather::<S>(g, x, &inputs, first..first + depth, &mut panel);
            for part in Parts::new(g.outputs, ROWS).iter() {
                weight_tile::<S>(g, &inputs, first, depth, part, dy, &panel, to);
            }
        }
    });
}

/// Fills `panel [image][input]`.
fn gather<S: Simd>(
    g: &DenseGeometry,
    x: &[f32],
    inputs: &Range<usize>,
    images: Range<usize>,
    panel: &mut Panel<{ DEPTH * VECTORS }>,
) {
    let whole = inputs.len() / WIDTH * WIDTH;
    for (rows, block) in
        panel.0.chunks_exact_mut(WIDTH * VECTORS).zip(images.start / WIDTH..images.end / WIDTH)
    {
        let x = &x[(block * g.inputs + inputs.start) * WIDTH..][..inputs.len() * WIDTH];
        for k in (0..whole).step_by(WIDTH) {
            // SAFETY: sixteen inputs of a block of sixteen images; `rows` has sixteen rows.
            unsafe { S::transpose(x[k * WIDTH..].as_ptr(), WIDTH, rows[k..].as_mut_ptr(), VECTORS) };
        }
        for k in whole..inputs.len() {
            for (image, row) in rows.chunks_exact_mut(VECTORS).enumerate() {
                row[k] = x[k * WIDTH + image];
            }
        }
    }
}

/// Adds `depth` images from `first` on to the weights of a `part` of the outputs.
#[allow(clippy::too_many_arguments)]
fn weight_tile<S: Simd>(
    g: &DenseGeometry,
    inputs: &Range<usize>,
    first: usize,
    depth: usize,
    part: Range<usize>,
    dy: &[f32],
    panel: &Panel<{ DEPTH * VECTORS }>,
    to: Shared,
) {
    let (whole, rest) = vectors(inputs);
    let y = to.at(part.start * g.inputs + inputs.start);
    let job = outer::Job {
        channels: depth / WIDTH,
        taps: [1, WIDTH],
        x_channel: WIDTH * VECTORS,
        x_tap: [0, VECTORS as isize],
        x_pixel: [0, WIDTH],
        weight_lane: WIDTH,
        weight_channel: g.outputs * WIDTH,
        weight_tap: [0, 1],
        resume: first > 0,
        y_channel: g.inputs,
        y_pixel: [0, WIDTH],
        pixels: [1, whole],
        ..outer::Job::blank(
            panel.0.as_ptr(),
            dy[(first / WIDTH * g.outputs + part.start) * WIDTH..].as_ptr(),
            y,
        )
    };
    // SAFETY: the panel holds these images; dy, whose length the caller checked, these outputs of them; no other job
    // writes these weights.
    unsafe { S::outer_rows(part.len(), &job) };
    if rest == 0 {
        return;
    }
    // the last, incomplete vector of each row goes through a whole one of its own
    let mut last = Panel([0.0; MOST * WIDTH]);
    let places = |i: usize| (i * WIDTH, y.wrapping_add(i * g.inputs + whole * WIDTH));
    for i in 0..part.len() {
        let (at, y) = places(i);
        // SAFETY: as above: the rest of a row. Nobody has written it before the first image.
        last.0[at..at + rest].copy_from_slice(unsafe { std::slice::from_raw_parts(y, rest) });
    }
    let x = panel.0[whole * WIDTH..].as_ptr();
    let job = outer::Job { x, y: last.0.as_mut_ptr(), y_channel: WIDTH, pixels: [1; 2], ..job };
    // SAFETY: as above; `last` has a vector for every output, and the panel's rows hold whole vectors.
    unsafe { S::outer_rows(part.len(), &job) };
    for i in 0..part.len() {
        let (at, y) = places(i);
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(y, rest) }.copy_from_slice(&last.0[at..at + rest]);
    }
}
