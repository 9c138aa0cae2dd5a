//! The overview as one drawing: layers from left to right, a box for each cluster with what excites its units and what
//! they say of each class, and the strongest edges in between. Links that pass columns by have lanes above them.

use super::arrange::{Rect, treemap};
use super::{Cluster, Edges, Layer, Overview};
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
const SIGNS: [(&str, &str); 2] = [("#b2182b", ""), ("#2166ac", "5 3")];
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
    legend(&mut svg, MARGIN, plan.top - 26.0);
    let mut lane = 0;
    for edges in drawing.overview.edges.iter().filter(|e| !e.kept.edges.is_empty()) {
        if edges.skip {
            let y = plan.top + (lane as f64 + 0.6) * LANE;
            over(&mut svg, &plan, edges, y);
            lane += 1;
        } else {
            across(&mut svg, &plan, edges);
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

fn legend(svg: &mut Svg, x: f64, y: f64) {
    let font = Font { size: 12.0, ..PLAIN };
    let mut x = x;
    for ((color, dash), words) in SIGNS.into_iter().zip(["positive weights", "negative weights"]) {
        svg.path(&format!("M{x:.1} {y:.1}H{:.1}", x + 34.0), color, 2.5, dash);
        svg.text(x + 40.0, y + 4.0, words, font);
        x += 180.0;
    }
    diamond(svg, x + 8.0, y, "#40404a");
    svg.text(x + 22.0, y + 4.0, "bundle: each cluster on the left with each on the right", font);
}

fn diamond(svg: &mut Svg, x: f64, y: f64, color: &str) {
    svg.polygon(&[(x - 5.0, y), (x, y - 5.0), (x + 5.0, y), (x, y + 5.0)], color);
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
fn fit(text: &str, room: f64, size: f64) -> String {
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

fn sign(weight: f32) -> (&'static str, &'static str) {
    SIGNS[usize::from(weight < 0.0)]
}

/// Line widths of a link: in proportion to the largest edge.
fn thickness(edges: &Edges) -> impl Fn(f32) -> f64 + use<> {
    let largest = edges.clusters.iter().fold(0f32, |m, w| m.max(w.abs()));
    move |w: f32| 0.6 + 3.4 * f64::from(if largest > 0.0 { w.abs() / largest } else { 0.0 })
}

fn curve((x0, y0): (f64, f64), (x1, y1): (f64, f64)) -> String {
    let bend = 0.5 * (x1 - x0);
    format!("M{x0:.1} {y0:.1}C{:.1} {y0:.1} {:.1} {y1:.1} {x1:.1} {y1:.1}", x0 + bend, x1 - bend)
}

/// The edges between neighbouring columns.
fn across(svg: &mut Svg, plan: &Plan, edges: &Edges) {
    let thick = thickness(edges);
    let right = |p: usize| side(&plan.boxes[edges.link.from][p], true);
    let left = |q: usize| side(&plan.boxes[edges.link.to][q], false);
    for &(p, q) in &edges.kept.single {
        let w = edges.clusters[[q, p]];
        let (color, dash) = sign(w);
        svg.path(&curve(right(p), left(q)), color, thick(w), dash);
    }
    let mut nodes: Vec<(f64, usize)> = edges
        .kept
        .bundles
        .iter()
        .enumerate()
        .map(|(i, b)| {
            let ys = b.from.iter().map(|&p| right(p).1).chain(b.to.iter().map(|&q| left(q).1));
            (ys.sum::<f64>() / (b.from.len() + b.to.len()) as f64, i)
        })
        .collect();
    nodes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut last = f64::NEG_INFINITY;
    for (y, i) in nodes {
        let y = y.max(last + 16.0);
        last = y;
        let b = &edges.kept.bundles[i];
        let x = right(b.from[0]).0 + 0.5 * (left(b.to[0]).0 - right(b.from[0]).0);
        let (color, dash) = SIGNS[usize::from(!b.positive)];
        let mean = |list: Vec<f32>| list.iter().sum::<f32>() / list.len() as f32;
        for &p in &b.from {
            let w = mean(b.to.iter().map(|&q| edges.clusters[[q, p]]).collect());
            svg.path(&curve(right(p), (x, y)), color, thick(w), dash);
        }
        for &q in &b.to {
            let w = mean(b.from.iter().map(|&p| edges.clusters[[q, p]]).collect());
            svg.path(&curve((x, y), left(q)), color, thick(w), dash);
        }
        diamond(svg, x, y, color);
    }
}

fn side(at: &Rect, right: bool) -> (f64, f64) {
    (if right { at.x + at.w } else { at.x }, at.y + 0.5 * at.h)
}

/// A skip: up from the clusters that are read, along a lane above the columns, and down to those that read.
fn over(svg: &mut Svg, plan: &Plan, edges: &Edges, lane: f64) {
    let thick = thickness(edges);
    let (from, to) = (&plan.boxes[edges.link.from], &plan.boxes[edges.link.to]);
    let start = from.first().map_or(0.0, |b| b.x + b.w) + 34.0;
    let end = to.first().map_or(0.0, |b| b.x) - 34.0;
    let strongest = |of: &dyn Fn(&(usize, usize)) -> bool| {
        let own = edges.kept.edges.iter().filter(|e| of(e)).map(|&(p, q)| edges.clusters[[q, p]]);
        own.fold(0f32, |a, b| if b.abs() > a.abs() { b } else { a })
    };
    for (p, at) in from.iter().enumerate() {
        let w = strongest(&|e| e.0 == p);
        if w != 0.0 {
            let (x, y) = side(at, true);
            let (color, dash) = sign(w);
            svg.path(&bent((x, y), (start, lane)), color, thick(w), dash);
        }
    }
    for (q, at) in to.iter().enumerate() {
        let w = strongest(&|e| e.1 == q);
        if w != 0.0 {
            let (x, y) = side(at, false);
            let (color, dash) = sign(w);
            svg.path(&bent((x, y), (end, lane)), color, thick(w), dash);
        }
    }
    svg.line((start, lane), (end, lane), "#40404a", 2.0);
    svg.polygon(&[(end, lane), (end - 8.0, lane - 4.0), (end - 8.0, lane + 4.0)], "#40404a");
    let words = match edges.link.through.is_empty() {
        true => "skip: values pass unchanged".to_string(),
        false => format!("skip through {}", edges.link.through.join(", ")),
    };
    svg.text(start + 10.0, lane - 5.0, &fit(&words, end - start - 20.0, 11.0), Font { size: 11.0, ..PLAIN });
}

/// A way that leaves a box sideways and turns up into a lane.
fn bent((x0, y0): (f64, f64), (x1, y1): (f64, f64)) -> String {
    format!("M{x0:.1} {y0:.1}C{x1:.1} {y0:.1} {x1:.1} {y0:.1} {x1:.1} {:.1}V{y1:.1}", y0 - 34.0)
}
