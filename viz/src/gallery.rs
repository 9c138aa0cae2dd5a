//! Rows of pictures of images: input | map | overlay, with a caption and every panel's own range beneath it.
//!
//! A map smaller than its image is enlarged in blocks, so that its true resolution stays visible, or smoothly on
//! request; the panel says which. Panels of one column share a range if the gallery's scope is shared (the same
//! method over epochs), else each has its own (different methods).

use ndarray::{Array2, Array3, ArrayView2};

use crate::canvas::{Canvas, enlargement};
use crate::color::{FAINT, GREY, INK, Rgb};
use crate::error::{Error, Result};
use crate::font;
use crate::number::short;
use crate::overlay::{overlay, pixels};
use crate::resize::{Resize, resize};
use crate::scale::{Mode, Range, Scope, Style};
use crate::sheet::{LINE, Sheet, TEXT};
use crate::weights::rgb_about_grey;

/// What a panel shows.
#[derive(Clone, Debug)]
pub enum Content {
    /// A map [h, w] in colours.
    Map {
        /// The values.
        map: Array2<f32>,
        /// The colours.
        style: Style,
        /// How it is enlarged to the image.
        resize: Resize,
    },
    /// A map [h, w] over the row's image.
    Overlay {
        /// The values.
        map: Array2<f32>,
        /// The colours.
        style: Style,
        /// How it is enlarged to the image.
        resize: Resize,
        /// Strength of the heat, usually [`crate::overlay::ALPHA`].
        alpha: f32,
    },
    /// A signed array [3, h, w] as colours around mid-grey (a gradient of a colour image).
    SignedImage(Array3<f32>),
    /// An image [1 or 3, h, w] with values in [0, 1].
    Image(Array3<f32>),
}

/// One picture of a row.
#[derive(Clone, Debug)]
pub struct Panel {
    /// The method, or what is shown.
    pub title: String,
    /// The picture.
    pub content: Content,
}

impl Panel {
    /// A map in blocks: signed colours if any value is negative.
    pub fn map(title: impl Into<String>, map: Array2<f32>, style: Style) -> Self {
        Self { title: title.into(), content: Content::Map { map, style, resize: Resize::Blocks } }
    }

    /// A map over the image, in blocks, at the usual strength.
    pub fn overlay(title: impl Into<String>, map: Array2<f32>, style: Style) -> Self {
        let (resize, alpha) = (Resize::Blocks, crate::overlay::ALPHA);
        Self { title: title.into(), content: Content::Overlay { map, style, resize, alpha } }
    }
}

/// One image with its panels.
#[derive(Clone, Debug)]
pub struct Row {
    /// The image, [1 or 3, H, W], values in [0, 1].
    pub image: Array3<f32>,
    /// The panels to its right.
    pub panels: Vec<Panel>,
    /// What a reader has to know: image, true class, explained class, facts of the maps.
    pub caption: String,
}

/// Rows of pictures.
#[derive(Clone, Debug)]
pub struct Gallery {
    /// What is shown.
    pub title: String,
    /// More lines beneath the title.
    pub notes: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether the panels of a column share their range.
    pub scope: Scope,
}

const GAP: usize = 18;
const TARGET: usize = 196;
const BAR: usize = 8;

impl Gallery {
    /// A gallery whose panels have their own ranges.
    pub fn new(title: impl Into<String>, rows: Vec<Row>) -> Self {
        Self { title: title.into(), notes: Vec::new(), rows, scope: Scope::PerMap }
    }

    /// The picture.
    ///
    /// # Errors
    /// No row, an empty image, an image that is neither grey nor colour, or a picture of too many pixels.
    pub fn draw(&self) -> Result<Canvas> {
        if self.rows.is_empty() || self.rows.iter().any(|row| row.image.is_empty()) {
            let problem = "there is no row, or an image without pixels";
            return Err(Error::shape("gallery", problem, "give at least one image"));
        }
        let frames: Vec<Frame> = self.rows.iter().map(Frame::of).collect();
        let columns = 1 + self.rows.iter().map(|row| row.panels.len()).max().unwrap_or(0);
        let cell = frames.iter().map(|f| f.width.max(TARGET)).max().unwrap_or(TARGET) + GAP;
        let width = columns * cell - GAP;
        let captions: Vec<Vec<String>> =
            self.rows.iter().map(|r| font::wrap(&r.caption, TEXT, width.max(500))).collect();
        let titles = self.title_lines(cell - GAP);
        let heights: Vec<usize> = frames
            .iter()
            .zip(&captions)
            .map(|(frame, caption)| (caption.len() + titles) * LINE + 6 + frame.height + BAR + 8 + LINE + 16)
            .collect();
        let mut sheet = Sheet::new(&self.title, &self.notes, width, heights.iter().sum(), None)?;
        let mut y = sheet.y;
        for (r, row) in self.rows.iter().enumerate() {
            for (i, line) in captions[r].iter().enumerate() {
                sheet.canvas.text(sheet.x, y + i * LINE, line, TEXT, INK);
            }
            let y_titles = y + captions[r].len() * LINE;
            let image = pixels(row.image.view())?;
            let slot =
                |column: usize| Slot { x: sheet.x + column * cell, y: y_titles, titles, width: cell - GAP };
            slot(0).draw(&mut sheet.canvas, "input", &enlarge(image.view(), &frames[r])?, None);
            for (c, panel) in row.panels.iter().enumerate() {
                let range = self.range(r, c);
                let painted = panel.paint(&image, &frames[r], &range)?;
                let bar = panel.style().map(|style| (style, range));
                slot(c + 1).draw(&mut sheet.canvas, &panel.title, &painted, bar);
            }
            y += heights[r];
        }
        Ok(sheet.canvas)
    }

