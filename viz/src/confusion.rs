//! The confusion matrix as a picture: rows are true classes, columns predicted ones.
//!
//! Cells hold counts; colours are shares of the row (the recall on the diagonal). A class without samples is a
//! blank row, since its shares do not exist.

use ndarray::ArrayView2;

use crate::canvas::Canvas;
use crate::color::{FAINT, INK, VIRIDIS, WHITE, readable_on};
use crate::error::{Error, Result};
use crate::font;
use crate::number::{count, percent};
use crate::scale::{Mode, Range, Style};
use crate::sheet::{Bar, LINE, Sheet, TEXT};

const NOTE: &str = "rows: true class, columns: predicted class, cells: number of samples";

/// The picture of a confusion matrix [K, K] of counts.
///
/// # Errors
/// A matrix that is not square, or another number of class names.
pub fn confusion(title: &str, classes: &[String], counts: ArrayView2<'_, u64>) -> Result<Canvas> {
    let (rows, columns) = counts.dim();
    if rows != columns || rows != classes.len() || rows == 0 {
        let problem = format!("{rows}x{columns} counts and {} class names", classes.len());
        return Err(Error::shape("confusion matrix", problem, "give K x K counts and K names"));
    }
    let layout = Layout::new(classes, counts);
    let total: u64 = counts.sum();
    let right: u64 = counts.diag().sum();
    let accuracy = if total > 0 { percent(right as f64 / total as f64) } else { "no sample".into() };
    let heading = format!("{title}: {accuracy} correct ({} of {})", count(right), count(total));
    let notes = [NOTE.to_string()];
    let style = Style { map: &VIRIDIS, mode: Mode::MinMax };
    let range = Range { lo: 0.0, hi: 1.0, clipped: false };
    let bar = Bar { style, range, label: "share of the true class (on the diagonal: recall)".into() };
    let size = classes.len() * layout.cell;
    let mut sheet = Sheet::new(&heading, &notes, layout.gutter + size, layout.head + size, Some(&bar))?;
    let (x0, y0) = (sheet.x + layout.gutter, sheet.y + layout.head);
    let canvas = &mut sheet.canvas;
    canvas.text(x0, sheet.y, "predicted", TEXT, FAINT);
    canvas.text(sheet.x, y0 - LINE, "true", TEXT, FAINT);
    let centre = (layout.cell.saturating_sub(7 * layout.text)) / 2;
    for (k, name) in classes.iter().enumerate() {
        let name_y = y0 + k * layout.cell + layout.cell.saturating_sub(7 * TEXT) / 2;
        canvas.text(sheet.x, name_y, &font::fit(name, TEXT, layout.gutter - 12), TEXT, INK);
        layout.column_name(canvas, x0 + k * layout.cell, y0, name);
    }
    for ((i, j), &n) in counts.indexed_iter() {
        let (x, y) = (x0 + j * layout.cell, y0 + i * layout.cell);
        let of_row: u64 = counts.row(i).sum();
        let color = if of_row == 0 { WHITE } else { style.paint(&range, (n as f64 / of_row as f64) as f32) };
        canvas.fill(x, y, layout.cell - 1, layout.cell - 1, color);
        if n > 0 && layout.numbers {
            canvas.text_centred(
                x,
                y + centre,
                layout.cell - 1,
                &n.to_string(),
                layout.text,
                readable_on(color),
            );
        }
    }
    canvas.frame(x0, y0, size, size, FAINT);
    Ok(sheet.canvas)
}

/// Sizes: cells wide enough for the largest count and, up to 20 classes, for short names.
struct Layout {
    cell: usize,
    text: usize,
    gutter: usize,
    head: usize,
    numbers: bool,
    upright: bool,
}

impl Layout {
    fn new(classes: &[String], counts: ArrayView2<'_, u64>) -> Self {
        let largest = counts.iter().max().map_or(0, |n| n.to_string().len());
        let widest = classes.iter().map(|c| font::text_width(c, TEXT)).max().unwrap_or(0).min(200);
        let (text, numbers) = match classes.len() {
            0..=20 => (2, true),
            21..=50 => (1, true),
            _ => (1, false),
        };
        let need = if numbers { largest * font::ADVANCE * text + 8 } else { 10 };
        let cell = need.max(if text == 2 { 48 } else { 12 });
        let upright = widest + 6 > cell;
        let head = if upright { LINE + widest + 10 } else { 2 * LINE };
        Self { cell, text, gutter: (widest + 16).max(64), head, numbers, upright }
    }

    /// A class name over its column: level if it fits, else turned a quarter to the left.
    fn column_name(&self, canvas: &mut Canvas, x: usize, y0: usize, name: &str) {
        if !self.upright {
            canvas.text_centred(x, y0 - LINE, self.cell - 1, name, TEXT, INK);
        } else if self.cell >= font::HEIGHT * TEXT || self.text == 1 {
            let size = if self.cell >= font::HEIGHT * TEXT { TEXT } else { 1 };
            let name = font::fit(name, size, 200);
            let left = x + self.cell.saturating_sub(7 * size) / 2;
            canvas.text_up(left, y0.saturating_sub(6), &name, size, INK);
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    fn names(k: usize) -> Vec<String> {
        (0..k).map(|i| i.to_string()).collect()
    }

    #[test]
    fn cells_take_the_colour_of_their_share_and_empty_rows_stay_blank() {
        let counts = array![[3u64, 1, 0], [0, 0, 0], [0, 0, 5]];
        let canvas = confusion("test", &names(3), counts.view()).unwrap();
        let layout = Layout::new(&names(3), counts.view());
        let width = layout.gutter + 3 * layout.cell;
        let body = Sheet::new("test: 88.9 % correct (8 of 9)", &[NOTE.into()], width, 0, None).unwrap();
        let at = |i: usize, j: usize| {
            canvas
                .get(body.x + layout.gutter + j * layout.cell + 1, body.y + layout.head + i * layout.cell + 1)
        };
        assert_eq!([at(0, 0), at(0, 1)], [Some(VIRIDIS.at(0.75)), Some(VIRIDIS.at(0.25))]);
        assert_eq!([at(1, 1), at(2, 2)], [Some(WHITE), Some(VIRIDIS.at(1.0))]);
        assert_eq!(
            canvas.png().unwrap(),
            confusion("test", &names(3), counts.view()).unwrap().png().unwrap()
        );
    }

    #[test]
    fn misfits_are_errors_and_many_classes_are_drawn() {
        assert!(confusion("x", &names(2), Array2::zeros((3, 3)).view()).is_err());
        assert!(confusion("x", &[], Array2::zeros((0, 0)).view()).is_err());
        for k in [1, 30, 100] {
            assert!(confusion("x", &names(k), Array2::from_elem((k, k), 7).view()).is_ok());
        }
    }
}
