//! The weight gradient: G^T [sum over tiles and images of (A dy A^T) . V] G.
//!
//! Pixels are turned round to `[pixel][image][input channel]` before they are transformed, so that a vector is sixteen input
//! channels and one register tile serves; each sum runs over (tile, image). Where few channels make sums and tiles small, a
//! fixed number of jobs sum their tiles on their own, in their processor's cache, and the jobs' sums are added in order.
#![allow(unsafe_code)]

use super::super::{Parts, ROWS, Shared, Simd, WIDTH, outer};
use super::form::{Form, POINTS, TAPS};
use super::tiles::{Places, Tiles, chunks};
use super::transform::{Gradient, Input, Plane};
use super::{AHEAD, APART, JOBS};
use crate::kernels::{ConvGeometry, conv as portable, par};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Numbers in V and the gradient's tiles of a chunk,
const CHUNK: usize = 9 << 19;

/// of at most so many tiles.
const MOST: usize = 48;

/// Numbers in the sums and the tiles that a job may have to itself.
const OWN: usize = 1 << 18;

/// Sums that are added at once.
const GRAIN: usize = 1 << 12;

/// Vectors of input channels that are multiplied together.
const VECTORS: usize = 4;

/// Output channels that are taken at once where jobs share tiles, and by a job that sums on its own.
const TOGETHER: usize = 16 * ROWS;
const ALONE: usize = 4 * ROWS;

/// Output channels of a job that shares tiles with others.
const SLICE: usize = 8 * ROWS;

/// Tiles whose pixels are turned together: their rows and columns at most, six of a tile and four from one to the next.
const TURNED: usize = 3;
const PIXELS: usize = 6 * (4 * (TURNED - 1) + 6);

/// A convolution whose weight gradient is taken from tiles.
pub struct Shape<'a> {
    g: &'a ConvGeometry,
    form: Form,
    tiles: Tiles,
    /// Vectors of input channels, in groups.
    groups: Parts,
}

/// Scratch.
pub fn scratch(g: &ConvGeometry) -> usize {
    Shape::new(g).map_or(0, |shape| shape.scratch())
}

impl<'a> Shape<'a> {
    /// `None` where the direct kernel is to be used.
    pub fn new(g: &'a ConvGeometry) -> Option<Self> {
        let form = super::form(g, g.output).filter(|_| g.c_in.is_multiple_of(WIDTH))?;
        let tiles = Tiles::new(g.blocks, g.output, form.makes());
        Some(Self { g, form, tiles, groups: Parts::new(g.c_in / WIDTH, VECTORS) })
    }

    /// Parameter gradients. See [`crate::kernels::ConvPullWeight`].
    pub fn pull_weight<S: Simd>(
        &self,
        x: &[f32],
        dy: &[f32],
        dweight: &mut [f32],
        dbias: Option<&mut [f32]>,
        scratch: &mut [f32],
    ) {
        let g = self.g;
        g.check(x, dweight, dy);
        if let Some(dbias) = dbias {
            assert_eq!(dbias.len(), g.c_out, "one bias per output channel");
            portable::bias(dy, g.blocks, g.output[0] * g.output[1] * g.lanes, dbias);
        }
        if g.blocks == 0 {
            return dweight.fill(0.0);
        }
        let Some(tiles) = self.own() else {
            let (sums, room) = scratch[..self.scratch()].split_at_mut(self.sums());
            self.sum::<S>(0..self.tiles.all, self.together(), TOGETHER, x, dy, sums, room);
            return self.taps(sums, dweight);
        };
        let (parts, size, room) = (self.jobs(), self.sums(), self.room(tiles, ALONE));
        let (sums, rooms) = scratch[..self.scratch()].split_at_mut(parts.count * size);
        let (all, rooms) = (Shared::new(sums), Shared::new(rooms));
        par::jobs_apart(parts.count, |job, slot| {
            // SAFETY: every job has its own sums; there is a room for each slot, and no other job has this one's.
            let (sums, room) = unsafe { (all.slice(job * size, size), rooms.slice(slot * room, room)) };
            self.sum::<S>(parts.get(job), tiles, ALONE, x, dy, sums, room);
        });
        let (sums, others) = sums.split_at_mut(size);
        for other in others.chunks_exact(size) {
            par::chunks(sums, GRAIN, |i, sums| {
                sums.iter_mut().zip(&other[i * GRAIN..]).for_each(|(sum, other)| *sum += other);
            });
        }
        self.taps(sums, dweight);
    }

    /// Numbers in the sums.
    fn sums(&self) -> usize {
        self.form.points() * self.g.c_in * self.g.c_out
    }

