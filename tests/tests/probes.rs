//! Linear probes beside the model itself, and beside labels that mean nothing.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use glassbox_engine::data::digits;
use glassbox_engine::data::{Augment, Dataset, Loader, SearchDirs};
use glassbox_engine::forward::forward_into;
use glassbox_engine::graph::{Init, Keep, Plan, models};
use glassbox_engine::loss::CrossEntropy;
use glassbox_engine::optim::{Method, Schedule};
use glassbox_engine::rng::{Purpose, Stream};
use glassbox_engine::train::probe::{Half, Options, probe};
use glassbox_engine::train::{LossKind, Recipe, Trainer, evaluate};
use glassbox_engine::{Graph, LANES, Mode, Params};
use ndarray::{Array2, s};
use std::sync::Arc;

const OPTIONS: Options = Options { epochs: 30, lr: 0.01, seed: 1 };

/// A net that has learned a little.
fn learned(graph: &Graph, train: &Arc<Dataset>) -> Params<f32> {
    let recipe = Recipe {
        epochs: 2,
        batch: 32,
        method: Method::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
        lr: 0.002,
        weight_decay: 0.0,
        schedule: Schedule::Constant,
        loss: LossKind::CrossEntropy { smoothing: 0.0 },
        seed: 3,
        ..Recipe::default()
    };
    let mut trainer = Trainer::new(graph.clone(), graph.init(Init::PyTorch, 3), recipe).unwrap();
    let pixels = graph.pixels();
    let mut loader = Loader::new(train.clone(), &pixels.mean, &pixels.std, Augment::default(), 0).unwrap();
    for epoch in 0..2 {
        let order = Stream::new(3, Purpose::Order, epoch, 0).order(train.labels.len());
        for indices in order.chunks(32) {
            let (images, targets) = trainer.batch_mut(indices.len());
            loader.fill(epoch, indices, images, targets);
            trainer.learn(0.002).unwrap();
        }
    }
    trainer.params().clone()
}

/// The logits of all images, [N, classes].
fn logits(graph: &Graph, params: &Params<f32>, data: &Arc<Dataset>) -> Array2<f32> {
    let pixels = graph.pixels();
    let mut loader = Loader::new(data.clone(), &pixels.mean, &pixels.std, Augment::default(), 0).unwrap();
    let mut trace = Plan::new(graph, 4 * LANES, Keep::Everything).trace(graph);
    let mut out = Array2::zeros((data.labels.len(), graph.output().size()));
    let all: Vec<u32> = (0..data.labels.len() as u32).collect();
    let mut labels = vec![0; 4 * LANES];
    for indices in all.chunks(4 * LANES) {
        trace.set_batch(indices.len());
        loader.fill(0, indices, trace.input_mut(), &mut labels[..indices.len()]);
        forward_into(graph, params, Mode::Eval, &mut trace);
        for (i, &n) in indices.iter().enumerate() {
            let row = trace.slot(graph.logits()).unwrap().image(i);
            out.row_mut(n as usize).assign(&row.slice(s![.., 0, 0]));
        }
    }
    out
}

#[test]
fn a_probe_on_the_logits_does_as_well_as_the_model_and_on_random_labels_as_well_as_chance() {
    let splits = (digits::SOURCE.load)(&SearchDirs::default()).unwrap();
    let (train, test) = (Arc::new(splits.train.limit(2000)), Arc::new(splits.test.limit(1000)));
    let graph = models::named("lenet").unwrap();
    let params = learned(&graph, &train);
    let model = evaluate(&graph, &params, &test, &CrossEntropy::default()).unwrap().cost.accuracy();
    assert!(model > 0.7, "a net that learned nothing proves nothing: {model}");
    let [a, b] = [&train, &test].map(|data| logits(&graph, &params, data));
    let judge = |a_labels: &[u32], b_labels: &[u32]| {
        let train = Half { features: a.view(), labels: a_labels };
        let test = Half { features: b.view(), labels: b_labels };
        probe(train, test, 10, OPTIONS).unwrap().test.accuracy()
    };
    let own = judge(&train.labels, &test.labels);
    assert!(own >= model - 0.01, "probe {own}, model {model}");
    let random = |count: usize, seed: u64| -> Vec<u32> {
        let mut stream = Stream::new(seed, Purpose::Demo, 0, 0);
        (0..count).map(|_| stream.below(10) as u32).collect()
    };
    // three standard deviations of 1000 guesses among ten
    let chance = judge(&random(2000, 1), &random(1000, 2));
    assert!((chance - 0.1).abs() < 0.03, "{chance}");
}