    /// Lines needed by the longest panel title.
    fn title_lines(&self, width: usize) -> usize {
        let panels = self.rows.iter().flat_map(|row| &row.panels);
        panels.map(|panel| font::wrap(&panel.title, TEXT, width).len()).max().unwrap_or(1)
    }

    /// The range of the panel in a row and column.
    fn range(&self, row: usize, column: usize) -> Range {
        let of = |panel: &Panel| Range::of(panel.values(), panel.style().map_or(Mode::MinMax, |s| s.mode));
        let own = of(&self.rows[row].panels[column]);
        if self.scope == Scope::PerMap {
            return own;
        }
        let same = self.rows.iter().filter_map(|row| row.panels.get(column)).map(of);
        same.fold(own, |a, b| Range {
            lo: a.lo.min(b.lo),
            hi: a.hi.max(b.hi),
            clipped: a.clipped || b.clipped,
        })
    }
}

impl Panel {
    fn style(&self) -> Option<Style> {
        match &self.content {
            Content::Map { style, .. } | Content::Overlay { style, .. } => Some(*style),
            Content::SignedImage(_) => Some(Style { map: &GREY, mode: Mode::Symmetric }),
            Content::Image(_) => None,
        }
    }

    fn values(&self) -> Box<dyn Iterator<Item = &f32> + '_> {
        match &self.content {
            Content::Map { map, .. } | Content::Overlay { map, .. } => Box::new(map.iter()),
            Content::SignedImage(image) | Content::Image(image) => Box::new(image.iter()),
        }
    }

    /// The panel's colours at the frame's size.
    fn paint(&self, image: &Array2<Rgb>, frame: &Frame, range: &Range) -> Result<Array2<Rgb>> {
        match &self.content {
            Content::Map { map, style, resize } => {
                Ok(frame.spread(map.view(), *resize)?.mapv(|v| style.paint(range, v)))
            }
            Content::Overlay { map, style, resize, alpha } => {
                let under = enlarge(image.view(), frame)?;
                overlay(under.view(), frame.spread(map.view(), *resize)?.view(), style, range, *alpha)
            }
            Content::SignedImage(image) if image.dim().0 == 3 => {
                enlarge(rgb_about_grey(image.view(), range.hi).view(), frame)
            }
            Content::SignedImage(image) => {
                let problem = format!("{} channels", image.dim().0);
                Err(Error::shape(&self.title, problem, "give 3 channels, or a map for a grey image"))
            }
            Content::Image(image) => enlarge(pixels(image.view())?.view(), frame),
        }
    }
}

/// Size of an image in cells and in pixels of the picture.
struct Frame {
    rows: usize,
    cols: usize,
    height: usize,
    width: usize,
}

impl Frame {
    fn of(row: &Row) -> Self {
        let (_, rows, cols) = row.image.dim();
        let factor = enlargement(rows.max(cols), TARGET);
        Self { rows, cols, height: rows * factor, width: cols * factor }
    }

    /// A map at the frame's size in pixels. A smooth map is computed at the image's own resolution.
    fn spread(&self, map: ArrayView2<'_, f32>, how: Resize) -> Result<Array2<f32>> {
        match how {
            Resize::Blocks => resize(map, self.height, self.width, Resize::Blocks),
            Resize::Bilinear => {
                let fine = resize(map, self.rows, self.cols, Resize::Bilinear)?;
                resize(fine.view(), self.height, self.width, Resize::Blocks)
            }
        }
    }
}

