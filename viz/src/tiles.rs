//! Feature maps of one layer and one image, [C, H, W], as a sheet of tiles.
//!
//! Every tile carries its channel's index, its extremes and its share of zeros; a map that is zero everywhere is
//! crossed out, so that a scale of its own cannot hide it. With the shared scale (the default) tiles can be
//! compared; with a scale per map each tile uses all colours, and its printed maximum is the only measure.
//! Cells are enlarged by a whole factor, never smoothed. A layer without spatial size ([C, 1, 1]) becomes one
//! block of cells, unit by unit, row by row.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis};

use crate::canvas::{Canvas, enlargement};
use crate::color::{FAINT, INK, Rgb};
use crate::error::{Error, Result};
use crate::font;
use crate::number::{percent, short, significant};
use crate::scale::{Facts, Flat, Range, Scope, Style};
use crate::sheet::{Bar, Sheet, TEXT, columns};

/// The colour of the cross over a dead map.
pub const DEAD: Rgb = [200, 60, 30];

/// Feature maps to draw.
#[derive(Clone, Debug)]
pub struct FeatureMaps<'a> {
    /// What is shown: layer, image, class.
    pub title: String,
    /// The maps, [C, H, W].
    pub maps: ArrayView3<'a, f32>,
    /// One range for all tiles, or one for each.
    pub scope: Scope,
    /// Colours; by default viridis from zero, or blue-white-red if any value is negative.
    pub style: Option<Style>,
    /// Most tiles to draw; the title says so if there are more.
    pub limit: usize,
}

impl<'a> FeatureMaps<'a> {
    /// Maps with the default colours, a shared scale and at most 256 tiles.
    pub fn new(title: impl Into<String>, maps: ArrayView3<'a, f32>) -> Self {
        Self { title: title.into(), maps, scope: Scope::Shared, style: None, limit: 256 }
    }

    /// The picture.
    ///
    /// # Errors
    /// No map at all, or a picture of too many pixels.
    pub fn draw(&self) -> Result<Canvas> {
        let (channels, h, w) = self.maps.dim();
        if channels * h * w == 0 || self.limit == 0 {
            let problem = format!("{channels} maps of {h}x{w} cells, at most {} shown", self.limit);
            return Err(Error::shape("feature maps", problem, "give at least one map and one cell"));
        }
        let facts = Facts::of(self.maps);
        let style = self.style.unwrap_or_else(|| Style::auto(&facts));
        let range = Range::of(self.maps, style.mode);
        if h * w == 1 {
            self.draw_vector(&facts, style, range)
        } else {
            self.draw_tiles(&facts, style, range)
        }
    }

    fn draw_tiles(&self, facts: &Facts, style: Style, range: Range) -> Result<Canvas> {
        let (channels, h, w) = self.maps.dim();
        let shown = channels.min(self.limit);
        let tile = Tile::new(shown, h, w);
        let columns = columns(shown, tile.cell_width, tile.cell_height);
        let rows = shown.div_ceil(columns);
        let bar = match self.scope {
            Scope::Shared => {
                Bar { style, range, label: format!("value, one scale for all maps: {}", range.words()) }
            }
            Scope::PerMap => Bar {
                style,
                range: Range::of(&[0.0, 1.0, if range.lo < 0.0 { -1.0 } else { 0.0 }], style.mode),
                label: "value / the map's own largest, printed beneath each map: tiles cannot be compared"
                    .into(),
            },
        };
        let notes = self.notes(facts, shown);
        let (width, height) = (columns * tile.cell_width, rows * tile.cell_height);
        let mut sheet = Sheet::new(&self.title, &notes, width, height, Some(&bar))?;
        for (k, map) in self.maps.axis_iter(Axis(0)).take(shown).enumerate() {
            let (x, y) = (sheet.x + k % columns * tile.cell_width, sheet.y + k / columns * tile.cell_height);
            let range = if self.scope == Scope::Shared { range } else { Range::of(map, style.mode) };
            tile.draw(&mut sheet.canvas, x, y, k, map, &style, &range);
        }
        Ok(sheet.canvas)
    }

