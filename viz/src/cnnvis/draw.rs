//! The overview as one drawing: layers from left to right, a box for each cluster with what excites its units and what
//! they say of each class, and the strongest edges in between. Links that pass columns by have lanes above them.

use super::arrange::{Rect, treemap};
use super::{Cluster, Layer, Overview, lines};
use crate::canvas::{Canvas, enlargement};
use crate::color::Rgb;
use crate::error::Result;
use crate::overlay::pixels;
use crate::scale::{Facts, Range, Style};
use crate::svg::{Font, PLAIN, Svg, width};
use ndarray::{Array2, Array3, Axis};

/// Pictures of what excites a unit most, the strongest first, each [1 or 3, h, w] in [0, 1].
pub type Patches = Vec<Array3<f32>>;

/// What is drawn.
#[derive(Debug)]
pub struct Drawing<'a> {
    /// What is shown, of what.
    pub title: String,
    /// Lines beneath the title.
    pub notes: Vec<String>,
    /// The net summed up.
    pub overview: &'a Overview,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// For every layer and unit, its patches.
    pub patches: Vec<Vec<Patches>>,
}

/// A unit's place in the picture of its cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packed {
    /// The unit.
    pub unit: usize,
    /// Its room, in a square of side 1.
    pub room: Rect,
}

const MARGIN: f64 = 24.0;
const PACK: f64 = 112.0;
const SPACE: f64 = 8.0;
const CELL: f64 = 10.0;
const WIDEST: f64 = 160.0;
const TALL: f64 = PACK + HEAD + SPACE;
const LOW: f64 = 34.0 + HEAD + SPACE;
const HEAD: f64 = 18.0;
const BETWEEN: f64 = 16.0;
const GAP: f64 = 150.0;
const LANE: f64 = 26.0;
const FAINT: &str = "#6e6e78";
/// Units of a cluster whose patches are shown.
const SHOWN: usize = 6;

/// The treemap of a cluster's strongest units: areas are their mean largest activations.
pub fn pack(cluster: &Cluster, strength: &[f32]) -> Vec<Packed> {
    if let [unit] = cluster.units[..] {
        return vec![Packed { unit, room: Rect { x: 0.0, y: 0.0, w: 1.0, h: 1.0 } }];
    }
    let mut units: Vec<usize> = cluster.units.iter().copied().filter(|&u| strength[u] > 0.0).collect();
    units.sort_by(|&a, &b| strength[b].total_cmp(&strength[a]).then(a.cmp(&b)));
    units.truncate(SHOWN);
    let areas: Vec<f64> = units.iter().map(|&u| f64::from(strength[u])).collect();
    let rooms = treemap(&areas, Rect { x: 0.0, y: 0.0, w: 1.0, h: 1.0 });
    units.into_iter().zip(rooms).map(|(unit, room)| Packed { unit, room }).collect()
}

/// Where everything lies.
struct Plan {
    matrix: f64,
    labels: f64,
    /// Per layer and cluster.
    boxes: Vec<Vec<Rect>>,
    width: f64,
    height: f64,
    top: f64,
}

impl Plan {
    fn new(drawing: &Drawing<'_>) -> Self {
        let layers = &drawing.overview.layers;
        let classes = drawing.classes.len().max(1) as f64;
        let matrix = (CELL * classes).min(WIDEST);
        let longest = drawing.classes.iter().map(|c| width(c, 9.0, false)).fold(0.0, f64::max);
        let labels = if readable(drawing) { longest.min(90.0) + 4.0 } else { 14.0 };
        let lanes = drawing.overview.edges.iter().filter(|e| e.skip && !e.kept.edges.is_empty()).count();
        let top = 64.0 + 18.0 * drawing.notes.len() as f64 + 24.0;
        let mut ends = vec![top + lanes as f64 * LANE; columns(layers)];
        let wide = PACK + matrix + 3.0 * SPACE;
        let mut boxes = Vec::new();
        for layer in layers {
            let x = MARGIN + layer.column as f64 * (wide + GAP);
            let y = &mut ends[layer.column];
            *y += 62.0 + labels;
            let place = |c: &Cluster| {
                let h = if c.units.len() > 1 && !c.dead { TALL } else { LOW };
                let rect = Rect { x, y: *y, w: wide, h };
                *y += h + BETWEEN;
                rect
            };
            boxes.push(layer.clusters.iter().map(place).collect());
            *y += BETWEEN;
        }
        let width = MARGIN * 2.0 + columns(layers) as f64 * (wide + GAP) - GAP;
        let words = drawing.notes.iter().map(|n| width_of(n)).fold(width_of(&drawing.title) * 1.4, f64::max);
        let height = ends.into_iter().fold(0.0, f64::max) + MARGIN;
        Self { matrix, labels, boxes, width: width.max(words + 2.0 * MARGIN), height, top }
    }
}

