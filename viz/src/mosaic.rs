//! Groups of small pictures of one size: a channel's patches beside its projections, or a channel over the epochs.
//!
//! A [`Group`] has a title and one or more [`Grid`]s side by side; groups are laid out in as many columns as make the
//! sheet about as wide as tall. Cells are enlarged by one whole factor for the whole sheet, never smoothed. A grid's
//! range stands under its colour bar.

use crate::canvas::{Canvas, enlargement};
use crate::color::{FAINT, GREY, INK, Rgb};
use crate::error::{Error, Result};
use crate::font;
use crate::number::short;
use crate::overlay::pixels;
use crate::scale::{Mode, Range, Style};
use crate::sheet::{LINE, Sheet, TEXT, columns};
use crate::weights::rgb_about_grey;
use ndarray::{Array2, ArrayView3, Axis};

/// A small picture.
#[derive(Clone, Debug)]
pub struct Tile {
    /// Its colours.
    pub cells: Array2<Rgb>,
    /// A few characters beneath it, or nothing.
    pub label: String,
}

/// Tiles row by row, with what they share.
#[derive(Clone, Debug)]
pub struct Grid {
    /// The tiles.
    pub tiles: Vec<Tile>,
    /// Tiles in a row.
    pub columns: usize,
    /// The colours and range that the tiles are painted with; none for images.
    pub bar: Option<(Style, Range)>,
}

/// Grids side by side under a title.
#[derive(Clone, Debug)]
pub struct Group {
    /// Which channel, and what is known of it.
    pub title: String,
    /// The grids.
    pub grids: Vec<Grid>,
}

/// The whole picture.
#[derive(Clone, Debug)]
pub struct Mosaic {
    /// What is shown.
    pub title: String,
    /// More lines beneath the title.
    pub notes: Vec<String>,
    /// The groups.
    pub groups: Vec<Group>,
    /// About how many pixels a tile's longer side takes, if it is smaller than that.
    pub tile: usize,
}

const GAP: usize = 4;
const BETWEEN: usize = 14;
const BAR: usize = 8;

/// A signed array [C, h, w] as colours: blue-white-red for one channel, around mid-grey for three, else summed.
pub fn signed(values: ArrayView3<'_, f32>, range: &Range) -> Array2<Rgb> {
    match values.dim().0 {
        3 => rgb_about_grey(values, range.hi),
        _ => values.sum_axis(Axis(0)).mapv(|v| Style::signed().paint(range, v)),
    }
}

/// The colours and the symmetric range of signed arrays [C, h, w] that share one.
pub fn signed_bar<'a>(channels: usize, arrays: impl Iterator<Item = ArrayView3<'a, f32>>) -> (Style, Range) {
    let symmetric = Mode::Symmetric;
    if channels == 3 {
        let values: Vec<f32> = arrays.flat_map(|a| a.iter().copied().collect::<Vec<_>>()).collect();
        return (Style { map: &GREY, mode: symmetric }, Range::of(&values, symmetric));
    }
    let values: Vec<f32> = arrays.flat_map(|a| a.sum_axis(Axis(0)).into_iter().collect::<Vec<_>>()).collect();
    (Style::signed(), Range::of(&values, symmetric))
}

impl Tile {
    /// An image [1 or 3, h, w] with values in [0, 1].
    ///
    /// # Errors
    /// Another number of channels.
    pub fn image(image: ArrayView3<'_, f32>, label: impl Into<String>) -> Result<Self> {
        Ok(Self { cells: pixels(image)?, label: label.into() })
    }

    /// A signed array [C, h, w].
    pub fn signed(values: ArrayView3<'_, f32>, range: &Range, label: impl Into<String>) -> Self {
        Self { cells: signed(values, range), label: label.into() }
    }
}

/// Sizes that all groups share.
struct Layout {
    factor: usize,
    tile: [usize; 2],
    label: usize,
    width: usize,
    height: usize,
    title: usize,
}

impl Mosaic {
    /// The picture.
    ///
    /// # Errors
    /// No tile, a tile without cells, or a picture of too many pixels.
    pub fn draw(&self) -> Result<Canvas> {
        let layout = self.layout()?;
        let (cell_width, cell_height) = (layout.width + 2 * BETWEEN, layout.height + 2 * BETWEEN);
        let across = columns(self.groups.len(), cell_width, cell_height);
        let rows = self.groups.len().div_ceil(across);
        let (width, height) = (across * cell_width - 2 * BETWEEN, rows * cell_height - 2 * BETWEEN);
        let mut sheet = Sheet::new(&self.title, &self.notes, width, height, None)?;
        for (g, group) in self.groups.iter().enumerate() {
            let x = sheet.x + g % across * cell_width;
            let y = sheet.y + g / across * cell_height;
            layout.group(&mut sheet.canvas, x, y, group);
        }
        Ok(sheet.canvas)
    }

