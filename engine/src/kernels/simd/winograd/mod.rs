//! Convolution by Winograd's minimal filtering, F(2x2, 3x3): 16 multiplications for what takes 36 (Lavin and Gray 2015,
//! arXiv 1509.09308).
//!
//! Kernels become U, tiles of the input V, 4 x 4 points each; at every point the outputs' tiles are a product of
//! matrices, M = U V, which the register tile of [`super::outer`] computes. The data gradient is the same sweep with
//! flipped kernels; the weight gradient multiplies V with transformed tiles of the output's gradient ([`weights`]).
//! Tiles go in chunks, so that V stays in the cache; each job has its own part of M. Where few channels make all of it
//! small, a job takes rows of tiles from the input to the output on its own, and what it needs stays in its processor's
//! cache. Every number is summed over the channels (or the tiles and images) in order, so neither chunks nor threads
//! change a bit.
//!
//! Sums come out as exact as the direct kernels' to within a small factor, but not to the same bits, and where all
//! products of an output are zero it may come out as a rounding error; hence [`crate::kernels::Sums`].
#![allow(unsafe_code)]

pub mod transform;
pub mod weights;

use super::{Parts, Shared, Simd, WIDTH, conv, outer};
use crate::kernels::planes::Then;
use crate::kernels::{ConvGeometry, par};
use std::ops::Range;
use transform::{Input, Output, Places, Plane};

/// Points of a tile.
const POINTS: usize = 16;

/// Numbers in V of a chunk: 2 MiB, of which each processor has its share in the second-level cache,
const CHUNK: usize = 1 << 19;

/// but at least so many tiles, lest kernels be read and threads started too often.
const FEWEST: usize = 24;

/// Tiles of a job.
const TILES: usize = 6;

/// Written channels of a job that shares V with others, and of one that goes on its own.
const SLICES: [usize; 2] = [64, 16];

/// Channels below which the transforms cost more than the products save, read and written.
const LEAST: usize = 32;

/// Jobs that take rows of tiles on their own.
const JOBS: usize = 8;

/// Numbers in U and in V of a row of tiles that fit a second-level cache.
const OWN: usize = 1 << 18;

/// Points lie this much further apart than they are long, lest they compete for the same places of the cache.
const APART: usize = 5 * WIDTH;

/// Tiles in a chunk of so many channels, if rows of tiles are not longer.
fn chunk(channels: usize) -> usize {
    (CHUNK / (POINTS * channels * WIDTH)).max(FEWEST)
}

/// Whether these kernels take over from the direct ones. The number of images does not matter.
fn pays(g: &ConvGeometry) -> bool {
    let w = g.window;
    g.lanes == WIDTH
        && (w.kernel, w.stride, w.dilation, g.groups) == ([3; 2], [1; 2], [1; 2], 1)
        && g.c_in.min(g.c_out) >= LEAST
        && g.output[0].min(g.output[1]) >= 2
}

/// Scratch: what the hungriest of the three passes needs.
pub fn scratch<S: Simd>(g: &ConvGeometry) -> usize {
    let direct = conv::scratch(g);
    if !pays(g) {
        return direct;
    }
    let sweeps = [Sweep::forward(g), Sweep::back(g)].map(|sweep| sweep.scratch::<S>());
    direct.max(sweeps[0]).max(sweeps[1]).max(weights::scratch(g))
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
    if !pays(g) {
        return conv::forward::<S>(g, x, weight, bias, y, scratch, then);
    }
    g.check(x, weight, y);
    assert!(bias.is_none_or(|b| b.len() == g.c_out), "one bias per output channel");
    Sweep::forward(g).run::<S>(x, weight, bias, y, scratch, then);
}

/// Data gradient. See [`crate::kernels::ConvPull`].
pub fn pull<S: Simd>(g: &ConvGeometry, dy: &[f32], weight: &[f32], dx: &mut [f32], scratch: &mut [f32]) {
    if !pays(g) {
        return conv::pull::<S>(g, dy, weight, dx, scratch);
    }
    g.check(dx, weight, dy);
    Sweep::back(g).run::<S>(dy, weight, None, dx, scratch, None);
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
    if !pays(g) || !weights::pays(g) {
        return conv::pull_weight::<S>(g, x, dy, dweight, dbias, scratch);
    }
    weights::pull_weight::<S>(g, x, dy, dweight, dbias, scratch);
}

