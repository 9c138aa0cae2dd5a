//! From a saliency map to the object: seeds, a graph cut by colour, the largest piece, its box.
//!
//! Pixels above the `object` quantile of the map are taken for the object, those below the `background` quantile for
//! the background. Each side's colours become histograms of 16 bins per channel (one is added to every bin); the cut
//! minimises `sum -ln p(colour | side) + smoothness sum over neighbours on different sides of
//! exp(-b |difference of colours|^2) / distance` over 8-neighbours, with b one over twice the mean square difference, and
//! seeds never change sides. The object is the largest 8-connected piece; its extent is the box.
//!
//! Reference: Simonyan, Vedaldi, Zisserman 2014 (arXiv 1312.6034), section 3.2; Boykov and Jolly 2001 for the cut. The
//! paper models colours by mixtures of Gaussians; histograms need no start.

use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2, ArrayView3};
use petgraph::Graph;
use petgraph::algo::dinics;
use petgraph::graph::{EdgeIndex, NodeIndex};
use petgraph::visit::EdgeRef;
use std::collections::VecDeque;
use std::ops::Range;

/// Where the seeds are taken and how smooth the cut is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// Pixels of the object lie above this quantile.
    pub object: f64,
    /// Pixels of the background lie below this quantile.
    pub background: f64,
    /// Weight of edges between sides.
    pub smoothness: f64,
}

impl Default for Cut {
    fn default() -> Self {
        Self { object: 0.95, background: 0.3, smoothness: 50.0 }
    }
}

/// What a pixel was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Background.
    Background,
    /// Object, but not of the largest piece.
    Piece,
    /// The largest piece of the object.
    Object,
}

/// An object that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Side of each pixel.
    pub sides: Array2<Side>,
    /// Pixels given as seeds: of the object, of the background.
    pub seeds: Array2<Option<Side>>,
    /// Rows and columns of the object.
    pub region: [Range<usize>; 2],
}

/// Pixels that two boxes share over those that either covers; 0 where both are empty.
pub fn overlap(a: &[Range<usize>; 2], b: &[Range<usize>; 2]) -> f64 {
    let shared = |axis: usize| a[axis].end.min(b[axis].end).saturating_sub(a[axis].start.max(b[axis].start));
    let area = |of: &[Range<usize>; 2]| of[0].len() * of[1].len();
    let both = shared(0) * shared(1);
    both as f64 / (area(a) + area(b) - both).max(1) as f64
}

const BINS: usize = 16;
/// Capacities are whole numbers, this many to a unit of energy, so that sums are exact.
const UNIT: f64 = 1e6;
const HARD: u64 = 1 << 50;

/// Finds the object of an image [C, H, W] with values in [0, 1] from a map [H, W] that is large on it.
///
/// # Errors
/// A map of another size, quantiles out of order, and a map that does not tell object from background.
pub fn localize(image: ArrayView3<'_, f32>, map: ArrayView2<'_, f32>, cut: Cut) -> Result<Found> {
    let (_, h, w) = image.dim();
    if map.dim() != (h, w) {
        let problem = format!("a map of {:?} for an image of {h}x{w}", map.dim());
        return Err(Error::shape("localization", problem, "give one number per pixel"));
    }
    if !(0.0 <= cut.background && cut.background < cut.object && cut.object <= 1.0 && cut.smoothness >= 0.0) {
        let problem =
            format!("quantiles {} and {}, smoothness {}", cut.background, cut.object, cut.smoothness);
        return Err(Error::request(
            problem,
            "give 0 <= background < object <= 1 and a smoothness of at least 0",
        ));
    }
    let seeds = seeds(map, cut)?;
    let inside = separate(image, &seeds, cut.smoothness);
    let sides = largest(&inside);
    let at = |side: Side| sides.indexed_iter().filter(move |(_, s)| **s == side).map(|(at, _)| at);
    let extent = |axis: fn((usize, usize)) -> usize| {
        let (first, last) = at(Side::Object)
            .map(axis)
            .fold((usize::MAX, 0), |(first, last), place| (first.min(place), last.max(place + 1)));
        first.min(last)..last
    };
    let region = [extent(|(y, _)| y), extent(|(_, x)| x)];
    Ok(Found { sides, seeds, region })
}

