//! t-SNE: a layout in the plane in which each point has the neighbours that it has among the dimensions.
//!
//! Exact, all pairs. `p(j|i)` is Gaussian in the distance from i, its width such that the entropy is that of
//! `perplexity` equal neighbours; `P = (p(j|i) + p(i|j)) / 2N`; in the layout `Q` goes with `1 / (1 + d^2)`; gradient
//! descent on KL(P||Q) with momentum and gains per coordinate, P exaggerated by 12 at first. Settings are those of
//! scikit-learn: learning rate max(N / 48, 50), 250 steps of exaggeration, start at the principal components.
//!
//! Reference: van der Maaten and Hinton 2008, Visualizing Data using t-SNE, JMLR 9.

use super::pca::pca;
use crate::error::{Error, Result};
use glassbox_engine::rng::{Purpose, Stream};
use ndarray::{Array2, ArrayView2};

/// Where the layout starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// At the first two principal components, made small.
    Pca,
    /// At small random places.
    Random(u64),
}

/// How the layout is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// About how many neighbours count.
    pub perplexity: f64,
    /// Steps in all.
    pub steps: usize,
    /// Where it starts.
    pub init: Init,
}

/// A layout.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Places, [N, 2].
    pub places: Array2<f64>,
    /// KL(P||Q) at the end, in nats.
    pub divergence: f64,
    /// Steps taken.
    pub steps: usize,
}

/// Most points: the effort grows with their square.
pub const MOST: usize = 4000;
const EXAGGERATION: f64 = 12.0;
const EXPLORING: usize = 250;
const PATIENCE: usize = 300;
const CHECK: usize = 50;
const SMALLEST: f64 = f64::EPSILON;

/// Lays points [N, D] out in the plane. `progress(done, total)` counts steps.
///
/// # Errors
/// Fewer than 4 points or more than [`MOST`], or a perplexity that so few points cannot have.
pub fn tsne(
    points: ArrayView2<'_, f64>,
    options: Options,
    progress: Option<&dyn Fn(usize, usize)>,
) -> Result<Layout> {
    let n = points.nrows();
    if !(4..=MOST).contains(&n) {
        let problem = format!("t-SNE of {n} points");
        return Err(Error::request(problem, format!("give 4 to {MOST} points, as in --set images=500")));
    }
    if !(options.perplexity >= 1.0 && options.perplexity < n as f64) {
        let problem = format!("perplexity {} with {n} points", options.perplexity);
        return Err(Error::request(
            problem,
            format!("use a perplexity from 1 to {:.0}", (n - 1) as f64 / 3.0),
        ));
    }
    let p = joint(points, options.perplexity);
    let mut descent = Descent::new(start(points, options.init)?);
    let early = options.steps.min(EXPLORING);
    let rate = (n as f64 / EXAGGERATION / 4.0).max(50.0);
    let tell = |done: usize| {
        if let Some(progress) = progress {
            progress(done, options.steps);
        }
    };
    let first = descent.run(&(&p * EXAGGERATION), early, 0.5, rate, &mut |done| tell(done));
    descent.restart();
    let second = descent.run(&p, options.steps - early, 0.8, rate, &mut |done| tell(early + done));
    let divergence = divergence(&p, &descent.places);
    Ok(Layout { places: descent.places, divergence, steps: first + second })
}

fn start(points: ArrayView2<'_, f64>, init: Init) -> Result<Array2<f64>> {
    let n = points.nrows();
    match init {
        Init::Random(seed) => {
            let mut stream = Stream::new(seed, Purpose::Method, 0, 0);
            Ok(Array2::from_shape_fn((n, 2), |_| 1e-4 * stream.normal()))
        }
        Init::Pca => {
            let scores = pca(points, 2.min(points.ncols()))?.scores;
            let spread = scores.column(0).std(0.0);
            let scale = if spread > 0.0 { 1e-4 / spread } else { 0.0 };
            Ok(Array2::from_shape_fn((n, 2), |(i, k)| scores.get((i, k)).map_or(0.0, |v| v * scale)))
        }
    }
}

/// Squared distances of all pairs.
pub(super) fn squared_distances(points: ArrayView2<'_, f64>) -> Array2<f64> {
    let gram = points.dot(&points.t());
    let n = points.nrows();
    Array2::from_shape_fn((n, n), |(i, j)| match i == j {
        true => 0.0,
        false => (gram[[i, i]] + gram[[j, j]] - 2.0 * gram[[i, j]]).max(0.0),
    })
}

/// P of some points, [N, N]: symmetric, of sum 1 over all ordered pairs.
pub fn joint(points: ArrayView2<'_, f64>, perplexity: f64) -> Array2<f64> {
    let distance = squared_distances(points);
    let n = distance.nrows();
    let mut p = Array2::<f64>::zeros((n, n));
    for i in 0..n {
        let row: Vec<f64> = distance.row(i).to_vec();
        for (j, value) in conditional(&row, i, perplexity.ln()).into_iter().enumerate() {
            p[[i, j]] = value;
        }
    }
    let sum = p.sum() * 2.0;
    let sum = sum.max(SMALLEST);
    Array2::from_shape_fn(
        (n, n),
        |(i, j)| if i == j { 0.0 } else { ((p[[i, j]] + p[[j, i]]) / sum).max(SMALLEST) },
    )
}

