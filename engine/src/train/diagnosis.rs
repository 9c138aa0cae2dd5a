//! Diagnosis of training, layer by layer and epoch by epoch: what flows forward and back, how far the weights move, and
//! which units are dead or saturated.
//!
//! Steps are sampled, evenly over the epoch; of each, all activations, all gradients of the loss with respect to them,
//! and the change of every parameter are read. At the end of the epoch the net runs over a data set, in evaluation, to
//! find units that never fire on any of its images. An observer that only reads: training has the same bits with it.
//!
//! The healthy ratio of update to weight is about 1e-3 (a rule of thumb). Histograms have fixed bins ([`edges`]), so that
//! epochs and layers can be compared.

use super::{Event, Flow, Observer};
use crate::array::View;
use crate::data::{Augment, Dataset, Loader};
use crate::error::Result;
use crate::forward::forward_into;
use crate::graph::{Graph, Keep, Plan};
use crate::params::Params;
use crate::trace::Mode;
use std::sync::Arc;

/// Count, moments, extremes and histogram of many values.
#[derive(Clone, Debug, PartialEq)]
pub struct Stats {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The sum of their squares.
    pub squares: f64,
    /// The smallest.
    pub min: f32,
    /// The largest.
    pub max: f32,
    /// How many are exactly zero.
    pub zeros: u64,
    /// How many lie between neighbouring [`edges`]; the first and last bins are open.
    pub bins: Vec<u64>,
}

/// The change of a parameter in the sampled steps; norms are root sums of squares, means over the steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// The parameter.
    pub name: String,
    /// Norm of the parameter before the step.
    pub weight: f64,
    /// Norm of its gradient, clipped.
    pub gradient: f64,
    /// Norm of what the step added to it.
    pub update: f64,
    /// The last by the first, step by step.
    pub ratio: f64,
}

/// Units of a layer over a data set; maps are units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// How many there are.
    pub units: usize,
    /// Rectifiers: units never above zero. Others: `None`.
    pub dead: Option<usize>,
    /// Sigmoid and tanh: units with at least 95 % of their values within 3 % of a limit. Others: `None`.
    pub saturated: Option<usize>,
}

/// One layer in one epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Its outputs.
    pub activation: Stats,
    /// Gradients of the loss with respect to them; empty where none came.
    pub gradient: Stats,
    /// Its learned parameters.
    pub changes: Vec<Change>,
    /// Values of all of them, after the epoch.
    pub weights: Stats,
    /// Its units over the data set; `None` without one.
    pub units: Option<Units>,
}

/// One epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// From 1.
    pub epoch: u64,
    /// Steps that were sampled.
    pub steps: u64,
    /// Images of the data set that units were judged by.
    pub images: usize,
    /// Every layer, in execution order.
    pub layers: Vec<Layer>,
}

/// Bins reach from 10^-LOW to 10^HIGH on either side of zero, DENSE to a power of ten.
const LOW: i32 = 6;
const HIGH: i32 = 3;
const DENSE: i32 = 2;
/// How near its limits a unit counts as saturated, as a share of its range.
const NEAR: f32 = 0.03;
const BATCH: usize = 64;

/// The inner edges of all histograms, ascending; symmetric about zero. There is one bin more than edges.
pub fn edges() -> Vec<f64> {
    let positive: Vec<f64> =
        (-LOW * DENSE..=HIGH * DENSE).map(|e| 10f64.powf(f64::from(e) / f64::from(DENSE))).collect();
    positive.iter().rev().map(|e| -e).chain(positive.iter().copied()).collect()
}

impl Default for Stats {
    fn default() -> Self {
        let bins = vec![0; edges().len() + 1];
        Self { count: 0, sum: 0.0, squares: 0.0, min: f32::INFINITY, max: f32::NEG_INFINITY, zeros: 0, bins }
    }
}

impl Stats {
    /// Takes in more values; `edges` are those of [`edges`].
    fn add(&mut self, values: impl Iterator<Item = f32>, edges: &[f64]) {
        for v in values {
            let wide = f64::from(v);
            self.count += 1;
            self.sum += wide;
            self.squares += wide * wide;
            self.min = self.min.min(v);
            self.max = self.max.max(v);
            self.zeros += u64::from(v == 0.0);
            self.bins[edges.partition_point(|&e| e <= wide)] += 1;
        }
    }

