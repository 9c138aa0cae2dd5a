//! Convolution kernels, [O, C, kh, kw], as a sheet of tiles.
//!
//! Three input channels: each kernel as a colour picture around mid-grey, `0.5 + W / (2 max|W|)`. One input channel:
//! one signed tile per kernel. Otherwise one row per output channel and one tile per input channel. One scale for
//! the whole layer by default, because a scale per kernel hides which kernels dominate.
//! Reference: Zeiler & Fergus 2014, figure 6.

use ndarray::{Array2, ArrayView3, ArrayView4, Axis};

use crate::canvas::{Canvas, enlargement};
use crate::color::{FAINT, GREY, INK, Rgb, channel};
use crate::error::{Error, Result};
use crate::font;
use crate::number::short;
use crate::scale::{Mode, Range, Scope, Style};
use crate::sheet::{Bar, Sheet, TEXT, columns};

/// Kernels to draw.
#[derive(Clone, Debug)]
pub struct Kernels<'a> {
    /// What is shown: the layer and the moment.
    pub title: String,
    /// The weights, [O, C, kh, kw].
    pub weights: ArrayView4<'a, f32>,
    /// One scale for the layer, or one per output channel.
    pub scope: Scope,
    /// Most output channels to draw.
    pub outputs: usize,
    /// Most input channels to draw, where they have tiles of their own.
    pub inputs: usize,
}

impl<'a> Kernels<'a> {
    /// Kernels with one scale, at most 128 of them; deeper layers 32 outputs by 16 inputs.
    pub fn new(title: impl Into<String>, weights: ArrayView4<'a, f32>) -> Self {
        let outputs = if [1, 3].contains(&weights.dim().1) { 128 } else { 32 };
        Self { title: title.into(), weights, scope: Scope::Shared, outputs, inputs: 16 }
    }

    /// The picture.
    ///
    /// # Errors
    /// No weight at all, or a picture of too many pixels.
    pub fn draw(&self) -> Result<Canvas> {
        let (o, c, h, w) = self.weights.dim();
        if o * c * h * w * self.outputs * self.inputs == 0 {
            let problem = format!("{o}x{c}x{h}x{w} weights, at most {}x{} shown", self.outputs, self.inputs);
            return Err(Error::shape("kernels", problem, "give at least one weight"));
        }
        let shown = o.min(self.outputs);
        match c {
            1 | 3 => self.draw_grid(shown),
            _ => self.draw_matrix(shown, c.min(self.inputs)),
        }
    }

    fn range(&self) -> Range {
        Range::of(self.weights, Mode::Symmetric)
    }

    fn own_range(&self, shared: Range, kernel: ArrayView3<'_, f32>) -> Range {
        if self.scope == Scope::Shared { shared } else { Range::of(kernel, Mode::Symmetric) }
    }

    fn bar(&self, style: Style, meaning: &str) -> Bar {
        match self.scope {
            Scope::Shared => {
                let range = self.range();
                Bar {
                    style,
                    range,
                    label: format!("weight, {meaning}, one scale for the layer: {}", range.words()),
                }
            }
            Scope::PerMap => Bar {
                style,
                range: Range { lo: -1.0, hi: 1.0, clipped: false },
                label: format!("weight / the largest of its kernel, {meaning}: kernels cannot be compared"),
            },
        }
    }

    fn notes(&self, outputs: usize, inputs: usize) -> Vec<String> {
        let (o, c, h, w) = self.weights.dim();
        let mut notes = vec![format!("{o} kernels of {c} x {h} x {w} weights")];
        if outputs < o {
            notes.push(format!("first {outputs} of {o} outputs shown"));
        }
        if inputs < c {
            notes.push(format!("first {inputs} of {c} inputs shown"));
        }
        notes
    }

    /// One tile per kernel, with its largest absolute weight beneath.
    fn draw_grid(&self, shown: usize) -> Result<Canvas> {
        let (_, c, h, w) = self.weights.dim();
        let target = if shown > 48 { 72 } else { 96 };
        let factor = enlargement(h.max(w), target);
        let line = font::LINE * TEXT;
        let cell_width = (w * factor).max(target) + 16;
        let cell_height = h * factor + 2 * line + 16;
        let columns = columns(shown, cell_width, cell_height);
        let (style, meaning) = if c == 3 {
            (Style { map: &GREY, mode: Mode::Symmetric }, "in red, green and blue, mid-grey is 0")
        } else {
            (Style::signed(), "white is 0")
        };
        let bar = self.bar(style, meaning);
        let mut notes = self.notes(shown, c);
        notes.push("beneath each: its largest absolute weight".into());
        let height = shown.div_ceil(columns) * cell_height;
        let mut sheet = Sheet::new(&self.title, &notes, columns * cell_width, height, Some(&bar))?;
        let shared = self.range();
        for (k, kernel) in self.weights.axis_iter(Axis(0)).take(shown).enumerate() {
            let (x, y) = (sheet.x + k % columns * cell_width, sheet.y + k / columns * cell_height);
            let range = self.own_range(shared, kernel);
            let canvas = &mut sheet.canvas;
            canvas.text(x, y, &format!("#{k}"), TEXT, INK);
            let top = y + line;
            if c == 3 {
                canvas.blit(x, top, rgb_about_grey(kernel, range.hi).view(), factor);
            } else {
                canvas.map(x, top, kernel.index_axis(Axis(0), 0), &style, &range, factor);
            }
            canvas.frame(x, top, w * factor, h * factor, FAINT);
            let largest = short(Range::of(kernel, Mode::Symmetric).hi.into());
            canvas.text(x, top + h * factor + 5, &font::fit(&largest, TEXT, cell_width - 4), TEXT, INK);
        }
        Ok(sheet.canvas)
    }

