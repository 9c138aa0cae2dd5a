//! Convolution by tiles: forward, data gradient, weight gradient, blocks of sixteen images.
//!
//! Forward and data gradient are one sweep: a job is one image block and one part of the written channels; its pixels
//! go by classes that read the same taps ([`Axis::runs`]), and each number is summed over (channel, row, column). They
//! differ in the axes and in how the weights are packed: `[part][read channel][kh][kw][channel of the part]`.
//!
//! The weight gradient's job is one part of the output channels, one of the input channels and all taps (or one kernel
//! row, where jobs would be few); it walks the image blocks in order, so no sum is shared between threads.
#![allow(unsafe_code)]

use super::axis::Axis;
use super::pack::Packing;
use super::{MOST, Parts, Shared, Simd, WIDTH, inner, outer, single};
use crate::kernels::planes::Then;
use crate::kernels::{ConvGeometry, conv as portable, par};
use std::ops::Range;

/// Jobs of the weight gradient below which kernel rows become jobs of their own.
const FEW_JOBS: usize = 16;

/// Numbers that a strip of rows reads from a chunk of channels at most: 256 KiB, which leaves room for the next chunk in
/// the second-level cache. Planes often lie a power of two apart, and too many of them compete for the same places.
const READ: usize = 1 << 16;

/// The fewest channels that are read at once, twice as many where strips then still have [`ROWS`] rows: sums leave the
/// registers less often.
const FEWEST: usize = 16;

/// Rows below which a strip reads too many of them twice.
const ROWS: usize = 8;

/// Output pixels that a weight-gradient tile should see before its sums are folded.
const PIXELS_PER_FOLD: usize = 512;

/// Scratch: the packed weights; more for single images.
pub fn scratch(g: &ConvGeometry) -> usize {
    if g.lanes == 1 { single::scratch(g) } else { g.weight_len() }
}

/// Forward. See [`crate::kernels::ConvForward`].
pub fn forward<S: Simd>(
    g: &ConvGeometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    scratch: &mut [f32],
    then: Option<Then<'_, f32>>,
) {
    g.check(x, weight, y);
    assert!(bias.is_none_or(|b| b.len() == g.c_out), "one bias per output channel");
    if g.lanes == 1 {
        return single::forward::<S>(g, x, weight, bias, y, scratch, then);
    }
    let sweep = Sweep {
        blocks: g.blocks,
        packing: Packing::forward(g, S::CHANNELS),
        read_size: g.input,
        written_size: g.output,
        kernel: g.window.kernel,
        axes: [0, 1].map(|a| Axis::forward(g.window, a, g.input[a], g.output[a])),
    };
    sweep.run::<S>(x, weight, bias, y, scratch, then);
}

/// Data gradient. See [`crate::kernels::ConvPull`].
pub fn pull<S: Simd>(g: &ConvGeometry, dy: &[f32], weight: &[f32], dx: &mut [f32], scratch: &mut [f32]) {
    g.check(dx, weight, dy);
    if g.lanes == 1 {
        return single::pull::<S>(g, dy, weight, dx, scratch);
    }
    let sweep = Sweep {
        blocks: g.blocks,
        packing: Packing::back(g, S::CHANNELS),
        read_size: g.output,
        written_size: g.input,
        kernel: g.window.kernel,
        axes: [0, 1].map(|a| Axis::back(g.window, a, g.input[a], g.output[a])),
    };
    sweep.run::<S>(dy, weight, None, dx, scratch, None);
}

/// What forward and data gradient have in common.
struct Sweep {
    blocks: usize,
    packing: Packing,
    read_size: [usize; 2],
    written_size: [usize; 2],
    kernel: [usize; 2],
    axes: [Axis; 2],
}