fn width_of(text: &str) -> f64 {
    width(text, 13.0, false)
}

fn columns(layers: &[Layer]) -> usize {
    layers.iter().map(|l| l.column + 1).max().unwrap_or(0)
}

/// Whether the names of the classes fit over the columns of a matrix.
fn readable(drawing: &Drawing<'_>) -> bool {
    drawing.classes.len() as f64 * CELL <= WIDEST
}

/// The drawing.
///
/// # Errors
/// What the encoder of the small pictures refuses.
pub fn draw(drawing: &Drawing<'_>) -> Result<String> {
    let plan = Plan::new(drawing);
    let mut svg = Svg::new(plan.width, plan.height, &drawing.title);
    svg.text(MARGIN, 30.0, &drawing.title, Font { size: 18.0, bold: true, ..PLAIN });
    for (i, note) in drawing.notes.iter().enumerate() {
        svg.text(MARGIN, 52.0 + 18.0 * i as f64, note, Font { color: FAINT, ..PLAIN });
    }
    lines::legend(&mut svg, MARGIN, plan.top - 26.0);
    let mut lane = 0;
    for edges in drawing.overview.edges.iter().filter(|e| !e.kept.edges.is_empty()) {
        if edges.skip {
            let y = plan.top + (lane as f64 + 0.6) * LANE;
            lines::over(&mut svg, &plan.boxes, edges, y);
            lane += 1;
        } else {
            lines::across(&mut svg, &plan.boxes, edges);
        }
    }
    for (l, layer) in drawing.overview.layers.iter().enumerate() {
        let range = Range::of(&layer.profiles.classes, style(layer).mode);
        heading(&mut svg, drawing, &plan, l, &range);
        for (cluster, at) in layer.clusters.iter().zip(&plan.boxes[l]) {
            one_box(&mut svg, drawing, &plan, l, cluster, *at, &range)?;
        }
    }
    Ok(svg.finish())
}

fn style(layer: &Layer) -> Style {
    Style::auto(&Facts::of(&layer.profiles.classes))
}

fn heading(svg: &mut Svg, drawing: &Drawing<'_>, plan: &Plan, l: usize, range: &Range) {
    let layer = &drawing.overview.layers[l];
    let Some(first) = plan.boxes[l].first() else { return };
    let (x, y) = (first.x, first.y - plan.labels - 44.0);
    let units = layer.profiles.classes.nrows();
    let dead: usize = layer.clusters.iter().filter(|c| c.dead).map(|c| c.units.len()).sum();
    let words = match dead {
        0 => format!("{units} units in {} clusters", layer.clusters.len()),
        dead => format!("{units} units in {} clusters, {dead} dead", layer.clusters.len()),
    };
    svg.text(x, y, &layer.name, Font { size: 15.0, bold: true, ..PLAIN });
    let others: Vec<&str> = layer.group.iter().filter(|g| **g != layer.name).map(String::as_str).collect();
    let group = if others.is_empty() { String::new() } else { format!("with {}", others.join(", ")) };
    let small = Font { size: 11.0, color: FAINT, ..PLAIN };
    svg.text(x, y + 16.0, &fit(&group, first.w, 11.0), small);
    svg.text(x, y + 31.0, &words, small);
    let left = x + PACK + 2.0 * SPACE;
    let right = Font { anchor: "end", ..small };
    if readable(drawing) {
        for (k, name) in drawing.classes.iter().enumerate() {
            let at = left + (k as f64 + 0.75) * plan.matrix / drawing.classes.len() as f64;
            svg.text_up(at, first.y - 3.0, &fit(name, 90.0, 9.0), Font { size: 9.0, ..PLAIN });
        }
    } else {
        let words = format!("{} classes", drawing.classes.len());
        svg.text(left, first.y - 4.0, &words, small);
    }
    svg.text(x + first.w, y, &format!("colours {}", range.words()), right);
}

/// A text cut to a width.
pub(super) fn fit(text: &str, room: f64, size: f64) -> String {
    if width(text, size, false) <= room {
        return text.into();
    }
    let mut kept = text.to_string();
    while !kept.is_empty() && width(&kept, size, false) + width("...", size, false) > room {
        kept.pop();
    }
    kept + "..."
}

