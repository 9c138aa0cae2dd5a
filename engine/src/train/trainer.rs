//! The trainer: buffers made once, and the loop over them.

use super::guard;
use super::observe::{Epoch, Event, Flow, Observer, Progress};
use super::{Checkpoint, Evaluation, Place, Recipe, Standing, evaluate};
use crate::array::{Blocked, LANES};
use crate::data::{Dataset, Loader};
use crate::error::{Error, Result};
use crate::forward::{fold_statistics, forward_into};
use crate::graph::{Graph, Plan};
use crate::loss::{Cost, Loss, Targets};
use crate::optim::{Optimizer, clip_norm};
use crate::params::Params;
use crate::rules::RuleSet;
use crate::signals::Signals;
use crate::trace::{Mode, Trace};
use crate::walk::{Walk, walk};
use std::sync::Arc;
use std::time::Instant;

/// What became of a part of a batch that went through the net on its own.
#[derive(Debug)]
struct Outcome {
    /// Images that were right.
    correct: Result<usize>,
    /// The cost of each of its blocks.
    sums: Vec<f64>,
}

impl Outcome {
    fn new(blocks: usize) -> Self {
        Self { correct: Ok(0), sums: Vec::with_capacity(blocks) }
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
    /// What became of each part of a batch.
    outcomes: Vec<Outcome>,
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
            outcomes: (0..plan.batch().blocks()).map(|_| Outcome::new(plan.batch().blocks())).collect(),
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
        let mode = Mode::Train { seed: self.recipe.seed, step: self.place.step };
        let parts = self.signals.split(&self.trace);
        let cost = if parts > 1 { self.descend_apart(mode, parts) } else { self.descend(mode) }?;
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

    /// Forward, loss and walk with the whole batch. Errors: as [`Trainer::learn`].
    fn descend(&mut self, mode: Mode) -> Result<Cost> {
        let targets = Targets::Classes(&self.targets[..self.trace.batch()]);
        forward_into(&self.graph, &self.params, mode, &mut self.trace);
        let from = self.graph.nodes().len();
        let seed = self.signals.seed_mut(&self.graph, &self.trace, from);
        let cost = self.loss.cost(self.trace.output().view(), targets, Some(seed))?;
        self.check(cost)?;
        let how = Walk { gradients: Some(&mut self.gradients), ..training_walk(from, &self.rules) };
        walk(&self.graph, &self.params, &self.trace, &mut self.signals, how)?;
        Ok(cost)
    }

    /// The same, each of some parts of the batch by itself, then the gradients of the parameters over all of it: the work
    /// of a small net is split once and not in every layer. The same bits. Errors: as [`Trainer::learn`].
    fn descend_apart(&mut self, mode: Mode, parts: usize) -> Result<Cost> {
        let (graph, params, rules, loss) = (&self.graph, &self.params, &self.rules, &*self.loss);
        let from = graph.nodes().len();
        let targets = &self.targets[..self.trace.batch()];
        let whole = loss.whole(targets.len(), Targets::Classes(targets))?;
        let run = |first: usize, trace: &mut Trace<f32>, signals: &mut Signals<f32>, sums: &mut Vec<f64>| {
            forward_into(graph, params, mode, trace);
            let targets = Targets::Classes(&targets[first..][..trace.batch()]);
            let seed = signals.seed_mut(graph, trace, from);
            let correct =
                loss.part(trace.output().view(), targets, whole, Some(seed), &mut |sum| sums.push(sum))?;
            walk(graph, params, trace, signals, training_walk(from, rules))?;
            Ok(correct)
        };
        let outcomes = &mut self.outcomes[..parts];
        self.signals.apart(graph, &mut self.trace, from, outcomes, |first, trace, signals, outcome| {
            outcome.sums.clear();
            outcome.correct = run(first, trace, signals, &mut outcome.sums);
        });
        let mut cost = Cost { images: targets.len(), ..Cost::default() };
        for outcome in outcomes {
            cost.correct += std::mem::replace(&mut outcome.correct, Ok(0))?;
            outcome.sums.iter().for_each(|sum| cost.total += sum);
        }
        self.check(cost)?;
        self.signals.pull_params(&self.graph, &self.params, &self.trace, &mut self.gradients)?;
        Ok(cost)
    }

    /// Refuses a loss that is not finite.
    fn check(&self, cost: Cost) -> Result<()> {
        if cost.total.is_finite() {
            return Ok(());
        }
        Err(guard::find(&self.graph, &self.params, &self.trace, self.place.step))
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

/// A walk from the loss down, by the gradient and not to the images.
fn training_walk(from: usize, rules: &RuleSet<f32>) -> Walk<'_, f32> {
    Walk { from, rules, gradients: None, to_input: false, through_softmax: true }
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
