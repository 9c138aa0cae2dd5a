//! Steps as drawings: the window beside its kernel and their products, candidates with the switch framed, the paths of a
//! gradient as bars, and unpooled values beside the cells that they go to.

use super::text::{largest, product};
use super::{How, Step, Term, Unpooling};
use crate::color::{BLUE_WHITE_RED, Rgb, readable_on};
use crate::number::short;
use crate::svg::{Font, PLAIN, Svg, width};

const MARGIN: f64 = 24.0;
const LINE: f64 = 20.0;
const CELL: f64 = 56.0;
/// Channels of a window that are drawn; the rest stand as one number.
const PLANES: usize = 4;
/// Bars that are drawn.
const BARS: usize = 24;
const FRAME: &str = "#b8b8c2";
const STRONG: &str = "#c2410c";
const BOLD: Font<'static> = Font { bold: true, size: 15.0, ..PLAIN };
const FAINT: Font<'static> = Font { color: "#6e6e78", ..PLAIN };
const MIDDLE: Font<'static> = Font { anchor: "middle", size: 12.0, ..PLAIN };

impl Step {
    /// The step as an SVG drawing.
    pub fn svg(&self) -> String {
        let planes = self.planes();
        let body = if planes.is_empty() { Body::bars(self) } else { Body::grids(self, &planes) };
        let foot = self.foot();
        let lines = foot
            .iter()
            .map(String::as_str)
            .chain([self.formula.as_str(), self.title().as_str()])
            .map(|t| width(t, 13.0, true))
            .fold(0.0, f64::max);
        let (wide, high) = (body.width.max(lines) + 2.0 * MARGIN, body.height);
        let top = MARGIN + 3.0 * LINE;
        let mut svg = Svg::new(wide, top + high + LINE * (foot.len() as f64 + 1.0) + MARGIN, &self.title());
        svg.text(MARGIN, MARGIN + 12.0, &self.title(), BOLD);
        svg.text(MARGIN, MARGIN + 12.0 + LINE, &self.formula, FAINT);
        if planes.is_empty() {
            bars(&mut svg, self, top)
        } else {
            grids(&mut svg, self, &planes, top)
        }
        for (i, line) in foot.iter().enumerate() {
            let font = if i == 0 { Font { bold: true, ..PLAIN } } else { FAINT };
            svg.text(MARGIN, top + high + LINE * (i as f64 + 1.5), line, font);
        }
        svg.finish()
    }

    fn title(&self) -> String {
        format!("{} = {}", self.name, short(self.result))
    }

    /// Lines below the picture.
    fn foot(&self) -> Vec<String> {
        let mut lines = vec![match (&self.how, &self.finish) {
            (How::Sum, None) => format!("sum of {} terms = {}", self.terms.len(), short(self.total)),
            (How::Sum, Some(finish)) => {
                format!("total {}, then {finish} = {}", short(self.total), short(self.result))
            }
            (How::Largest { .. }, _) => format!("largest of {} = {}", self.terms.len(), short(self.total)),
        }];
        lines.push(format!("the engine stored {}: off by {}", short(self.stored), short(self.off())));
        lines.extend(self.notes.iter().cloned());
        lines
    }

    /// Terms with a place in a window, by channel of the neighbouring layer: those of the largest share first.
    fn planes(&self) -> Vec<Vec<&Term>> {
        if self.kind == "gradient" {
            return Vec::new();
        }
        let mut planes: Vec<Vec<&Term>> = Vec::new();
        for term in self.terms.iter().filter(|t| t.tap.is_some()) {
            match planes.iter_mut().find(|p| p[0].unit.map(|u| u[0]) == term.unit.map(|u| u[0])) {
                Some(plane) => plane.push(term),
                None => planes.push(vec![term]),
            }
        }
        let share = |plane: &[&Term]| plane.iter().map(|t| t.value).sum::<f64>().abs();
        planes.sort_by(|a, b| share(b).total_cmp(&share(a)));
        planes
    }
}

