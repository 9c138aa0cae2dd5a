//! The frame that all tiled pictures share: a title, notes, the body, and a colour bar with its meaning.

use crate::canvas::{BAR_HEIGHT, Canvas};
use crate::color::{FAINT, INK};
use crate::error::Result;
use crate::font;
use crate::scale::{Range, Style};

/// Text size of titles, notes and labels.
pub const TEXT: usize = 2;
/// Height of a line of text.
pub const LINE: usize = font::LINE * TEXT + 2;
const MARGIN: usize = 18;
const NARROWEST: usize = 520;

/// A colour bar and what it measures.
pub struct Bar {
    /// The colours.
    pub style: Style,
    /// Their ends.
    pub range: Range,
    /// What the numbers are.
    pub label: String,
}

/// An empty picture with its frame drawn.
pub struct Sheet {
    /// The picture.
    pub canvas: Canvas,
    /// Left edge of the body.
    pub x: usize,
    /// Upper edge of the body.
    pub y: usize,
}

impl Sheet {
    /// A white sheet for a body of `width` x `height` pixels, with title and notes above and the bar below.
    ///
    /// # Errors
    /// A picture of too many pixels.
    pub fn new(
        title: &str,
        notes: &[String],
        width: usize,
        height: usize,
        bar: Option<&Bar>,
    ) -> Result<Self> {
        let inner = width.max(NARROWEST);
        let heading = font::wrap(title, TEXT, inner);
        let notes: Vec<String> = notes.iter().flat_map(|note| font::wrap(note, TEXT, inner)).collect();
        let label = bar.map(|bar| font::wrap(&bar.label, TEXT, inner)).unwrap_or_default();
        let top = MARGIN + (heading.len() + notes.len()) * LINE + 12;
        let foot = if bar.is_some() { 14 + label.len() * LINE + BAR_HEIGHT } else { 0 };
        let mut canvas = Canvas::white(inner + 2 * MARGIN, top + height + foot + MARGIN)?;
        let mut y = MARGIN;
        for (line, color) in heading.iter().map(|l| (l, INK)).chain(notes.iter().map(|l| (l, FAINT))) {
            canvas.text(MARGIN, y, line, TEXT, color);
            y += LINE;
        }
        if let Some(bar) = bar {
            let mut y = top + height + 14;
            for line in &label {
                canvas.text(MARGIN, y, line, TEXT, INK);
                y += LINE;
            }
            canvas.color_bar(MARGIN, y, inner.min(NARROWEST), &bar.style, &bar.range);
        }
        Ok(Self { canvas, x: MARGIN, y: top })
    }
}

/// A number of columns for `n` tiles of a width and height that makes the body about as wide as tall, and that
/// divides `n` if one near does.
pub fn columns(n: usize, tile_width: usize, tile_height: usize) -> usize {
    let ideal = (1.1 * n as f64 * tile_height as f64 / tile_width.max(1) as f64).sqrt();
    let (low, high) = ((0.75 * ideal).ceil() as usize, (1.45 * ideal).floor() as usize);
    let near = |c: &usize| (*c as f64 - ideal).abs();
    let even =
        (low.max(1)..=high).filter(|&c| n.is_multiple_of(c)).min_by(|a, b| near(a).total_cmp(&near(b)));
    even.unwrap_or(ideal.round() as usize).clamp(1, n.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_divide_where_they_can() {
        assert_eq!([columns(1, 10, 10), columns(0, 10, 10)], [1, 1]);
        for n in [16, 32, 64, 96] {
            assert_eq!(n % columns(n, 120, 180), 0, "{n}");
        }
        assert!((3..=7).contains(&columns(17, 10, 10)));
    }
}