impl Sweep {
    /// `to [blocks][groups * written][size][16]` from `from [blocks][groups * read][size][16]`; the caller has checked
    /// the lengths. Each job ends with `then` on the planes that it wrote.
    fn run<S: Simd>(
        &self,
        from: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        to: &mut [f32],
        scratch: &mut [f32],
        then: Option<Then<'_, f32>>,
    ) {
        let Packing { groups, written, parts, .. } = self.packing;
        let packed = &mut scratch[..weight.len()];
        self.packing.pack(weight, packed);
        let packed = &*packed;
        let to = Shared::new(to);
        par::jobs(self.blocks * groups * parts.count, |job| {
            let (block, group, part) =
                (job / parts.count / groups, job / parts.count % groups, parts.get(job % parts.count));
            let mut start = [0.0; MOST];
            if let Some(bias) = bias {
                start[..part.len()].copy_from_slice(&bias[group * written..][part.clone()]);
            }
            self.part::<S>(block, group, part.clone(), from, packed, start, to);
            if let Some(then) = &then {
                let plane = self.written_size[0] * self.written_size[1] * WIDTH;
                let first = (block * groups + group) * written + part.start;
                // SAFETY: this job alone has these planes of `to`, and has written them.
                unsafe { then.planes(first, to.slice(first * plane, part.len() * plane)) };
            }
        });
    }

    /// One image block, one part of a group's written channels.
    #[allow(clippy::too_many_arguments)]
    fn part<S: Simd>(
        &self,
        block: usize,
        group: usize,
        part: Range<usize>,
        from: &[f32],
        packed: &[f32],
        start: [f32; MOST],
        to: Shared,
    ) {
        let (Packing { groups, read, written, taps, .. }, n) = (self.packing, part.len());
        let [read_w, written_w] = [self.read_size[1] * WIDTH, self.written_size[1] * WIDTH];
        let read_plane = self.read_size[0] * read_w;
        let written_plane = self.written_size[0] * written_w;
        let from = &from[(block * groups + group) * read * read_plane..][..read * read_plane];
        let (place, len) = self.packing.place(group, &part);
        let packed = &packed[place..][..len];
        let to = to.at(((block * groups + group) * written + part.start) * written_plane);
        let fewest = if 2 * FEWEST * ROWS * read_w <= READ { 2 * FEWEST } else { FEWEST };
        let chunk = (READ / read_plane.max(1)).max(fewest);
        let strip = (READ / (chunk * read_w).max(1)).max(1);
        for rows in self.axes[0].runs().flat_map(|rows| rows.split(strip)) {
            for first in (0..read.max(1)).step_by(chunk) {
                for columns in self.axes[1].runs() {
                    let none = rows.taps == 0 || columns.taps == 0;
                    let tap = if none { 0 } else { rows.tap * self.kernel[1] + columns.tap };
                    let source = first * read_plane + rows.source * read_w + columns.source * WIDTH;
                    let job = outer::Job {
                        channels: if none { 0 } else { chunk.min(read - first) },
                        taps: [rows.taps, columns.taps],
                        x: from.as_ptr().wrapping_add(source),
                        x_channel: read_plane,
                        x_tap: [rows.source_tap * read_w as isize, columns.source_tap * WIDTH as isize],
                        x_pixel: [rows.source_step * read_w, columns.source_step * WIDTH],
                        x_ahead: if taps > 1 && first + chunk < read { chunk * read_plane } else { 0 },
                        weight: packed.as_ptr().wrapping_add((first * taps + tap) * n),
                        weight_lane: 1,
                        weight_channel: taps * n,
                        weight_tap: [rows.tap_step * self.kernel[1] * n, columns.tap_step * n],
                        start,
                        resume: first > 0,
                        y: to.wrapping_add(rows.first * written_w + columns.first * WIDTH),
                        y_channel: written_plane,
                        y_pixel: [rows.step * written_w, columns.step * WIDTH],
                        pixels: [rows.count, columns.count],
                    };
                    // SAFETY: the slices above hold the read channels and the packed weights of this job; runs stay
                    // inside both images; the written planes are this job's own and inside `to`, whose length the
                    // caller checked.
                    unsafe { S::outer(n, &job) };
                }
            }
        }
    }
}

