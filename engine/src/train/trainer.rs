//! The trainer: buffers made once, and the loop over them.

use super::guard;
use super::observe::{Epoch, Event, Flow, Observer, Progress};
use super::{Checkpoint, Evaluation, Place, Standing, evaluate};
use crate::array::{Blocked, LANES};
use crate::data::{Dataset, Loader};
use crate::error::{Error, Result};
use crate::forward::{fold_statistics, forward_into};
use crate::graph::{Graph, Keep, Plan};
use crate::kernels::Isa;
use crate::loss::{Cost, CrossEntropy, Loss, MeanSquaredError, Targets, WeightedCrossEntropy};
use crate::optim::{Method, Optimizer, Plateau, Schedule, clip_norm};
use crate::params::Params;
use crate::rules::RuleSet;
use crate::trace::{Mode, Trace};
use crate::walk::{Signals, Walk, walk};
use std::sync::Arc;
use std::time::Instant;

/// Which loss a run minimises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LossKind {
    /// Cross-entropy with label smoothing.
    CrossEntropy {
        /// Share of the target spread evenly over all classes.
        smoothing: f64,
    },
    /// Mean squared error against one-hot vectors.
    MeanSquaredError,
}

impl LossKind {
    /// The loss itself.
    pub fn build(self) -> Box<dyn Loss<f32>> {
        match self {
            Self::CrossEntropy { smoothing } => Box::new(CrossEntropy { smoothing }),
            Self::MeanSquaredError => Box::new(MeanSquaredError),
        }
    }
}

/// How a net is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Passes over the training set.
    pub epochs: u64,
    /// Images per step; the last step of an epoch takes what is left.
    pub batch: usize,
    /// Optimiser.
    pub method: Method,
    /// Base learning rate.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Learning rate over the run.
    pub schedule: Schedule,
    /// Lowers the learning rate further when the test loss (without test set, the training loss) stays where it is.
    pub plateau: Option<Plateau>,
    /// Largest norm of all gradients together.
    pub clip: Option<f64>,
    /// Loss.
    pub loss: LossKind,
    /// How much each class counts in training; empty for all alike. Evaluation is not weighted.
    pub class_weights: Vec<f64>,
    /// Seed of order, augmentation and dropout.
    pub seed: u64,
    /// Which activations outlast a step; observers of traces need everything.
    pub keep: Keep,
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Whether convolutions keep to the direct kernels, see [`Plan::exact`].
    pub exact: bool,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            epochs: 5,
            batch: 64,
            method: Method::Sgd { momentum: 0.9, nesterov: false },
            lr: 0.05,
            weight_decay: 0.0,
            schedule: Schedule::OneCycle,
            plateau: None,
            clip: None,
            loss: LossKind::CrossEntropy { smoothing: 0.0 },
            class_weights: Vec::new(),
            seed: 1,
            keep: Keep::Everything,
            isa: Isa::detect(),
            exact: false,
        }
    }
}

impl Recipe {
    /// Checks the recipe against a net. Errors: a batch or rate that trains nothing, a loss that does not fit the net's
    /// last layer.
    pub fn check(&self, graph: &Graph) -> Result<()> {
        let bad = |what: &str, cure: &str| Err(Error::request(what, cure));
        if self.batch == 0 {
            return bad("batch 0 trains nothing", "give at least 1 image per step");
        }
        if !self.lr.is_finite() || self.lr <= 0.0 {
            return bad(&format!("learning rate {} is not positive", self.lr), "try 0.01");
        }
        if matches!(self.loss, LossKind::CrossEntropy { .. }) && graph.logits() != graph.nodes().len() {
            let last = &graph.nodes()[graph.nodes().len() - 1];
            return Err(Error::layer(
                last.name.as_str(),
                "cross-entropy takes logits, but the net ends in a softmax",
                "remove this layer; predictions apply a softmax themselves",
            ));
        }
        let (given, classes) = (self.class_weights.len(), graph.output().size());
        let fit = given == classes && self.class_weights.iter().all(|w| w.is_finite() && *w >= 0.0);
        if given > 0 && !fit {
            return bad(
                &format!("{given} class weights, {:?}, do not fit {classes} classes", self.class_weights),
                "give one finite number of at least 0 for each class",
            );
        }
        if given > 0 && self.loss == LossKind::MeanSquaredError {
            return bad(
                "class weights need cross-entropy, not mse",
                "leave them out, or choose the other loss",
            );
        }
        Ok(())
    }

