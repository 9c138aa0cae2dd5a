//! The order of clusters within their columns: barycentre sweeps that lower the number of crossing edges (Sugiyama,
//! Tagawa and Toda 1981), and the squarified treemap that packs pictures into a cluster (Bruls, Huizing and van Wijk
//! 2000).

/// An edge between cluster `from.1` of layer `from.0` and cluster `to.1` of layer `to.0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// Layer and cluster that is read.
    pub from: (usize, usize),
    /// Layer and cluster that reads.
    pub to: (usize, usize),
    /// Its weight in a mean of places.
    pub weight: f64,
}

/// Sweeps down and up at the most.
const SWEEPS: usize = 8;

/// The order of each layer's clusters, top to bottom, given their number; `fixed` layers keep theirs.
pub fn arrange(sizes: &[usize], fixed: &[bool], edges: &[Edge]) -> Vec<Vec<usize>> {
    let mut best: Vec<Vec<usize>> = sizes.iter().map(|&n| (0..n).collect()).collect();
    let mut fewest = crossings(&best, edges);
    let mut now = best.clone();
    for sweep in 0..SWEEPS {
        let layers: Vec<usize> =
            if sweep % 2 == 0 { (0..sizes.len()).collect() } else { (0..sizes.len()).rev().collect() };
        for layer in layers.into_iter().filter(|&l| !fixed[l]) {
            let places = places(&now);
            now[layer] = by_barycentre(layer, &now[layer], &places, edges, sweep % 2 == 0);
        }
        let count = crossings(&now, edges);
        if count < fewest {
            (best, fewest) = (now.clone(), count);
        }
    }
    best
}

/// The place of each cluster in its layer, in (0, 1).
fn places(order: &[Vec<usize>]) -> Vec<Vec<f64>> {
    let of = |layer: &Vec<usize>| {
        let mut place = vec![0.0; layer.len()];
        layer.iter().enumerate().for_each(|(at, &c)| place[c] = (at as f64 + 0.5) / layer.len() as f64);
        place
    };
    order.iter().map(of).collect()
}

fn by_barycentre(
    layer: usize,
    order: &[usize],
    places: &[Vec<f64>],
    edges: &[Edge],
    from_left: bool,
) -> Vec<usize> {
    let mean = |c: usize| {
        let (mut sum, mut weight) = (0.0, 0.0);
        for e in edges {
            let (own, other) = if from_left { (e.to, e.from) } else { (e.from, e.to) };
            if own == (layer, c) {
                sum += e.weight * places[other.0][other.1];
                weight += e.weight;
            }
        }
        if weight > 0.0 { sum / weight } else { places[layer][c] }
    };
    let mut out = order.to_vec();
    out.sort_by(|&a, &b| mean(a).total_cmp(&mean(b)));
    out
}

/// Pairs of edges between the same two layers that cross.
pub fn crossings(order: &[Vec<usize>], edges: &[Edge]) -> usize {
    let places = places(order);
    let ends = |e: &Edge| (places[e.from.0][e.from.1], places[e.to.0][e.to.1]);
    let mut count = 0;
    for (i, a) in edges.iter().enumerate() {
        for b in &edges[..i] {
            let same = (a.from.0, a.to.0) == (b.from.0, b.to.0);
            let (a, b) = (ends(a), ends(b));
            count += usize::from(same && (a.0 - b.0) * (a.1 - b.1) < 0.0);
        }
    }
    count
}

/// A rectangle: left, top, width, height.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

/// Fills a rectangle with one for each area, in proportion, as near to squares as rows allow. Areas should descend;
/// those that are not positive get an empty rectangle.
pub fn treemap(areas: &[f64], room: Rect) -> Vec<Rect> {
    let total: f64 = areas.iter().filter(|a| **a > 0.0).sum();
    let mut out = vec![Rect::default(); areas.len()];
    let scale = if total > 0.0 { room.w * room.h / total } else { return out };
    let mut rest = room;
    let mut open: Vec<usize> = (0..areas.len()).filter(|&i| areas[i] > 0.0).collect();
    while !open.is_empty() {
        let side = rest.w.min(rest.h);
        let size = |i: &usize| areas[*i] * scale;
        let worst = |n: usize| {
            let thick = open[..n].iter().map(size).sum::<f64>() / side;
            let ratio = |i: &usize| (size(i) / thick / thick).max(thick * thick / size(i));
            open[..n].iter().map(ratio).fold(0.0, f64::max)
        };
        let row = (2..=open.len()).take_while(|&n| worst(n) <= worst(n - 1)).last().unwrap_or(1);
        let thick = open[..row].iter().map(size).sum::<f64>() / side;
        let mut at = 0.0;
        for i in open.drain(..row) {
            let long = areas[i] * scale / thick;
            out[i] = if rest.w >= rest.h {
                Rect { x: rest.x, y: rest.y + at, w: thick, h: long }
            } else {
                Rect { x: rest.x + at, y: rest.y, w: long, h: thick }
            };
            at += long;
        }
        if rest.w >= rest.h {
            (rest.x, rest.w) = (rest.x + thick, rest.w - thick);
        } else {
            (rest.y, rest.h) = (rest.y + thick, rest.h - thick);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_untangle_what_can_be_untangled() {
        // a ladder whose right side stands upside down
        let edge = |a: usize, b: usize| Edge { from: (0, a), to: (1, b), weight: 1.0 };
        let edges: Vec<Edge> = (0..6).map(|i| edge(i, 5 - i)).collect();
        let plain: Vec<Vec<usize>> = vec![(0..6).collect(); 2];
        assert_eq!(crossings(&plain, &edges), 15);
        let order = arrange(&[6, 6], &[false, true], &edges);
        assert_eq!(crossings(&order, &edges), 0);
        assert_eq!(order[1], [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_treemap_fills_its_room_in_proportion_without_overlap() {
        let room = Rect { x: 3.0, y: 1.0, w: 60.0, h: 40.0 };
        let areas = [6.0, 6.0, 4.0, 3.0, 2.0, 2.0, 1.0, 0.0];
        let rects = treemap(&areas, room);
        for (r, area) in rects.iter().zip(areas) {
            assert!((r.w * r.h - area * 100.0).abs() < 1e-9, "{r:?}");
            assert!(area == 0.0 || r.x >= 3.0 - 1e-9 && r.x + r.w <= 63.0 + 1e-9 && r.y + r.h <= 41.0 + 1e-9);
        }
        for (i, a) in rects.iter().enumerate() {
            for b in &rects[..i] {
                let apart = |a0: f64, a1: f64, b0: f64, b1: f64| (a1.min(b1) - a0.max(b0)).max(0.0);
                let shared = apart(a.x, a.x + a.w, b.x, b.x + b.w) * apart(a.y, a.y + a.h, b.y, b.y + b.h);
                assert!(shared < 1e-9, "{a:?} {b:?}");
            }
        }
        // the shapes of the published example: no rectangle longer than three times its width
        assert!(rects[..7].iter().all(|r| (r.w / r.h).max(r.h / r.w) < 3.0), "{rects:?}");
        assert_eq!(treemap(&[0.0, 0.0], room), [Rect::default(); 2]);
    }
}
