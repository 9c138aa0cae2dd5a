//! How alike two maps are: correlations of values and of ranks, and structural similarity.

/// Pearson's correlation; `None` where one side does not vary.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
    let (ma, mb) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (&a, &b) in a.iter().zip(b) {
        ab += (a - ma) * (b - mb);
        aa += (a - ma) * (a - ma);
        bb += (b - mb) * (b - mb);
    }
    // what is left of a constant after subtraction is rounding
    let flat = |sum: f64, mean: f64, n: usize| sum <= 1e-24 * mean * mean * n as f64;
    if flat(aa, ma, a.len()) || flat(bb, mb, b.len()) {
        return None;
    }
    Some((ab / (aa.sqrt() * bb.sqrt())).clamp(-1.0, 1.0))
}

/// Ranks from 0, ties sharing their mean rank.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut out = vec![0.0; values.len()];
    let mut first = 0;
    for tied in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (tied.len() - 1) as f64 / 2.0;
        tied.iter().for_each(|&i| out[i] = rank);
        first += tied.len();
    }
    out
}

/// Spearman's rank correlation, ties sharing their mean rank; `None` where one side does not vary.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    pearson(&ranks(a), &ranks(b))
}

/// Structural similarity of two maps [h, w] whose values span `span` (Wang, Bovik, Sheikh, Simoncelli 2004): the mean
/// over all places at which a Gaussian window of deviation 1.5 fits, 11 wide or the largest odd width that the map
/// has room for; constants 0.01 and 0.03.
pub fn ssim(a: &[f64], b: &[f64], h: usize, w: usize, span: f64) -> f64 {
    let side = 11.min(h).min(w);
    let side = side - (1 - side % 2);
    let reach = (side / 2) as f64;
    let tap = |i: usize| (-0.5 * ((i as f64 - reach) / 1.5).powi(2)).exp();
    let sum: f64 = (0..side).map(tap).sum();
    let taps: Vec<f64> = (0..side).map(|i| tap(i) / sum).collect();
    let (c1, c2) = ((0.01 * span).powi(2), (0.03 * span).powi(2));
    let at = |top: usize, left: usize| {
        // moments of the window: means, squares, product
        let mut m = [0.0; 5];
        for (i, ti) in taps.iter().enumerate() {
            for (j, tj) in taps.iter().enumerate() {
                let at = (top + i) * w + left + j;
                let (x, y, weight) = (a[at], b[at], ti * tj);
                let terms = [x, y, x * x, y * y, x * y];
                m.iter_mut().zip(terms).for_each(|(m, t)| *m += weight * t);
            }
        }
        let [ma, mb, aa, bb, ab] = m;
        let (va, vb, vab) = (aa - ma * ma, bb - mb * mb, ab - ma * mb);
        (2.0 * ma * mb + c1) * (2.0 * vab + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
    };
    let places = || (0..=h - side).flat_map(|y| (0..=w - side).map(move |x| (y, x)));
    let count = places().count() as f64;
    places().map(|(y, x)| at(y, x)).sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_ties() {
        assert_eq!(ranks(&[3.0, -1.0, 3.0, 7.0]), [1.5, 0.0, 1.5, 3.0]);
        assert_eq!(ranks(&[0.0, -0.0]), [0.5, 0.5]);
    }

    #[test]
    fn correlations_of_known_pairs() {
        let a: Vec<f64> = (0..50).map(|i| f64::from(i) - 20.0).collect();
        let line: Vec<f64> = a.iter().map(|v| 3.0 - 0.5 * v).collect();
        let cube: Vec<f64> = a.iter().map(|v| v.powi(3)).collect();
        assert!((pearson(&a, &line).unwrap() + 1.0).abs() < 1e-12);
        assert!((spearman(&a, &cube).unwrap() - 1.0).abs() < 1e-12);
        assert!(pearson(&a, &cube).unwrap() < 0.99);
        // ranks 1 2 3 4 against 2 1 4 3: 1 - 6 * 4 / (4 * 15)
        assert!((spearman(&[1.0, 2.0, 3.0, 4.0], &[2.0, 1.0, 4.0, 3.0]).unwrap() - 0.6).abs() < 1e-12);
        assert_eq!(pearson(&[0.1; 9], &a[..9]), None);
    }

    #[test]
    fn similarity_is_one_with_oneself_and_known_for_constants() {
        let a: Vec<f64> = (0..63).map(|i| (f64::from(i) * 0.7).sin()).collect();
        assert!((ssim(&a, &a, 7, 9, 1.0) - 1.0).abs() < 1e-12);
        let other: Vec<f64> = (0..63).map(|i| (f64::from(i) * 2.9 + 1.0).sin()).collect();
        let alike = ssim(&a, &other, 7, 9, 1.0);
        assert!(alike < 0.9 && alike == ssim(&other, &a, 7, 9, 1.0), "{alike}");
        // only the means differ: (2 x y + c1) / (x^2 + y^2 + c1)
        let want = (2.0 * 0.2 * 0.4 + 1e-4) / (0.04 + 0.16 + 1e-4);
        assert!((ssim(&[0.2; 12], &[0.4; 12], 4, 3, 1.0) - want).abs() < 1e-12);
    }
}