/// p(j|i) of one point, its precision found by bisection so that the entropy is `target` nats.
fn conditional(distance: &[f64], i: usize, target: f64) -> Vec<f64> {
    let nearest =
        distance.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, d)| *d).fold(f64::INFINITY, f64::min);
    let (mut low, mut high, mut precision) = (0.0, f64::INFINITY, 1.0);
    let mut p = Vec::new();
    for _ in 0..100 {
        // distances beyond the nearest: the same probabilities, without underflow
        let weight = |(j, d): (usize, &f64)| if j == i { 0.0 } else { (-precision * (d - nearest)).exp() };
        p = distance.iter().enumerate().map(weight).collect();
        let sum: f64 = p.iter().sum();
        p.iter_mut().for_each(|v| *v /= sum);
        let entropy: f64 = -p.iter().filter(|v| **v > 0.0).map(|v| v * v.ln()).sum::<f64>();
        let gap = entropy - target;
        if gap.abs() <= 1e-5 {
            break;
        }
        if gap > 0.0 {
            low = precision;
            precision = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * precision };
        } else {
            high = precision;
            precision = 0.5 * (low + high);
        }
    }
    p
}

/// How near the places of a layout are, 1 / (1 + d^2), below the diagonal, and the sum over them.
fn nearness(places: &[[f64; 2]]) -> (Vec<f64>, f64) {
    let (n, y) = (places.len(), places);
    let mut near = vec![0.0; n * n];
    let mut sum = 0.0;
    for i in 0..n {
        for j in 0..i {
            let (dx, dy) = (y[i][0] - y[j][0], y[i][1] - y[j][1]);
            let value = 1.0 / (1.0 + dx * dx + dy * dy);
            near[i * n + j] = value;
            sum += value;
        }
    }
    (near, sum)
}

fn rows(places: &Array2<f64>) -> Vec<[f64; 2]> {
    places.outer_iter().map(|r| [r[0], r[1]]).collect()
}

/// The gradient of KL(P||Q) at a layout [N, 2].
pub fn gradient(p: &Array2<f64>, places: &Array2<f64>) -> Array2<f64> {
    let (n, y) = (places.nrows(), rows(places));
    let (near, sum) = nearness(&y);
    let scale = 1.0 / (2.0 * sum);
    let mut out = vec![[0.0; 2]; n];
    for i in 0..n {
        let (low, own) = out.split_at_mut(i);
        let wanted = p.row(i);
        let others = wanted.iter().zip(&near[i * n..]).zip(low).zip(&y);
        for (((&wanted, &near), other), place) in others {
            let pull = 4.0 * (wanted - (near * scale).max(SMALLEST)) * near;
            let step = [pull * (y[i][0] - place[0]), pull * (y[i][1] - place[1])];
            for k in 0..2 {
                own[0][k] += step[k];
                other[k] -= step[k];
            }
        }
    }
    Array2::from_shape_fn((n, 2), |(i, k)| out[i][k])
}

/// KL(P||Q) of a layout [N, 2], in nats.
pub fn divergence(p: &Array2<f64>, places: &Array2<f64>) -> f64 {
    let n = places.nrows();
    let (near, sum) = nearness(&rows(places));
    let pairs = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
    let term = |(i, j): (usize, usize)| {
        let wanted = p[[i, j]];
        2.0 * wanted * (wanted / (near[i * n + j] / (2.0 * sum)).max(SMALLEST)).ln()
    };
    pairs.map(term).sum()
}

/// Gradient descent with momentum, and a gain for each coordinate.
struct Descent {
    places: Array2<f64>,
    moved: Array2<f64>,
    gains: Array2<f64>,
}

impl Descent {
    fn new(places: Array2<f64>) -> Self {
        Self { moved: Array2::zeros(places.dim()), gains: Array2::ones(places.dim()), places }
    }

    fn restart(&mut self) {
        self.moved.fill(0.0);
        self.gains.fill(1.0);
    }

    /// Goes down for at most so many steps; fewer where nothing gets better. Returns the steps taken.
    fn run(
        &mut self,
        p: &Array2<f64>,
        steps: usize,
        momentum: f64,
        rate: f64,
        tell: &mut dyn FnMut(usize),
    ) -> usize {
        let (mut best, mut since) = (f64::INFINITY, 0);
        for step in 0..steps {
            let slope = gradient(p, &self.places);
            let checked = (step + 1) % CHECK == 0;
            let now = if checked { divergence(p, &self.places) } else { 0.0 };
            for ((place, moved), (gain, &slope)) in
                self.places.iter_mut().zip(&mut self.moved).zip(self.gains.iter_mut().zip(&slope))
            {
                *gain = if *moved * slope < 0.0 { *gain + 0.2 } else { (*gain * 0.8).max(0.01) };
                *moved = momentum * *moved - rate * *gain * slope;
                *place += *moved;
            }
            if checked {
                tell(step + 1);
                if now < best {
                    (best, since) = (now, step);
                }
                let flat = slope.iter().map(|v| v * v).sum::<f64>().sqrt() <= 1e-7;
                if flat || step - since > PATIENCE {
                    return step + 1;
                }
            }
        }
        steps
    }
}