fn enlarge(cells: ArrayView2<'_, Rgb>, frame: &Frame) -> Result<Array2<Rgb>> {
    let (h, w) = cells.dim();
    if h * w == 0 {
        return Err(Error::shape("gallery", format!("a picture of {h}x{w} cells"), "give at least one cell"));
    }
    let cell = |t: usize, from: usize, to: usize| (2 * t + 1) * from / (2 * to);
    Ok(Array2::from_shape_fn((frame.height, frame.width), |(i, j)| {
        cells[[cell(i, h, frame.height), cell(j, w, frame.width)]]
    }))
}

/// The place of one panel.
struct Slot {
    x: usize,
    y: usize,
    titles: usize,
    width: usize,
}

impl Slot {
    fn draw(&self, canvas: &mut Canvas, title: &str, cells: &Array2<Rgb>, bar: Option<(Style, Range)>) {
        let (height, width) = cells.dim();
        let lines = font::wrap(title, TEXT, self.width);
        for (i, line) in lines.iter().enumerate() {
            let y = self.y + (self.titles - lines.len().min(self.titles) + i) * LINE;
            canvas.text(self.x, y, line, TEXT, FAINT);
        }
        let top = self.y + self.titles * LINE + 2;
        canvas.blit(self.x, top, cells.view(), 1);
        canvas.frame(self.x, top, width, height, FAINT);
        let Some((style, range)) = bar else { return };
        let below = top + height + 6;
        for dx in 0..width {
            canvas.fill(self.x + dx, below, 1, BAR, style.map.at(dx as f32 / (width.max(2) - 1) as f32));
        }
        let (lo, hi) = (short(range.lo.into()), short(range.hi.into()));
        let y = below + BAR + 4;
        canvas.text(self.x, y, &lo, TEXT, INK);
        canvas.text(self.x + width.saturating_sub(font::text_width(&hi, TEXT)), y, &hi, TEXT, INK);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::color::{BLACK, WHITE};

    fn row() -> Row {
        let map = array![[0.0f32, -1.0], [2.0, 0.0]];
        Row {
            image: Array3::from_shape_fn((1, 4, 4), |(_, i, j)| ((i + j) % 2) as f32),
            panels: vec![
                Panel::map("saliency", map.clone(), Style::signed()),
                Panel::overlay("on the input", map, Style::signed()),
            ],
            caption: "digit 7".into(),
        }
    }

    #[test]
    fn panels_stand_beside_the_input_in_blocks() {
        let canvas = Gallery::new("saliency", vec![row()]).draw().unwrap();
        let body = Sheet::new("saliency", &[], 3 * (TARGET + GAP) - GAP, 0, None).unwrap();
        let top = body.y + 2 * LINE + 2;
        let size = 4 * enlargement(4, TARGET);
        // The input is a chess board that starts black; the map's quarters are white, blue, red, white.
        assert_eq!([canvas.get(body.x, top), canvas.get(body.x + size / 4, top)], [Some(BLACK), Some(WHITE)]);
        let map_x = body.x + TARGET + GAP;
        assert_eq!(canvas.get(map_x, top), Some(WHITE));
        assert_eq!(canvas.get(map_x + size / 2, top), Some([128, 128, 255]));
        assert_eq!(canvas.get(map_x, top + size / 2), Some([255, 0, 0]));
    }

    #[test]
    fn shared_scope_takes_the_widest_range_of_a_column() {
        let mut big = row();
        big.panels[0] = Panel::map("saliency", array![[8.0f32]], Style::signed());
        let mut gallery = Gallery::new("x", vec![row(), big]);
        assert_eq!(gallery.range(0, 0).hi, 2.0);
        gallery.scope = Scope::Shared;
        assert_eq!((gallery.range(0, 0).lo, gallery.range(0, 0).hi), (-8.0, 8.0));
        assert_eq!(gallery.range(0, 1).hi, 2.0);
    }

    #[test]
    fn bad_panels_are_errors_and_degenerate_ones_are_drawn() {
        let with = |content: Content| {
            let panels = vec![Panel { title: "p".into(), content }];
            Gallery::new("x", vec![Row { panels, ..row() }]).draw()
        };
        assert!(with(Content::SignedImage(Array3::zeros((2, 4, 4)))).is_err());
        assert!(with(Content::Image(Array3::zeros((3, 0, 4)))).is_err());
        assert!(with(Content::SignedImage(Array3::zeros((3, 4, 4)))).is_ok());
        for value in [0.0, f32::NAN, f32::INFINITY] {
            let map = Array2::from_elem((1, 1), value);
            let (style, resize) = (Style::unsigned(), Resize::Bilinear);
            assert!(with(Content::Overlay { map, style, resize, alpha: 0.6 }).is_ok());
        }
        assert!(Gallery::new("x", vec![]).draw().is_err());
    }
}