fn one_box(
    svg: &mut Svg,
    drawing: &Drawing<'_>,
    plan: &Plan,
    l: usize,
    cluster: &Cluster,
    at: Rect,
    range: &Range,
) -> Result<()> {
    let layer = &drawing.overview.layers[l];
    let (fill, stroke) = if cluster.dead { ("#ececf0", "#a0a0aa") } else { ("#fafafc", "#a0a0aa") };
    svg.rect(at.x, at.y, at.w, at.h, 4.0, fill, stroke);
    let small = Font { size: 11.0, ..PLAIN };
    let label = |words: String| fit(&words, at.w - 2.0 * SPACE, 11.0);
    let name = |k: usize| drawing.classes.get(k).cloned().unwrap_or_else(|| k.to_string());
    let count = match cluster.units[..] {
        [unit] => format!("unit {unit}"),
        _ => format!("{} units", cluster.units.len()),
    };
    if cluster.dead {
        svg.inside(at.x + SPACE, at.y + 14.0, &label(format!("{count}: dead")), small);
        svg.inside(at.x + SPACE, at.y + 36.0, &label("zero on every image".into()), small);
        return Ok(());
    }
    let output = l + 1 == drawing.overview.layers.len() && cluster.units.len() == 1;
    let words = match output {
        true => format!("output {}", name(cluster.units[0])),
        false => format!("{count}, most for {}", name(cluster.favourite())),
    };
    svg.inside(at.x + SPACE, at.y + 14.0, &label(words), small);
    let (top, high) = (at.y + HEAD, at.h - HEAD - SPACE);
    let side = PACK.min(high);
    for packed in pack(cluster, &layer.profiles.strength) {
        let room = Rect {
            x: at.x + SPACE + packed.room.x * PACK,
            y: top + packed.room.y * side,
            w: packed.room.w * PACK,
            h: packed.room.h * side,
        };
        patches(svg, &drawing.patches[l][packed.unit], room)?;
    }
    let matrix = matrix(layer, &cluster.units, high as usize, range).png()?;
    let left = at.x + PACK + 2.0 * SPACE;
    svg.rect(left - 0.5, top - 0.5, plan.matrix + 1.0, high + 1.0, 0.0, "none", "#a0a0aa");
    svg.image(left, top, plan.matrix, high, &matrix);
    Ok(())
}

/// A unit's patches in its room: one, or four where they stay visible.
fn patches(svg: &mut Svg, patches: &Patches, room: Rect) -> Result<()> {
    let side = room.w.min(room.h) - 2.0;
    let across = if side >= 50.0 && patches.len() >= 4 { 2 } else { 1 };
    let each = side / across as f64;
    if each < 8.0 {
        return Ok(());
    }
    let (left, top) = (room.x + 0.5 * (room.w - side), room.y + 0.5 * (room.h - side));
    for (i, patch) in patches.iter().take(across * across).enumerate() {
        let cells = pixels(patch.view())?;
        let png = blocks(&cells, 2 * each as usize)?;
        let (x, y) = (left + (i % across) as f64 * each, top + (i / across) as f64 * each);
        let largest = cells.ncols().max(cells.nrows()) as f64;
        let (w, h) = (cells.ncols() as f64 / largest, cells.nrows() as f64 / largest);
        svg.image(x, y, (each - 1.0) * w, (each - 1.0) * h, &png);
    }
    Ok(())
}

/// The activation matrix of some units, [units, classes]; neighbours are averaged where there are more than `rows`.
fn matrix(layer: &Layer, units: &[usize], rows: usize, range: &Range) -> Matrix {
    let values = layer.profiles.classes.select(Axis(0), units);
    let rows = rows.min(units.len()).max(1);
    let mean = |r: usize, c: usize| {
        let (low, high) =
            (r * units.len() / rows, ((r + 1) * units.len() / rows).max(r * units.len() / rows + 1));
        let sum: f64 = (low..high).map(|i| f64::from(values[[i, c]])).sum();
        (sum / (high - low) as f64) as f32
    };
    let cells = Array2::from_shape_fn((rows, values.ncols()), |(r, c)| mean(r, c));
    Matrix { cells, style: style(layer), range: *range }
}

/// Values with their colours.
struct Matrix {
    cells: Array2<f32>,
    style: Style,
    range: Range,
}

impl Matrix {
    fn png(&self) -> Result<Vec<u8>> {
        blocks(&self.cells.mapv(|v| self.style.paint(&self.range, v)), 2 * PACK as usize)
    }
}

/// Cells as a PNG whose blocks stay blocks in viewers that smooth what they enlarge.
fn blocks(cells: &Array2<Rgb>, side: usize) -> Result<Vec<u8>> {
    let factor = enlargement(cells.nrows().max(cells.ncols()), side);
    let mut canvas = Canvas::white(cells.ncols() * factor, cells.nrows() * factor)?;
    canvas.blit(0, 0, cells.view(), factor);
    canvas.png()
}