/// Size of the picture between title and foot.
struct Body {
    width: f64,
    height: f64,
}

impl Body {
    fn bars(step: &Step) -> Self {
        let shown = largest(&step.terms, BARS);
        let label = shown.iter().map(|&i| width(&product(&step.terms[i]), 12.0, false)).fold(0.0, f64::max);
        let rest = f64::from(shown.len() < step.terms.len());
        Self { width: label + 360.0, height: LINE * (shown.len() as f64 + rest) }
    }

    fn grids(step: &Step, planes: &[Vec<&Term>]) -> Self {
        let [h, w] = size(planes);
        let count = if step.has_weights() { 3.0 } else { 1.0 };
        let shown = planes.len().min(PLANES) as f64;
        Self {
            width: count * (w as f64 * CELL + 40.0) + 170.0,
            height: shown * (h as f64 * CELL + 2.2 * LINE) + LINE * f64::from(step.tail(planes).len() as u32),
        }
    }
}

impl Step {
    fn has_weights(&self) -> bool {
        self.terms.iter().any(|t| t.tap.is_some() && t.parts.len() > 1)
    }

    /// What is added besides the planes that are drawn.
    fn tail(&self, planes: &[Vec<&Term>]) -> Vec<String> {
        let outside = self.terms.iter().filter(|t| t.tap.is_none());
        let mut lines: Vec<String> = outside.map(|t| format!("+ {}", product(t))).collect();
        if planes.len() > PLANES {
            let rest: f64 = planes[PLANES..].iter().flatten().map(|t| t.value).sum();
            lines.push(format!("+ {} more channels, together {}", planes.len() - PLANES, short(rest)));
        }
        lines
    }
}

/// Rows and columns of the window.
fn size(planes: &[Vec<&Term>]) -> [usize; 2] {
    let most =
        |axis: usize| planes.iter().flatten().filter_map(|t| t.tap).map(|t| t[axis] + 1).max().unwrap_or(1);
    [most(0), most(1)]
}

/// A signed value's colour, and the colour of text on it.
fn paint(value: f64, reach: f64) -> (String, String) {
    let color: Rgb = BLUE_WHITE_RED.at((0.5 + 0.35 * value / reach.max(1e-30)) as f32);
    let hex = |[r, g, b]: Rgb| format!("#{r:02x}{g:02x}{b:02x}");
    (hex(color), hex(readable_on(color)))
}

/// A cell with a number; `frame` is its outline.
fn cell(svg: &mut Svg, (x, y): (f64, f64), value: f64, reach: f64, frame: &str) {
    let (fill, ink) = paint(value, reach);
    svg.rect(x, y, CELL, CELL, 0.0, &fill, frame);
    let font = Font { color: &ink, ..MIDDLE };
    let text = short(value);
    let size = if text.chars().count() > 6 { 10.0 } else { 12.0 };
    svg.inside(x + CELL / 2.0, y + CELL / 2.0 + 4.0, &text, Font { size, ..font });
}

fn reach(values: impl Iterator<Item = f64>) -> f64 {
    values.filter(|v| v.is_finite()).map(f64::abs).fold(0.0, f64::max)
}

