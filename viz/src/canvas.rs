//! An RGB picture in memory: rectangles, enlarged blits, text, colour bars, PNG bytes.
//!
//! Everything drawn outside the picture is cut off, never an error. Maps are enlarged by whole factors with no
//! smoothing: one cell of a map is one block of pixels, so a reader can count them.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use ndarray::ArrayView2;

use crate::color::{FAINT, INK, Rgb, WHITE};
use crate::error::{Error, Result};
use crate::font;
use crate::number;
use crate::scale::{Range, Style};

/// Most pixels that a picture may have: 64 Mi, 192 MiB of bytes.
pub const MAX_PIXELS: usize = 1 << 26;

/// Height of a colour bar with its numbers, at text size 2.
pub const BAR_HEIGHT: usize = 50;

/// A picture: rows of RGB pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Canvas {
    /// A picture of one colour.
    ///
    /// # Errors
    /// No pixel at all, or more than [`MAX_PIXELS`].
    pub fn new(width: usize, height: usize, background: Rgb) -> Result<Self> {
        let pixels = width.checked_mul(height).filter(|&n| n > 0 && n <= MAX_PIXELS).ok_or_else(|| {
            let problem = format!("{width}x{height} pixels are not between 1 and {MAX_PIXELS}");
            Error::shape("picture", problem, "draw fewer or smaller tiles")
        })?;
        Ok(Self { width, height, pixels: background.repeat(pixels) })
    }

    /// A white picture.
    ///
    /// # Errors
    /// As [`Canvas::new`].
    pub fn white(width: usize, height: usize) -> Result<Self> {
        Self::new(width, height, WHITE)
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The bytes, row by row, three a pixel.
    pub fn bytes(&self) -> &[u8] {
        &self.pixels
    }

    /// The colour at (x, y); `None` outside.
    pub fn get(&self, x: usize, y: usize) -> Option<Rgb> {
        let at = self.offset(x, y)?;
        Some([self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]])
    }

    /// Sets the pixel at (x, y); nothing happens outside.
    pub fn set(&mut self, x: usize, y: usize, color: Rgb) {
        if let Some(at) = self.offset(x, y) {
            self.pixels[at..at + 3].copy_from_slice(&color);
        }
    }

    fn offset(&self, x: usize, y: usize) -> Option<usize> {
        (x < self.width && y < self.height).then(|| 3 * (y * self.width + x))
    }

    /// Fills a rectangle.
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, color: Rgb) {
        let right = x.saturating_add(width).min(self.width);
        for row in y..y.saturating_add(height).min(self.height) {
            let line = self.pixels.get_mut(3 * (row * self.width + x)..3 * (row * self.width + right));
            line.unwrap_or_default().as_chunks_mut().0.fill(color);
        }
    }

    /// A frame one pixel wide around a rectangle, just outside it.
    pub fn frame(&mut self, x: usize, y: usize, width: usize, height: usize, color: Rgb) {
        let (left, top) = (x.saturating_sub(1), y.saturating_sub(1));
        self.fill(left, top, width + 2, 1, color);
        self.fill(left, y + height, width + 2, 1, color);
        self.fill(left, top, 1, height + 2, color);
        self.fill(x + width, top, 1, height + 2, color);
    }

    /// A diagonal cross over a rectangle: the mark of a map that has nothing to show.
    pub fn cross(&mut self, x: usize, y: usize, width: usize, height: usize, color: Rgb) {
        let steps = width.max(height).max(2) - 1;
        for i in 0..=steps {
            let (dx, dy) = (i * width.saturating_sub(1) / steps, i * height.saturating_sub(1) / steps);
            for thick in 0..2 {
                let row = y + (dy + thick).min(height.saturating_sub(1));
                self.set(x + dx, row, color);
                self.set(x + width.saturating_sub(1) - dx, row, color);
            }
        }
    }

    /// Paints a [h, w] map of colours with its left upper corner at (x, y), each cell a block of `factor` pixels.
    pub fn blit(&mut self, x: usize, y: usize, cells: ArrayView2<'_, Rgb>, factor: usize) {
        for ((i, j), &color) in cells.indexed_iter() {
            self.fill(x + j * factor, y + i * factor, factor, factor, color);
        }
    }

    /// Paints a [h, w] map of values in a style and range, each cell a block of `factor` pixels.
    pub fn map(
        &mut self,
        x: usize,
        y: usize,
        values: ArrayView2<'_, f32>,
        style: &Style,
        range: &Range,
        factor: usize,
    ) {
        for ((i, j), &v) in values.indexed_iter() {
            self.fill(x + j * factor, y + i * factor, factor, factor, style.paint(range, v));
        }
    }

    /// Copies another picture with its left upper corner at (x, y).
    pub fn paste(&mut self, x: usize, y: usize, other: &Self) {
        for row in 0..other.height.min(self.height.saturating_sub(y)) {
            let count = other.width.min(self.width.saturating_sub(x));
            let (from, to) = (3 * row * other.width, 3 * ((y + row) * self.width + x));
            self.pixels[to..to + 3 * count].copy_from_slice(&other.pixels[from..from + 3 * count]);
        }
    }

    /// Writes a line of text with its left upper corner at (x, y).
    pub fn text(&mut self, x: usize, y: usize, text: &str, size: usize, color: Rgb) {
        for (i, c) in font::spell(text).chars().enumerate() {
            let left = x + i * font::ADVANCE * size;
            for dy in 0..font::HEIGHT * size {
                for dx in 0..font::WIDTH * size {
                    if font::pixel(c, size, dx, dy) {
                        self.set(left + dx, y + dy, color);
                    }
                }
            }
        }
    }

    /// Writes a line of text centred between x and x + width, cut to fit.
    pub fn text_centred(&mut self, x: usize, y: usize, width: usize, text: &str, size: usize, color: Rgb) {
        let text = font::fit(text, size, width);
        let left = x + width.saturating_sub(font::text_width(&text, size)) / 2;
        self.text(left, y, &text, size, color);
    }

    /// Writes a line of text upwards, turned a quarter to the left, with its first letter's lower left corner at (x, y).
    pub fn text_up(&mut self, x: usize, y: usize, text: &str, size: usize, color: Rgb) {
        for (i, c) in font::spell(text).chars().enumerate() {
            for dy in 0..font::HEIGHT * size {
                for dx in 0..font::WIDTH * size {
                    let up = i * font::ADVANCE * size + dx;
                    if up <= y && font::pixel(c, size, dx, dy) {
                        self.set(x + dy, y - up, color);
                    }
                }
            }
        }
    }

    /// Draws a colour bar of `width` pixels and [`BAR_HEIGHT`] with its left upper corner at (x, y): the colours, five
    /// ticks, and the values at the ends and in the middle.
    pub fn color_bar(&mut self, x: usize, y: usize, width: usize, style: &Style, range: &Range) {
        let thick = 16;
        for dx in 0..width {
            let t = dx as f32 / (width.max(2) - 1) as f32;
            self.fill(x + dx, y, 1, thick, style.map.at(t));
        }
        self.frame(x, y, width, thick, FAINT);
        for quarter in 0..=4 {
            let tick = x + quarter * width.saturating_sub(1) / 4;
            self.fill(tick, y + thick, 1, if quarter % 2 == 0 { 6 } else { 3 }, FAINT);
        }
        let middle = 0.5 * f64::from(range.lo) + 0.5 * f64::from(range.hi);
        let [lo, middle, hi] = [range.lo.into(), middle, range.hi.into()].map(number::short);
        let below = y + thick + 9;
        let size = 2;
        self.text(x, below, &lo, size, INK);
        self.text(x + width.saturating_sub(font::text_width(&hi, size)), below, &hi, size, INK);
        // The middle is left out where it would touch the ends.
        let widest = font::text_width(&lo, size).max(font::text_width(&hi, size));
        let half = font::text_width(&middle, size).div_ceil(2);
        if widest + half + 12 <= width / 2 {
            self.text(x + width / 2 - half, below, &middle, size, INK);
        }
    }

    /// The picture as a PNG file in memory. The same picture gives the same bytes.
    ///
    /// # Errors
    /// The encoder's own failure.
    pub fn png(&self) -> Result<Vec<u8>> {
        self.encode(CompressionType::Default)
    }

    /// The same picture about ten times as fast, in a file about three times as large.
    ///
    /// # Errors
    /// The encoder's own failure.
    pub fn png_quick(&self) -> Result<Vec<u8>> {
        self.encode(CompressionType::Fast)
    }

    fn encode(&self, effort: CompressionType) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        PngEncoder::new_with_quality(&mut bytes, effort, FilterType::Adaptive)
            .write_image(&self.pixels, self.width as u32, self.height as u32, ExtendedColorType::Rgb8)
            .map_err(|e| Error::Encode { width: self.width, height: self.height, reason: e.to_string() })?;
        Ok(bytes)
    }
}

