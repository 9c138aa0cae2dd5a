//! Rows of pictures of images: input | map | overlay, with a caption and every panel's own range beneath it.
//!
//! A map smaller than its image is enlarged in blocks, so that its true resolution stays visible, or smoothly on
//! request; the panel says which. Panels of one column share a range if the gallery's scope is shared (the same
//! method over epochs), else each has its own (different methods).

use ndarray::{Array2, Array3, ArrayView2};

use crate::canvas::{Canvas, enlargement};
use crate::color::{FAINT, GREY, INK, NOT_A_NUMBER, Rgb, WHITE};
use crate::error::{Error, Result};
use crate::font;
use crate::number::{short, whole_percent};
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
    /// A map [h, w] of kinds, indices into a legend of names and colours.
    Kinds {
        /// The kind of each cell.
        map: Array2<usize>,
        /// Name and colour of each kind; those that occur are listed beneath the map.
        legend: Vec<(String, Rgb)>,
    },
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
/// Between rows that stand side by side.
const BETWEEN: usize = 30;
/// Kinds that a legend lists at the most.
const KINDS: usize = 5;
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
        let unit = columns * cell - GAP;
        let across = self.across(columns, unit, &frames);
        let text = if across == 1 { unit.max(500) } else { unit };
        let captions: Vec<Vec<String>> =
            self.rows.iter().map(|r| font::wrap(&r.caption, TEXT, text)).collect();
        let titles = self.title_lines(cell - GAP);
        let below = (BAR + 8 + LINE).max(self.legend_lines() * LINE + 4);
        let height = |(frame, caption): (&Frame, &Vec<String>)| {
            (caption.len() + titles) * LINE + 6 + frame.height + below + 16
        };
        let heights: Vec<usize> = frames.iter().zip(&captions).map(height).collect();
        // rows side by side share the height of the tallest
        let lines: Vec<usize> =
            heights.chunks(across).map(|line| line.iter().max().copied().unwrap_or(0)).collect();
        let width = across * (unit + BETWEEN) - BETWEEN;
        let mut sheet = Sheet::new(&self.title, &self.notes, width, lines.iter().sum(), None)?;
        for (r, row) in self.rows.iter().enumerate() {
            let x = sheet.x + r % across * (unit + BETWEEN);
            let y = sheet.y + lines[..r / across].iter().sum::<usize>();
            for (i, line) in captions[r].iter().enumerate() {
                sheet.canvas.text(x, y + i * LINE, line, TEXT, INK);
            }
            let y = y + captions[r].len() * LINE;
            let image = pixels(row.image.view())?;
            let slot = |column: usize| Slot { x: x + column * cell, y, titles, width: cell - GAP };
            slot(0).draw(&mut sheet.canvas, "input", &enlarge(image.view(), &frames[r])?, Below::Nothing);
            for (c, panel) in row.panels.iter().enumerate() {
                let range = self.range(r, c);
                let painted = panel.paint(&image, &frames[r], &range)?;
                let below = match (panel.style(), panel.legend()) {
                    (Some(style), _) => Below::Bar(style, range),
                    (None, legend) if !legend.is_empty() => Below::Legend(legend),
                    _ => Below::Nothing,
                };
                slot(c + 1).draw(&mut sheet.canvas, &panel.title, &painted, below);
            }
        }
        Ok(sheet.canvas)
    }

    /// How many rows stand side by side: several where each has a single panel, so that the sheet is about as wide as
    /// tall.
    fn across(&self, columns: usize, unit: usize, frames: &[Frame]) -> usize {
        if columns > 2 {
            return 1;
        }
        let tall = frames.iter().map(|f| f.height).max().unwrap_or(0) + 5 * LINE;
        crate::sheet::columns(self.rows.len(), unit + BETWEEN, tall)
    }

    /// Lines needed by the longest legend.
    fn legend_lines(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.panels).map(|panel| panel.legend().len()).max().unwrap_or(0)
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
            Content::Image(_) | Content::Kinds { .. } => None,
        }
    }

    /// The kinds that occur, most frequent first, with their shares; the last line sums up the rest.
    fn legend(&self) -> Vec<(String, Option<Rgb>)> {
        let Content::Kinds { map, legend } = &self.content else { return Vec::new() };
        let mut counts: Vec<(usize, usize)> =
            (0..legend.len()).map(|kind| (kind, map.iter().filter(|k| **k == kind).count())).collect();
        counts.retain(|(_, count)| *count > 0);
        counts.sort_by_key(|&(kind, count)| (std::cmp::Reverse(count), kind));
        // the share in front: a name that is too long for its panel is still told by its beginning
        let share = |count: usize| whole_percent(count as f64 / map.len() as f64);
        let line = |&(kind, count): &(usize, usize)| {
            (format!("{}: {}", share(count), legend[kind].0), Some(legend[kind].1))
        };
        let rest: usize = counts.iter().skip(KINDS - 1).map(|(_, count)| count).sum();
        let mut lines: Vec<_> = counts.iter().take(KINDS).map(line).collect();
        if counts.len() > KINDS {
            lines[KINDS - 1] = (format!("{}: others", share(rest)), None);
        }
        lines
    }

    fn values(&self) -> Box<dyn Iterator<Item = &f32> + '_> {
        match &self.content {
            Content::Map { map, .. } | Content::Overlay { map, .. } => Box::new(map.iter()),
            Content::SignedImage(image) | Content::Image(image) => Box::new(image.iter()),
            Content::Kinds { .. } => Box::new(std::iter::empty()),
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
            Content::Kinds { map, legend } => {
                let color = |&kind: &usize| legend.get(kind).map_or(NOT_A_NUMBER, |(_, color)| *color);
                enlarge(map.map(color).view(), frame)
            }
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

/// What stands beneath a panel.
enum Below {
    Nothing,
    Bar(Style, Range),
    Legend(Vec<(String, Option<Rgb>)>),
}

/// The place of one panel.
struct Slot {
    x: usize,
    y: usize,
    titles: usize,
    width: usize,
}

impl Slot {
    fn draw(&self, canvas: &mut Canvas, title: &str, cells: &Array2<Rgb>, below: Below) {
        let (height, width) = cells.dim();
        let lines = font::wrap(title, TEXT, self.width);
        for (i, line) in lines.iter().enumerate() {
            let y = self.y + (self.titles - lines.len().min(self.titles) + i) * LINE;
            canvas.text(self.x, y, line, TEXT, FAINT);
        }
        let top = self.y + self.titles * LINE + 2;
        canvas.blit(self.x, top, cells.view(), 1);
        canvas.frame(self.x, top, width, height, FAINT);
        let (style, range) = match below {
            Below::Nothing => return,
            Below::Bar(style, range) => (style, range),
            Below::Legend(lines) => {
                for (i, (text, color)) in lines.iter().enumerate() {
                    let y = top + height + 6 + i * LINE;
                    canvas.fill(self.x, y, 14, 14, color.unwrap_or(WHITE));
                    canvas.frame(self.x, y, 14, 14, FAINT);
                    canvas.text(self.x + 22, y, &font::fit(text, TEXT, self.width - 22), TEXT, INK);
                }
                return;
            }
        };
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
    fn rows_of_one_panel_stand_side_by_side_and_wider_ones_do_not() {
        let one = |mut row: Row| {
            row.panels.truncate(1);
            row
        };
        let narrow = Gallery::new("x", (0..10).map(|_| one(row())).collect()).draw().unwrap();
        let wide = Gallery::new("x", (0..10).map(|_| row()).collect()).draw().unwrap();
        let ratio = |c: &Canvas| c.height() as f64 / c.width() as f64;
        assert!((0.5..1.6).contains(&ratio(&narrow)), "{}x{}", narrow.width(), narrow.height());
        assert!(ratio(&wide) > 3.0);
    }

    #[test]
    fn legends_list_the_kinds_that_occur_and_sum_up_the_rest() {
        let legend: Vec<(String, Rgb)> = (0..9).map(|k| (format!("class {k}"), [k as u8; 3])).collect();
        let panel = |map: Array2<usize>| {
            let content = Content::Kinds { map, legend: legend.clone() };
            Panel { title: "p".into(), content }.legend()
        };
        assert_eq!(
            panel(array![[3, 3], [3, 1]]),
            [("75 %: class 3".to_string(), Some([3; 3])), ("25 %: class 1".to_string(), Some([1; 3]))]
        );
        let many = panel(Array2::from_shape_fn((10, 10), |(i, _)| i.min(6)));
        assert_eq!((many.len(), many[4].clone()), (5, ("30 %: others".to_string(), None)));
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