    /// Numbers in V and in the gradient's tiles, of so many output channels at once.
    fn room(&self, tiles: usize, channels: usize) -> usize {
        self.form.points() * (Self::point(self.g.c_in, tiles) + Self::point(channels, tiles))
    }

    /// Tiles of a chunk of a job that sums on its own; `None` where none fits. By the shape alone, since it decides the
    /// order of the sums.
    fn own(&self) -> Option<usize> {
        (TURNED..=4 * TURNED).rev().find(|&tiles| self.sums() + self.room(tiles, ALONE) <= OWN)
    }

    /// The tiles of those jobs.
    fn jobs(&self) -> Parts {
        Parts::new(self.tiles.all, self.tiles.all.div_ceil(JOBS).max(1))
    }

    /// Tiles of a chunk that jobs share.
    fn together(&self) -> usize {
        (CHUNK / (self.form.points() * (self.g.c_in + TOGETHER) * WIDTH)).clamp(TURNED, MOST)
    }

    /// Numbers in all rooms.
    fn scratch(&self) -> usize {
        match self.own() {
            Some(tiles) => self.jobs().count * (self.sums() + self.room(tiles, ALONE)),
            None => self.sums() + self.room(self.together(), TOGETHER),
        }
    }

    /// Sums over chunks of at most `most` tiles, `slice` output channels at once.
    #[allow(clippy::too_many_arguments)]
    fn sum<S: Simd>(
        &self,
        tiles: Range<usize>,
        most: usize,
        slice: usize,
        x: &[f32],
        dy: &[f32],
        sums: &mut [f32],
        room: &mut [f32],
    ) {
        for (i, tiles) in chunks(tiles, most).enumerate() {
            let (v, m) = room.split_at_mut(self.form.points() * Self::point(self.g.c_in, tiles.len()));
            self.inputs::<S>(&tiles, x, v);
            for channels in Parts::new(self.g.c_out, slice).iter() {
                self.gradients::<S>(&tiles, &channels, dy, m);
                self.products::<S>(tiles.len(), &channels, v, m, sums, i > 0);
            }
        }
    }

    /// Numbers between points of V or of the gradient's tiles.
    fn point(channels: usize, tiles: usize) -> usize {
        channels * tiles * WIDTH + APART
    }

    /// Where V of a group of input channels lies in a point: `[tile][image][channel of the group]`.
    fn place(group: &Range<usize>, tiles: usize) -> usize {
        group.start * WIDTH * tiles * WIDTH
    }

    /// V of a chunk.
    fn inputs<S: Simd>(&self, tiles: &Range<usize>, x: &[f32], v: &mut [f32]) {
        #[repr(align(64))]
        struct Room([MaybeUninit<f32>; PIXELS * WIDTH * WIDTH]);
        let (g, rows, v) = (self.g, self.tiles.rows(tiles), Shared::new(v));
        let (plane, side, makes) = (g.input[0] * g.input[1] * WIDTH, self.form.side(), self.form.makes());
        par::jobs(rows.len() * self.groups.count, |job| {
            let run = self.tiles.run(tiles, rows.start + job % rows.len());
            let group = self.groups.get(job / rows.len());
            let mut room = Room([const { MaybeUninit::uninit() }; PIXELS * WIDTH * WIDTH]);
            let room = room.0.as_mut_ptr().cast::<f32>();
            let to = v.at(Self::place(&group, tiles.len()));
            for (i, vector) in group.clone().enumerate() {
                let channels = &x[(run.block * g.c_in + vector * WIDTH) * plane..][..WIDTH * plane];
                for skip in (0..run.count).step_by(TURNED) {
                    let count = TURNED.min(run.count - skip);
                    let pixel = [run.pixel[0], run.pixel[1] + skip * makes];
                    let first = [0, 1].map(|axis| pixel[axis] as isize - g.window.pad[axis] as isize);
                    // the pixels of these tiles that exist
                    let within = |axis: usize, len: usize| {
                        let end = (first[axis] + len as isize).clamp(0, g.input[axis] as isize) as usize;
                        (first[axis].max(0) as usize).min(end)..end
                    };
                    let (down, across) = (within(0, side), within(1, makes * (count - 1) + side));
                    for (r, row) in down.clone().enumerate() {
                        for (c, column) in across.clone().enumerate() {
                            let from = channels[(row * g.input[1] + column) * WIDTH..].as_ptr();
                            let to = room.wrapping_add((r * across.len() + c) * WIDTH * WIDTH);
                            // SAFETY: this pixel of sixteen channels; the room holds as many pixels as these tiles have.
                            unsafe { S::transpose(from, plane, to, WIDTH) };
                        }
                    }
                    for image in 0..WIDTH {
                        let job = Input {
                            form: self.form,
                            plane: Plane {
                                at: room.wrapping_add(image * WIDTH),
                                size: [down.len(), across.len()],
                                step: WIDTH * WIDTH,
                                first: [first[0] - down.start as isize, first[1] - across.start as isize],
                                ahead: 0,
                            },
                            tiles: count,
                            places: Places { tiles: tiles.len(), group: 1, channels: WIDTH * group.len() },
                            channel: image * group.len(),
                            first: run.first + skip,
                            to: to.wrapping_add(i * WIDTH),
                            point: Self::point(g.c_in, tiles.len()),
                        };
                        // SAFETY: the room's pixels are written; V has room for a chunk's tiles, and no other job has these.
                        unsafe { S::winograd_input(&job) };
                    }
                }
            }
        });
    }