    /// The loss that training minimises.
    fn training_loss(&self) -> Box<dyn Loss<f32>> {
        match self.loss {
            LossKind::CrossEntropy { smoothing } if !self.class_weights.is_empty() => {
                Box::new(WeightedCrossEntropy { smoothing, weights: self.class_weights.clone() })
            }
            plain => plain.build(),
        }
    }
}

/// A net in training.
#[derive(Debug)]
pub struct Trainer {
    graph: Graph,
    params: Params<f32>,
    gradients: Params<f32>,
    recipe: Recipe,
    loss: Box<dyn Loss<f32>>,
    optimizer: Box<dyn Optimizer<f32>>,
    rules: RuleSet<f32>,
    trace: Trace<f32>,
    signals: Signals<f32>,
    targets: Vec<u32>,
    place: Place,
}

impl Trainer {
    /// A trainer for these parameters. Errors: a recipe that cannot be followed.
    pub fn new(graph: Graph, params: Params<f32>, recipe: Recipe) -> Result<Self> {
        recipe.check(&graph)?;
        let lanes = if recipe.batch == 1 { 1 } else { LANES };
        let plan = Plan::with(&graph, recipe.batch, lanes, recipe.isa, recipe.keep).exact(recipe.exact);
        Ok(Self {
            gradients: Params::zeros(graph.layout().clone()),
            optimizer: recipe.method.build(graph.layout().learnable_len(), recipe.weight_decay),
            loss: recipe.training_loss(),
            rules: RuleSet::gradient(),
            trace: plan.trace(&graph),
            signals: plan.signals(&graph),
            targets: vec![0; recipe.batch],
            place: Place::default(),
            graph,
            params,
            recipe,
        })
    }

    /// The net.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Its parameters now.
    pub fn params(&self) -> &Params<f32> {
        &self.params
    }

    /// The trace of the last step.
    pub fn trace(&self) -> &Trace<f32> {
        &self.trace
    }

    /// What flowed back in the last step.
    pub fn signals(&self) -> &Signals<f32> {
        &self.signals
    }

    /// The optimiser, with its moments.
    pub fn optimizer(&self) -> &dyn Optimizer<f32> {
        &*self.optimizer
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.place.step
    }

