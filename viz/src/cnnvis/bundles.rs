//! Bicluster bundles: groups of clusters on both sides of a link of which each is connected with each, drawn through one
//! point, so that |P| + |Q| curves replace |P| |Q|.
//!
//! Of each link, the strongest edges are kept. Within the kept edges of one sign, all maximal bicliques of at least two
//! on both sides are found as the intersections of neighbourhoods, and chosen greedily by how many edges they cover
//! that no other bundle does. What is left is drawn singly, so bundles and single edges together are exactly the kept
//! edges.

use ndarray::ArrayView2;
use std::collections::BTreeSet;

/// Most clusters on a side: sides are sets in 64 bits, and their number bounds the bicliques.
pub const MOST: usize = 24;

/// Clusters of which each on one side is connected with each on the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Whether its edges are positive.
    pub positive: bool,
    /// Clusters that are read.
    pub from: Vec<usize>,
    /// Clusters that read.
    pub to: Vec<usize>,
}

/// The strongest edges of a link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// Edges at least this strong are kept.
    pub threshold: f32,
    /// All of them: (from, to).
    pub edges: Vec<(usize, usize)>,
    /// Those in bundles.
    pub bundles: Vec<Bundle>,
    /// Those in none.
    pub single: Vec<(usize, usize)>,
}

/// Keeps the strongest `share` of the edges, [to, from], and bundles them.
pub fn bundle(edges: ArrayView2<'_, f32>, share: f64) -> Kept {
    let mut sizes: Vec<f32> = edges.iter().map(|w| w.abs()).filter(|&w| w > 0.0).collect();
    sizes.sort_by(|a, b| b.total_cmp(a));
    let count = ((share * edges.len() as f64).ceil() as usize).min(sizes.len());
    let Some(&threshold) = count.checked_sub(1).and_then(|last| sizes.get(last)) else {
        return Kept::default();
    };
    let mut out = Kept { threshold, ..Kept::default() };
    for positive in [true, false] {
        let kept = |&((_, _), w): &((usize, usize), &f32)| w.abs() >= threshold && (*w > 0.0) == positive;
        let own: BTreeSet<(usize, usize)> =
            edges.indexed_iter().filter(kept).map(|((to, from), _)| (from, to)).collect();
        let mut open = own.clone();
        let candidates = bicliques(&own, edges.nrows());
        loop {
            let uncovered =
                |(p, q): &(u64, u64)| open.iter().filter(|&&(f, t)| has(*p, f) && has(*q, t)).count();
            // the first of equals, in lexicographic order
            let best = candidates.iter().map(|c| (uncovered(c), c)).fold(None, |best, (n, c)| match best {
                Some((most, _)) if most >= n => best,
                _ => Some((n, c)),
            });
            let Some((2.., &(p, q))) = best else { break };
            open.retain(|&(f, t)| !(has(p, f) && has(q, t)));
            out.bundles.push(Bundle { positive, from: members(p), to: members(q) });
        }
        out.edges.extend(own);
        out.single.extend(open);
    }
    out
}

fn has(set: u64, member: usize) -> bool {
    set >> member & 1 == 1
}

fn members(set: u64) -> Vec<usize> {
    (0..64).filter(|&i| has(set, i)).collect()
}

/// All maximal bicliques of at least two on both sides, as sets (from, to), in lexicographic order.
fn bicliques(edges: &BTreeSet<(usize, usize)>, to: usize) -> Vec<(u64, u64)> {
    let reads: Vec<u64> =
        (0..to).map(|t| edges.iter().filter(|e| e.1 == t).map(|e| 1u64 << e.0).sum()).collect();
    // every maximal side is an intersection of what some readers read
    let mut sides: BTreeSet<u64> = BTreeSet::new();
    for &read in &reads {
        let more: Vec<u64> = sides.iter().map(|side| side & read).chain([read]).collect();
        sides.extend(more.into_iter().filter(|side| side.count_ones() >= 2));
    }
    let readers = |side: u64| -> u64 {
        reads.iter().enumerate().filter(|(_, read)| *read & side == side).map(|(t, _)| 1u64 << t).sum()
    };
    let whole = sides.into_iter().map(|side| (side, readers(side))).filter(|(_, q)| q.count_ones() >= 2);
    let mut out: Vec<(u64, u64)> = whole.collect();
    out.sort_by_key(|&(p, q)| (members(p), members(q)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use glassbox_engine::rng::{Purpose, Stream};
    use ndarray::Array2;

    /// Maximal bicliques by trying every subset.
    fn brute(edges: &BTreeSet<(usize, usize)>, from: usize, to: usize) -> BTreeSet<(u64, u64)> {
        let mut out = BTreeSet::new();
        let all =
            |p: u64, q: u64| members(p).iter().all(|&f| members(q).iter().all(|&t| edges.contains(&(f, t))));
        for p in 1..1u64 << from {
            for q in 1..1u64 << to {
                let larger_p = (0..from).any(|f| !has(p, f) && all(p | 1 << f, q));
                let larger_q = (0..to).any(|t| !has(q, t) && all(p, q | 1 << t));
                if p.count_ones() >= 2 && q.count_ones() >= 2 && all(p, q) && !larger_p && !larger_q {
                    out.insert((p, q));
                }
            }
        }
        out
    }

    #[test]
    fn all_maximal_bicliques_are_found() {
        let mut stream = Stream::new(1, Purpose::Init, 0, 0);
        for _ in 0..8 {
            let edges: BTreeSet<(usize, usize)> =
                (0..5).flat_map(|f| (0..6).map(move |t| (f, t))).filter(|_| stream.unit() < 0.6).collect();
            let got: BTreeSet<(u64, u64)> = bicliques(&edges, 6).into_iter().collect();
            assert_eq!(got, brute(&edges, 5, 6));
        }
    }

    #[test]
    fn bundles_and_single_edges_are_exactly_the_kept_edges() {
        let mut stream = Stream::new(2, Purpose::Init, 0, 0);
        let edges = Array2::from_shape_fn((9, 8), |_| stream.uniform(-1.0, 1.0) as f32);
        let kept = bundle(edges.view(), 0.4);
        let strong: BTreeSet<(usize, usize)> = edges
            .indexed_iter()
            .filter(|(_, w)| w.abs() >= kept.threshold)
            .map(|((to, from), _)| (from, to))
            .collect();
        assert_eq!(strong.len(), (0.4f64 * 72.0).ceil() as usize);
        let mut covered: BTreeSet<(usize, usize)> = kept.single.iter().copied().collect();
        for b in &kept.bundles {
            for (&f, t) in b.from.iter().flat_map(|f| b.to.iter().map(move |t| (f, t))) {
                assert_eq!(edges[[*t, f]] > 0.0, b.positive);
                covered.insert((f, *t));
            }
        }
        assert_eq!(covered, strong);
        assert_eq!(kept.edges.iter().copied().collect::<BTreeSet<_>>(), strong);
    }

    #[test]
    fn a_planted_block_becomes_one_bundle() {
        let mut edges = Array2::<f32>::zeros((4, 4));
        for (to, from) in [(0, 1), (0, 2), (3, 1), (3, 2), (2, 0)] {
            edges[[to, from]] = -1.0;
        }
        let kept = bundle(edges.view(), 0.5);
        assert_eq!(kept.bundles, [Bundle { positive: false, from: vec![1, 2], to: vec![0, 3] }]);
        assert_eq!(kept.single, [(0, 2)]);
        assert_eq!(bundle(Array2::zeros((3, 3)).view(), 0.5), Kept::default());
    }
}