/// The rows of tiles of a batch: those of one block of images follow those of the one before.
#[derive(Clone, Copy)]
struct Rows {
    /// Tiles across and down a plane.
    across: usize,
    down: usize,
    /// Rows of tiles in a chunk.
    chunk: usize,
    /// Rows of tiles in all.
    all: usize,
}

impl Rows {
    fn new(blocks: usize, output: [usize; 2], tiles: usize) -> Self {
        let [down, across] = output.map(|n| n.div_ceil(2));
        Self { across, down, chunk: (tiles / across).max(1), all: blocks * down }
    }

    /// The rows of each chunk.
    fn chunks(self) -> impl Iterator<Item = Range<usize>> {
        (0..self.all).step_by(self.chunk).map(move |first| first..self.all.min(first + self.chunk))
    }

    /// Tiles in a chunk at most.
    fn most(self) -> usize {
        self.chunk * self.across
    }

    /// Block and first output row of a row of tiles.
    fn place(self, row: usize) -> (usize, usize) {
        (row / self.down, row % self.down * 2)
    }
}

/// What forward and data gradient have in common.
struct Sweep {
    rows: Rows,
    /// Channels that are read and written.
    read: usize,
    written: usize,
    read_size: [usize; 2],
    written_size: [usize; 2],
    /// Padding above and to the left.
    pad: [isize; 2],
    /// Steps between the weights of neighbouring written and read channels.
    steps: [usize; 2],
    /// Kernels are turned round.
    flipped: bool,
}

impl Sweep {
    fn forward(g: &ConvGeometry) -> Self {
        Self {
            rows: Rows::new(g.blocks, g.output, chunk(g.c_in)),
            read: g.c_in,
            written: g.c_out,
            read_size: g.input,
            written_size: g.output,
            pad: g.window.pad.map(|p| p as isize),
            steps: [9 * g.c_in, 9],
            flipped: false,
        }
    }

    fn back(g: &ConvGeometry) -> Self {
        Self {
            rows: Rows::new(g.blocks, g.input, chunk(g.c_out)),
            read: g.c_out,
            written: g.c_in,
            read_size: g.output,
            written_size: g.input,
            pad: g.window.pad.map(|p| 2 - p as isize),
            steps: [9, 9 * g.c_in],
            flipped: true,
        }
    }

    /// Tiles of a job: whole register tiles.
    fn tiles<S: Simd>() -> usize {
        TILES / S::PIXELS * S::PIXELS
    }

    /// The written channels in parts, one for each register tile, and the parts in slices, one for each job.
    fn parts<S: Simd>(&self) -> (Parts, Parts) {
        let parts = Parts::new(self.written, S::CHANNELS);
        (parts, Parts::new(parts.count, (self.slice() / S::CHANNELS).max(1)))
    }

    /// Numbers in U.
    fn u(&self) -> usize {
        POINTS * self.written * self.read
    }

    /// Numbers in V and in all jobs' parts of M, where jobs share them.
    fn shared<S: Simd>(&self) -> [usize; 2] {
        let most = self.rows.most();
        let jobs = most.div_ceil(Self::tiles::<S>()) * self.parts::<S>().1.count;
        [POINTS * self.point(most), jobs * self.room::<S>()]
    }

    /// Whether jobs can go on their own: what they need fits their cache.
    fn small(&self) -> bool {
        self.u() + POINTS * self.point(self.rows.across) <= OWN
    }

    /// Written channels of a job.
    fn slice(&self) -> usize {
        SLICES[usize::from(self.small())]
    }

    /// Numbers in V of a row and in M of a job that goes on its own; `None` where none does.
    fn own<S: Simd>(&self) -> Option<[usize; 2]> {
        self.small().then(|| [POINTS * self.point(self.rows.across), self.room::<S>()])
    }

    /// Numbers in all rooms, however many threads there will be.
    fn scratch<S: Simd>(&self) -> usize {
        let own = self.own::<S>().map_or(0, |own| JOBS * own.iter().sum::<usize>());
        self.u() + own.max(self.shared::<S>().iter().sum())
    }

    /// Numbers between points of V for so many tiles.
    fn point(&self, tiles: usize) -> usize {
        self.read * tiles * WIDTH + APART
    }

    /// Numbers between points of a job's part of M.
    fn job_point<S: Simd>(&self) -> usize {
        self.slice() * Self::tiles::<S>() * WIDTH + APART
    }