    /// What a checkpoint of this moment holds beside the parameters.
    pub fn standing(&self) -> Standing<'_> {
        Standing { place: self.place, optimizer: &*self.optimizer }
    }

    /// Goes on from a checkpoint, mid-epoch too. Errors: parameters of another net, moments of another optimiser.
    pub fn restore(&mut self, from: Checkpoint) -> Result<()> {
        if from.params.layout() != self.params.layout() {
            return Err(Error::request(
                format!("the checkpoint's parameters are not those of model \"{}\"", self.graph.name()),
                "resume with the model that the checkpoint was made with",
            ));
        }
        let moments: Vec<(&str, &[f32])> = from.moments.iter().map(|(n, v)| (n.as_str(), &v[..])).collect();
        self.optimizer.restore(&moments, from.optimizer_steps)?;
        self.params = from.params;
        self.place = from.place;
        Ok(())
    }

    /// One step on the images of these indices: forward, loss, walk, optimiser. Allocates nothing after the first.
    /// Errors: as [`Trainer::learn`].
    pub fn step(&mut self, loader: &mut Loader, epoch: u64, indices: &[u32], lr: f64) -> Result<Cost> {
        let (images, targets) = self.batch_mut(indices.len());
        loader.fill(epoch, indices, images, targets);
        self.learn(lr)
    }

    /// Room for the `n` images and classes of the next [`Trainer::learn`]; `n` at most the recipe's batch.
    pub fn batch_mut(&mut self, n: usize) -> (&mut Blocked<f32>, &mut [u32]) {
        self.trace.set_batch(n);
        (self.trace.input_mut(), &mut self.targets[..n])
    }

    /// One step on the batch that lies in [`Trainer::batch_mut`]. Allocates nothing after the first.
    /// Errors: targets out of range; values that are not finite.
    pub fn learn(&mut self, lr: f64) -> Result<Cost> {
        let targets = &self.targets[..self.trace.batch()];
        let mode = Mode::Train { seed: self.recipe.seed, step: self.place.step };
        forward_into(&self.graph, &self.params, mode, &mut self.trace);
        let from = self.graph.nodes().len();
        let seed = self.signals.seed_mut(&self.graph, &self.trace, from);
        let cost = self.loss.cost(self.trace.output().view(), Targets::Classes(targets), Some(seed))?;
        if !cost.total.is_finite() {
            return Err(guard::find(&self.graph, &self.params, &self.trace, self.place.step));
        }
        let gradients = Some(&mut self.gradients);
        let how = Walk { from, rules: &self.rules, gradients, to_input: false, through_softmax: true };
        walk(&self.graph, &self.params, &self.trace, &mut self.signals, how)?;
        guard::check_gradients(&self.gradients, self.place.step)?;
        if let Some(limit) = self.recipe.clip {
            clip_norm(self.gradients.learnable_mut(), limit);
        }
        self.optimizer.step(self.params.learnable_mut(), self.gradients.learnable(), lr);
        fold_statistics(&self.graph, &mut self.params, &self.trace);
        self.place.step += 1;
        self.place.cost.add(cost);
        Ok(cost)
    }

    /// Trains from the step that it is at to the end of the recipe, or until an observer stops it. Errors: an empty
    /// training set, images that do not fit the net, values that are not finite, an observer's own.
    pub fn run(
        &mut self,
        train: &mut Loader,
        test: Option<&Arc<Dataset>>,
        observers: &mut [&mut dyn Observer],
    ) -> Result<Option<Evaluation>> {
        let images = train.dataset().len();
        if images == 0 {
            return Err(Error::request("the training set is empty", "give it at least one image"));
        }
        let per_epoch = images.div_ceil(self.recipe.batch) as u64;
        let mut progress = Progress {
            step: self.place.step,
            steps: per_epoch * self.recipe.epochs,
            epochs: self.recipe.epochs,
            images_per_epoch: images,
            ..Progress::default()
        };
        tell(observers, &Event::Begin { graph: &self.graph, params: &self.params, progress })?;
        let (recipe, steps) = (self.recipe.clone(), progress.steps);
        let plain = recipe.loss.build();
        let rate = |place: &Place, step: u64| {
            let lowered = recipe.plateau.map_or(1.0, |plateau| plateau.factor(&place.seen));
            recipe.lr * recipe.schedule.factor(step, steps, per_epoch) * lowered
        };
        let mut last = None;
        let mut order = Vec::with_capacity(images);
        for epoch in self.place.epochs..self.recipe.epochs {
            order.clear();
            order.extend_from_slice(train.order(epoch));
            let (mut seconds, mut timed, mut lr) =
                (0.0, 0, rate(&self.place, self.place.step.saturating_sub(1)));
            // after a resume, some or even all steps of this epoch are done
            let done = self.place.step.saturating_sub(epoch * per_epoch) as usize;
            progress =
                Progress { epoch: epoch + 1, images: (done * self.recipe.batch).min(images), ..progress };
            for indices in order.chunks(self.recipe.batch).skip(done) {
                let start = Instant::now();
                lr = rate(&self.place, self.place.step);
                let batch = self.step(train, epoch, indices, lr)?;
                seconds += start.elapsed().as_secs_f64();
                timed += indices.len();
                progress =
                    Progress { step: self.place.step, images: progress.images + indices.len(), ..progress };
                let (graph, params, trace, signals) = (&self.graph, &self.params, &self.trace, &self.signals);
                let (gradients, standing) = (&self.gradients, self.standing());
                let event = Event::Step {
                    graph,
                    params,
                    trace,
                    signals,
                    gradients,
                    progress,
                    cost: batch,
                    lr,
                    standing,
                };
                if tell(observers, &event)? == Flow::Stop {
                    return Ok(last);
                }
            }
            last = match test {
                Some(test) => Some(evaluate(&self.graph, &self.params, test, &*plain)?),
                None => None,
            };
            let cost = std::mem::take(&mut self.place.cost);
            self.place.epochs = epoch + 1;
            if let Some(plateau) = recipe.plateau {
                let loss = last.as_ref().map_or(cost.mean(), |test| test.cost.mean());
                plateau.see(&mut self.place.seen, loss);
            }
            let epoch = Epoch { progress, train: cost, test: last.as_ref(), lr, seconds, timed };
            let (graph, params, standing) = (&self.graph, &self.params, self.standing());
            if tell(observers, &Event::Epoch { graph, params, epoch, standing })? == Flow::Stop {
                break;
            }
        }
        Ok(last)
    }
}

