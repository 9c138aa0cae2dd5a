//! The same units on the same image over time (the question of figure 4 of Zeiler and Fergus 2014, arXiv 1311.2901,
//! asked of one image): a strip with a row for each unit and a column for each moment, and the same as an animation.
//!
//! The units are those that fire most strongly at any moment. In the strip every row has one scale for all moments,
//! printed beside it, so that growth can be seen; in the animation all tiles of all frames share one scale.

use crate::animation::animation;
use crate::canvas::{Canvas, enlargement};
use crate::color::{FAINT, INK};
use crate::error::{Error, Result};
use crate::font;
use crate::number::short;
use crate::scale::{Facts, Range, Style};
use crate::sheet::{Bar, LINE, Sheet, TEXT, columns};
use ndarray::{Array3, ArrayView2, Axis};

/// Rows of the strip.
const ROWS: usize = 8;
/// Columns of the strip.
const COLUMNS: usize = 10;
/// Tiles of a frame of the animation.
const TILES: usize = 16;
/// Frames of the animation.
const FRAMES: usize = 30;

/// One layer on one image over time.
#[derive(Clone, Debug)]
pub struct Evolution {
    /// What is shown: the layer and the image.
    pub title: String,
    /// What the moments are called: "epoch 1".
    pub moments: Vec<String>,
    /// The maps at each moment, [C, h, w].
    pub maps: Vec<Array3<f32>>,
}

impl Evolution {
    /// The strip.
    ///
    /// # Errors
    /// No moment, no map, maps of different shapes; a picture of too many pixels.
    pub fn strip(&self) -> Result<Canvas> {
        let (channels, h, w) = self.check()?;
        let units = self.strongest(ROWS);
        let shown = evenly(self.maps.len(), COLUMNS);
        let factor = enlargement(h.max(w), 84);
        let (width, height) = (w * factor, h * factor);
        let head = self.moments.iter().map(|m| font::text_width(m, TEXT)).max().unwrap_or(0);
        let (cell_width, cell_height) = (width.max(head) + 10, (height + 8).max(3 * LINE));
        let gutter = font::text_width("to -0.00001", TEXT) + 12;
        let mut notes = vec![format!(
            "{} of {channels} units, the strongest first; every row has its own scale",
            units.len()
        )];
        if shown.len() < self.maps.len() {
            notes.push(format!("{} of {} moments shown", shown.len(), self.maps.len()));
        }
        let size = (gutter + shown.len() * cell_width, LINE + units.len() * cell_height);
        let mut sheet = Sheet::new(&self.title, &notes, size.0, size.1, None)?;
        let (left, top) = (sheet.x + gutter, sheet.y + LINE);
        let canvas = &mut sheet.canvas;
        for (column, &moment) in shown.iter().enumerate() {
            canvas.text(left + column * cell_width, sheet.y, &self.moments[moment], TEXT, FAINT);
        }
        for (row, &unit) in units.iter().enumerate() {
            let y = top + row * cell_height;
            let (style, range) = self.scale(|maps| maps.index_axis(Axis(0), unit).into_dyn());
            let ends = [format!("#{unit}"), short(range.lo.into()), format!("to {}", short(range.hi.into()))];
            for (line, text) in ends.iter().enumerate() {
                canvas.text(sheet.x, y + line * LINE, text, TEXT, if line == 0 { INK } else { FAINT });
            }
            for (column, &moment) in shown.iter().enumerate() {
                let x = left + column * cell_width;
                canvas.map(x, y, self.map(moment, unit), &style, &range, factor);
                canvas.frame(x, y, width, height, FAINT);
            }
        }
        Ok(sheet.canvas)
    }

    /// The animation: the bytes of an animated PNG.
    ///
    /// # Errors
    /// As [`Evolution::strip`].
    pub fn animated(&self) -> Result<Vec<u8>> {
        self.check()?;
        let units = self.strongest(TILES);
        let (style, range) = self.scale(|maps| maps.view().into_dyn());
        let frame = |moment: usize| self.frame(moment, &units, style, range);
        let frames = evenly(self.maps.len(), FRAMES).into_iter().map(frame);
        animation(&frames.collect::<Result<Vec<Canvas>>>()?)
    }

    fn frame(&self, moment: usize, units: &[usize], style: Style, range: Range) -> Result<Canvas> {
        let (_, h, w) = self.maps[moment].dim();
        let factor = enlargement(h.max(w), 84);
        let (cell_width, cell_height) = (w * factor + 12, h * factor + LINE + 8);
        let across = columns(units.len(), cell_width, cell_height);
        let down = units.len().div_ceil(across);
        let bar =
            Bar { style, range, label: format!("one scale for all units and moments: {}", range.words()) };
        let notes = [self.moments[moment].clone()];
        let mut sheet = Sheet::new(&self.title, &notes, across * cell_width, down * cell_height, Some(&bar))?;
        for (i, &unit) in units.iter().enumerate() {
            let (x, y) = (sheet.x + i % across * cell_width, sheet.y + i / across * cell_height);
            sheet.canvas.text(x, y, &format!("#{unit}"), TEXT, INK);
            sheet.canvas.map(x, y + LINE, self.map(moment, unit), &style, &range, factor);
            sheet.canvas.frame(x, y + LINE, w * factor, h * factor, FAINT);
        }
        Ok(sheet.canvas)
    }

