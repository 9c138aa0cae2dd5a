//! Clusters of units that say the same, and an order in which similar units lie side by side.
//!
//! Agglomerative clustering with average linkage and cosine distance; the tree is cut where a number of clusters is
//! left. Units whose profile is zero for every class are dead and form a cluster of their own. The order is the one,
//! among all that the tree allows, in which neighbours are most similar (Bar-Joseph, Gifford and Jaakkola 2001,
//! optimal leaf ordering); layers of more units than [`OPTIMAL`] keep the tree's own order.
//!
//! Units are put into an order by their profiles first, so the numbering of a layer's units does not matter.

use kodama::{Dendrogram, Method, linkage};
use ndarray::{Array2, ArrayView2};

/// Units up to which the order is optimal; the effort grows with their third power.
pub const OPTIMAL: usize = 512;

/// Units of a layer in order, in clusters.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    /// Units cluster by cluster, dead ones left out; similar ones side by side.
    pub clusters: Vec<Vec<usize>>,
    /// Units that are zero for every class.
    pub dead: Vec<usize>,
    /// Whether the order is the best of those that the tree allows.
    pub optimal: bool,
}

impl Tree {
    /// All live units, in order.
    pub fn order(&self) -> Vec<usize> {
        self.clusters.concat()
    }
}

/// Clusters units by their profiles, [units, classes], into at most `count` clusters.
pub fn tree(profiles: ArrayView2<'_, f32>, count: usize) -> Tree {
    let zero = |unit: usize| profiles.row(unit).iter().all(|&v| v == 0.0);
    let (dead, mut live): (Vec<usize>, Vec<usize>) = (0..profiles.nrows()).partition(|&unit| zero(unit));
    live.sort_by(|&a, &b| {
        profiles
            .row(a)
            .iter()
            .zip(profiles.row(b))
            .map(|(a, b)| a.total_cmp(b))
            .find(|o| o.is_ne())
            .unwrap_or(a.cmp(&b))
    });
    let n = live.len();
    if n < 2 {
        let clusters = if n == 0 { Vec::new() } else { vec![live] };
        return Tree { clusters, dead, optimal: true };
    }
    let distance = cosine_distances(profiles, &live);
    let mut condensed: Vec<f64> =
        (0..n).flat_map(|a| (a + 1..n).map(move |b| (a, b))).map(|at| distance[at]).collect();
    let steps = linkage(&mut condensed, n, Method::Average);
    let optimal = n <= OPTIMAL;
    let order =
        if optimal { optimal_order(&steps, n, &distance) } else { leaves(&steps, n, n + steps.len() - 1) };
    let clusters = cut(&steps, n, count.clamp(1, n), &order);
    let named = clusters.into_iter().map(|cluster| cluster.into_iter().map(|i| live[i]).collect());
    Tree { clusters: named.collect(), dead, optimal }
}

/// 1 - cos of the angle between two profiles, all pairs.
fn cosine_distances(profiles: ArrayView2<'_, f32>, units: &[usize]) -> Array2<f64> {
    let unit = |&k: &usize| -> Vec<f64> {
        let row: Vec<f64> = profiles.row(k).iter().map(|&v| f64::from(v)).collect();
        let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        row.into_iter().map(|v| v / norm).collect()
    };
    let rows: Vec<Vec<f64>> = units.iter().map(unit).collect();
    Array2::from_shape_fn((units.len(), units.len()), |(a, b)| {
        let cosine: f64 = rows[a].iter().zip(&rows[b]).map(|(a, b)| a * b).sum();
        if a == b { 0.0 } else { (1.0 - cosine).max(0.0) }
    })
}

/// Leaves below a node, in the tree's own order. Without recursion: a tree can be as deep as it has leaves.
fn leaves(steps: &Dendrogram<f64>, n: usize, node: usize) -> Vec<usize> {
    let mut out = Vec::new();
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        if node < n {
            out.push(node);
        } else {
            open.extend([steps[node - n].cluster2, steps[node - n].cluster1]);
        }
    }
    out
}

