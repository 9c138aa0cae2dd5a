//! Convolution of single images: a vector is sixteen neighbouring pixels.
//!
//! Images are first copied with their padding, one plane for each residue of the stride, all rows of a plane equally
//! long. Then the output pixels of all rows, taken as one long line with the same row length, read every tap at a
//! constant distance: the line is cut into vectors, whatever the width, and the tiles of batches do the rest. The few
//! pixels between the rows are computed and thrown away. Here taps on padding do multiply zeros.
//!
//! For the weight gradient, u d = s e + r is the place e of tap u in the plane of residue r. For the data gradient, an
//! input position a + p = s m + r reads, at tap u, the output m - e: a line for each residue r. Forward and data gradient
//! sum over (channel, row, column), as batches do, so an image gives the same bits alone and among others; forward with
//! strides needs another copy for that ([`super::unrolled`]).
#![allow(unsafe_code)]

use super::pack::Packing;
use super::{MOST, Parts, Shared, Simd, WIDTH, inner, outer, unrolled};
use crate::kernels::planes::Then;
use crate::kernels::{ConvGeometry, par};
use crate::window::Window;

/// Vectors of a line per job.
const VECTORS: usize = 48;

/// Taps u of one axis for which u d = s e + residue.
#[derive(Clone, Copy)]
struct Taps {
    first: usize,
    step: usize,
    count: usize,
    /// e of the first tap.
    place: usize,
    /// How much e grows per tap.
    place_step: usize,
}

impl Taps {
    /// All taps of an axis, where the residues do not matter.
    fn all(count: usize) -> Self {
        Self { first: 0, step: 1, count, place: 0, place_step: 1 }
    }

    fn of(window: &Window, axis: usize, residue: usize) -> Self {
        let (s, d, kernel) = (window.stride[axis], window.dilation[axis], window.kernel[axis]);
        let fits = |u: &usize| u * d % s == residue;
        let first = (0..kernel).find(fits).unwrap_or(kernel);
        let step = (first + 1..kernel).find(fits).map_or(kernel, |next| next - first);
        let place = (first * d).saturating_sub(residue) / s;
        Self { first, step, count: (kernel - first).div_ceil(step), place, place_step: step * d / s }
    }
}

/// Lines over the outputs (forward, weight gradient) or over the inputs of a residue (data gradient).
#[derive(Clone, Copy)]
struct Lines {
    window: Window,
    /// Furthest place of a tap, per axis.
    reach: [usize; 2],
    /// Pixels of a line: rows, and pixels of a row that count.
    size: [usize; 2],
    /// Rows and row length of a padded plane.
    plane: [usize; 2],
    /// First m of the data gradient.
    start: [usize; 2],
}

impl Lines {
    fn new(window: Window, size: [usize; 2], start: [usize; 2]) -> Self {
        let reach = [0, 1].map(|a| (window.span(a) - 1) / window.stride[a]);
        Self { window, reach, size, plane: [size[0] + reach[0], size[1] + reach[1]], start }
    }

    fn forward(g: &ConvGeometry) -> Self {
        Self::new(g.window, g.output, [0; 2])
    }

    fn back(g: &ConvGeometry) -> Self {
        let start = [0, 1].map(|a| g.window.pad[a] / g.window.stride[a]);
        let end = [0, 1].map(|a| (g.input[a] + g.window.pad[a]).div_ceil(g.window.stride[a]));
        Self::new(g.window, [end[0] - start[0], end[1] - start[1]], start)
    }

    fn residues(&self) -> usize {
        self.window.stride[0] * self.window.stride[1]
    }

    /// Residues per axis and their taps.
    fn taps(&self, residue: usize) -> [Taps; 2] {
        let columns = self.window.stride[1];
        [Taps::of(&self.window, 0, residue / columns), Taps::of(&self.window, 1, residue % columns)]
    }

    fn vectors(&self) -> usize {
        (self.size[0] * self.plane[1]).div_ceil(WIDTH)
    }

    /// Numbers in a line.
    fn line(&self) -> usize {
        self.vectors() * WIDTH
    }

    /// Forward without strides: taps are steps within a padded plane.
    fn reads(&self) -> Reads {
        let (row, dilation) = (self.plane[1], self.window.dilation);
        let tap = [(dilation[0] * row) as isize, dilation[1] as isize];
        Reads { channel: self.area(), tap, row, line: self.line() }
    }

    /// Numbers in a padded plane.
    fn area(&self) -> usize {
        self.plane[0] * self.plane[1]
    }

    /// Numbers in `planes` padded planes; the last vector of the last line may read that far beyond.
    fn padded(&self, planes: usize) -> usize {
        (planes * self.area() + self.plane[1] + WIDTH).next_multiple_of(WIDTH)
    }
}