/// The pixels that are sure.
fn seeds(map: ArrayView2<'_, f32>, cut: Cut) -> Result<Array2<Option<Side>>> {
    let mut sorted: Vec<f32> = map.iter().copied().collect();
    sorted.sort_by(f32::total_cmp);
    let quantile = |q: f64| sorted[((sorted.len() - 1) as f64 * q).round() as usize];
    let (low, high) = (quantile(cut.background), quantile(cut.object));
    // maps with many zeros: what is not above the least says nothing for the object
    if high <= sorted[0] || low >= high || !high.is_finite() {
        return Err(Error::request(
            format!(
                "the map's {} and {} quantiles are {low} and {high}: it points at nothing",
                cut.background, cut.object
            ),
            "choose a class whose map varies, or quantiles further apart",
        ));
    }
    Ok(map.mapv(|v| match v {
        v if v >= high => Some(Side::Object),
        v if v <= low => Some(Side::Background),
        _ => None,
    }))
}

/// -ln p(bin | side), per side, channel and bin.
fn costs(image: ArrayView3<'_, f32>, seeds: &Array2<Option<Side>>) -> [Vec<[f64; BINS]>; 2] {
    [Side::Object, Side::Background].map(|side| {
        let of_channel = |channel: ArrayView2<'_, f32>| {
            let mut counts = [1.0; BINS];
            let chosen = channel.iter().zip(seeds).filter(|(_, seed)| **seed == Some(side));
            chosen.for_each(|(&v, _)| counts[bin(v)] += 1.0);
            let sum: f64 = counts.iter().sum();
            counts.map(|count| -(count / sum).ln())
        };
        image.outer_iter().map(of_channel).collect()
    })
}

fn bin(value: f32) -> usize {
    ((value * BINS as f32) as usize).min(BINS - 1)
}

/// The pixels on the object's side of the least cut.
fn separate(image: ArrayView3<'_, f32>, seeds: &Array2<Option<Side>>, smoothness: f64) -> Array2<bool> {
    let (_, h, w) = image.dim();
    let costs = costs(image, seeds);
    let cost = |side: usize, y: usize, x: usize| -> f64 {
        image.outer_iter().zip(&costs[side]).map(|(channel, costs)| costs[bin(channel[[y, x]])]).sum()
    };
    let gap = |(y, x): (usize, usize), (v, u): (usize, usize)| -> f64 {
        image.outer_iter().map(|c| f64::from(c[[y, x]] - c[[v, u]]).powi(2)).sum()
    };
    let pairs: Vec<Pair> = neighbours(h, w).collect();
    let mean = pairs.iter().map(|&(a, b, _)| gap(a, b)).sum::<f64>() / pairs.len().max(1) as f64;
    let sharpness = if mean > 0.0 { 0.5 / mean } else { 0.0 };
    let mut net: Graph<(), u64> = Graph::with_capacity(h * w + 2, 2 * (h * w + pairs.len()));
    let pixels: Vec<NodeIndex> = (0..h * w).map(|_| net.add_node(())).collect();
    let (source, sink) = (net.add_node(()), net.add_node(()));
    let whole = |energy: f64| (energy * UNIT).round() as u64;
    for ((y, x), seed) in seeds.indexed_iter() {
        // an edge from the source is cut where the pixel is background, and costs what the background costs
        let (from, to) = match seed {
            Some(Side::Background) => (0, HARD),
            Some(_) => (HARD, 0),
            None => (whole(cost(1, y, x)), whole(cost(0, y, x))),
        };
        net.add_edge(source, pixels[y * w + x], from);
        net.add_edge(pixels[y * w + x], sink, to);
    }
    for (a, b, distance) in pairs {
        let weight = whole(smoothness * (-sharpness * gap(a, b)).exp() / distance);
        let (a, b) = (pixels[a.0 * w + a.1], pixels[b.0 * w + b.1]);
        net.add_edge(a, b, weight);
        net.add_edge(b, a, weight);
    }
    let (_, flows) = dinics(&net, source, sink);
    let reached = reachable(&net, &flows, source);
    Array2::from_shape_fn((h, w), |(y, x)| reached[pixels[y * w + x].index()])
}