    /// The tiles of the gradient of some output channels of a chunk, `[point][channel][tile][image]`.
    fn gradients<S: Simd>(&self, tiles: &Range<usize>, channels: &Range<usize>, dy: &[f32], m: &mut [f32]) {
        let (g, rows, point) = (self.g, self.tiles.rows(tiles), Self::point(channels.len(), tiles.len()));
        let m = Shared::new(&mut m[..self.form.points() * point]);
        let plane = g.output[0] * g.output[1] * WIDTH;
        par::jobs(rows.len() * channels.len().div_ceil(8), |job| {
            let run = self.tiles.run(tiles, rows.start + job % rows.len());
            let first = channels.start + job / rows.len() * 8;
            for channel in first..channels.end.min(first + 8) {
                let at = dy[(run.block * g.c_out + channel) * plane..][..plane].as_ptr();
                for t in 0..run.count {
                    let first = [run.pixel[0], run.pixel[1] + t * self.form.makes()].map(|p| p as isize);
                    let job = Gradient {
                        form: self.form,
                        plane: Plane { at, size: g.output, step: WIDTH, first, ahead: AHEAD * plane },
                        to: m.at(((channel - channels.start) * tiles.len() + run.first + t) * WIDTH),
                        point,
                    };
                    // SAFETY: the plane is sliced above; each point has room for a chunk's tiles of all channels, and
                    // no other job has these.
                    unsafe { S::winograd_gradient(&job) };
                }
            }
        });
    }

    /// Adds some output channels of a chunk to the sums, `[point][output channel][input channel]`.
    fn products<S: Simd>(
        &self,
        tiles: usize,
        channels: &Range<usize>,
        v: &[f32],
        m: &[f32],
        sums: &mut [f32],
        resume: bool,
    ) {
        let (g, sums) = (self.g, Shared::new(sums));
        let [v_point, m_point] = [g.c_in, channels.len()].map(|channels| Self::point(channels, tiles));
        let slices = Parts::new(channels.len(), SLICE);
        par::jobs(self.form.points() * slices.count, |job| {
            let (point, slice) = (job / slices.count, slices.get(job % slices.count));
            let (v, m) = (&v[point * v_point..][..v_point], &m[point * m_point..][..m_point]);
            for group in self.groups.iter() {
                let width = group.len() * WIDTH;
                let x = v[Self::place(&group, tiles)..][..tiles * WIDTH * width].as_ptr();
                for part in Parts::new(slice.len(), ROWS).iter() {
                    let part = slice.start + part.start..slice.start + part.end;
                    let weight = m[part.start * tiles * WIDTH..][..part.len() * tiles * WIDTH].as_ptr();
                    let row = point * g.c_out + channels.start + part.start;
                    let to = sums.at(row * g.c_in + group.start * WIDTH);
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
        let kernel = self.form.taps() * self.form.taps();
        par::chunks(dweight, kernel * g.c_in, |channel, dweight| {
            let (mut points, mut taps) = ([[0.0; WIDTH]; POINTS], [[0.0; WIDTH]; TAPS]);
            for (vector, dweight) in dweight.chunks_exact_mut(kernel * WIDTH).enumerate() {
                for (i, values) in points[..self.form.points()].iter_mut().enumerate() {
                    let at = i * point + channel * g.c_in + vector * WIDTH;
                    values.copy_from_slice(&sums[at..at + WIDTH]);
                }
                self.form.kernel_gradients(&points, &mut taps);
                for (tap, values) in taps[..kernel].iter().enumerate() {
                    for (kernel, value) in dweight.chunks_exact_mut(kernel).zip(values) {
                        kernel[tap] = *value;
                    }
                }
            }
        });
    }
}