/// Window, kernel and products of the channels that add most.
fn grids(svg: &mut Svg, step: &Step, planes: &[Vec<&Term>], top: f64) {
    let [h, w] = size(planes);
    let weights = step.has_weights();
    let input = |t: &Term| t.parts.last().map_or(0.0, |p| p.value);
    let weight = |t: &Term| t.parts[0].value;
    let limit = |f: &dyn Fn(&Term) -> f64| reach(planes.iter().flatten().map(|t| f(t)));
    let reaches = [limit(&input), limit(&weight), limit(&|t| t.value)];
    let chosen = match step.how {
        How::Largest { chosen, .. } => step.terms[chosen].tap,
        How::Sum => None,
    };
    let mut y = top;
    for plane in planes.iter().take(PLANES) {
        let below = plane[0].parts.last().map_or("", |p| p.name.split('[').next().unwrap_or(""));
        let channel = plane[0].unit.map_or(0, |u| u[0]);
        svg.text(MARGIN, y + 12.0, &format!("channel {channel} of {below}"), FAINT);
        let row = y + LINE;
        let pick: [&dyn Fn(&Term) -> f64; 3] = [&input, &weight, &|t: &Term| t.value];
        let signs = ["x", "=", ""];
        let mut x = MARGIN;
        for (k, of) in pick.iter().enumerate().take(if weights { 3 } else { 1 }) {
            for term in plane {
                let [ty, tx] = term.tap.unwrap_or([0, 0]);
                let at = (x + tx as f64 * CELL, row + ty as f64 * CELL);
                cell(svg, at, of(term), reaches[k], FRAME);
            }
            x += w as f64 * CELL;
            if weights {
                svg.text(
                    x + 20.0,
                    row + h as f64 * CELL / 2.0 + 5.0,
                    signs[k],
                    Font { size: 18.0, ..MIDDLE },
                );
            }
            x += 40.0;
        }
        if let (Some([ty, tx]), false) = (chosen, weights) {
            let (left, up) = (MARGIN + tx as f64 * CELL, row + ty as f64 * CELL);
            svg.path(&format!("M{left} {up}h{CELL}v{CELL}h-{CELL}z"), STRONG, 3.5, "");
        }
        if let How::Largest { ties, .. } = &step.how {
            for [ty, tx] in ties.iter().filter_map(|&i| step.terms[i].tap) {
                let (left, up) = (MARGIN + tx as f64 * CELL, row + ty as f64 * CELL);
                svg.path(&format!("M{left} {up}h{CELL}v{CELL}h-{CELL}z"), STRONG, 2.0, "5 4");
            }
        }
        let note = match step.how {
            How::Sum => format!("adds {}", short(plane.iter().map(|t| t.value).sum())),
            How::Largest { .. } => "framed: the switch; dashed: as large, but later".into(),
        };
        svg.text(x - 20.0, row + h as f64 * CELL / 2.0 + 4.0, &note, PLAIN);
        y = row + h as f64 * CELL + 1.2 * LINE;
    }
    for line in step.tail(planes) {
        svg.text(MARGIN, y + 4.0, &line, PLAIN);
        y += LINE;
    }
}

/// Terms as bars from a common zero.
fn bars(svg: &mut Svg, step: &Step, top: f64) {
    let shown = largest(&step.terms, BARS);
    let label = shown.iter().map(|&i| width(&product(&step.terms[i]), 12.0, false)).fold(0.0, f64::max);
    let zero = MARGIN + label + 130.0;
    let most = reach(shown.iter().map(|&i| step.terms[i].value)).max(1e-30);
    for (row, &i) in shown.iter().enumerate() {
        let (term, y) = (&step.terms[i], top + row as f64 * LINE);
        svg.text(MARGIN, y + 13.0, &product(term), Font { size: 12.0, ..PLAIN });
        let long = if term.value.is_finite() { 90.0 * term.value / most } else { 0.0 };
        let color = if long < 0.0 { "#2166ac" } else { "#b2182b" };
        svg.rect(zero + long.min(0.0), y + 3.0, long.abs(), LINE - 7.0, 0.0, color, "none");
        svg.text(zero + 100.0, y + 13.0, &short(term.value), Font { size: 12.0, ..PLAIN });
    }
    svg.line((zero, top), (zero, top + shown.len() as f64 * LINE), FRAME, 1.0);
    if shown.len() < step.terms.len() {
        let rest = step.total - shown.iter().map(|&i| step.terms[i].value).sum::<f64>();
        let text = format!("and {} smaller ones, together {}", step.terms.len() - shown.len(), short(rest));
        svg.text(MARGIN, top + shown.len() as f64 * LINE + 13.0, &text, FAINT);
    }
}

