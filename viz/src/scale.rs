//! From values to [0, 1]: the range that a picture is painted with and that is printed on it.
//!
//! min-max: `(v - min) / (max - min)`; from-zero: `v / max`; symmetric: `0.5 + v / (2 max|v|)`, which keeps zero at
//! exactly 0.5; the percentile modes take order statistics instead of the extremes and clip what lies outside.
//! Values that are not finite never take part in a range. A range without extent maps everything to its lower end
//! (or, symmetric, to the middle), never to NaN.

use crate::color::{self, ColorMap, Family, Rgb};
use crate::number;

/// How the ends of a range are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// From the smallest to the largest value.
    MinMax,
    /// From zero to the largest value; negative values are painted as zero.
    FromZero,
    /// From -m to m with m the largest absolute value: zero is the middle.
    Symmetric,
    /// From the (100 - p)th to the pth percentile.
    Percentile(f32),
    /// From -m to m with m the pth percentile of the absolute values.
    SymmetricPercentile(f32),
}

/// Whether several maps share one range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// One range for all: tiles can be compared with each other.
    #[default]
    Shared,
    /// A range for each map: faint maps are visible, but tiles cannot be compared.
    PerMap,
}

/// Why a map has nothing to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flat {
    /// Every value is zero.
    AllZero,
    /// Every value is the same, not zero.
    Constant,
    /// No value is finite.
    NotFinite,
}

/// The facts of a set of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// Smallest finite value, 0 if there is none.
    pub min: f32,
    /// Largest finite value, 0 if there is none.
    pub max: f32,
    /// Number of values.
    pub count: usize,
    /// Number of values that are exactly zero.
    pub zeros: usize,
    /// Number of values that are NaN or infinite.
    pub not_finite: usize,
}

impl Facts {
    /// Counts and extremes of some values.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a f32>) -> Self {
        let mut facts =
            Self { min: f32::INFINITY, max: f32::NEG_INFINITY, count: 0, zeros: 0, not_finite: 0 };
        for &v in values {
            facts.count += 1;
            facts.zeros += usize::from(v == 0.0);
            if v.is_finite() {
                facts.min = facts.min.min(v);
                facts.max = facts.max.max(v);
            } else {
                facts.not_finite += 1;
            }
        }
        if facts.not_finite == facts.count {
            (facts.min, facts.max) = (0.0, 0.0);
        }
        facts
    }

    /// The share of zeros; 0 for an empty set.
    pub fn zero_share(&self) -> f64 {
        self.zeros as f64 / self.count.max(1) as f64
    }

    /// Why there is nothing to show, if so. An empty set has no finite value.
    pub fn flat(&self) -> Option<Flat> {
        if self.not_finite == self.count {
            Some(Flat::NotFinite)
        } else if self.min < self.max {
            None
        } else if self.max == 0.0 {
            Some(Flat::AllZero)
        } else {
            Some(Flat::Constant)
        }
    }
}

/// The ends of a colour scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The value painted with the first colour.
    pub lo: f32,
    /// The value painted with the last colour.
    pub hi: f32,
    /// Values outside were clipped to the ends.
    pub clipped: bool,
}

impl Range {
    /// The range of some values in a mode.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a f32>, mode: Mode) -> Self {
        match mode {
            Mode::Percentile(p) => Self::percentile(finite(values), p),
            Mode::SymmetricPercentile(p) => {
                let sizes = finite(values).into_iter().map(f32::abs).collect();
                let inner = Self::percentile(sizes, p);
                Self { lo: -inner.hi, ..inner }
            }
            mode => Self::of_facts(&Facts::of(values), mode),
        }
    }

    /// The range of values whose facts are known; the percentile modes fall back on the extremes.
    pub fn of_facts(facts: &Facts, mode: Mode) -> Self {
        let largest = facts.min.abs().max(facts.max.abs());
        let (lo, hi) = match mode {
            Mode::MinMax | Mode::Percentile(_) => (facts.min, facts.max),
            Mode::FromZero => (0.0, facts.max.max(0.0)),
            Mode::Symmetric | Mode::SymmetricPercentile(_) => (-largest, largest),
        };
        Self { lo, hi, clipped: facts.min < lo }
    }

    fn percentile(mut values: Vec<f32>, p: f32) -> Self {
        values.sort_by(f32::total_cmp);
        let (Some(&first), Some(&last)) = (values.first(), values.last()) else {
            return Self { lo: 0.0, hi: 0.0, clipped: false };
        };
        let p = if p.is_nan() { 100.0 } else { p.clamp(50.0, 100.0) };
        let (lo, hi) =
            (quantile(&values, 1.0 - f64::from(p) / 100.0), quantile(&values, f64::from(p) / 100.0));
        Self { lo, hi, clipped: lo > first || hi < last }
    }

    /// The place of a value in the range, in [0, 1]; `None` for NaN.
    pub fn unit(&self, value: f32) -> Option<f32> {
        if value.is_nan() {
            return None;
        }
        if self.lo == -self.hi {
            // Divided from the middle outwards, so that zero is 0.5 without rounding.
            let half = if self.hi > 0.0 { value / self.hi } else { 0.0 };
            return Some(0.5 + 0.5 * half.clamp(-1.0, 1.0));
        }
        let (lo, hi, v) = (f64::from(self.lo), f64::from(self.hi), f64::from(value));
        Some(if hi > lo { ((v - lo) / (hi - lo)).clamp(0.0, 1.0) as f32 } else { 0.0 })
    }

    /// The range in words: `0 to 3.21`, with the clipping said.
    pub fn words(&self) -> String {
        let ends = format!("{} to {}", number::short(self.lo.into()), number::short(self.hi.into()));
        if self.clipped { ends + ", clipped" } else { ends }
    }
}

