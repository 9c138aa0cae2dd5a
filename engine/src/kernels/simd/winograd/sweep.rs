//! Forward and data gradient: from pixels to V, at each point the product with U, and from M to pixels.
#![allow(unsafe_code)]

use super::super::{MOST, Parts, Shared, Simd, WIDTH, outer};
use super::form::{Form, POINTS, TAPS};
use super::tiles::{Places, Tiles, chunks};
use super::transform::{Input, Output, Plane};
use super::{AHEAD, APART, JOBS};
use crate::kernels::planes::Then;
use crate::kernels::{ConvGeometry, par};
use std::ops::Range;

/// Numbers in V of a chunk that jobs share: 3.5 MiB,
const CHUNK: usize = 7 << 17;

/// but at least so many tiles, lest kernels be read and threads started too often.
const FEWEST: usize = 12;

/// Tiles of a job.
const TILES: usize = 6;

/// Numbers in M of a job that shares V with others, and of one that goes on its own.
const JOB: [usize; 2] = [3 << 15, 3 << 13];

/// Numbers in U and in V of a job that fit a second-level cache.
const OWN: usize = 3 << 16;

/// A pass over the tiles of what is written.
pub struct Sweep {
    form: Form,
    tiles: Tiles,
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
    /// Tiles of a chunk of a job that goes on its own; `None` where none fits its cache.
    own: Option<usize>,
}

impl Sweep {
    /// Forward; `None` where the direct kernels are to be used.
    pub fn forward(g: &ConvGeometry) -> Option<Self> {
        let form = super::form(g, g.output)?;
        let kernel = form.taps() * form.taps();
        let sweep = Self {
            form,
            tiles: Tiles::new(g.blocks, g.output, form.makes()),
            read: g.c_in,
            written: g.c_out,
            read_size: g.input,
            written_size: g.output,
            pad: g.window.pad.map(|p| p as isize),
            steps: [kernel * g.c_in, kernel],
            flipped: false,
            own: None,
        };
        Some(sweep.fit())
    }

    /// The data gradient; `None` where the direct kernels are to be used.
    pub fn back(g: &ConvGeometry) -> Option<Self> {
        let form = super::form(g, g.input)?;
        let kernel = form.taps() * form.taps();
        let sweep = Self {
            form,
            tiles: Tiles::new(g.blocks, g.input, form.makes()),
            read: g.c_out,
            written: g.c_in,
            read_size: g.output,
            written_size: g.input,
            pad: g.window.pad.map(|p| form.taps() as isize - 1 - p as isize),
            steps: [kernel, kernel * g.c_in],
            flipped: true,
            own: None,
        };
        Some(sweep.fit())
    }

    /// Lets jobs go on their own where what they need fits their cache.
    fn fit(mut self) -> Self {
        let fits = |&tiles: &usize| self.u() + self.v(tiles) <= OWN;
        self.own = [4, 3, 2, 1].map(|k| 3 * k).into_iter().find(fits);
        self
    }

    /// Tiles of a job's products: whole register tiles.
    fn job_tiles<S: Simd>() -> usize {
        TILES / S::PIXELS * S::PIXELS
    }

    /// The written channels in parts, one for each register tile, and the parts in slices, one for each job.
    fn parts<S: Simd>(&self) -> (Parts, Parts) {
        let parts = Parts::new(self.written, S::CHANNELS);
        (parts, Parts::new(parts.count, self.slice::<S>() / S::CHANNELS))
    }

    /// Written channels of a job, at most.
    fn slice<S: Simd>(&self) -> usize {
        let job = JOB[usize::from(self.own.is_some())];
        (job / (self.form.points() * Self::job_tiles::<S>() * WIDTH) / S::CHANNELS).max(1) * S::CHANNELS
    }

    /// Numbers in U.
    fn u(&self) -> usize {
        self.form.points() * self.written * self.read
    }

    /// Numbers between points of V for so many tiles.
    fn point(&self, tiles: usize) -> usize {
        self.read * tiles * WIDTH + APART
    }

    /// Numbers in V of so many tiles.
    fn v(&self, tiles: usize) -> usize {
        self.form.points() * self.point(tiles)
    }

    /// Numbers between points of a job's part of M.
    fn job_point<S: Simd>(&self) -> usize {
        self.slice::<S>() * Self::job_tiles::<S>() * WIDTH + APART
    }

