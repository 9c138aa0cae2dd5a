//! Linear probes: how well a linear classifier can tell the classes apart from what one layer makes of the images, the
//! net itself left as it is.
//!
//! Features are standardised by the training half's mean and deviation; features that never vary count as zero. The
//! probe is a dense layer on top, trained by this engine with Adam, a cosine schedule and L2 decay of 1e-4, and judged
//! on the test half after its last epoch.
//!
//! Reference: Alain and Bengio 2016, Understanding intermediate layers using linear classifier probes (arXiv 1610.01644).

use super::{LossKind, Recipe, Trainer};
use crate::array::{Blocked, Shape};
use crate::error::{Error, Result};
use crate::forward::forward_into;
use crate::graph::{Graph, Init, Keep, Plan};
use crate::layers::Dense;
use crate::loss::{Cost, CrossEntropy, Loss, Targets};
use crate::optim::{Method, Schedule};
use crate::params::Params;
use crate::rng::{Purpose, Stream};
use crate::trace::Mode;
use ndarray::{ArrayView1, ArrayView2, Axis};

/// Features of some images, with their classes.
#[derive(Clone, Copy, Debug)]
pub struct Half<'a> {
    /// Features, [N, D].
    pub features: ArrayView2<'a, f32>,
    /// The class of each image.
    pub labels: &'a [u32],
}

/// How a probe is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Passes over the training half.
    pub epochs: u64,
    /// Learning rate at the start.
    pub lr: f64,
    /// Seed of first weights and order.
    pub seed: u64,
}

/// How a probe did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// On the images that it learned from.
    pub train: Cost,
    /// On the images that it did not see.
    pub test: Cost,
}

const BATCH: usize = 64;
const DECAY: f64 = 1e-4;

/// Trains a probe on one half and judges it on both.
///
/// # Errors
/// An empty half, halves of different widths, classes out of range, features that are not finite.
pub fn probe<'a>(train: Half<'a>, test: Half<'a>, classes: usize, options: Options) -> Result<Probe> {
    let width = train.features.ncols();
    for (half, name) in [(&train, "training"), (&test, "test")] {
        let (n, d) = half.features.dim();
        if n == 0 || d == 0 || d != width || half.labels.len() != n {
            let problem =
                format!("a probe of {n} {name} images of {d} features, {} labels", half.labels.len());
            return Err(Error::request(problem, format!("give features [N, {width}] and a label for each")));
        }
    }
    let graph = Graph::builder("probe", [width, 1, 1])
        .layer("flatten", crate::layers::Flatten)
        .layer("probe", Dense::new(classes))
        .build()?;
    let recipe = Recipe {
        epochs: options.epochs,
        batch: BATCH,
        method: Method::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
        lr: options.lr,
        weight_decay: DECAY,
        schedule: Schedule::Cosine,
        loss: LossKind::CrossEntropy { smoothing: 0.0 },
        seed: options.seed,
        ..Recipe::default()
    };
    let scale = Scale::of(train.features);
    let mut trainer = Trainer::new(graph.clone(), graph.init(Init::PyTorch, options.seed), recipe.clone())?;
    let per_epoch = train.labels.len().div_ceil(BATCH) as u64;
    for epoch in 0..options.epochs {
        let order = Stream::new(options.seed, Purpose::Order, epoch, 0).order(train.labels.len());
        for (step, indices) in order.chunks(BATCH).enumerate() {
            let (images, targets) = trainer.batch_mut(indices.len());
            scale.fill(&train, indices, images, targets);
            let step = epoch * per_epoch + step as u64;
            let factor = recipe.schedule.factor(step, per_epoch * options.epochs, per_epoch);
            trainer.learn(options.lr * factor)?;
        }
    }
    let judge = |half: &Half<'_>| judge(&graph, trainer.params(), &scale, half);
    Ok(Probe { train: judge(&train)?, test: judge(&test)? })
}