/// Two places, row and column each, and their distance.
type Pair = ((usize, usize), (usize, usize), f64);

/// Pairs of 8-neighbours, each once, with their distance.
fn neighbours(h: usize, w: usize) -> impl Iterator<Item = Pair> {
    let steps = [(0, 1), (1, 0), (1, 1), (1, -1)];
    (0..h * w).flat_map(move |at| {
        let (y, x) = (at / w, at % w);
        steps.into_iter().filter_map(move |(dy, dx): (usize, isize)| {
            let (v, u) = (y + dy, x.checked_add_signed(dx)?);
            let distance = if dy != 0 && dx != 0 { std::f64::consts::SQRT_2 } else { 1.0 };
            (v < h && u < w).then_some(((y, x), (v, u), distance))
        })
    })
}

/// Nodes that more flow could come to.
fn reachable(net: &Graph<(), u64>, flows: &[u64], source: NodeIndex) -> Vec<bool> {
    let mut seen = vec![false; net.node_count()];
    seen[source.index()] = true;
    let mut queue = VecDeque::from([source]);
    let flow = |edge: EdgeIndex| flows[edge.index()];
    while let Some(node) = queue.pop_front() {
        let out = net.edges(node).filter(|e| flow(e.id()) < *e.weight()).map(|e| e.target());
        let back =
            net.edges_directed(node, petgraph::Incoming).filter(|e| flow(e.id()) > 0).map(|e| e.source());
        for next in out.chain(back) {
            if !std::mem::replace(&mut seen[next.index()], true) {
                queue.push_back(next);
            }
        }
    }
    seen
}