/// Parameter gradients. See [`crate::kernels::ConvPullWeight`].
pub fn pull_weight<S: Simd>(
    g: &ConvGeometry,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
    dbias: Option<&mut [f32]>,
    scratch: &mut [f32],
) {
    g.check(x, dweight, dy);
    if let Some(dbias) = dbias {
        let plane = g.output[0] * g.output[1] * g.lanes;
        portable::bias(dy, g.blocks, plane, dbias);
    }
    if g.lanes == 1 {
        return single::pull_weight::<S>(g, x, dy, dweight, scratch);
    }
    let (ci, co) = (g.c_in / g.groups, g.c_out / g.groups);
    let tile = inner::full::<S>(ci, g.window.kernel[1]);
    let (outs, ins) = (Parts::new(co, tile[0]), Parts::new(ci, tile[1]));
    let few = g.groups * outs.count * ins.count < FEW_JOBS;
    let row_jobs = if few { g.window.kernel[0] } else { 1 };
    let to = Shared::new(dweight);
    par::jobs(g.groups * outs.count * ins.count * row_jobs, |job| {
        let (row, job) = (job % row_jobs, job / row_jobs);
        let (ins_at, job) = (job % ins.count, job / ins.count);
        let rows = if few { row..row + 1 } else { 0..g.window.kernel[0] };
        let (group, outs, ins) = (job / outs.count, outs.get(job % outs.count), ins.get(ins_at));
        WeightPart { g, group, outs, ins, most_taps: tile[2] }.run::<S>(rows, x, dy, to);
    });
}

/// The weights between a part of a group's output channels and one of its input channels.
struct WeightPart<'a> {
    g: &'a ConvGeometry,
    group: usize,
    outs: Range<usize>,
    ins: Range<usize>,
    most_taps: usize,
}

