//! Weights in the order in which the tiles of [`super::outer`] read them.
#![allow(unsafe_code)]

use super::{Parts, Shared};
use crate::kernels::{ConvGeometry, par};

/// Which channels a pass writes and reads, those of one group, and how the weights of neighbouring ones lie apart.
#[derive(Clone, Copy)]
pub struct Packing {
    /// Groups; the weights of one follow those of another.
    pub groups: usize,
    /// Channels that are written, in parts.
    pub written: usize,
    /// Channels that are read.
    pub read: usize,
    /// Taps of the kernel.
    pub taps: usize,
    /// Steps to the next written and to the next read channel.
    steps: [usize; 2],
    /// The parts of the written channels, one for each tile.
    pub parts: Parts,
}

impl Packing {
    /// Forward: outputs are written.
    pub fn forward(g: &ConvGeometry, most: usize) -> Self {
        let (ci, co) = (g.c_in / g.groups, g.c_out / g.groups);
        let taps = g.window.kernel[0] * g.window.kernel[1];
        let (steps, parts) = ([ci * taps, taps], Parts::new(co, most));
        Self { groups: g.groups, written: co, read: ci, taps, steps, parts }
    }

    /// Data gradient: inputs are written.
    pub fn back(g: &ConvGeometry, most: usize) -> Self {
        let (ci, co) = (g.c_in / g.groups, g.c_out / g.groups);
        let taps = g.window.kernel[0] * g.window.kernel[1];
        let (steps, parts) = ([taps, ci * taps], Parts::new(ci, most));
        Self { groups: g.groups, written: ci, read: co, taps, steps, parts }
    }

    /// Packs the weights, `[group][part][read][kh][kw][channel of the part]`.
    pub fn pack(&self, weight: &[f32], packed: &mut [f32]) {
        let group_len = self.written * self.read * self.taps;
        assert_eq!((weight.len(), packed.len()), (self.groups * group_len, self.groups * group_len));
        let packed = Shared::new(packed);
        par::jobs(self.groups * self.parts.count, |job| {
            let (group, part) = (job / self.parts.count, self.parts.get(job % self.parts.count));
            let from = &weight[group * group_len..][..group_len][part.start * self.steps[0]..];
            let (start, len) = self.place(group, &part);
            // SAFETY: the parts of all groups lie one behind the other in `packed`, whose length is asserted above.
            let to = unsafe { packed.slice(start, len) };
            match part.len() {
                8 => self.part::<8>(from, to),
                6 => self.part::<6>(from, to),
                n => {
                    for (i, to) in to.iter_mut().enumerate() {
                        let (c, tap, read) = (i % n, i / n % self.taps, i / n / self.taps);
                        *to = from[c * self.steps[0] + read * self.steps[1] + tap];
                    }
                }
            }
        });
    }

    /// Where the weights of a part lie, and how many there are.
    pub fn place(&self, group: usize, part: &std::ops::Range<usize>) -> (usize, usize) {
        let each = self.read * self.taps;
        ((group * self.written + part.start) * each, part.len() * each)
    }

    /// The weights of C written channels, `[read][taps][C]`.
    fn part<const C: usize>(&self, from: &[f32], to: &mut [f32]) {
        let to = to.as_chunks_mut::<C>().0;
        for channel in 0..self.read {
            let to = &mut to[channel * self.taps..][..self.taps];
            for c in 0..C {
                let from = &from[c * self.steps[0] + channel * self.steps[1]..][..self.taps];
                for (to, &w) in to.iter_mut().zip(from) {
                    to[c] = w;
                }
            }
        }
    }
}