/// Scratch: lines, padded planes, packed weights.
pub fn scratch(g: &ConvGeometry) -> usize {
    let (ahead, back) = (Lines::forward(g), Lines::back(g));
    let residues = ahead.residues();
    // the weight gradient has no packed weights, but as many padded planes as strides make residues
    let gradient = g.blocks * g.c_out * ahead.line() + ahead.padded(g.blocks * g.c_in * residues);
    let forward = if residues > 1 { gradient.max(unrolled::scratch(g)) } else { gradient };
    let pull = g.blocks * g.c_in * residues * back.line() + back.padded(g.blocks * g.c_out);
    forward.max(pull) + g.weight_len()
}

/// Copies `x [blocks][c_in][h][w]` into padded planes, `[blocks][c_in][residue][rows][row]`.
fn pad_input(g: &ConvGeometry, lines: &Lines, x: &[f32], padded: &mut [f32]) {
    let ([h, w], [rows, row]) = (g.input, lines.plane);
    let (stride, pad) = (g.window.stride, g.window.pad);
    let (planes, beyond) = padded.split_at_mut(g.blocks * g.c_in * lines.residues() * lines.area());
    beyond.fill(0.0);
    par::chunks(planes, lines.residues() * lines.area(), |channel, planes| {
        let x = &x[channel * h * w..][..h * w];
        for (i, to) in planes.chunks_exact_mut(row).enumerate() {
            let (residue, i) = (i / rows, i % rows);
            let (r, q) = (residue / stride[1], residue % stride[1]);
            to.fill(0.0);
            let Some(a) = (i * stride[0] + r).checked_sub(pad[0]).filter(|&a| a < h) else { continue };
            // the first place of the row on real input
            let first = pad[1].saturating_sub(q).div_ceil(stride[1]).min(row);
            let from = x[a * w..][..w].iter().skip((first * stride[1] + q).saturating_sub(pad[1]));
            for (to, &x) in to[first..].iter_mut().zip(from.step_by(stride[1])) {
                *to = x;
            }
        }
    });
}

/// What forward and data gradient have in common: lines from planes.
struct Sweep<'a> {
    /// Vectors of a line.
    vectors: usize,
    /// Columns of the kernel.
    columns: usize,
    /// Images.
    blocks: usize,
    /// How the weights lie.
    packing: Packing,
    /// What the lines are summed from.
    planes: &'a [f32],
    /// The weights.
    packed: &'a [f32],
}

impl Sweep<'_> {
    /// For every job (image, group, part of the written channels, run of vectors): `f(image, group, part, first vector,
    /// vectors)`.
    fn jobs(&self, f: impl Fn(usize, usize, std::ops::Range<usize>, usize, usize) + Sync + Send) {
        let (parts, groups) = (self.packing.parts, self.packing.groups);
        let runs = Parts::new(self.vectors, VECTORS);
        par::jobs(self.blocks * groups * parts.count * runs.count, |job| {
            let (run, job) = (runs.get(job % runs.count), job / runs.count);
            let (part, job) = (parts.get(job % parts.count), job / parts.count);
            f(job / groups, job % groups, part, run.start, run.len());
        });
    }

    /// The tile job of a part, from the number `at` of the planes on; its steps and its target are the caller's.
    fn job(
        &self,
        at: usize,
        group: usize,
        part: &std::ops::Range<usize>,
        taps: [Taps; 2],
        vectors: usize,
    ) -> outer::Job {
        let n = part.len();
        let kw = self.columns;
        let (place, len) = self.packing.place(group, part);
        let none = taps[0].count == 0 || taps[1].count == 0;
        let first = if none { 0 } else { taps[0].first * kw + taps[1].first };
        outer::Job {
            channels: if none { 0 } else { self.packing.read },
            taps: [taps[0].count, taps[1].count],
            x: self.planes[at..].as_ptr(),
            x_channel: 0,
            x_tap: [0; 2],
            x_pixel: [0, WIDTH],
            x_ahead: 0,
            weight: self.packed[place..][..len][first * n..].as_ptr(),
            weight_lane: 1,
            weight_channel: self.packing.taps * n,
            weight_tap: [taps[0].step * kw * n, taps[1].step * n],
            start: [0.0; MOST],
            resume: false,
            y: std::ptr::null_mut(),
            y_channel: 0,
            y_pixel: [0, WIDTH],
            pixels: [1, vectors],
        }
    }
}