    /// Numbers in a job's part of M.
    fn room<S: Simd>(&self) -> usize {
        self.form.points() * self.job_point::<S>()
    }

    /// Tiles of a chunk whose V jobs share.
    fn together(&self) -> usize {
        let fit = CHUNK / (self.form.points() * self.read * WIDTH);
        (fit / TILES * TILES).max(FEWEST).max(self.tiles.across)
    }

    /// Numbers in U and in all rooms, however many threads there will be.
    pub fn scratch<S: Simd>(&self) -> usize {
        let own = self.own.map_or(0, |tiles| JOBS * (self.v(tiles) + self.room::<S>()));
        self.u() + own.max(self.shared::<S>().iter().sum())
    }

    /// Numbers in V and in all jobs' parts of M, where jobs share them.
    fn shared<S: Simd>(&self) -> [usize; 2] {
        let most = self.together();
        let jobs = most.div_ceil(Self::job_tiles::<S>()) * self.parts::<S>().1.count;
        [self.v(most), jobs * self.room::<S>()]
    }

    /// `to [blocks][written][size][16]` from `from [blocks][read][size][16]`; the caller has checked the lengths. `then`
    /// goes on with the planes of each block of images after the chunk that completes them.
    pub fn run<S: Simd>(
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
        if let Some(tiles) = self.own.filter(|_| par::threads() <= JOBS) {
            let (v, m) = (self.v(tiles), self.room::<S>());
            let parts = Parts::new(self.tiles.all, self.tiles.all.div_ceil(JOBS).max(1));
            let rooms = Shared::new(&mut rooms[..parts.count * (v + m)]);
            par::jobs_apart(parts.count, |job, slot| {
                // SAFETY: there is a room for each slot, and no other job has this one's.
                let (v, m) = unsafe { rooms.slice(slot * (v + m), v + m) }.split_at_mut(v);
                for chunk in chunks(parts.get(job), tiles) {
                    self.chunk::<S>(&chunk, from, u, bias, v, (Shared::new(m), 0), planes);
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
        for chunk in chunks(0..self.tiles.all, self.together()) {
            self.chunk::<S>(&chunk, from, u, bias, v, m, planes);
            let Some(then) = &then else { continue };
            let whole = chunk.start / self.tiles.plane..chunk.end / self.tiles.plane;
            let plane = self.written_size[0] * self.written_size[1] * WIDTH;
            par::jobs(whole.len() * self.written, |job| {
                let at = whole.start * self.written + job;
                // SAFETY: the plane is written, and no other job has it.
                unsafe { then.planes(at, planes.slice(at * plane, plane)) };
            });
        }
    }

    /// The pixels of some tiles; what has slot i has M from `m.0 + i m.1` on.
    #[allow(clippy::too_many_arguments)]
    fn chunk<S: Simd>(
        &self,
        tiles: &Range<usize>,
        from: &[f32],
        u: &[f32],
        bias: Option<&[f32]>,
        v: &mut [f32],
        m: (Shared, usize),
        to: Shared,
    ) {
        self.inputs::<S>(tiles, from, v);
        let v = &*v;
        let (per_job, slices) = (Self::job_tiles::<S>(), self.parts::<S>().1);
        par::jobs_apart(tiles.len().div_ceil(per_job) * slices.count, |job, slot| {
            let (slice, first) = (slices.get(job % slices.count), job / slices.count * per_job);
            let some = first..tiles.len().min(first + per_job);
            let m = m.0.at(slot * m.1);
            self.products::<S>(tiles.len(), some.clone(), slice.clone(), u, v, m);
            self.outputs::<S>(tiles.start, some, slice, bias, m, to);
        });
    }

    /// U: `[point][part][read channel][channel of the part]`.
    fn kernels<S: Simd>(&self, weight: &[f32], u: &mut [f32]) {
        let (parts, _) = self.parts::<S>();
        let (u, point) = (Shared::new(u), self.written * self.read);
        par::jobs(parts.count, |job| {
            let part = parts.get(job);
            let kernel = self.form.taps() * self.form.taps();
            let (mut taps, mut points) = ([[0.0; MOST]; TAPS], [[0.0; MOST]; POINTS]);
            for c in 0..self.read {
                for (i, k) in part.clone().enumerate() {
                    let weights = &weight[k * self.steps[0] + c * self.steps[1]..][..kernel];
                    for (tap, w) in weights.iter().enumerate() {
                        taps[if self.flipped { kernel - 1 - tap } else { tap }][i] = *w;
                    }
                }
                let at = part.start * self.read + c * part.len();
                self.form.kernels(&taps, &mut points);
                for (i, values) in points[..self.form.points()].iter().enumerate() {
                    // SAFETY: this part's place at point i; the parts lie one behind the other.
                    unsafe { u.slice(i * point + at, part.len()) }.copy_from_slice(&values[..part.len()]);
                }
            }
        });
    }

    /// V of a chunk: `[point]`, then as [`Places`] says.
    fn inputs<S: Simd>(&self, tiles: &Range<usize>, from: &[f32], v: &mut [f32]) {
        let places = Places { tiles: tiles.len(), group: S::PIXELS, channels: self.read };
        let plane = self.read_size[0] * self.read_size[1] * WIDTH;
        let (rows, v) = (self.tiles.rows(tiles), Shared::new(v));
        par::jobs(rows.len() * self.read.div_ceil(8), |job| {
            let run = self.tiles.run(tiles, rows.start + job % rows.len());
            let channels = job / rows.len() * 8;
            for channel in channels..self.read.min(channels + 8) {
                let at = from[(run.block * self.read + channel) * plane..][..plane].as_ptr();
                let first = [0, 1].map(|axis| run.pixel[axis] as isize - self.pad[axis]);
                let job = Input {
                    form: self.form,
                    plane: Plane { at, size: self.read_size, step: WIDTH, first, ahead: AHEAD * plane },
                    tiles: run.count,
                    places,
                    channel,
                    first: run.first,
                    to: v.at(0),
                    point: self.point(tiles.len()),
                };
                // SAFETY: the plane is sliced above; V has room for a chunk's tiles, and no other job has these.
                unsafe { S::winograd_input(&job) };
            }
        });
    }

    /// M of a job's tiles, of `all` of the chunk, and parts of the written channels: `[point][channel][tile]`.
    fn products<S: Simd>(
        &self,
        all: usize,
        tiles: Range<usize>,
        slice: Range<usize>,
        u: &[f32],
        v: &[f32],
        m: *mut f32,
    ) {
        let parts = self.parts::<S>().0;
        let whole = tiles.len() / S::PIXELS;
        let first_channel = parts.get(slice.start).start;
        // whole groups of tiles, and the tiles left
        let groups = [(0, whole, S::PIXELS), (whole * S::PIXELS, 1, tiles.len() % S::PIXELS)];
        for point in 0..self.form.points() {
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
                        y_channel: Self::job_tiles::<S>() * WIDTH,
                        y_pixel: [group * WIDTH, WIDTH],
                        pixels: [count, group],
                        ..outer::Job::blank(
                            v.wrapping_add((tiles.start + skip) * self.read * WIDTH),
                            weight,
                            m.wrapping_add(
                                ((part.start - first_channel) * Self::job_tiles::<S>() + skip) * WIDTH,
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

    /// Pixels from M of a job's tiles, which are numbered from tile `first` of all on.
    fn outputs<S: Simd>(
        &self,
        first: usize,
        tiles: Range<usize>,
        slice: Range<usize>,
        bias: Option<&[f32]>,
        m: *const f32,
        to: Shared,
    ) {
        let parts = self.parts::<S>().0;
        let channels = parts.get(slice.start).start..parts.get(slice.end - 1).end;
        let ([height, width], makes) = (self.written_size, self.form.makes());
        for (i, channel) in channels.enumerate() {
            for (t, tile) in tiles.clone().enumerate() {
                let (block, [top, left]) = self.tiles.place(first + tile);
                let plane = (block * self.written + channel) * height * width;
                let job = Output {
                    form: self.form,
                    from: m.wrapping_add((i * Self::job_tiles::<S>() + t) * WIDTH),
                    point: self.job_point::<S>(),
                    start: bias.map_or(0.0, |b| b[channel]),
                    to: to.at((plane + top * width + left) * WIDTH),
                    row: width * WIDTH,
                    size: [(height - top).min(makes), (width - left).min(makes)],
                    ahead: height * width * WIDTH,
                };
                // SAFETY: M holds the tile; its pixels exist, and no other job has them.
                unsafe { S::winograd_output(&job) };
            }
        }
    }
}