    fn layout(&self) -> Result<Layout> {
        let tiles = || self.groups.iter().flat_map(|g| &g.grids).flat_map(|grid| &grid.tiles);
        let largest = tiles().fold([0, 0], |[h, w], t| [h.max(t.cells.nrows()), w.max(t.cells.ncols())]);
        if largest.contains(&0) || tiles().any(|t| t.cells.is_empty()) {
            let problem = "there is no tile, or one without cells";
            return Err(Error::shape("mosaic", problem, "give at least one tile"));
        }
        let factor = enlargement(largest[0].max(largest[1]), self.tile);
        let tile = largest.map(|cells| cells * factor + GAP);
        let label = if tiles().any(|t| !t.label.is_empty()) { LINE } else { 0 };
        let bars = self.groups.iter().flat_map(|g| &g.grids).any(|grid| grid.bar.is_some());
        let bar = if bars { BAR + 6 + LINE } else { 0 };
        let of_grid = |grid: &Grid| [grid.tiles.len().div_ceil(grid.columns.max(1)), grid.columns];
        let across = |g: &Group| {
            g.grids.iter().map(|grid| of_grid(grid)[1] * tile[1] + BETWEEN).sum::<usize>() - BETWEEN
        };
        let width = self.groups.iter().map(across).max().unwrap_or(0);
        let down = self.groups.iter().flat_map(|g| &g.grids).map(|grid| of_grid(grid)[0]).max().unwrap_or(0);
        let title = self.groups.iter().map(|g| font::wrap(&g.title, TEXT, width).len()).max().unwrap_or(0);
        let height = title * LINE + 4 + down * (tile[0] + label) + bar;
        Ok(Layout { factor, tile, label, width, height, title })
    }
}

impl Layout {
    fn group(&self, canvas: &mut Canvas, x: usize, y: usize, group: &Group) {
        for (i, line) in font::wrap(&group.title, TEXT, self.width).iter().enumerate() {
            canvas.text(x, y + i * LINE, line, TEXT, INK);
        }
        let (mut x, y) = (x, y + self.title * LINE + 4);
        for grid in &group.grids {
            self.grid(canvas, x, y, grid);
            x += grid.columns * self.tile[1] + BETWEEN;
        }
    }

    fn grid(&self, canvas: &mut Canvas, x: usize, y: usize, grid: &Grid) {
        let columns = grid.columns.max(1);
        for (i, tile) in grid.tiles.iter().enumerate() {
            let (left, top) = (x + i % columns * self.tile[1], y + i / columns * (self.tile[0] + self.label));
            canvas.blit(left, top, tile.cells.view(), self.factor);
            let (h, w) = tile.cells.dim();
            canvas.frame(left, top, w * self.factor, h * self.factor, FAINT);
            canvas.text(left, top + self.tile[0], &font::fit(&tile.label, TEXT, self.tile[1]), TEXT, FAINT);
        }
        let Some((style, range)) = &grid.bar else { return };
        let width = columns * self.tile[1] - GAP;
        let top = y + grid.tiles.len().div_ceil(columns) * (self.tile[0] + self.label) + 2;
        for dx in 0..width {
            canvas.fill(x + dx, top, 1, BAR, style.map.at(dx as f32 / (width.max(2) - 1) as f32));
        }
        canvas.frame(x, top, width, BAR, FAINT);
        let (lo, hi) = (short(range.lo.into()), short(range.hi.into()));
        canvas.text(x, top + BAR + 4, &lo, TEXT, INK);
        let right = x + width.saturating_sub(font::text_width(&hi, TEXT));
        canvas.text(right, top + BAR + 4, &hi, TEXT, INK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::WHITE;
    use ndarray::array;

    fn mosaic() -> Mosaic {
        let values = array![[[0.0f32, -1.0], [2.0, 0.0]]];
        let bar = signed_bar(1, std::iter::once(values.view()));
        let tile = Tile::signed(values.view(), &bar.1, "");
        let grid = Grid { tiles: vec![tile; 4], columns: 2, bar: Some(bar) };
        let group =
            Group { title: "channel 3".into(), grids: vec![grid.clone(), Grid { bar: None, ..grid }] };
        Mosaic { title: "x".into(), notes: vec![], groups: vec![group; 3], tile: 20 }
    }

    #[test]
    fn tiles_lie_in_rows_in_blocks_of_their_colours() {
        let mosaic = mosaic();
        let (canvas, layout) = (mosaic.draw().unwrap(), mosaic.layout().unwrap());
        assert_eq!((layout.factor, layout.tile), (10, [24, 24]));
        let body = Sheet::new("x", &[], layout.width, layout.height, None).unwrap();
        let top = body.y + LINE + 4;
        let want = [WHITE, [128, 128, 255], [255, 0, 0], WHITE];
        for (tile, (dy, dx)) in [(0, 0), (0, 24), (24, 0), (24, 24)].into_iter().enumerate() {
            for (cell, color) in want.into_iter().enumerate() {
                let (x, y) = (body.x + dx + cell % 2 * 10, top + dy + cell / 2 * 10);
                assert_eq!(canvas.get(x, y), Some(color), "tile {tile}, cell {cell}");
            }
        }
    }

    #[test]
    fn empty_mosaics_are_refused_and_colour_arrays_lie_around_grey() {
        assert!(Mosaic { groups: vec![], ..mosaic() }.draw().is_err());
        let colour = array![[[1.0f32]], [[-1.0]], [[0.0]]];
        let (_, range) = signed_bar(3, std::iter::once(colour.view()));
        assert_eq!(signed(colour.view(), &range)[[0, 0]], [255, 0, 128]);
    }
}