/// The whole factor that enlarges `cells` to at least about `target` pixels; 1 if it is that large already.
pub fn enlargement(cells: usize, target: usize) -> usize {
    ((target as f64 / cells.max(1) as f64).round() as usize).max(1)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::color::{BLACK, NOT_A_NUMBER};

    #[test]
    fn a_map_becomes_blocks_of_its_colours() {
        let mut canvas = Canvas::white(8, 6).unwrap();
        let values = array![[0.0f32, 1.0], [-1.0, f32::NAN]];
        let style = Style::signed();
        canvas.map(1, 1, values.view(), &style, &Range::of(&values, style.mode), 2);
        let want = [[WHITE, [255, 0, 0]], [[0, 0, 255], NOT_A_NUMBER]];
        for y in 0..4 {
            for x in 0..4 {
                assert_eq!(canvas.get(1 + x, 1 + y), Some(want[y / 2][x / 2]));
            }
        }
        assert_eq!([canvas.get(0, 0), canvas.get(5, 1), canvas.get(8, 0)], [Some(WHITE), Some(WHITE), None]);
    }

    #[test]
    fn what_lies_outside_is_cut_off() {
        let mut canvas = Canvas::new(4, 3, BLACK).unwrap();
        canvas.fill(2, 2, 100, 100, WHITE);
        canvas.frame(0, 0, 9, 9, WHITE);
        canvas.cross(3, 2, 40, 7, WHITE);
        canvas.text(1, 1, "long text", 3, WHITE);
        canvas.paste(3, 2, &Canvas::white(5, 5).unwrap());
        canvas.paste(30, 20, &Canvas::white(5, 5).unwrap());
        assert_eq!(canvas.bytes().len(), 4 * 3 * 3);
        assert!(Canvas::white(0, 5).is_err() && Canvas::white(1 << 20, 1 << 20).is_err());
        assert!(Canvas::white(usize::MAX, 2).is_err());
    }

    #[test]
    fn a_colour_bar_runs_from_the_first_colour_to_the_last() {
        let mut canvas = Canvas::white(300, 80).unwrap();
        let style = Style::signed();
        canvas.color_bar(10, 10, 201, &style, &Range { lo: -2.0, hi: 2.0, clipped: false });
        assert_eq!(canvas.get(10, 15), Some([0, 0, 255]));
        assert_eq!(canvas.get(110, 15), Some(WHITE));
        assert_eq!(canvas.get(210, 15), Some([255, 0, 0]));
    }

    #[test]
    fn png_bytes_are_the_same_each_time_and_decode_to_the_same_pixels() {
        let mut canvas = Canvas::white(37, 21).unwrap();
        canvas.text(2, 2, "Ab1", 2, INK);
        let bytes = canvas.png().unwrap();
        assert_eq!(bytes, canvas.clone().png().unwrap());
        let back = image::load_from_memory(&bytes).unwrap().to_rgb8();
        assert_eq!((back.width(), back.height(), back.as_raw().as_slice()), (37, 21, canvas.bytes()));
    }

    #[test]
    fn enlargement_is_whole() {
        assert_eq!(
            [(28, 112), (24, 112), (5, 112), (224, 112), (0, 5)].map(|(c, t)| enlargement(c, t)),
            [4, 5, 22, 1, 5]
        );
    }
}