/// Row and column numbers beside a map.
fn indices(svg: &mut Svg, (x, y): (f64, f64), [h, w]: [usize; 2]) {
    for row in 0..h {
        svg.text(
            x - 6.0,
            y + (row as f64 + 0.5) * CELL + 4.0,
            &row.to_string(),
            Font { anchor: "end", ..FAINT },
        );
    }
    for column in 0..w {
        svg.text(
            x + (column as f64 + 0.5) * CELL,
            y - 6.0,
            &column.to_string(),
            Font { anchor: "middle", ..FAINT },
        );
    }
}

/// Rows or columns of a map that are drawn.
const MOST: usize = 16;

impl Unpooling {
    /// The channel as an SVG drawing: pooled values at the left, the cells that they are put into at the right. Of maps
    /// with more than 16 rows or columns, the upper left corner.
    pub fn svg(&self) -> String {
        let clip = |[h, w]: [usize; 2]| [h.min(MOST), w.min(MOST)];
        let (all, (full_h, full_w)) = (self.pooled, self.plane.dim());
        let ([ph, pw], [h, w]) = (clip(all), clip([full_h, full_w]));
        let title =
            format!("{} at {}, channel {}, put back into {}", self.what, self.pool, self.channel, self.below);
        let cut = [ph, pw] != all || [h, w] != [full_h, full_w];
        let notes = self.notes(cut);
        let right = MARGIN + pw as f64 * CELL + 90.0;
        let lines = notes.iter().chain([&title]).map(|t| width(t, 13.0, true)).fold(0.0, f64::max);
        let wide = (right + w as f64 * CELL).max(lines + MARGIN) + MARGIN;
        let top = MARGIN + 4.0 * LINE;
        let high = ph.max(h) as f64 * CELL;
        let mut svg = Svg::new(wide, top + high + LINE * (notes.len() as f64 + 1.0) + MARGIN, &title);
        svg.text(MARGIN, MARGIN + 12.0, &title, BOLD);
        svg.text(MARGIN, top - 8.0 - LINE, &self.pool, FAINT);
        svg.text(right, top - 8.0 - LINE, &self.below, FAINT);
        let most = reach(self.placed.iter().map(|p| p.value));
        let left_at = |[y, x]: [usize; 2]| (MARGIN + x as f64 * CELL, top + y as f64 * CELL);
        let right_at = |[y, x]: [usize; 2]| (right + x as f64 * CELL, top + y as f64 * CELL);
        for y in 0..h {
            for x in 0..w {
                cell(
                    &mut svg,
                    right_at([y, x]),
                    self.plane[[y, x]],
                    reach(self.plane.iter().copied()),
                    FRAME,
                );
            }
        }
        let seen = |[y, x]: [usize; 2], h: usize, w: usize| y < h && x < w;
        for p in self.placed.iter().filter(|p| seen(p.window, ph, pw)) {
            let (left, up) = left_at(p.window);
            cell(&mut svg, (left, up), p.value, most, FRAME);
            let ink = paint(p.value, most).1;
            let goes = format!("to {},{}", p.cell[0], p.cell[1]);
            svg.inside(left + CELL / 2.0, up + CELL - 6.0, &goes, Font { size: 10.0, color: &ink, ..MIDDLE });
        }
        indices(&mut svg, (right, top), [h, w]);
        for ([y, x], _) in self.shared().iter().filter(|(c, _)| seen(*c, h, w)) {
            let (left, up) = right_at([*y, *x]);
            svg.path(&format!("M{left} {up}h{CELL}v{CELL}h-{CELL}z"), STRONG, 3.0, "");
        }
        for (i, line) in notes.iter().enumerate() {
            svg.text(MARGIN, top + high + LINE * (i as f64 + 1.5), line, if i == 0 { PLAIN } else { FAINT });
        }
        svg.finish()
    }

    fn notes(&self, cut: bool) -> Vec<String> {
        let mut notes = vec![
            "each value goes to the row and column that its switch names; framed cells are shared, and add"
                .into(),
        ];
        if cut {
            notes.push("only the upper left corner is drawn".into());
        }
        notes.push(format!("the engine's unpooling: off by at most {}", short(self.off())));
        notes
    }
}