/// The clusters that are left when the last merges are undone, in the order of their leaves.
fn cut(steps: &Dendrogram<f64>, n: usize, count: usize, order: &[usize]) -> Vec<Vec<usize>> {
    let mut cluster_of: Vec<usize> = (0..n).collect();
    for (i, step) in steps.steps().iter().enumerate().take(n - count) {
        let merged = [step.cluster1, step.cluster2];
        cluster_of.iter_mut().filter(|c| merged.contains(c)).for_each(|c| *c = n + i);
    }
    // every cluster is a subtree, so its leaves lie side by side
    let mut out: Vec<Vec<usize>> = Vec::new();
    for &leaf in order {
        match out.last_mut() {
            Some(last) if cluster_of[last[0]] == cluster_of[leaf] => last.push(leaf),
            _ => out.push(vec![leaf]),
        }
    }
    out
}

/// The dynamic programme over ends: for every node, the cost of its best order from leaf `u` to leaf `w`. Each pair of
/// leaves has one node where it parts, so one matrix holds all of them.
struct Programme<'a> {
    distance: &'a Array2<f64>,
    /// Cost of the best order from u to w, both leaves of the node where they part.
    cost: Array2<f64>,
    /// Where that order passes from one half to the other, seen from the lower subtree of the step: (last, first).
    seam: Array2<(u32, u32)>,
    /// For every node, the leaves of its two halves; one half for a leaf.
    halves: Vec<[Vec<usize>; 2]>,
}

fn optimal_order(steps: &Dendrogram<f64>, n: usize, distance: &Array2<f64>) -> Vec<usize> {
    let mut programme = Programme {
        distance,
        cost: Array2::from_shape_fn((n, n), |(a, b)| if a == b { 0.0 } else { f64::INFINITY }),
        seam: Array2::from_elem((n, n), (0, 0)),
        halves: (0..n).map(|leaf| [vec![leaf], vec![]]).collect(),
    };
    for step in steps.steps() {
        let [left, right] = [leaves(steps, n, step.cluster1), leaves(steps, n, step.cluster2)];
        programme.join([step.cluster1, step.cluster2], [&left, &right]);
        programme.halves.push([left, right]);
    }
    let root = n + steps.len() - 1;
    let [left, right] = &programme.halves[root];
    let pairs = left.iter().flat_map(|&u| right.iter().map(move |&w| (u, w)));
    let best = pairs.min_by(|&a, &b| programme.cost[a].total_cmp(&programme.cost[b]).then(a.cmp(&b)));
    let Some((u, w)) = best else { return Vec::new() };
    programme.trace(steps, root, u, w)
}