    /// Numbers in a job's part of M.
    fn room<S: Simd>(&self) -> usize {
        POINTS * self.job_point::<S>()
    }

    /// `to [blocks][written][size][16]` from `from [blocks][read][size][16]`; the caller has checked the lengths. `then`
    /// goes on with the planes of each block of images after the chunk that completes them.
    fn run<S: Simd>(
        &self,
        from: &[f32],
        weight: &[f32],
        bias: Option<&[f32]>,
        to: &mut [f32],
        scratch: &mut [f32],
        then: Option<Then<'_, f32>>,
    ) {
        let (u, rooms) = scratch[..self.scratch::<S>()].split_at_mut(self.u());
        self.kernels::<S>(weight, u);
        let (u, planes) = (&*u, Shared::new(to));
        if let Some([v, m]) = self.own::<S>().filter(|_| par::threads() <= JOBS) {
            let parts = Parts::new(self.rows.all, self.rows.all.div_ceil(JOBS).max(1));
            par::chunks_apart(&mut rooms[..parts.count * (v + m)], v + m, |job, room| {
                let (v, m) = room.split_at_mut(v);
                for row in parts.get(job) {
                    self.chunk::<S>(row..row + 1, from, u, bias, v, (Shared::new(m), 0), planes);
                }
            });
            if let Some(then) = then {
                then.all(to);
            }
            return;
        }
        let [v, m] = self.shared::<S>();
        let (v, m) = rooms[..v + m].split_at_mut(v);
        let m = (Shared::new(m), self.room::<S>());
        for rows in self.rows.chunks() {
            self.chunk::<S>(rows.clone(), from, u, bias, v, m, planes);
            let Some(then) = &then else { continue };
            let whole = rows.start / self.rows.down..rows.end / self.rows.down;
            let plane = self.written_size[0] * self.written_size[1] * WIDTH;
            par::jobs(whole.len() * self.written, |job| {
                let at = whole.start * self.written + job;
                // SAFETY: the plane is written, and no other job has it.
                unsafe { then.planes(at, planes.slice(at * plane, plane)) };
            });
        }
    }

    /// The pixels of some rows of tiles; job i of them has M from `m.0 + i m.1` on.
    #[allow(clippy::too_many_arguments)]
    fn chunk<S: Simd>(
        &self,
        rows: Range<usize>,
        from: &[f32],
        u: &[f32],
        bias: Option<&[f32]>,
        v: &mut [f32],
        m: (Shared, usize),
        to: Shared,
    ) {
        self.inputs::<S>(&rows, from, v);
        let v = &*v;
        let tiles = rows.len() * self.rows.across;
        let (per_job, slices) = (Self::tiles::<S>(), self.parts::<S>().1);
        par::jobs(tiles.div_ceil(per_job) * slices.count, |job| {
            let (slice, first) = (slices.get(job % slices.count), job / slices.count * per_job);
            let tiles = first..tiles.min(first + per_job);
            let m = m.0.at(job * m.1);
            self.products::<S>(&rows, tiles.clone(), slice.clone(), u, v, m);
            self.outputs::<S>(&rows, tiles, slice, bias, m, to);
        });
    }

    /// U: `[point][part][read channel][channel of the part]`.
    fn kernels<S: Simd>(&self, weight: &[f32], u: &mut [f32]) {
        let (parts, _) = self.parts::<S>();
        let (u, point) = (Shared::new(u), self.written * self.read);
        par::jobs(parts.count, |job| {
            let part = parts.get(job);
            for c in 0..self.read {
                let mut taps = [[0.0; super::MOST]; 9];
                for (i, k) in part.clone().enumerate() {
                    let kernel = &weight[k * self.steps[0] + c * self.steps[1]..][..9];
                    for (tap, w) in kernel.iter().enumerate() {
                        taps[if self.flipped { 8 - tap } else { tap }][i] = *w;
                    }
                }
                let at = part.start * self.read + c * part.len();
                for (i, values) in transform::kernels(&taps).iter().enumerate() {
                    // SAFETY: this part's place at point i; the parts lie one behind the other.
                    unsafe { u.slice(i * point + at, part.len()) }.copy_from_slice(&values[..part.len()]);
                }
            }
        });
    }