/// Marks the largest 8-connected piece, the first of several.
fn largest(inside: &Array2<bool>) -> Array2<Side> {
    let (h, w) = inside.dim();
    let mut piece = Array2::<usize>::zeros((h, w));
    let mut sizes = vec![0usize];
    for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
        if !inside[[y, x]] || piece[[y, x]] > 0 {
            continue;
        }
        let number = sizes.len();
        sizes.push(0);
        let mut open = vec![(y, x)];
        piece[[y, x]] = number;
        while let Some((y, x)) = open.pop() {
            sizes[number] += 1;
            for v in y.saturating_sub(1)..(y + 2).min(h) {
                for u in x.saturating_sub(1)..(x + 2).min(w) {
                    if inside[[v, u]] && piece[[v, u]] == 0 {
                        piece[[v, u]] = number;
                        open.push((v, u));
                    }
                }
            }
        }
    }
    let bigger = |best: usize, number: usize| if sizes[number] > sizes[best] { number } else { best };
    let best = (1..sizes.len()).fold(0, bigger);
    piece.mapv(|number| match number {
        0 => Side::Background,
        number if number == best => Side::Object,
        _ => Side::Piece,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    #[test]
    fn a_disc_is_found_from_a_rough_map() {
        let disc = |y: usize, x: usize| (y as f32 - 12.0).powi(2) + (x as f32 - 9.0).powi(2) <= 36.0;
        let noise = |y: usize, x: usize| ((y * 7 + x * 13) % 11) as f32 / 110.0;
        let image =
            Array3::from_shape_fn((1, 24, 24), |(_, y, x)| if disc(y, x) { 0.8 } else { 0.2 } + noise(y, x));
        // large around the middle of the disc only
        let map = Array2::from_shape_fn((24, 24), |(y, x)| {
            (-((y as f32 - 12.0).powi(2) + (x as f32 - 10.0).powi(2)) / 30.0).exp()
        });
        let found = localize(image.view(), map.view(), Cut { smoothness: 1.0, ..Cut::default() }).unwrap();
        for ((y, x), side) in found.sides.indexed_iter() {
            assert_eq!(*side == Side::Object, disc(y, x), "row {y}, column {x}");
        }
        assert_eq!(found.region, [6..19, 3..16]);
    }

    #[test]
    fn overlaps_are_shares_of_what_either_covers() {
        let one = [0..4, 2..6];
        assert_eq!(overlap(&one, &one), 1.0);
        assert_eq!(overlap(&one, &[2..6, 2..6]), 8.0 / 24.0);
        assert_eq!(overlap(&one, &[0..4, 6..9]), 0.0);
        assert_eq!(overlap(&[0..0, 0..0], &[0..0, 0..0]), 0.0);
    }

    #[test]
    fn the_cut_is_the_cheapest_of_all() {
        let image = array![[[0.9f32, 0.2, 0.7], [0.1, 0.8, 0.3]]];
        let mut seeds = Array2::from_elem((2, 3), None);
        (seeds[[0, 0]], seeds[[1, 2]]) = (Some(Side::Object), Some(Side::Background));
        let costs = costs(image.view(), &seeds);
        let pairs: Vec<_> = neighbours(2, 3).collect();
        assert_eq!(pairs.len(), 11);
        let value = |(y, x): (usize, usize)| f64::from(image[[0, y, x]]);
        let mean = pairs.iter().map(|&(a, b, _)| (value(a) - value(b)).powi(2)).sum::<f64>() / 11.0;
        for smoothness in [0.0, 0.1, 0.5, 3.0] {
            let energy = |inside: &dyn Fn((usize, usize)) -> bool| {
                let own: f64 = (0..6)
                    .map(|i| (i / 3, i % 3))
                    .filter(|&at| seeds[at].is_none())
                    .map(|at| costs[usize::from(!inside(at))][0][bin(image[[0, at.0, at.1]])])
                    .sum();
                let between = pairs.iter().filter(|(a, b, _)| inside(*a) != inside(*b));
                let edge = |&(a, b, d): &Pair| (-(value(a) - value(b)).powi(2) / (2.0 * mean)).exp() / d;
                own + smoothness * between.map(edge).sum::<f64>()
            };
            let all = (0u32..64).filter(|bits| bits & 1 == 1 && bits & 32 == 0);
            let least =
                all.map(|bits| energy(&|(y, x)| bits >> (y * 3 + x) & 1 == 1)).fold(f64::INFINITY, f64::min);
            let got = separate(image.view(), &seeds, smoothness);
            assert!(got[[0, 0]] && !got[[1, 2]]);
            assert!((energy(&|at| got[at]) - least).abs() < 1e-5, "smoothness {smoothness}");
        }
    }

    #[test]
    fn the_largest_piece_is_kept_and_flat_maps_are_refused() {
        let inside =
            array![[true, false, false, true], [false, true, false, false], [false, false, false, true]];
        let sides = largest(&inside);
        assert_eq!((sides[[0, 0]], sides[[1, 1]], sides[[0, 3]]), (Side::Object, Side::Object, Side::Piece));
        let image = Array3::from_elem((3, 4, 4), 0.5);
        for value in [0.0f32, 2.0, f32::NAN] {
            let map = Array2::from_elem((4, 4), value);
            let text = localize(image.view(), map.view(), Cut::default()).unwrap_err().to_string();
            assert!(text.contains("points at nothing"), "{text}");
        }
        assert!(localize(image.view(), Array2::zeros((3, 4)).view(), Cut::default()).is_err());
    }
}