fn judge(graph: &Graph, params: &Params<f32>, scale: &Scale, half: &Half<'_>) -> Result<Cost> {
    let mut trace = Plan::new(graph, BATCH, Keep::Nothing).trace(graph);
    let mut cost = Cost::default();
    let all: Vec<u32> = (0..half.labels.len() as u32).collect();
    let mut targets = vec![0; BATCH];
    for indices in all.chunks(BATCH) {
        trace.set_batch(indices.len());
        let targets = &mut targets[..indices.len()];
        scale.fill(half, indices, trace.input_mut(), targets);
        forward_into(graph, params, Mode::Eval, &mut trace);
        let loss: &dyn Loss<f32> = &CrossEntropy::default();
        cost.add(loss.cost(trace.output().view(), Targets::Classes(targets), None)?);
    }
    Ok(cost)
}

/// Mean and deviation of each feature.
struct Scale {
    mean: Vec<f64>,
    /// One by the deviation; zero where a feature never varies.
    by: Vec<f64>,
}

impl Scale {
    fn of(features: ArrayView2<'_, f32>) -> Self {
        let facts = |column: ArrayView1<'_, f32>| {
            let n = column.len() as f64;
            let mean = column.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
            let spread = (column.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt();
            (mean, if spread > 1e-9 * mean.abs() { 1.0 / spread } else { 0.0 })
        };
        let (mean, by) = features.axis_iter(Axis(1)).map(facts).unzip();
        Self { mean, by }
    }

    fn fill(&self, half: &Half<'_>, indices: &[u32], batch: &mut Blocked<f32>, targets: &mut [u32]) {
        let shape = Shape::maps(self.mean.len(), 1, 1);
        for (i, &index) in indices.iter().enumerate() {
            let row = half.features.row(index as usize);
            let standard = row.iter().zip(&self.mean).zip(&self.by);
            let values: Vec<f32> =
                standard.map(|((&v, mean), by)| ((f64::from(v) - mean) * by) as f32).collect();
            let image = ArrayView1::from(&values[..]).into_shape_with_order((shape.c, 1, 1));
            batch.set_image(i, image.unwrap_or_else(|e| unreachable!("one value a channel: {e}")));
            targets[i] = half.labels[index as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    const OPTIONS: Options = Options { epochs: 20, lr: 0.01, seed: 1 };

    fn points(n: usize, seed: u64, apart: f64) -> (Array2<f32>, Vec<u32>) {
        let mut stream = Stream::new(seed, Purpose::Demo, 0, 0);
        let labels: Vec<u32> = (0..n).map(|i| i as u32 % 4).collect();
        let features = Array2::from_shape_fn((n, 9), |(i, k)| {
            // the last feature never varies, and the eighth has another scale
            let signal = if k == labels[i] as usize { apart } else { 0.0 };
            let value = signal + stream.normal();
            [value, 1e4 * value, 3.0][k.saturating_sub(6)] as f32
        });
        (features, labels)
    }

    #[test]
    fn what_is_linear_is_found_and_noise_stays_at_chance() {
        for (apart, range) in [(8.0, 0.99..=1.0), (0.0, 0.1..=0.4)] {
            let ((train, a), (test, b)) = (points(400, 1, apart), points(400, 2, apart));
            let halves = [(&train, &a), (&test, &b)];
            let [train, test] = halves.map(|(f, labels)| Half { features: f.view(), labels });
            let got = probe(train, test, 4, OPTIONS).unwrap();
            assert!(range.contains(&got.test.accuracy()), "{got:?}");
            assert_eq!((got.train.images, got.test.images), (400, 400));
            assert_eq!(probe(train, test, 4, OPTIONS).unwrap(), got, "a seed gives the same probe");
        }
    }

    #[test]
    fn halves_that_do_not_match_are_refused() {
        let ((train, a), (test, b)) = (points(8, 1, 1.0), points(8, 2, 1.0));
        let narrow = Half { features: test.slice(ndarray::s![.., ..3]), labels: &b };
        let text = probe(Half { features: train.view(), labels: &a }, narrow, 4, OPTIONS).unwrap_err();
        assert!(text.to_string().contains("of 3 features"), "{text}");
    }
}