    fn draw_vector(&self, facts: &Facts, style: Style, range: Range) -> Result<Canvas> {
        let units = self.maps.len();
        let columns = if units <= 16 {
            units
        } else if units <= 512 {
            16
        } else {
            64
        };
        let rows = units.div_ceil(columns);
        let factor = if columns == 64 { 12 } else { 30 };
        let gutter = font::text_width(&units.to_string(), TEXT) + 10;
        let bar = Bar { style, range, label: format!("value of the unit: {}", range.words()) };
        let mut notes = self.notes(facts, units);
        notes.push(format!("one cell a unit, {columns} a row; the number is the row's first unit"));
        let mut sheet =
            Sheet::new(&self.title, &notes, gutter + columns * factor, rows * factor, Some(&bar))?;
        for (k, &value) in self.maps.iter().enumerate() {
            let (x, y) = (sheet.x + gutter + k % columns * factor, sheet.y + k / columns * factor);
            sheet.canvas.fill(x, y, factor - 1, factor - 1, style.paint(&range, value));
            if k % columns == 0 && factor >= font::HEIGHT * TEXT {
                let label = k.to_string();
                sheet.canvas.text(sheet.x, y + 6, &label, TEXT, FAINT);
            }
        }
        Ok(sheet.canvas)
    }

    fn notes(&self, facts: &Facts, shown: usize) -> Vec<String> {
        let (channels, h, w) = self.maps.dim();
        let what = if h * w == 1 {
            format!("{channels} units")
        } else {
            format!("{channels} maps of {h} x {w} cells")
        };
        let mut line = format!("{what}, {} zeros", percent(facts.zero_share()));
        let dead =
            self.maps.axis_iter(Axis(0)).filter(|m| Facts::of(m).flat() == Some(Flat::AllZero)).count();
        if dead > 0 && h * w > 1 {
            line += &format!(", {dead} zero everywhere (crossed out)");
        }
        let mut notes = vec![line];
        if shown < channels {
            notes.push(format!("first {shown} of {channels} maps shown"));
        }
        if facts.not_finite > 0 {
            notes.push(format!("{} values are not finite (NaN is magenta)", facts.not_finite));
        }
        notes
    }
}

/// Sizes of a tile with its labels.
struct Tile {
    factor: usize,
    text: usize,
    cell_width: usize,
    cell_height: usize,
}

