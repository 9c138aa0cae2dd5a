//! Linear probes as a drawing: a row for each layer, its accuracies as marks on a common axis.

use crate::number::percent;
use crate::svg::{Font, PLAIN, Svg, width};

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name, and what of it was read.
    pub label: String,
    /// Share of training images classified correctly.
    pub train: f64,
    /// Share of test images classified correctly.
    pub test: f64,
}

const AXIS: f64 = 420.0;
const STEP: f64 = 26.0;
const TOP: f64 = 92.0;
const FAINT: &str = "#6e6e78";
const TRAIN: &str = "#8a8a94";
const TEST: &str = "#d55e00";

/// The drawing; `chance` is the accuracy of guessing.
pub fn draw(title: &str, rows: &[Row], chance: f64) -> String {
    let labels = rows.iter().map(|r| width(&r.label, 13.0, false)).fold(0.0, f64::max);
    let left = 24.0 + labels + 12.0;
    let bottom = TOP + STEP * rows.len() as f64;
    let words = "Accuracy of a linear classifier on what a layer makes of the images; the net itself is left as it is.";
    let full =
        (left + AXIS + 90.0).max(48.0 + width(words, 12.0, false)).max(48.0 + width(title, 17.0, true));
    let mut svg = Svg::new(full, bottom + 40.0, title);
    svg.text(24.0, 28.0, title, Font { size: 17.0, bold: true, ..PLAIN });
    svg.text(24.0, 48.0, words, Font { size: 12.0, color: FAINT, ..PLAIN });
    let place = |share: f64| left + AXIS * share.clamp(0.0, 1.0);
    for tick in 0..=5 {
        let (x, share) = (place(f64::from(tick) / 5.0), f64::from(tick) / 5.0);
        svg.line((x, TOP - 8.0), (x, bottom), "#e4e4ea", 1.0);
        let font = Font { size: 12.0, color: FAINT, anchor: "middle", ..PLAIN };
        svg.text(x, bottom + 18.0, &percent(share), font);
    }
    svg.path(&format!("M{0:.1} {1:.1}V{bottom:.1}", place(chance), TOP - 8.0), FAINT, 1.2, "3 3");
    let mut x = 24.0;
    for (color, words) in [(TRAIN, "training images"), (TEST, "test images")] {
        svg.dot(x + 5.0, 66.0, 5.0, color);
        svg.text(x + 16.0, 70.5, words, Font { size: 12.0, ..PLAIN });
        x += 150.0;
    }
    svg.path(&format!("M{x:.1} 66H{:.1}", x + 20.0), FAINT, 1.2, "3 3");
    svg.text(x + 26.0, 70.5, "chance", Font { size: 12.0, ..PLAIN });
    for (i, row) in rows.iter().enumerate() {
        let y = TOP + STEP * (i as f64 + 0.5);
        svg.text(left - 10.0, y + 4.5, &row.label, Font { anchor: "end", ..PLAIN });
        svg.line((place(row.train), y), (place(row.test), y), "#b4b4be", 2.0);
        svg.dot(place(row.train), y, 5.0, TRAIN);
        svg.dot(place(row.test), y, 5.0, TEST);
        svg.text(left + AXIS + 14.0, y + 4.5, &format!("{:.2} %", 100.0 * row.test), PLAIN);
    }
    svg.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_has_a_row_with_its_number() {
        let row = |label: &str, test| Row { label: label.into(), train: 1.0, test };
        let svg = draw("x < y", &[row("input", 0.875), row("a & b", 0.0)], 0.1);
        crate::svg::check(&svg).unwrap();
        assert!(svg.contains("87.50 %") && svg.contains("a &amp; b"));
    }
}