impl Programme<'_> {
    /// The leaves at which an order of `node` can end that starts at its leaf `u`.
    fn partners(&self, node: usize, u: usize) -> &[usize] {
        let [left, right] = &self.halves[node];
        match (right.is_empty(), left.contains(&u)) {
            (true, _) => left,
            (false, true) => right,
            (false, false) => left,
        }
    }

    fn join(&mut self, nodes: [usize; 2], [left, right]: [&[usize]; 2]) {
        for &u in left {
            // the best way from u through the left half to each leaf of the right one
            let ends = self.partners(nodes[0], u).to_vec();
            let reach: Vec<(f64, usize)> = right
                .iter()
                .map(|&k| {
                    let way = |&m: &usize| (self.cost[[u, m]] + self.distance[[m, k]], m);
                    ends.iter().map(way).fold((f64::INFINITY, u), |a, b| if b.0 < a.0 { b } else { a })
                })
                .collect();
            for &w in right {
                let starts = self.partners(nodes[1], w);
                let mut best = (f64::INFINITY, (0, 0));
                for (&k, &(cost, m)) in right.iter().zip(&reach) {
                    let whole = cost + self.cost[[k, w]];
                    if starts.contains(&k) && whole < best.0 {
                        best = (whole, (m as u32, k as u32));
                    }
                }
                (self.cost[[u, w]], self.cost[[w, u]]) = (best.0, best.0);
                (self.seam[[u, w]], self.seam[[w, u]]) = (best.1, (best.1.1, best.1.0));
            }
        }
    }

    /// The best order of `node` from leaf `u` to leaf `w`.
    fn trace(&self, steps: &Dendrogram<f64>, root: usize, u: usize, w: usize) -> Vec<usize> {
        let n = self.distance.nrows();
        let mut out = Vec::new();
        let mut open = vec![(root, u, w)];
        while let Some((node, u, w)) = open.pop() {
            if node < n {
                out.push(node);
                continue;
            }
            let step = &steps[node - n];
            let (m, k) = self.seam[[u, w]];
            let straight = self.halves[node][0].contains(&u);
            let (first, second) =
                if straight { (step.cluster1, step.cluster2) } else { (step.cluster2, step.cluster1) };
            open.push((second, k as usize, w));
            open.push((first, u, m as usize));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glassbox_engine::rng::{Purpose, Stream};
    use ndarray::{Axis, array};

    fn random(units: usize, classes: usize, seed: u64) -> Array2<f32> {
        let mut stream = Stream::new(seed, Purpose::Init, 0, 0);
        Array2::from_shape_fn((units, classes), |_| stream.unit() as f32)
    }

    fn length(profiles: ArrayView2<'_, f32>, order: &[usize]) -> f64 {
        let all: Vec<usize> = (0..profiles.nrows()).collect();
        let distance = cosine_distances(profiles, &all);
        order.windows(2).map(|w| distance[[w[0], w[1]]]).sum()
    }

    /// Every order that a tree allows, by turning each of its nodes.
    fn all_orders(steps: &Dendrogram<f64>, n: usize, node: usize) -> Vec<Vec<usize>> {
        if node < n {
            return vec![vec![node]];
        }
        let [a, b] = [steps[node - n].cluster1, steps[node - n].cluster2].map(|c| all_orders(steps, n, c));
        let both = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
        both.flat_map(|(a, b)| [[&a[..], b].concat(), [&b[..], a].concat()]).collect()
    }

    #[test]
    fn the_order_is_the_best_of_all_that_the_tree_allows() {
        for seed in 0..6 {
            let profiles = random(8, 4, seed);
            let all: Vec<usize> = (0..8).collect();
            let distance = cosine_distances(profiles.view(), &all);
            let mut condensed: Vec<f64> =
                (0..8).flat_map(|a| (a + 1..8).map(move |b| [a, b])).map(|at| distance[at]).collect();
            let steps = linkage(&mut condensed, 8, Method::Average);
            let best = all_orders(&steps, 8, 14)
                .iter()
                .map(|order| length(profiles.view(), order))
                .fold(f64::INFINITY, f64::min);
            let got = length(profiles.view(), &tree(profiles.view(), 3).order());
            assert!((got - best).abs() < 1e-12, "{got} {best}");
            assert!(got <= length(profiles.view(), &all));
        }
    }

    #[test]
    fn directions_are_clustered_and_dead_units_stand_apart() {
        let profiles =
            array![[1.0, 0.0, 0.1], [0.0, 0.0, 0.0], [0.1, 2.0, 0.0], [9.0, 0.5, 0.5], [0.0, 0.5, 0.0f32]];
        let got = tree(profiles.view(), 2);
        assert_eq!(got.dead, [1]);
        let mut clusters = got.clusters.clone();
        clusters.iter_mut().for_each(|c| c.sort());
        clusters.sort();
        assert_eq!(clusters, [vec![0, 3], vec![2, 4]]);
        let none = tree(Array2::zeros((3, 2)).view(), 2);
        assert_eq!((none.clusters.len(), none.dead.len()), (0, 3));
    }

    #[test]
    fn the_numbering_of_units_does_not_matter() {
        let profiles = random(40, 5, 9);
        let mut stream = Stream::new(3, Purpose::Init, 0, 0);
        let from: Vec<usize> = stream.order(40).into_iter().map(|i| i as usize).collect();
        let permuted = profiles.select(Axis(0), &from);
        let (plain, other) = (tree(profiles.view(), 6), tree(permuted.view(), 6));
        let named: Vec<Vec<usize>> =
            other.clusters.iter().map(|c| c.iter().map(|&i| from[i]).collect()).collect();
        assert_eq!(named, plain.clusters);
    }
}