fn finite<'a>(values: impl IntoIterator<Item = &'a f32>) -> Vec<f32> {
    values.into_iter().copied().filter(|v| v.is_finite()).collect()
}

/// The q-quantile of sorted values, linear between neighbours (numpy's default).
fn quantile(sorted: &[f32], q: f64) -> f32 {
    let place = q * (sorted.len() - 1) as f64;
    let (below, share) = (place.floor() as usize, place.fract());
    let above = sorted[(below + 1).min(sorted.len() - 1)];
    (f64::from(sorted[below]) * (1.0 - share) + f64::from(above) * share) as f32
}

/// A colour map and the way its range is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// The colours.
    pub map: &'static ColorMap,
    /// The ends.
    pub mode: Mode,
}

impl Style {
    /// Data with sign: blue-white-red, symmetric, zero white.
    pub fn signed() -> Self {
        Self { map: &color::BLUE_WHITE_RED, mode: Mode::Symmetric }
    }

    /// Data without sign: viridis from zero.
    pub fn unsigned() -> Self {
        Self { map: &color::VIRIDIS, mode: Mode::FromZero }
    }

    /// Pixels of a grey picture: black to white, smallest to largest.
    pub fn grey() -> Self {
        Self { map: &color::GREY, mode: Mode::MinMax }
    }

    /// Signed if any of the values is negative, else unsigned.
    pub fn auto(facts: &Facts) -> Self {
        if facts.min < 0.0 { Self::signed() } else { Self::unsigned() }
    }

    /// A colour map with the mode that suits its family.
    pub fn with_map(map: &'static ColorMap) -> Self {
        let mode = if map.family == Family::Diverging { Mode::Symmetric } else { Mode::MinMax };
        Self { map, mode }
    }

    /// The colour of a value in a range.
    pub fn paint(&self, range: &Range, value: f32) -> Rgb {
        range.unit(value).map_or(color::NOT_A_NUMBER, |t| self.map.at(t))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_land_at_known_places() {
        let v = [-1.0f32, 0.0, 3.0];
        let cases = [
            (Mode::MinMax, [0.0, 0.25, 1.0]),
            (Mode::FromZero, [0.0, 0.0, 1.0]),
            (Mode::Symmetric, [0.5 - 0.5 / 3.0, 0.5, 1.0]),
        ];
        for (mode, want) in cases {
            let range = Range::of(&v, mode);
            for (v, want) in v.into_iter().zip(want) {
                assert!((range.unit(v).unwrap() - want).abs() < 1e-6, "{mode:?} {v}");
            }
        }
        assert!(Range::of(&v, Mode::FromZero).clipped && !Range::of(&v, Mode::MinMax).clipped);
    }

    #[test]
    fn zero_is_exactly_the_centre_whatever_the_range() {
        let style = Style::signed();
        for largest in [1e-40f32, 0.1, 0.3, 7.0, 1e38] {
            let range = Range::of(&[largest, 0.0], style.mode);
            assert_eq!(range.unit(0.0), Some(0.5));
            assert_eq!(style.paint(&range, 0.0), color::WHITE);
            assert_eq!(style.paint(&range, largest), [255, 0, 0]);
            assert_eq!(style.paint(&range, -largest), [0, 0, 255]);
        }
    }

    #[test]
    fn percentiles_match_hand_counts() {
        let v: Vec<f32> = (0..=100).map(|i| i as f32).collect();
        let range = Range::of(&v, Mode::Percentile(99.0));
        assert!((range.lo - 1.0).abs() < 1e-4 && (range.hi - 99.0).abs() < 1e-4 && range.clipped);
        let range = Range::of(&v, Mode::SymmetricPercentile(90.0));
        assert!((range.hi - 90.0).abs() < 1e-4 && range.lo == -range.hi);
    }

    #[test]
    fn degenerate_maps_give_numbers() {
        let maps: [&[f32]; 6] = [
            &[],
            &[0.0, 0.0],
            &[2.5, 2.5],
            &[-2.5, -2.5],
            &[f32::NAN, f32::NAN],
            &[f32::INFINITY, f32::NEG_INFINITY, 1.0],
        ];
        let modes = [
            Mode::MinMax,
            Mode::FromZero,
            Mode::Symmetric,
            Mode::Percentile(99.0),
            Mode::SymmetricPercentile(99.0),
        ];
        for map in maps {
            for mode in modes {
                let range = Range::of(map, mode);
                assert!(range.lo.is_finite() && range.hi.is_finite() && range.lo <= range.hi);
                for &v in map.iter().filter(|v| !v.is_nan()) {
                    let t = range.unit(v).unwrap();
                    assert!((0.0..=1.0).contains(&t), "{map:?} {mode:?} {v} {t}");
                }
                assert_eq!(range.unit(f32::NAN), None);
            }
        }
        assert_eq!(Facts::of(&[0.0, 0.0]).flat(), Some(Flat::AllZero));
        assert_eq!(Facts::of(&[2.0, 2.0]).flat(), Some(Flat::Constant));
        assert_eq!(Facts::of(&[f32::NAN]).flat(), Some(Flat::NotFinite));
        assert_eq!(Facts::of(&[]).flat(), Some(Flat::NotFinite));
        assert_eq!(Facts::of(&[0.0, 1.0]).flat(), None);
    }
}