/// How forward reads its planes.
pub struct Reads {
    /// Numbers per input channel.
    pub channel: usize,
    /// Steps to the next tap.
    pub tap: [isize; 2],
    /// Numbers of a line that belong to one row of outputs, those between rows with them.
    pub row: usize,
    /// Numbers of a line.
    pub line: usize,
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
    let lines = Lines::forward(g);
    let strided = lines.residues() > 1;
    let reads = if strided { unrolled::reads(g) } else { lines.reads() };
    let Reads { channel: area, line, row, tap } = reads;
    let (to, rest) = scratch.split_at_mut(g.blocks * g.c_out * line);
    let planes = g.blocks * g.c_in;
    let (planes, rest) = rest.split_at_mut(if strided { planes * area } else { lines.padded(planes) });
    let packed = &mut rest[..weight.len()];
    let packing = Packing::forward(g, S::CHANNELS);
    if strided {
        unrolled::unroll(g, x, planes);
    } else {
        pad_input(g, &lines, x, planes);
    }
    packing.pack(weight, packed);
    let [kh, kw] = g.window.kernel;
    let sweep = Sweep { vectors: line / WIDTH, columns: kw, blocks: g.blocks, packing, planes, packed };
    let shared = Shared::new(to);
    sweep.jobs(|image, group, part, first, vectors| {
        let from = image * g.c_in + group * packing.read;
        let channel = group * packing.written + part.start;
        let every = [Taps::all(kh), Taps::all(kw)];
        let mut job = outer::Job {
            x_channel: area,
            x_tap: tap,
            y: shared.at((image * g.c_out + channel) * line + first * WIDTH),
            y_channel: line,
            ..sweep.job(from * area + first * WIDTH, group, &part, every, vectors)
        };
        if let Some(bias) = bias {
            job.start[..part.len()].copy_from_slice(&bias[channel..][..part.len()]);
        }
        // SAFETY: the vectors of the line read inside the planes and the slack behind them; the line is this job's own
        // in `to`.
        unsafe { S::outer(part.len(), &job) };
    });
    let [oh, ow] = g.output;
    let to = &*to;
    par::chunks(y, oh * ow, |channel, y| {
        let line = &to[channel * line..][..line];
        for (y, line) in y.chunks_exact_mut(ow).zip(line.chunks(row)) {
            y.copy_from_slice(&line[..ow]);
        }
    });
    if let Some(then) = then {
        then.all(y);
    }
}

/// Data gradient; the caller has checked the lengths.
pub fn pull<S: Simd>(g: &ConvGeometry, dy: &[f32], weight: &[f32], dx: &mut [f32], scratch: &mut [f32]) {
    let lines = Lines::back(g);
    let residues = lines.residues();
    let (to, rest) = scratch.split_at_mut(g.blocks * g.c_in * residues * lines.line());
    let (padded, rest) = rest.split_at_mut(lines.padded(g.blocks * g.c_out));
    let packed = &mut rest[..weight.len()];
    let packing = Packing::back(g, S::CHANNELS);
    pad_gradient(g, &lines, dy, padded);
    packing.pack(weight, packed);
    let columns = g.window.kernel[1];
    let sweep =
        Sweep { vectors: lines.vectors(), columns, blocks: g.blocks, packing, planes: padded, packed };
    let (shared, row) = (Shared::new(to), lines.plane[1]);
    sweep.jobs(|image, group, part, first, vectors| {
        let from = image * g.c_out + group * packing.read;
        let channel = image * g.c_in + group * packing.written + part.start;
        for residue in 0..residues {
            let taps = lines.taps(residue);
            let none = taps[0].count == 0 || taps[1].count == 0;
            let place = |a: usize| if none { 0 } else { lines.reach[a] - taps[a].place };
            let at = from * lines.area() + place(0) * row + place(1) + first * WIDTH;
            let job = outer::Job {
                x_channel: lines.area(),
                x_tap: [-((taps[0].place_step * row) as isize), -(taps[1].place_step as isize)],
                y: shared.at((channel * residues + residue) * lines.line() + first * WIDTH),
                y_channel: residues * lines.line(),
                ..sweep.job(at, group, &part, taps, vectors)
            };
            // SAFETY: the vectors of the line read inside the padded planes and the slack behind them; the line is this
            // job's own in `to`.
            unsafe { S::outer(part.len(), &job) };
        }
    });
    let ([h, w], [s, t], pad) = (g.input, g.window.stride, g.window.pad);
    let to = &*to;
    par::chunks(dx, h * w, |channel, dx| {
        let of_channel = &to[channel * residues * lines.line()..][..residues * lines.line()];
        for (a, dx) in dx.chunks_exact_mut(w).enumerate() {
            let (r, i) = ((a + pad[0]) % s, (a + pad[0]) / s - lines.start[0]);
            for q in 0..t {
                // the columns b with b + p = t m + q
                let b = (q + t - pad[1] % t) % t;
                let line = &of_channel[(r * t + q) * lines.line()..][i * row..];
                let from = line[((b + pad[1]) / t - lines.start[1]).min(line.len())..].iter();
                for (dx, &value) in dx.iter_mut().skip(b).step_by(t).zip(from) {
                    *dx = value;
                }
            }
        }
    });
}

