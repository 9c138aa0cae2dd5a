//! Histograms with fixed bins, as small SVG panels that share an axis and so can be compared.

use crate::error::{Error, Result};
use crate::number::{count, short, ticks};
use crate::svg::{Font, PLAIN, Svg, width};

/// Counts between ascending edges.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// What was counted.
    pub title: String,
    /// Bin edges, one more than counts.
    pub edges: Vec<f64>,
    /// Values in each bin; the last bin includes its upper edge.
    pub counts: Vec<u64>,
    /// Values below the first edge, above the last one, and not numbers.
    pub outside: [u64; 3],
}

impl Histogram {
    /// Counts of values in `bins` equal bins of [lo, hi].
    ///
    /// # Errors
    /// No bin, or a range without extent.
    pub fn of<'a>(
        title: impl Into<String>,
        values: impl IntoIterator<Item = &'a f32>,
        bins: usize,
        (lo, hi): (f64, f64),
    ) -> Result<Self> {
        if bins == 0 || !(lo < hi && (hi - lo).is_finite()) {
            let problem = format!("{bins} bins between {lo} and {hi}");
            return Err(Error::shape("histogram", problem, "give at least one bin and lo < hi"));
        }
        let edges = (0..=bins).map(|i| lo + (hi - lo) * i as f64 / bins as f64).collect();
        let (mut counts, mut outside) = (vec![0; bins], [0; 3]);
        for v in values.into_iter().map(|&v| f64::from(v)) {
            if v.is_nan() {
                outside[2] += 1;
            } else if v < lo {
                outside[0] += 1;
            } else if v > hi {
                outside[1] += 1;
            } else {
                counts[((v - lo) / (hi - lo) * bins as f64).min((bins - 1) as f64) as usize] += 1;
            }
        }
        Ok(Self { title: title.into(), edges, counts, outside })
    }

    /// All values, those outside included.
    pub fn total(&self) -> u64 {
        self.counts.iter().chain(&self.outside).sum()
    }
}

const PANEL: (f64, f64) = (320.0, 210.0);

/// Histograms in rows of three under a title; `x_label` says what is measured, with its unit.
pub fn draw(title: &str, x_label: &str, histograms: &[Histogram]) -> String {
    let columns = histograms.len().clamp(1, 3);
    let rows = histograms.len().div_ceil(columns).max(1);
    let full = (PANEL.0 * columns as f64).max(width(title, 17.0, true) + 40.0);
    let mut svg = Svg::new(full, 40.0 + PANEL.1 * rows as f64, title);
    svg.text(20.0, 28.0, title, Font { size: 17.0, bold: true, ..PLAIN });
    for (i, histogram) in histograms.iter().enumerate() {
        let corner = ((i % columns) as f64 * PANEL.0, 40.0 + (i / columns) as f64 * PANEL.1);
        panel(&mut svg, histogram, x_label, corner);
    }
    svg.finish()
}

fn panel(svg: &mut Svg, histogram: &Histogram, x_label: &str, (x, y): (f64, f64)) {
    let (left, right, top, bottom) = (x + 24.0, x + PANEL.0 - 20.0, y + 52.0, y + PANEL.1 - 44.0);
    let small = Font { size: 11.5, color: "#6e6e78", ..PLAIN };
    svg.text(left, y + 22.0, &histogram.title, Font { bold: true, ..PLAIN });
    let [below, above, nan] = histogram.outside;
    let most = histogram.counts.iter().copied().max().unwrap_or(0);
    let mut facts = format!("{} values, tallest bin {}", count(histogram.total()), count(most));
    for (n, what) in [(below, "below"), (above, "above"), (nan, "NaN")] {
        if n > 0 {
            facts += &format!(", {} {what}", count(n));
        }
    }
    svg.text(left, y + 40.0, &facts, small);
    let (Some(&lo), Some(&hi)) = (histogram.edges.first(), histogram.edges.last()) else { return };
    let highest = most.max(1);
    let place = |v: f64| left + (v - lo) / (hi - lo).max(f64::MIN_POSITIVE) * (right - left);
    for (edges, &n) in histogram.edges.windows(2).zip(&histogram.counts).filter(|(_, n)| **n > 0) {
        let tall = (n as f64 / highest as f64 * (bottom - top)).max(1.0);
        let (from, to) = (place(edges[0]), place(edges[1]));
        svg.rect(from, bottom - tall, to - from, tall, 0.0, "#0072b2", "#ffffff");
    }
    svg.line((left, bottom), (right, bottom), "#40404a", 1.0);
    for t in ticks(lo, hi, 4) {
        svg.line((place(t), bottom), (place(t), bottom + 4.0), "#40404a", 1.0);
        svg.text(place(t), bottom + 17.0, &short(t), Font { anchor: "middle", ..small });
    }
    svg.text((left + right) / 2.0, bottom + 34.0, x_label, Font { anchor: "middle", ..small });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::svg::check;

    #[test]
    fn every_value_is_counted_once() {
        let values = [-2.0f32, -1.0, -0.01, 0.0, 0.5, 1.0, 1.5, f32::NAN, f32::INFINITY];
        let h = Histogram::of("conv1 <w>", &values, 4, (-1.0, 1.0)).unwrap();
        assert_eq!((h.counts.as_slice(), h.outside), (&[1, 1, 1, 2][..], [1, 2, 1]));
        assert_eq!(h.total(), values.len() as u64);
        check(&draw("weights & more", "value", &[h.clone(), h.clone(), h.clone(), h])).unwrap();
        check(&draw("none", "value", &[])).unwrap();
        assert!(Histogram::of("x", &values, 0, (0.0, 1.0)).is_err());
        assert!(Histogram::of("x", &values, 3, (1.0, 1.0)).is_err());
    }
}