impl WeightPart<'_> {
    /// The taps of `rows` of the kernel. Blocks are walked in chunks that are large enough to pay for folding the sums
    /// and, taken tap by tap, small enough to stay in the cache.
    fn run<S: Simd>(&self, rows: Range<usize>, x: &[f32], dy: &[f32], to: Shared) {
        let g = self.g;
        let chunk = PIXELS_PER_FOLD.div_ceil((g.output[0] * g.output[1]).max(1));
        for u in rows.clone() {
            for v in 0..g.window.kernel[1] {
                self.clear([u, v], to);
            }
        }
        for first in (0..g.blocks).step_by(chunk) {
            let blocks = first..(first + chunk).min(g.blocks);
            for u in rows.clone() {
                for taps in Parts::new(g.window.kernel[1], self.most_taps).iter() {
                    match self.columns(&taps) {
                        Some((first, columns)) => self.tile::<S>(u, taps, first, columns, &blocks, x, dy, to),
                        None => taps.for_each(|v| {
                            let own = g.window.outputs_of_tap(1, v, g.input[1], g.output[1]);
                            let columns = [0, 0, own.len(), 0, 0];
                            self.tile::<S>(u, v..v + 1, own.start, columns, &blocks, x, dy, to);
                        }),
                    }
                }
            }
        }
    }

    /// The first output column that reads any of the taps, and how many read which, as [`inner::Job`] wants them. `None`
    /// where no column reads them all.
    fn columns(&self, taps: &Range<usize>) -> Option<(usize, [usize; 5])> {
        let g = self.g;
        let of = |v: usize| g.window.outputs_of_tap(1, v, g.input[1], g.output[1]);
        let (first, last) = (of(taps.start), of(taps.end - 1));
        if first.start >= last.end {
            return None;
        }
        let middle = if taps.len() == 3 { of(taps.start + 1) } else { last.clone() };
        let start = last.start;
        let all = last.end - first.start;
        let counts = [
            middle.start - start,
            first.start - middle.start,
            all,
            middle.end - last.end,
            first.end - middle.end,
        ];
        // with two taps the middle one is the last
        Some((start, if taps.len() == 2 { [0, counts[1], all, counts[4], 0] } else { counts }))
    }

    /// Adds the products over all output rows that kernel row u reads and the given columns, at neighbouring taps.
    #[allow(clippy::too_many_arguments)]
    fn tile<S: Simd>(
        &self,
        u: usize,
        taps: Range<usize>,
        first: usize,
        columns: [usize; 5],
        blocks: &Range<usize>,
        x: &[f32],
        dy: &[f32],
        to: Shared,
    ) {
        let g = self.g;
        let rows = g.window.outputs_of_tap(0, u, g.input[0], g.output[0]);
        if rows.is_empty() || columns == [0; 5] {
            return;
        }
        let (ci, co) = (g.c_in / g.groups, g.c_out / g.groups);
        let [x_row, dy_row] = [g.input[1] * WIDTH, g.output[1] * WIDTH];
        let (x_plane, dy_plane) = (g.input[0] * x_row, g.output[0] * dy_row);
        let source = |a: usize, o: usize, tap: usize| {
            (o * g.window.stride[a] + tap * g.window.dilation[a]).wrapping_sub(g.window.pad[a])
        };
        let x_channel = blocks.start * g.c_in + self.group * ci + self.ins.start;
        let dy_channel = blocks.start * g.c_out + self.group * co + self.outs.start;
        let x_at = (x_channel * x_plane + source(0, rows.start, u) * x_row)
            .wrapping_add(source(1, first, taps.start).wrapping_mul(WIDTH));
        let job = inner::Job {
            blocks: blocks.len(),
            rows: rows.len(),
            columns,
            dy: dy[dy_channel * dy_plane + rows.start * dy_row + first * WIDTH..].as_ptr(),
            dy_plane,
            dy_block: g.c_out * dy_plane,
            dy_pixel: [dy_row, WIDTH],
            x: x.as_ptr().wrapping_add(x_at),
            x_plane,
            x_tap: g.window.dilation[1] * WIDTH,
            x_block: g.c_in * x_plane,
            x_pixel: [g.window.stride[0] * x_row, g.window.stride[1] * WIDTH],
            // the first taps fetch the planes of the next job
            x_ahead: if u == 0 && taps.start == 0 && self.ins.end < ci {
                self.ins.len() * x_plane
            } else {
                0
            },
        };
        let sizes = [self.outs.len(), self.ins.len(), taps.len()];
        let mut sums = inner::Sums([0.0; 24 * WIDTH]);
        // SAFETY: the channels, blocks, rows and columns lie in arrays whose lengths the caller checked, and every column
        // reads real input at each of its taps.
        unsafe { S::inner(sizes, &job, &mut sums) };
        let mut values = [0.0; 24];
        inner::fold(&sums, &mut values[..sizes.iter().product()]);
        for (o, values) in self.outs.clone().zip(values.chunks_exact(sizes[1] * sizes[2])) {
            for (c, values) in self.ins.clone().zip(values.chunks_exact(sizes[2])) {
                let place = self.place(o, c, [u, taps.start]);
                for (t, value) in values.iter().enumerate() {
                    // SAFETY: both channels and the tap exist, and no other job has them.
                    unsafe { *to.at(place + t) += value };
                }
            }
        }
    }

    /// Where the weight between two channels of the group at tap [u, v] lies.
    fn place(&self, o: usize, c: usize, [u, v]: [usize; 2]) -> usize {
        let g = self.g;
        let ([kh, kw], ci, co) = (g.window.kernel, g.c_in / g.groups, g.c_out / g.groups);
        (((self.group * co + o) * ci + c) * kh + u) * kw + v
    }

    /// Zeroes the weights of a tap.
    fn clear(&self, tap: [usize; 2], to: Shared) {
        for o in self.outs.clone() {
            for c in self.ins.clone() {
                // SAFETY: both channels and the tap exist, and no other job has them.
                unsafe { *to.at(self.place(o, c, tap)) = 0.0 };
            }
        }
    }
}