    /// Takes in an array, without the images that pad its last block.
    fn add_view(&mut self, view: View<'_, f32>, edges: &[f64]) {
        for b in 0..view.blocks() {
            let (len, real) = (view.block_len(), view.real_lanes(b));
            let rows = view.data[b * len..(b + 1) * len].chunks_exact(view.lanes);
            self.add(rows.flat_map(|row| row[..real].iter().copied()), edges);
        }
    }

    /// Their mean; 0 of none.
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// Their standard deviation; 0 of none.
    pub fn std(&self) -> f64 {
        let mean = self.mean();
        (self.squares / self.count.max(1) as f64 - mean * mean).max(0.0).sqrt()
    }

    /// The share of zeros; 0 of none.
    pub fn zero_share(&self) -> f64 {
        self.zeros as f64 / self.count.max(1) as f64
    }
}

/// Reads what training does, and hands a report of each epoch to `then`.
pub struct Diagnosis<F> {
    samples: u64,
    data: Option<Arc<Dataset>>,
    edges: Vec<f64>,
    /// The parameters before the next step, if that is to be sampled.
    before: Option<Params<f32>>,
    layers: Vec<Layer>,
    steps: u64,
    then: F,
}

impl<F> std::fmt::Debug for Diagnosis<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Diagnosis")
            .field("samples", &self.samples)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl<F: FnMut(&Report) -> Result<()>> Diagnosis<F> {
    /// Samples about `samples` steps of each epoch, and judges units by the images of `data`.
    pub fn new(samples: u64, data: Option<Arc<Dataset>>, then: F) -> Self {
        let samples = samples.max(1);
        Self { samples, data, edges: edges(), before: None, layers: Vec::new(), steps: 0, then }
    }

    /// Whether step `step`, from 1, is sampled, of so many an epoch.
    fn due(&self, step: u64, per_epoch: u64) -> bool {
        ((step - 1) % per_epoch).is_multiple_of(per_epoch.div_ceil(self.samples).max(1))
    }

    /// Keeps the parameters if the next step is to be sampled.
    fn prepare(&mut self, params: &Params<f32>, next: u64, per_epoch: u64) {
        let due = self.due(next, per_epoch);
        match (&mut self.before, due) {
            (Some(before), true) => before.slab_mut().copy_from_slice(params.slab()),
            (before, due) => *before = due.then(|| params.clone()),
        }
    }

    fn step(&mut self, event: &Event<'_>) -> Result<()> {
        let Event::Step { graph, params, trace, signals, gradients, .. } = event else { return Ok(()) };
        let Some(before) = &self.before else { return Ok(()) };
        self.steps += 1;
        for (i, layer) in self.layers.iter_mut().enumerate() {
            layer.activation.add_view(trace.slot(i + 1)?.view(), &self.edges);
            if let Some(signal) = signals.slot(i + 1) {
                layer.gradient.add_view(signal.view(), &self.edges);
            }
            for (spec, change) in learned(graph, i).zip(&mut layer.changes) {
                let of = |p: &Params<f32>| -> Vec<f64> {
                    p.slab()[spec.offset..spec.offset + spec.len].iter().map(|&v| f64::from(v)).collect()
                };
                let (old, new) = (of(before), of(params));
                let moved = norm(old.iter().zip(&new).map(|(a, b)| b - a));
                let (weight, gradient) = (norm(old.into_iter()), norm(of(gradients).into_iter()));
                change.weight += weight;
                change.gradient += gradient;
                change.update += moved;
                change.ratio += if weight > 0.0 { moved / weight } else { 0.0 };
            }
        }
        Ok(())
    }

    fn report(&mut self, graph: &Graph, params: &Params<f32>, epoch: u64) -> Result<()> {
        let units = match &self.data {
            Some(data) if !data.is_empty() => Some(units(graph, params, data)?),
            _ => None,
        };
        let mut layers = std::mem::replace(&mut self.layers, fresh(graph));
        for (i, layer) in layers.iter_mut().enumerate() {
            layer.units = units.as_ref().map(|u| u[i]);
            for (spec, change) in learned(graph, i).zip(&mut layer.changes) {
                let values = &params.slab()[spec.offset..spec.offset + spec.len];
                layer.weights.add(values.iter().copied(), &self.edges);
                let steps = self.steps.max(1) as f64;
                for v in [&mut change.weight, &mut change.gradient, &mut change.update, &mut change.ratio] {
                    *v /= steps;
                }
            }
        }
        let images = self.data.as_ref().map_or(0, |d| d.len());
        let report = Report { epoch, steps: std::mem::take(&mut self.steps), images, layers };
        (self.then)(&report)
    }
}