/// Copies `dy [blocks][c_out][oh][ow]` into padded planes whose first row is the output `start - reach`.
fn pad_gradient(g: &ConvGeometry, lines: &Lines, dy: &[f32], padded: &mut [f32]) {
    let ([oh, ow], [_, row]) = (g.output, lines.plane);
    let (planes, beyond) = padded.split_at_mut(g.blocks * g.c_out * lines.area());
    beyond.fill(0.0);
    par::chunks(planes, lines.area(), |channel, plane| {
        let dy = &dy[channel * oh * ow..][..oh * ow];
        // place of output o: o + reach - start
        let places = |a: usize| {
            (lines.reach[a].saturating_sub(lines.start[a]), lines.start[a].saturating_sub(lines.reach[a]))
        };
        let ((top, above), (left, before)) = (places(0), places(1));
        for (i, to) in plane.chunks_exact_mut(row).enumerate() {
            to.fill(0.0);
            let Some(o) = (i + above).checked_sub(top).filter(|&o| o < oh) else { continue };
            for (to, &d) in to.iter_mut().skip(left).zip(dy[o * ow..][..ow].iter().skip(before)) {
                *to = d;
            }
        }
    });
}

/// Weight gradient; the caller has checked the lengths.
pub fn pull_weight<S: Simd>(
    g: &ConvGeometry,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
    scratch: &mut [f32],
) {
    let lines = Lines::forward(g);
    let (gradient, rest) = scratch.split_at_mut(g.blocks * g.c_out * lines.line());
    let padded = &mut rest[..lines.padded(g.blocks * g.c_in * lines.residues())];
    pad_input(g, &lines, x, padded);
    let ([oh, ow], row) = (g.output, lines.plane[1]);
    par::chunks(gradient, lines.line(), |channel, line| {
        let dy = &dy[channel * oh * ow..][..oh * ow];
        line.fill(0.0);
        for (line, dy) in line.chunks_mut(row).zip(dy.chunks_exact(ow)) {
            line[..ow].copy_from_slice(dy);
        }
    });
    let (gradient, padded) = (&*gradient, &*padded);
    let (ci, co) = (g.c_in / g.groups, g.c_out / g.groups);
    // neighbouring taps lie side by side where they have the same residue
    let tile = inner::full::<S>(ci, if g.window.stride[1] == 1 { g.window.kernel[1] } else { 1 });
    let (outs, ins, taps) =
        (Parts::new(co, tile[0]), Parts::new(ci, tile[1]), Parts::new(g.window.kernel[1], tile[2]));
    let ([kh, kw], stride, area) = (g.window.kernel, g.window.stride, lines.area());
    let to = Shared::new(dweight);
    par::jobs(g.groups * outs.count * ins.count * kh, |job| {
        let (u, job) = (job % kh, job / kh);
        let (inputs, job) = (ins.get(job % ins.count), job / ins.count);
        let (outputs, group) = (outs.get(job % outs.count), job / outs.count);
        for taps in taps.iter() {
            let (a, b) = (u * g.window.dilation[0], taps.start * g.window.dilation[1]);
            let residue = a % stride[0] * stride[1] + b % stride[1];
            let plane = ((group * ci + inputs.start) * lines.residues() + residue) * area;
            let job = inner::Job {
                blocks: g.blocks,
                rows: 1,
                columns: [0, 0, lines.vectors(), 0, 0],
                dy: gradient.as_ptr().wrapping_add((group * co + outputs.start) * lines.line()),
                dy_plane: lines.line(),
                dy_block: g.c_out * lines.line(),
                dy_pixel: [0, WIDTH],
                x: padded.as_ptr().wrapping_add(plane + a / stride[0] * row + b / stride[1]),
                x_plane: lines.residues() * area,
                x_tap: g.window.dilation[1],
                x_block: g.c_in * lines.residues() * area,
                x_pixel: [0, WIDTH],
                x_ahead: 0,
            };
            let (mut sums, mut values) = (inner::Sums([0.0; 24 * WIDTH]), [0.0; 24]);
            let sizes = [outputs.len(), inputs.len(), taps.len()];
            // SAFETY: lines of these outputs, and vectors inside the padded planes of these inputs or the slack behind.
            unsafe { S::inner(sizes, &job, &mut sums) };
            inner::fold(&sums, &mut values[..sizes.iter().product()]);
            for (o, values) in outputs.clone().zip(values.chunks_exact(sizes[1] * sizes[2])) {
                for (c, values) in inputs.clone().zip(values.chunks_exact(sizes[2])) {
                    let place = (((group * co + o) * ci + c) * kh + u) * kw + taps.start;
                    // SAFETY: both channels and the taps exist, and no other job has them.
                    unsafe { to.slice(place, sizes[2]) }.copy_from_slice(values);
                }
            }
        }
    });
}
