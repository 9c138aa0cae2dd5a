//! The weight gradient: G^T [sum over tiles and images of (A dy A^T) . V] G.
//!
//! V is turned round to `[tile][image][input channel]`, so that a vector is sixteen input channels and one register
//! tile serves; each sum runs over (tile, image). Where few channels make sums and tiles small, a fixed number of jobs sum
//! their rows of tiles on their own, in their processor's cache, and the jobs' sums are added in order.
#![allow(unsafe_code)]

use super::super::{Parts, ROWS, Shared, Simd, WIDTH, outer};
use super::transform::{self, Gradient, Input, Places, Plane};
use super::{APART, JOBS, POINTS, Rows};
use crate::kernels::{ConvGeometry, conv as portable, par};
use std::ops::Range;

/// Tiles in a chunk, if rows of tiles are not longer.
const CHUNK: usize = 48;

/// Numbers in the sums and the tiles of a row that a job may have to itself: 1.5 MiB.
const OWN: usize = 3 << 17;

/// Sums that are added at once.
const GRAIN: usize = 1 << 12;

/// Vectors of input channels that are multiplied together.
const VECTORS: usize = 4;

/// Output channels of a job.
const SLICE: usize = 8 * ROWS;

/// Whether it takes over from the direct kernel, besides what forward asks.
pub fn pays(g: &ConvGeometry) -> bool {
    g.c_in.is_multiple_of(WIDTH)
}

/// Scratch.
pub fn scratch(g: &ConvGeometry) -> usize {
    if pays(g) { Shape::new(g).scratch() } else { 0 }
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
        assert_eq!(dbias.len(), g.c_out, "one bias per output channel");
        portable::bias(dy, g.blocks, g.output[0] * g.output[1] * g.lanes, dbias);
    }
    if g.blocks == 0 {
        return dweight.fill(0.0);
    }
    let shape = Shape::new(g);
    if shape.own() {
        let (parts, room) = (shape.jobs(), shape.room(shape.rows.across));
        let rooms = &mut scratch[..parts.count * room];
        par::chunks_apart(rooms, room, |job, room| {
            let part = parts.get(job);
            shape.sum::<S>(part.clone().map(|row| row..row + 1), x, dy, room);
        });
        let (sums, others) = rooms.split_at_mut(room);
        let sums = &mut sums[..shape.sums()];
        for other in others.chunks_exact(room) {
            par::chunks(sums, GRAIN, |i, sums| {
                sums.iter_mut().zip(&other[i * GRAIN..]).for_each(|(sum, other)| *sum += other);
            });
        }
        return shape.taps(sums, dweight);
    }
    shape.sum::<S>(shape.rows.chunks(), x, dy, scratch);
    shape.taps(&scratch[..shape.sums()], dweight);
}

struct Shape<'a> {
    g: &'a ConvGeometry,
    rows: Rows,
    /// Vectors of input channels, in groups.
    groups: Parts,
}

impl<'a> Shape<'a> {
    fn new(g: &'a ConvGeometry) -> Self {
        Self { g, rows: Rows::new(g.blocks, g.output, CHUNK), groups: Parts::new(g.c_in / WIDTH, VECTORS) }
    }

    /// Numbers in the sums.
    fn sums(&self) -> usize {
        POINTS * self.g.c_in * self.g.c_out
    }

    /// Numbers in the sums, in V and in the gradient's tiles.
    fn room(&self, tiles: usize) -> usize {
        self.sums() + POINTS * self.points(tiles).iter().sum::<usize>()
    }

    /// Whether jobs sum rows of tiles on their own. By the shape alone, since it decides the order of the sums.
    fn own(&self) -> bool {
        self.room(self.rows.across) <= OWN
    }

    /// The rows of those jobs.
    fn jobs(&self) -> Parts {
        Parts::new(self.rows.all, self.rows.all.div_ceil(JOBS).max(1))
    }

    /// Numbers in all rooms.
    fn scratch(&self) -> usize {
        if self.own() { self.jobs().count * self.room(self.rows.across) } else { self.room(self.rows.most()) }
    }

    /// Sums over chunks of rows, into the front of the room.
    fn sum<S: Simd>(
        &self,
        chunks: impl Iterator<Item = Range<usize>>,
        x: &[f32],
        dy: &[f32],
        room: &mut [f32],
    ) {
        let (sums, room) = room.split_at_mut(self.sums());
        for (i, rows) in chunks.enumerate() {
            let tiles = rows.len() * self.rows.across;
            let [v, m] = self.points(tiles).map(|numbers| POINTS * numbers);
            let (v, m) = room[..v + m].split_at_mut(v);
            self.inputs::<S>(&rows, x, v);
            self.gradients::<S>(&rows, dy, m);
            self.products::<S>(tiles, v, m, sums, i > 0);
        }
    }

    /// Numbers between points of V and of the gradient's tiles.
    fn points(&self, tiles: usize) -> [usize; 2] {
        [self.g.c_in, self.g.c_out].map(|channels| channels * tiles * WIDTH + APART)
    }

    /// Where V of a group of input channels lies in a point: `[tile][image][channel of the group]`.
    fn place(group: &Range<usize>, tiles: usize) -> usize {
        group.start * WIDTH * tiles * WIDTH
    }