/// Tells every observer; one that says stop is enough.
fn tell(observers: &mut [&mut dyn Observer], event: &Event<'_>) -> Result<Flow> {
    let mut flow = Flow::Continue;
    for observer in observers.iter_mut() {
        if observer.on(event)? == Flow::Stop {
            flow = Flow::Stop;
        }
    }
    Ok(flow)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Augment, digits};
    use crate::graph::{Init, models};

    fn trainer(recipe: Recipe) -> (Trainer, Loader, Arc<Dataset>) {
        let graph = models::named("lenet").unwrap();
        let data = digits::load().unwrap().limit(320, 200);
        let pixels = graph.pixels().clone();
        let loader =
            Loader::new(data.train, &pixels.mean, &pixels.std, Augment::default(), recipe.seed).unwrap();
        let params = graph.init(Init::PyTorch, 1);
        (Trainer::new(graph, params, recipe).unwrap(), loader, Arc::new(data.test))
    }

    struct Losses(Vec<f64>);
    impl Observer for Losses {
        fn on(&mut self, event: &Event<'_>) -> Result<Flow> {
            if let Event::Step { cost, .. } = event {
                self.0.push(cost.mean());
            }
            Ok(if self.0.len() == 12 { Flow::Stop } else { Flow::Continue })
        }
    }

    #[test]
    fn training_learns_evaluates_and_stops_when_told() {
        let (mut t, mut loader, test) =
            trainer(Recipe { epochs: 10, batch: 16, lr: 0.03, ..Recipe::default() });
        let last = t.run(&mut loader, Some(&test), &mut []).unwrap().unwrap();
        assert!(last.cost.accuracy() > 0.7, "{:?}", last.cost);
        let diagonal: u32 = (0..10).map(|k| last.confusion[k][k]).sum();
        assert_eq!((diagonal as usize, last.predictions.len()), (last.cost.correct, 200));

        let (mut t, mut loader, _) = trainer(Recipe { epochs: 6, batch: 32, ..Recipe::default() });
        let mut losses = Losses(Vec::new());
        t.run(&mut loader, None, &mut [&mut losses]).unwrap();
        assert_eq!((losses.0.len(), t.steps()), (12, 12));
    }

    #[test]
    fn divergence_names_where_and_when() {
        let (mut t, mut loader, _) = trainer(Recipe { lr: 1e30, ..Recipe::default() });
        let error = t.run(&mut loader, None, &mut []).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let text = error.to_string();
        assert!(
            text.starts_with("step ") && text.contains("is not finite; lower the learning rate"),
            "{text}"
        );
    }
}
