//! Where tiles lie.

use super::super::WIDTH;
use std::ops::Range;

/// The tiles of a batch in order: across and down a plane, block of images by block.
#[derive(Clone, Copy)]
pub struct Tiles {
    /// Tiles across a plane,
    pub across: usize,
    /// and in a plane.
    pub plane: usize,
    /// Tiles in all.
    pub all: usize,
    /// Pixels that a tile makes along an axis.
    makes: usize,
}

/// Neighbours in a row of tiles.
pub struct Run {
    /// Block of images.
    pub block: usize,
    /// First pixel that they make, (row, column).
    pub pixel: [usize; 2],
    /// How many tiles of the range come before them.
    pub first: usize,
    /// How many they are.
    pub count: usize,
}

impl Tiles {
    /// For planes of `size` pixels of so many blocks, `makes` x `makes` pixels a tile.
    pub fn new(blocks: usize, size: [usize; 2], makes: usize) -> Self {
        let [down, across] = size.map(|n| n.div_ceil(makes));
        Self { across, plane: down * across, all: blocks * down * across, makes }
    }

    /// Block and first pixel of a tile.
    pub fn place(self, tile: usize) -> (usize, [usize; 2]) {
        let within = tile % self.plane;
        (tile / self.plane, [within / self.across * self.makes, within % self.across * self.makes])
    }

    /// The rows of tiles that a range touches.
    pub fn rows(self, tiles: &Range<usize>) -> Range<usize> {
        tiles.start / self.across..tiles.end.div_ceil(self.across)
    }

    /// What a range has of a row that it touches.
    pub fn run(self, tiles: &Range<usize>, row: usize) -> Run {
        let (start, end) = (tiles.start.max(row * self.across), tiles.end.min((row + 1) * self.across));
        let (block, pixel) = self.place(start);
        Run { block, pixel, first: start - tiles.start, count: end - start }
    }
}

/// Parts of a range of at most so many tiles.
pub fn chunks(tiles: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let end = tiles.end;
    tiles.step_by(most).map(move |start| start..end.min(start + most))
}

/// Places of tile `t` of channel `c` within a point: tiles in groups of `group` (fewer in the last), each group
/// `[channel][tile]`.
#[derive(Clone, Copy)]
pub struct Places {
    /// All tiles.
    pub tiles: usize,
    /// Tiles in a group.
    pub group: usize,
    /// Channels.
    pub channels: usize,
}

impl Places {
    /// Numbers before tile `t` of channel `c`.
    #[inline(always)]
    pub fn at(&self, c: usize, t: usize) -> usize {
        let first = t / self.group * self.group;
        let len = self.group.min(self.tiles - first);
        (first * self.channels + c * len + t - first) * WIDTH
    }
}