impl Tile {
    fn new(shown: usize, h: usize, w: usize) -> Self {
        // Many tiles: smaller ones with small print.
        let (target, text) = if shown > 64 { (64, 1) } else { (120, 2) };
        let factor = enlargement(h.max(w), target);
        let line = font::LINE * text;
        Self {
            factor,
            text,
            cell_width: (w * factor).max(target) + 12 * text,
            cell_height: 3 * line + h * factor + 8 * text,
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn draw(
        &self,
        canvas: &mut Canvas,
        x: usize,
        y: usize,
        index: usize,
        map: ArrayView2<'_, f32>,
        style: &Style,
        range: &Range,
    ) {
        let (h, w) = map.dim();
        let (width, height) = (w * self.factor, h * self.factor);
        let line = font::LINE * self.text;
        let top = y + line;
        canvas.text(x, y, &format!("#{index}"), self.text, INK);
        canvas.map(x, top, map, style, range, self.factor);
        canvas.frame(x, top, width, height, FAINT);
        let facts = Facts::of(map);
        if facts.flat() == Some(Flat::AllZero) {
            canvas.cross(x, top, width, height, DEAD);
        }
        for (i, label) in labels(&facts).into_iter().enumerate() {
            let below = top + height + 3 * self.text + i * line;
            canvas.text(x, below, &font::fit(&label, self.text, self.cell_width - 4), self.text, INK);
        }
    }
}

/// The two lines beneath a tile.
fn labels(facts: &Facts) -> [String; 2] {
    let extreme = |name: &str, v: f32| {
        let text = short(v.into());
        format!("{name} {}", if text.len() > 6 { significant(v.into(), 2) } else { text })
    };
    match facts.flat() {
        Some(Flat::AllZero) => ["max 0".into(), "all zero".into()],
        Some(Flat::Constant) => ["constant".into(), short(facts.max.into())],
        Some(Flat::NotFinite) => ["not finite".into(), String::new()],
        None if facts.min < 0.0 => [extreme("min", facts.min), extreme("max", facts.max)],
        None => {
            // Whole per cent, rounded away from 0 and 100 so that these two mean exactly none and all.
            let share = 100.0 * facts.zero_share();
            let whole = if share < 50.0 { share.ceil() } else { share.floor() };
            [extreme("max", facts.max), format!("{whole} % zero")]
        }
    }
}

/// The colours of a [H, W] map, cell by cell, without frame or enlargement.
pub fn paint(map: ArrayView2<'_, f32>, style: &Style, range: &Range) -> Array2<Rgb> {
    map.mapv(|v| style.paint(range, v))
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::color::{NOT_A_NUMBER, VIRIDIS, WHITE};

    fn maps() -> Array3<f32> {
        Array3::from_shape_fn((6, 5, 4), |(k, i, j)| if k == 2 { 0.0 } else { (k * 20 + i * 4 + j) as f32 })
    }

    #[test]
    fn each_cell_of_each_map_is_found_again_in_its_tile() {
        let maps = maps();
        let figure = FeatureMaps::new("conv1", maps.view());
        let canvas = figure.draw().unwrap();
        let tile = Tile::new(6, 5, 4);
        let columns = columns(6, tile.cell_width, tile.cell_height);
        let range = Range { lo: 0.0, hi: 119.0, clipped: false };
        // The first pixel with the colour of map 0's last cell gives no position; the frame's geometry does.
        let body =
            Sheet::new("conv1", &figure.notes(&Facts::of(&maps), 6), columns * tile.cell_width, 0, None)
                .unwrap();
        for ((k, i, j), &v) in maps.indexed_iter().filter(|((k, _, _), _)| *k != 2) {
            let x = body.x + k % columns * tile.cell_width + j * tile.factor;
            let y = body.y + k / columns * tile.cell_height + font::LINE * tile.text + i * tile.factor;
            let want = VIRIDIS.at(range.unit(v).unwrap());
            for (dx, dy) in [(0, 0), (tile.factor - 1, tile.factor - 1)] {
                assert_eq!(canvas.get(x + dx, y + dy), Some(want), "{k} {i} {j}");
            }
        }
        assert_eq!(canvas.png().unwrap(), figure.draw().unwrap().png().unwrap());
    }

    #[test]
    fn dead_maps_are_crossed_and_counted() {
        let maps = maps();
        let figure = FeatureMaps { scope: Scope::PerMap, ..FeatureMaps::new("conv1", maps.view()) };
        let canvas = figure.draw().unwrap();
        assert!(canvas.bytes().chunks(3).any(|p| p == DEAD));
        assert!(figure.notes(&Facts::of(&maps), 6)[0].contains("1 zero everywhere"));
        let alive = Array3::<f32>::ones((2, 2, 2)) * 3.0;
        let canvas = FeatureMaps::new("x", alive.view()).draw().unwrap();
        assert!(!canvas.bytes().chunks(3).any(|p| p == DEAD));
    }

    #[test]
    fn degenerate_maps_have_no_nan_pixel_unless_they_hold_nan() {
        for value in [0.0f32, 1.0, -1.0, f32::INFINITY, f32::NAN] {
            for (c, h, w) in [(3, 4, 4), (3, 1, 1), (300, 2, 2), (700, 1, 1)] {
                let maps = Array3::from_elem((c, h, w), value);
                for scope in [Scope::Shared, Scope::PerMap] {
                    let canvas = FeatureMaps { scope, ..FeatureMaps::new("x", maps.view()) }.draw().unwrap();
                    let marked = canvas.bytes().chunks(3).any(|p| p == NOT_A_NUMBER);
                    assert_eq!(marked, value.is_nan(), "{value} {c} {h} {w}");
                }
            }
        }
        assert!(FeatureMaps::new("x", Array3::zeros((0, 2, 2)).view()).draw().is_err());
    }

    #[test]
    fn signed_maps_show_zero_as_white() {
        let mut map = Array3::<f32>::zeros((1, 2, 2));
        map[[0, 0, 0]] = -0.3;
        let style = Style::auto(&Facts::of(&map));
        let cells = paint(map.index_axis(Axis(0), 0), &style, &Range::of(&map, style.mode));
        assert_eq!([cells[[0, 0]], cells[[1, 1]]], [[0, 0, 255], WHITE]);
    }

    #[test]
    fn shares_of_zeros_are_never_rounded_to_all_or_none() {
        let mut facts = Facts { min: 0.0, max: 1.0, count: 1000, zeros: 999, not_finite: 0 };
        assert_eq!(labels(&facts)[1], "99 % zero");
        facts.zeros = 1;
        assert_eq!(labels(&facts)[1], "1 % zero");
    }
}