    /// One row per output channel, one tile per input channel.
    fn draw_matrix(&self, outputs: usize, inputs: usize) -> Result<Canvas> {
        let (_, _, h, w) = self.weights.dim();
        let factor = enlargement(h.max(w), 42);
        let (cell_width, cell_height) = ((w * factor).max(36) + 8, h * factor + 8);
        let line = font::LINE * TEXT;
        let gutter = font::text_width("output", TEXT) + 14;
        let bar = self.bar(Style::signed(), "white is 0");
        let (width, height) = (gutter + inputs * cell_width, 2 * line + outputs * cell_height);
        let mut sheet = Sheet::new(&self.title, &self.notes(outputs, inputs), width, height, Some(&bar))?;
        let (x0, y0) = (sheet.x + gutter, sheet.y + 2 * line);
        let shared = self.range();
        let canvas = &mut sheet.canvas;
        canvas.text(x0, sheet.y, "input channel", TEXT, FAINT);
        canvas.text(sheet.x, sheet.y + line, "output", TEXT, FAINT);
        for c in 0..inputs {
            canvas.text(x0 + c * cell_width, sheet.y + line, &c.to_string(), TEXT, INK);
        }
        for (k, kernel) in self.weights.axis_iter(Axis(0)).take(outputs).enumerate() {
            let y = y0 + k * cell_height;
            let range = self.own_range(shared, kernel);
            let middle = y + (h * factor).saturating_sub(7 * TEXT) / 2;
            canvas.text(sheet.x, middle, &format!("#{k}"), TEXT, INK);
            for (c, plane) in kernel.axis_iter(Axis(0)).take(inputs).enumerate() {
                let x = x0 + c * cell_width;
                canvas.map(x, y, plane, &Style::signed(), &range, factor);
                canvas.frame(x, y, w * factor, h * factor, FAINT);
            }
        }
        Ok(sheet.canvas)
    }
}

/// A signed [3, H, W] array as colours around mid-grey: `0.5 + v / (2 largest)`. NaN and a largest of 0 give grey.
pub fn rgb_about_grey(values: ArrayView3<'_, f32>, largest: f32) -> Array2<Rgb> {
    let (_, h, w) = values.dim();
    let range = Range { lo: -largest, hi: largest, clipped: false };
    let shade = |c: usize, i: usize, j: usize| channel(range.unit(values[[c, i, j]]).unwrap_or(0.5).into());
    Array2::from_shape_fn((h, w), |(i, j)| [shade(0, i, j), shade(1, i, j), shade(2, i, j)])
}

#[cfg(test)]
mod tests {
    use ndarray::{Array4, arr2, array};

    use super::*;

    #[test]
    fn colour_kernels_lie_around_mid_grey() {
        let kernel = array![[[0.0f32, 0.5]], [[0.0, -0.5]], [[0.0, 0.25]]];
        assert_eq!(rgb_about_grey(kernel.view(), 0.5), arr2(&[[[128, 128, 128], [255, 0, 191]]]));
        assert_eq!(rgb_about_grey(kernel.view(), 0.0)[[0, 1]], [128; 3]);
    }

    #[test]
    fn what_is_left_out_is_said() {
        let weights = Array4::from_shape_fn((40, 64, 3, 3), |(o, c, i, j)| (o + c + i + j) as f32 - 50.0);
        let kernels = Kernels::new("conv2", weights.view());
        assert_eq!(
            kernels.notes(32, 16),
            [
                "40 kernels of 64 x 3 x 3 weights",
                "first 32 of 40 outputs shown",
                "first 16 of 64 inputs shown"
            ]
        );
        assert_eq!(kernels.draw().unwrap().png().unwrap(), kernels.draw().unwrap().png().unwrap());
    }

    #[test]
    fn degenerate_kernels_are_drawn() {
        for c in [1, 2, 3] {
            for value in [0.0f32, 1.0, f32::NAN] {
                for scope in [Scope::Shared, Scope::PerMap] {
                    let weights = Array4::from_elem((5, c, 1, 1), value);
                    assert!(Kernels { scope, ..Kernels::new("x", weights.view()) }.draw().is_ok());
                }
            }
        }
        assert!(Kernels::new("x", Array4::zeros((0, 1, 3, 3)).view()).draw().is_err());
    }
}