    /// V of a chunk: `[point]`, then as [`Places`] says.
    fn inputs<S: Simd>(&self, rows: &Range<usize>, from: &[f32], v: &mut [f32]) {
        let tiles = rows.len() * self.rows.across;
        let places = Places { tiles, group: S::PIXELS, channels: self.read };
        let plane = self.read_size[0] * self.read_size[1] * WIDTH;
        let v = Shared::new(v);
        par::jobs(rows.len() * self.read.div_ceil(8), |job| {
            let (row, channels) = (job % rows.len(), job / rows.len() * 8);
            let (block, top) = self.rows.place(rows.start + row);
            for channel in channels..self.read.min(channels + 8) {
                let at = from[(block * self.read + channel) * plane..][..plane].as_ptr();
                let first = [top as isize - self.pad[0], -self.pad[1]];
                let job = Input {
                    plane: Plane { at, size: self.read_size, first },
                    tiles: self.rows.across,
                    places,
                    channel,
                    first: row * self.rows.across,
                    to: v.at(0),
                    point: self.point(tiles),
                };
                // SAFETY: the plane is sliced above; V has room for a chunk's tiles, and no other job has these.
                unsafe { S::winograd_input(&job) };
            }
        });
    }

    /// M of a job's tiles and parts of the written channels: `[point][channel][tile]`.
    fn products<S: Simd>(
        &self,
        rows: &Range<usize>,
        tiles: Range<usize>,
        slice: Range<usize>,
        u: &[f32],
        v: &[f32],
        m: *mut f32,
    ) {
        let (parts, all) = (self.parts::<S>().0, rows.len() * self.rows.across);
        let whole = tiles.len() / S::PIXELS;
        let first_channel = parts.get(slice.start).start;
        // whole groups of tiles, and the tiles left
        let groups = [(0, whole, S::PIXELS), (whole * S::PIXELS, 1, tiles.len() % S::PIXELS)];
        for point in 0..POINTS {
            let v = v[point * self.point(all)..][..self.read * all * WIDTH].as_ptr();
            let m = m.wrapping_add(point * self.job_point::<S>());
            for part in slice.clone().map(|part| parts.get(part)) {
                let start = (point * self.written + part.start) * self.read;
                let weight = u[start..][..part.len() * self.read].as_ptr();
                for (skip, count, group) in groups {
                    let job = outer::Job {
                        channels: self.read,
                        x_channel: group * WIDTH,
                        x_pixel: [group * self.read * WIDTH, WIDTH],
                        weight_channel: part.len(),
                        y_channel: Self::tiles::<S>() * WIDTH,
                        y_pixel: [group * WIDTH, WIDTH],
                        pixels: [count, group],
                        ..outer::Job::blank(
                            v.wrapping_add((tiles.start + skip) * self.read * WIDTH),
                            weight,
                            m.wrapping_add(
                                ((part.start - first_channel) * Self::tiles::<S>() + skip) * WIDTH,
                            ),
                        )
                    };
                    if job.total() > 0 {
                        // SAFETY: the slices above hold the tiles of V and the kernels of the part; M is this job's own
                        // and has room for the channels of a slice.
                        unsafe { S::outer(part.len(), &job) };
                    }
                }
            }
        }
    }

    /// Pixels from M.
    fn outputs<S: Simd>(
        &self,
        rows: &Range<usize>,
        tiles: Range<usize>,
        slice: Range<usize>,
        bias: Option<&[f32]>,
        m: *const f32,
        to: Shared,
    ) {
        let parts = self.parts::<S>().0;
        let channels = parts.get(slice.start).start..parts.get(slice.end - 1).end;
        let [height, width] = self.written_size;
        for (i, channel) in channels.enumerate() {
            for (t, tile) in tiles.clone().enumerate() {
                let (block, top) = self.rows.place(rows.start + tile / self.rows.across);
                let left = tile % self.rows.across * 2;
                let plane = (block * self.written + channel) * height * width;
                let job = Output {
                    from: m.wrapping_add((i * Self::tiles::<S>() + t) * WIDTH),
                    point: self.job_point::<S>(),
                    start: bias.map_or(0.0, |b| b[channel]),
                    to: to.at((plane + top * width + left) * WIDTH),
                    row: width * WIDTH,
                    size: [(height - top).min(2), (width - left).min(2)],
                };
                // SAFETY: M holds the tile; its pixels exist, and no other job has them.
                unsafe { S::winograd_output(&job) };
            }
        }
    }
}
