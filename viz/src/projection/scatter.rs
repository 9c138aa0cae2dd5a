//! Clouds of points side by side, coloured by class. Ten colours that colour-blind readers can tell apart, with three
//! shapes in turn; the name of a class stands at the middle of its points, where there is room.

use crate::error::{Error, Result};
use crate::svg::{Font, PLAIN, Svg, width};
use ndarray::Array2;

/// One cloud.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// What the points are.
    pub title: String,
    /// Lines beneath the title: what was measured on it.
    pub facts: Vec<String>,
    /// What the axes are; empty where they mean nothing.
    pub axes: [String; 2],
    /// Places, [N, 2].
    pub places: Array2<f64>,
}

const COLORS: [&str; 10] = [
    "#332288", "#cc6677", "#117733", "#ddaa33", "#3399dd", "#aa4499", "#44aa99", "#000000", "#999933",
    "#ee7733",
];
const SIDE: f64 = 430.0;
const LEFT: f64 = 34.0;
const GAP: f64 = 56.0;
const LINE: f64 = 17.0;
const FAINT: &str = "#6e6e78";

/// Clouds of the same points side by side. `labels` are the classes of the points, `classes` their names.
///
/// # Errors
/// No cloud, or one of another number of points than there are labels.
pub fn scatter(
    title: &str,
    notes: &[String],
    clouds: &[Cloud],
    labels: &[usize],
    classes: &[String],
) -> Result<String> {
    if clouds.is_empty() || clouds.iter().any(|c| c.places.dim() != (labels.len(), 2)) {
        let problem = format!("{} clouds for {} labels", clouds.len(), labels.len());
        return Err(Error::shape("scatter", problem, "give clouds of one place [x, y] for each label"));
    }
    let facts = clouds.iter().map(|c| c.facts.len()).max().unwrap_or(0);
    let head = 44.0 + LINE * notes.len() as f64;
    let top = head + 26.0 + LINE * facts as f64 + 8.0;
    let used: Vec<usize> = (0..classes.len()).filter(|k| labels.contains(k)).collect();
    let legend = used.iter().map(|&k| width(&classes[k], 13.0, false)).fold(0.0, f64::max) + 40.0;
    let panels = LEFT + clouds.len() as f64 * (SIDE + GAP);
    let words =
        notes.iter().map(|n| width(n, 13.0, false)).fold(width(title, 18.0, true), f64::max) + 2.0 * LEFT;
    let height = (top + SIDE + 44.0).max(top + 20.0 * used.len() as f64 + 20.0);
    let mut svg = Svg::new((panels + legend).max(words), height, title);
    svg.text(LEFT, 28.0, title, Font { size: 18.0, bold: true, ..PLAIN });
    for (i, note) in notes.iter().enumerate() {
        svg.text(LEFT, 48.0 + LINE * i as f64, note, Font { color: FAINT, ..PLAIN });
    }
    for (i, cloud) in clouds.iter().enumerate() {
        let left = LEFT + i as f64 * (SIDE + GAP);
        svg.text(left, head + 20.0, &cloud.title, Font { size: 15.0, bold: true, ..PLAIN });
        for (j, fact) in cloud.facts.iter().enumerate() {
            svg.text(left, head + 38.0 + LINE * j as f64, fact, Font { size: 12.0, color: FAINT, ..PLAIN });
        }
        panel(&mut svg, cloud, labels, classes, (left, top));
    }
    for (i, &k) in used.iter().enumerate() {
        let y = top + 14.0 + 20.0 * i as f64;
        mark(&mut svg, panels - 10.0, y, 5.0, k);
        svg.text(panels + 4.0, y + 4.5, &classes[k], PLAIN);
    }
    Ok(svg.finish())
}

fn panel(svg: &mut Svg, cloud: &Cloud, labels: &[usize], classes: &[String], (left, top): (f64, f64)) {
    svg.rect(left, top, SIDE, SIDE, 0.0, "#fcfcfd", "#c8c8d0");
    let middle = |k: usize| {
        let column = cloud.places.column(k);
        let (low, high) = column
            .iter()
            .filter(|v| v.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |r, &v| (r.0.min(v), r.1.max(v)));
        if low <= high { (0.5 * (low + high), high - low) } else { (0.0, 0.0) }
    };
    // one scale for both axes: distances are what is shown
    let ((mx, wx), (my, wy)) = (middle(0), middle(1));
    let span = wx.max(wy);
    let scale = if span > 0.0 { 0.94 * SIDE / span } else { 0.0 };
    let place = |x: f64, y: f64| (left + 0.5 * SIDE + scale * (x - mx), top + 0.5 * SIDE - scale * (y - my));
    for (row, &label) in cloud.places.outer_iter().zip(labels) {
        let (x, y) = place(row[0], row[1]);
        if x.is_finite() && y.is_finite() {
            mark(svg, x, y, 3.0, label);
        }
    }
    // names that would lie over others are left to the legend
    let mut taken: Vec<(f64, f64, f64)> = Vec::new();
    for (k, name) in classes.iter().enumerate() {
        let own = || cloud.places.outer_iter().zip(labels).filter(|(_, l)| **l == k).map(|(r, _)| r);
        let Some((x, y)) = median(own().map(|r| r[0])).zip(median(own().map(|r| r[1]))) else { continue };
        let (x, y) = place(x, y);
        let half = 0.5 * width(name, 14.0, true);
        let x = x.clamp(left + half + 2.0, left + SIDE - half - 2.0);
        if taken.iter().any(|&(tx, ty, t)| (x - tx).abs() < half + t && (y - ty).abs() < 15.0) {
            continue;
        }
        taken.push((x, y, half));
        let font = Font { size: 14.0, bold: true, color: COLORS[k % COLORS.len()], anchor: "middle" };
        svg.text(x, y + 5.0, name, font);
    }
    let small = Font { size: 12.0, color: FAINT, ..PLAIN };
    svg.text(left + 0.5 * SIDE, top + SIDE + 18.0, &cloud.axes[0], Font { anchor: "middle", ..small });
    svg.text_up(left - 8.0, top + 0.5 * SIDE, &cloud.axes[1], Font { anchor: "middle", ..small });
}

fn mark(svg: &mut Svg, x: f64, y: f64, r: f64, class: usize) {
    let color = COLORS[class % COLORS.len()];
    match class / COLORS.len() % 3 {
        0 => svg.dot(x, y, r, color),
        1 => svg.polygon(&[(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)], color),
        _ => svg.polygon(&[(x, y - 1.3 * r), (x + 1.2 * r, y + r), (x - 1.2 * r, y + r)], color),
    }
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut all: Vec<f64> = values.filter(|v| v.is_finite()).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}