impl<F: FnMut(&Report) -> Result<()>> Observer for Diagnosis<F> {
    fn on(&mut self, event: &Event<'_>) -> Result<Flow> {
        match event {
            Event::Begin { graph, params, progress } => {
                self.layers = fresh(graph);
                let per_epoch = progress.steps / progress.epochs.max(1);
                self.prepare(params, progress.step + 1, per_epoch.max(1));
            }
            Event::Step { params, progress, .. } => {
                self.step(event)?;
                let per_epoch = progress.steps / progress.epochs.max(1);
                self.prepare(params, progress.step + 1, per_epoch.max(1));
            }
            Event::Epoch { graph, params, epoch, .. } => self.report(graph, params, epoch.progress.epoch)?,
        }
        Ok(Flow::Continue)
    }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

/// The learned parameters of a layer.
fn learned(graph: &Graph, layer: usize) -> impl Iterator<Item = &crate::params::ParamSpec> {
    graph.layout().of_layer(layer).iter().filter(|spec| spec.decl.role.learnable())
}

fn fresh(graph: &Graph) -> Vec<Layer> {
    let layer = |(i, node): (usize, &crate::graph::Node)| Layer {
        name: node.name.clone(),
        activation: Stats::default(),
        gradient: Stats::default(),
        changes: learned(graph, i).map(|s| Change { name: s.name.clone(), ..Change::default() }).collect(),
        weights: Stats::default(),
        units: None,
    };
    graph.nodes().iter().enumerate().map(layer).collect()
}

/// The values from which on a unit of this kind is saturated, below and above.
fn limits(kind: &str) -> Option<(f32, f32)> {
    match kind {
        "sigmoid" => Some((NEAR, 1.0 - NEAR)),
        "tanh" => Some((-1.0 + NEAR, 1.0 - NEAR)),
        _ => None,
    }
}

/// Units of every layer over a data set.
///
/// # Errors
/// Images that the net does not take.
pub fn units(graph: &Graph, params: &Params<f32>, data: &Arc<Dataset>) -> Result<Vec<Units>> {
    let pixels = graph.pixels();
    let mut loader = Loader::new(data.clone(), &pixels.mean, &pixels.std, Augment::default(), 0)?;
    let mut trace = Plan::new(graph, BATCH.min(data.len().max(2)), Keep::Everything).trace(graph);
    let sizes = || graph.nodes().iter().map(|n| n.facts.output.c);
    let mut fired: Vec<Vec<bool>> = sizes().map(|c| vec![false; c]).collect();
    let mut full: Vec<Vec<u64>> = sizes().map(|c| vec![0; c]).collect();
    let order: Vec<u32> = (0..data.len() as u32).collect();
    let mut targets = vec![0; BATCH];
    for indices in order.chunks(BATCH) {
        trace.set_batch(indices.len());
        loader.fill(0, indices, trace.input_mut(), &mut targets[..indices.len()]);
        forward_into(graph, params, Mode::Eval, &mut trace);
        for (i, node) in graph.nodes().iter().enumerate() {
            let view = trace.slot(i + 1)?.view();
            let limits = limits(node.layer.kind().name);
            each_unit(view, |unit, values| {
                fired[i][unit] |= values.iter().any(|&v| v > 0.0);
                if let Some((low, high)) = limits {
                    full[i][unit] += values.iter().filter(|&&v| v < low || v > high).count() as u64;
                }
            });
        }
    }
    let of = |(i, node): (usize, &crate::graph::Node)| {
        let (kind, shape) = (node.layer.kind().name, node.facts.output);
        let values = (shape.plane() * data.len()) as f64;
        Units {
            units: shape.c,
            dead: (kind == "relu").then(|| fired[i].iter().filter(|f| !**f).count()),
            saturated: limits(kind).map(|_| full[i].iter().filter(|&&n| n as f64 >= 0.95 * values).count()),
        }
    };
    Ok(graph.nodes().iter().enumerate().map(of).collect())
}

/// Every row of real values of every unit.
fn each_unit(view: View<'_, f32>, mut then: impl FnMut(usize, &[f32])) {
    for b in 0..view.blocks() {
        let (len, real) = (view.block_len(), view.real_lanes(b));
        let per_unit = view.shape.plane() * view.lanes;
        for (unit, values) in view.data[b * len..(b + 1) * len].chunks_exact(per_unit).enumerate() {
            values.chunks_exact(view.lanes).for_each(|row| then(unit, &row[..real]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::digits;
    use crate::graph::{Init, models};
    use crate::layers::{Conv, Dense, Flatten, Tanh};
    use crate::optim::{Method, Schedule};
    use crate::train::{Recipe, Trainer};

    fn recipe() -> Recipe {
        Recipe { epochs: 2, batch: 32, weight_decay: 1e-3, ..Recipe::default() }
    }

    fn run(graph: &Graph, recipe: Recipe, observers: &mut [&mut dyn Observer]) -> Params<f32> {
        let data = digits::load().unwrap().limit(150, 40);
        let pixels = graph.pixels();
        let mut loader = Loader::new(data.train, &pixels.mean, &pixels.std, Augment::default(), 1).unwrap();
        let mut trainer = Trainer::new(graph.clone(), graph.init(Init::PyTorch, 1), recipe).unwrap();
        trainer.run(&mut loader, Some(&Arc::new(data.test)), observers).unwrap();
        trainer.params().clone()
    }

    /// Keeps everything that a step did.
    #[derive(Default)]
    struct Witness {
        before: Option<Params<f32>>,
        ratios: Vec<f64>,
        updates: Vec<f64>,
        rates: Vec<f64>,
        gradients: Vec<f64>,
        outputs: Vec<Vec<f32>>,
        signals: Vec<Vec<f32>>,
    }

    const WATCHED: &str = "conv2.weight";

    impl Observer for Witness {
        fn on(&mut self, event: &Event<'_>) -> Result<Flow> {
            let values = |p: &Params<f32>| -> Vec<f64> {
                p.get(WATCHED).unwrap().iter().map(|&v| f64::from(v)).collect()
            };
            match event {
                Event::Begin { params, .. } => self.before = Some(Params::clone(params)),
                Event::Step { params, trace, signals, gradients, lr, .. } => {
                    let old = values(self.before.as_ref().unwrap());
                    let moved = norm(values(params).iter().zip(&old).map(|(a, b)| a - b));
                    self.ratios.push(moved / norm(old.into_iter()));
                    self.updates.push(moved);
                    self.rates.push(*lr);
                    self.gradients.push(norm(values(gradients).into_iter()));
                    self.outputs.push(trace.export("relu2")?.into_iter().collect());
                    self.signals.push(signals.at("relu2")?.to_exported().into_iter().collect());
                    self.before = Some(Params::clone(params));
                }
                Event::Epoch { .. } => {}
            }
            Ok(Flow::Continue)
        }
    }

    #[test]
    fn reports_are_direct_computations_and_training_keeps_its_bits() {
        let graph = models::named("lenet").unwrap();
        let mut reports = Vec::new();
        let mut witness = Witness::default();
        let mut diagnosis = Diagnosis::new(3, None, |r: &Report| {
            reports.push(r.clone());
            Ok(())
        });
        let with = run(&graph, recipe(), &mut [&mut diagnosis, &mut witness]);
        let without = run(&graph, recipe(), &mut []);
        assert_eq!(with.slab(), without.slab());
        // 150 images are 5 steps; every second one is sampled
        let sampled = [[0, 2, 4], [5, 7, 9]];
        assert_eq!(reports.len(), 2);
        for (report, steps) in reports.iter().zip(sampled) {
            assert_eq!(report.steps, 3);
            let layer = report.layers.iter().find(|l| l.name == "conv2").unwrap();
            let change = layer.changes.iter().find(|c| c.name == WATCHED).unwrap();
            let mean = |all: &[f64]| steps.iter().map(|&s| all[s]).sum::<f64>() / 3.0;
            assert!((change.ratio - mean(&witness.ratios)).abs() < 1e-12);
            assert!((change.gradient - mean(&witness.gradients)).abs() < 1e-12);
            assert_eq!(layer.weights.count, 16 * 6 * 25 + 16);
            let relu = report.layers.iter().find(|l| l.name == "relu2").unwrap();
            for (stats, all) in [(&relu.activation, &witness.outputs), (&relu.gradient, &witness.signals)] {
                let values: Vec<f64> = steps.iter().flat_map(|&s| &all[s]).map(|&v| f64::from(v)).collect();
                let n = values.len() as f64;
                let mean = values.iter().sum::<f64>() / n;
                let std = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
                assert_eq!(stats.count as usize, values.len());
                assert!((stats.mean() - mean).abs() < 1e-9 && (stats.std() - std).abs() < 1e-6 * std);
                assert_eq!(stats.zeros as usize, values.iter().filter(|v| **v == 0.0).count());
                assert_eq!(stats.bins.iter().sum::<u64>(), stats.count);
                let edges = edges();
                let third = values.iter().filter(|v| edges[2] <= **v && **v < edges[3]).count();
                assert_eq!(stats.bins[3] as usize, third);
            }
        }
    }

    #[test]
    fn plain_descent_moves_by_the_rate_times_the_gradient() {
        let graph = models::named("lenet").unwrap();
        let plain = Recipe {
            method: Method::Sgd { momentum: 0.0, nesterov: false },
            schedule: Schedule::Constant,
            weight_decay: 0.0,
            ..recipe()
        };
        let mut reports = Vec::new();
        let mut diagnosis = Diagnosis::new(100, None, |r: &Report| {
            reports.push(r.clone());
            Ok(())
        });
        run(&graph, plain.clone(), &mut [&mut diagnosis]);
        assert_eq!(reports[0].steps, 5);
        for change in reports.iter().flat_map(|r| &r.layers).flat_map(|l| &l.changes) {
            let want = plain.lr * change.gradient;
            assert!((change.update - want).abs() < 1e-4 * want, "{change:?} {want}");
        }
    }

    #[test]
    fn planted_dead_and_saturated_units_are_found() {
        let data = Arc::new(digits::load().unwrap().limit(10, 50).test);
        let graph = models::named("lenet").unwrap();
        let mut params = graph.init::<f32>(Init::PyTorch, 1);
        let before = units(&graph, &params, &data).unwrap();
        let relu2 = graph.slot("relu2").unwrap() - 1;
        assert_eq!(before[relu2], Units { units: 16, dead: Some(0), saturated: None });
        let mut bias = params.copy("conv2.bias").unwrap();
        (bias[[3]], bias[[11]]) = (-1e4, -1e4);
        params.set("conv2.bias", bias.view()).unwrap();
        let after = units(&graph, &params, &data).unwrap();
        assert_eq!(after[relu2].dead, Some(2));
        assert_eq!(after[relu2 - 1].dead, None, "a convolution may well be negative");

        let graph = Graph::builder("n", [1, 28, 28])
            .layer("conv", Conv::new(4, 5))
            .layer("tanh", Tanh)
            .layer("flatten", Flatten)
            .layer("fc", Dense::new(10))
            .build()
            .unwrap()
            .with_pixels(vec![0.13], vec![0.31]);
        let mut params = graph.init::<f32>(Init::PyTorch, 1);
        let mut bias = params.copy("conv.bias").unwrap();
        (bias[[0]], bias[[2]]) = (1e3, -1e3);
        params.set("conv.bias", bias.view()).unwrap();
        assert_eq!(
            units(&graph, &params, &data).unwrap()[1],
            Units { units: 4, dead: None, saturated: Some(2) }
        );
    }

    #[test]
    fn edges_are_symmetric_and_ascend() {
        let edges = edges();
        assert!(edges.is_sorted_by(|a, b| a < b));
        assert!(edges.iter().zip(edges.iter().rev()).all(|(a, b)| *a == -b));
        assert_eq!((edges.len(), edges[0], edges[edges.len() - 1]), (38, -1e3, 1e3));
    }
}