    /// V of a chunk.
    fn inputs<S: Simd>(&self, rows: &Range<usize>, x: &[f32], v: &mut [f32]) {
        #[repr(align(64))]
        struct Room([f32; POINTS * WIDTH * WIDTH]);
        let (g, tiles, v) = (self.g, rows.len() * self.rows.across, Shared::new(v));
        let plane = g.input[0] * g.input[1] * WIDTH;
        par::jobs(rows.len() * self.groups.count, |job| {
            let (row, group) = (job % rows.len(), self.groups.get(job / rows.len()));
            let (block, top) = self.rows.place(rows.start + row);
            let mut room = Room([0.0; POINTS * WIDTH * WIDTH]);
            let width = group.len() * WIDTH;
            for (i, vector) in group.clone().enumerate() {
                for across in 0..self.rows.across {
                    let left = 2 * across as isize - g.window.pad[1] as isize;
                    for channel in 0..WIDTH {
                        let at = x[(block * g.c_in + vector * WIDTH + channel) * plane..][..plane].as_ptr();
                        let job = Input {
                            plane: Plane {
                                at,
                                size: g.input,
                                first: [top as isize - g.window.pad[0] as isize, left],
                            },
                            tiles: 1,
                            places: Places { tiles: 1, group: 1, channels: WIDTH },
                            channel,
                            first: 0,
                            to: room.0.as_mut_ptr(),
                            point: WIDTH * WIDTH,
                        };
                        // SAFETY: the plane is sliced above; the room holds a vector of each channel at each point.
                        unsafe { S::winograd_input(&job) };
                    }
                    let tile = row * self.rows.across + across;
                    for (point, from) in room.0.chunks_exact(WIDTH * WIDTH).enumerate() {
                        let to = point * self.points(tiles)[0]
                            + Self::place(&group, tiles)
                            + tile * WIDTH * width
                            + i * WIDTH;
                        // SAFETY: sixteen images of sixteen channels of this tile, which no other job has.
                        unsafe { S::transpose(from.as_ptr(), WIDTH, v.at(to), width) };
                    }
                }
            }
        });
    }

    /// The tiles of the output's gradient of a chunk, `[point][output channel][tile][image]`.
    fn gradients<S: Simd>(&self, rows: &Range<usize>, dy: &[f32], m: &mut [f32]) {
        let (g, tiles, m) = (self.g, rows.len() * self.rows.across, Shared::new(m));
        let plane = g.output[0] * g.output[1] * WIDTH;
        par::jobs(rows.len() * g.c_out.div_ceil(8), |job| {
            let (row, channels) = (job % rows.len(), job / rows.len() * 8);
            let (block, top) = self.rows.place(rows.start + row);
            for channel in channels..g.c_out.min(channels + 8) {
                let at = dy[(block * g.c_out + channel) * plane..][..plane].as_ptr();
                for across in 0..self.rows.across {
                    let first = [top as isize, 2 * across as isize];
                    let tile = row * self.rows.across + across;
                    let job = Gradient {
                        plane: Plane { at, size: g.output, first },
                        to: m.at((channel * tiles + tile) * WIDTH),
                        point: self.points(tiles)[1],
                    };
                    // SAFETY: the plane is sliced above; each point has room for a chunk's tiles of all channels, and
                    // no other job has these.
                    unsafe { S::winograd_gradient(&job) };
                }
            }
        });
    }

    /// Adds a chunk to the sums, `[point][output channel][input channel]`.
    fn products<S: Simd>(&self, tiles: usize, v: &[f32], m: &[f32], sums: &mut [f32], resume: bool) {
        let (g, [v_point, m_point], sums) = (self.g, self.points(tiles), Shared::new(sums));
        let slices = Parts::new(g.c_out, SLICE);
        par::jobs(POINTS * slices.count, |job| {
            let (point, slice) = (job / slices.count, slices.get(job % slices.count));
            let (v, m) = (&v[point * v_point..][..v_point], &m[point * m_point..][..m_point]);
            for group in self.groups.iter() {
                let width = group.len() * WIDTH;
                let x = v[Self::place(&group, tiles)..][..tiles * WIDTH * width].as_ptr();
                for part in Parts::new(slice.len(), ROWS).iter() {
                    let part = slice.start + part.start..slice.start + part.end;
                    let weight = m[part.start * tiles * WIDTH..][..part.len() * tiles * WIDTH].as_ptr();
                    let to = sums.at((point * g.c_out + part.start) * g.c_in + group.start * WIDTH);
                    let job = outer::Job {
                        channels: tiles,
                        taps: [1, WIDTH],
                        x_channel: WIDTH * width,
                        x_tap: [0, width as isize],
                        x_pixel: [0, WIDTH],
                        weight_lane: tiles * WIDTH,
                        weight_channel: WIDTH,
                        weight_tap: [0, 1],
                        resume,
                        y_channel: g.c_in,
                        y_pixel: [0, WIDTH],
                        pixels: [1, group.len()],
                        ..outer::Job::blank(x, weight, to)
                    };
                    // SAFETY: the slices above hold the tiles of these channels; no other job has these sums.
                    unsafe { S::outer_rows(part.len(), &job) };
                }
            }
        });
    }

    /// dweight from the sums.
    fn taps(&self, sums: &[f32], dweight: &mut [f32]) {
        let (g, point) = (self.g, self.g.c_in * self.g.c_out);
        par::chunks(dweight, 9 * g.c_in, |channel, dweight| {
            for (vector, dweight) in dweight.chunks_exact_mut(9 * WIDTH).enumerate() {
                let mut points = [[0.0; WIDTH]; POINTS];
                for (i, values) in points.iter_mut().enumerate() {
                    let at = i * point + channel * g.c_in + vector * WIDTH;
                    values.copy_from_slice(&sums[at..at + WIDTH]);
                }
                for (tap, values) in transform::taps(&points).iter().enumerate() {
                    for (kernel, value) in dweight.chunks_exact_mut(9).zip(values) {
                        kernel[tap] = *value;
                    }
                }
            }
        });
    }
}
