//! The lines of the overview: edges between neighbouring columns, bundled or single, and skips in lanes above them. Signs
//! differ in colour and in dash.

use super::Edges;
use super::arrange::Rect;
use super::draw::fit;
use crate::svg::{Font, PLAIN, Svg};

/// Colour and dash of positive and of negative edges.
const SIGNS: [(&str, &str); 2] = [("#b2182b", ""), ("#2166ac", "5 3")];

/// What the lines mean.
pub(super) fn legend(svg: &mut Svg, x: f64, y: f64) {
    let font = Font { size: 12.0, ..PLAIN };
    let mut x = x;
    for ((color, dash), words) in SIGNS.into_iter().zip(["positive", "negative"]) {
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
pub(super) fn across(svg: &mut Svg, boxes: &[Vec<Rect>], edges: &Edges) {
    let thick = thickness(edges);
    let right = |p: usize| side(&boxes[edges.link.from][p], true);
    let left = |q: usize| side(&boxes[edges.link.to][q], false);
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
pub(super) fn over(svg: &mut Svg, boxes: &[Vec<Rect>], edges: &Edges, lane: f64) {
    let thick = thickness(edges);
    let (from, to) = (&boxes[edges.link.from], &boxes[edges.link.to]);
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
