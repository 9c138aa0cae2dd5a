//! How far a layout can be believed.

use super::tsne::squared_distances;
use ndarray::{Array2, ArrayView2};

/// Mean share of a point's `k` nearest neighbours that have its label; the lower index first where two are as near.
pub fn neighbour_agreement(points: ArrayView2<'_, f64>, labels: &[usize], k: usize) -> f64 {
    let ranked = ranked(&squared_distances(points));
    let k = k.min(labels.len().saturating_sub(1));
    let same = |i: usize| ranked[i][..k].iter().filter(|&&j| labels[j] == labels[i]).count();
    (0..labels.len()).map(same).sum::<usize>() as f64 / (labels.len() * k).max(1) as f64
}

/// The agreement that chance would give: the mean share of the other points that have a point's label.
pub fn chance(labels: &[usize]) -> f64 {
    let n = labels.len();
    let pairs = labels.iter().map(|l| labels.iter().filter(|m| *m == l).count() - 1).sum::<usize>();
    pairs as f64 / (n * n.saturating_sub(1)).max(1) as f64
}

/// Trustworthiness (Venna and Kaski 2001): 1 where all of a point's `k` nearest neighbours in the layout are among its `k`
/// nearest in truth; each other one takes away by how far down it stands there. `None` unless `k` is below half of
/// the number of points, where the formula has its range of [0, 1].
pub fn trustworthiness(points: ArrayView2<'_, f64>, layout: ArrayView2<'_, f64>, k: usize) -> Option<f64> {
    let n = points.nrows();
    if k == 0 || 2 * k >= n {
        return None;
    }
    let (truth, seen) = (ranked(&squared_distances(points)), ranked(&squared_distances(layout)));
    let mut lost = 0;
    for i in 0..n {
        let mut rank = vec![0; n];
        truth[i].iter().enumerate().for_each(|(r, &j)| rank[j] = r + 1);
        lost += seen[i][..k].iter().map(|&j| rank[j].saturating_sub(k)).sum::<usize>();
    }
    Some(1.0 - 2.0 * lost as f64 / (n * k * (2 * n - 3 * k - 1)) as f64)
}

/// The other points of each point, the nearest first.
fn ranked(distance: &Array2<f64>) -> Vec<Vec<usize>> {
    let of = |i: usize| {
        let mut others: Vec<usize> = (0..distance.ncols()).filter(|&j| j != i).collect();
        others.sort_by(|&a, &b| distance[[i, a]].total_cmp(&distance[[i, b]]));
        others
    };
    (0..distance.nrows()).map(of).collect()
}