    fn map(&self, moment: usize, unit: usize) -> ArrayView2<'_, f32> {
        self.maps[moment].index_axis(Axis(0), unit)
    }

    /// Shape of all maps, if they have one.
    fn check(&self) -> Result<(usize, usize, usize)> {
        let shape = self.maps.first().map_or((0, 0, 0), Array3::dim);
        let (c, h, w) = shape;
        let same = self.maps.iter().all(|maps| maps.dim() == shape);
        if c * h * w == 0 || !same || self.moments.len() != self.maps.len() {
            let problem = format!(
                "{} moments, {} arrays, the first of {c}x{h}x{w}",
                self.moments.len(),
                self.maps.len()
            );
            return Err(Error::shape(&self.title, problem, "give one array of one shape for each moment"));
        }
        Ok(shape)
    }

    /// Colours and range of a part of the maps at all moments.
    fn scale<'a>(&'a self, part: impl Fn(&'a Array3<f32>) -> ndarray::ArrayViewD<'a, f32>) -> (Style, Range) {
        let values: Vec<f32> = self.maps.iter().flat_map(|maps| part(maps).into_iter().copied()).collect();
        let style = Style::auto(&Facts::of(&values));
        (style, Range::of(&values, style.mode))
    }

    /// The units of the largest activation at any moment; the lower one first where they are equal.
    fn strongest(&self, most: usize) -> Vec<usize> {
        let channels = self.maps.first().map_or(0, |maps| maps.dim().0);
        let peak = |unit: usize| {
            let values = (0..self.maps.len()).flat_map(|moment| self.map(moment, unit).into_iter());
            // adding zero makes -0 and 0 the same
            values.copied().filter(|v| v.is_finite()).fold(f32::NEG_INFINITY, f32::max) + 0.0
        };
        let mut all: Vec<(usize, f32)> = (0..channels).map(|unit| (unit, peak(unit))).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        all.into_iter().take(most).map(|(unit, _)| unit).collect()
    }
}

/// At most `most` of `n` places, evenly, first and last among them.
fn evenly(n: usize, most: usize) -> Vec<usize> {
    if n <= most {
        return (0..n).collect();
    }
    (0..most).map(|i| (i * (n - 1) + (most - 1) / 2) / (most - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evolution(moments: usize, value: impl Fn(usize, usize) -> f32) -> Evolution {
        let maps = (0..moments)
            .map(|m| Array3::from_shape_fn((20, 3, 3), |(c, i, j)| if i == j { value(m, c) } else { 0.0 }));
        let moments = (1..=moments).map(|m| format!("epoch {m}")).collect();
        Evolution { title: "relu1: test image 0".into(), maps: maps.collect(), moments }
    }

    #[test]
    fn the_strongest_units_come_first() {
        let e = evolution(3, |m, c| if c == 7 { m as f32 } else { -(c as f32) });
        assert_eq!(e.strongest(3), [7, 0, 1]);
    }

    #[test]
    fn moments_are_left_out_evenly() {
        assert_eq!(evenly(3, 10), [0, 1, 2]);
        assert_eq!(evenly(11, 3), [0, 5, 10]);
        assert_eq!((evenly(100, 10)[0], evenly(100, 10)[9]), (0, 99));
    }

    #[test]
    fn strips_and_animations_are_drawn_and_bad_maps_refused() {
        for value in [0.0, 1.0, -1.0, f32::NAN] {
            let e = evolution(12, |m, _| value * m as f32);
            assert!(e.strip().is_ok() && e.animated().is_ok(), "{value}");
        }
        let mut bad = evolution(2, |_, _| 1.0);
        bad.maps[1] = Array3::zeros((1, 3, 3));
        assert!(bad.strip().is_err() && bad.animated().is_err());
        assert!(evolution(0, |_, _| 1.0).strip().is_err());
    }

    #[test]
    fn a_row_has_one_scale_for_all_moments() {
        let e = evolution(2, |m, _| (m + 1) as f32);
        let canvas = e.strip().unwrap();
        let painted =
            |value: f32| Style::unsigned().paint(&Range { lo: 0.0, hi: 2.0, clipped: false }, value);
        let count = |color| canvas.bytes().chunks_exact(3).filter(|p| **p == color).count();
        assert!(count(painted(1.0)) > 1000 && count(painted(2.0)) > 1000);
    }
}
