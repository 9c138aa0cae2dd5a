//! Forward passes and walks over many variants of some images: masks, steps, draws. Variants go through the engine
//! in batches whose arrays are made once and reused.

use super::score::Score;
use super::{Ask, Error, Result};
use glassbox_engine::forward::forward_into;
use glassbox_engine::graph::{Keep, Plan};
use glassbox_engine::kernels::par;
use glassbox_engine::trace::Mode;
use glassbox_engine::walk::{Walk, walk_to};
use glassbox_engine::{Blocked, Graph, Params, Real, RuleSet, Signals, Trace, View};
use ndarray::Array4;

/// Numbers of activations that one batch may hold: what is written is still near when it is read, and a short explanation
/// does not spend its time on asking for memory.
const ROOM: usize = 1 << 22;

/// A net with room for a batch of variants.
pub(crate) struct Pass<'a, R: Real> {
    pub graph: &'a Graph,
    pub params: &'a Params<R>,
    pub trace: Trace<R>,
    signals: Signals<R>,
    /// Slot of the logits.
    pub logits: usize,
    capacity: usize,
    staging: Vec<R>,
}

impl<'a, R: Real> Pass<'a, R> {
    /// Room to go through `total` images, batch by batch. Where the logits lie under a softmax everything is kept.
    pub fn new(ask: &Ask<'a, R>, total: usize, keep: Keep) -> Self {
        let graph = ask.graph;
        let logits = graph.logits();
        let keep = if logits == graph.nodes().len() { keep } else { Keep::Everything };
        let capacity = total.clamp(1, batch(graph));
        let plan = Plan::new(graph, capacity, keep);
        Self {
            graph,
            params: ask.params,
            trace: plan.trace(graph),
            signals: plan.signals(graph),
            logits,
            capacity,
            staging: Vec::new(),
        }
    }

    /// Images that fit one batch.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Makes a batch of `n` images; `fill(i, image)` writes image i, [C, H, W].
    pub fn fill(&mut self, n: usize, fill: impl Fn(usize, &mut [R]) + Sync + Send) {
        let shape = self.graph.input();
        self.staging.resize(n * shape.size(), R::zero());
        par::chunks(&mut self.staging, shape.size(), fill);
        self.trace.set_batch(n);
        let input = self.trace.input_mut();
        let (lanes, size, staging) = (input.lanes(), shape.size(), &self.staging);
        par::chunks(input.values_mut(), size * lanes, |block, values| {
            let images = staging.chunks_exact(size).skip(block * lanes).take(lanes);
            for (lane, image) in images.enumerate() {
                let places = values[lane..].iter_mut().step_by(lanes);
                places.zip(image).for_each(|(place, &v)| *place = v);
            }
        });
    }

    /// Runs the net on the batch, in evaluation.
    pub fn forward(&mut self) {
        forward_into(self.graph, self.params, Mode::Eval, &mut self.trace);
    }

    /// The activations of a slot.
    pub fn at(&self, slot: usize) -> Result<View<'_, R>> {
        Ok(self.trace.slot(slot)?.view())
    }

    /// The logits of the batch.
    pub fn logits(&self) -> Result<View<'_, R>> {
        self.at(self.logits)
    }

    /// Pulls a score of each image's class down to slot `to`.
    pub fn pull_classes(
        &mut self,
        classes: &[usize],
        to: usize,
        rules: &RuleSet<R>,
        score: Score,
    ) -> Result<()> {
        let logits = self.trace.slot(self.logits)?.clone();
        self.pull(self.logits, to, rules, |seed| {
            for (i, &class) in classes.iter().enumerate() {
                score.seed(seed, logits.view(), i, class);
            }
        })
    }

    /// Pulls what `seed` writes at slot `from` down to slot `to`.
    pub fn pull(
        &mut self,
        from: usize,
        to: usize,
        rules: &RuleSet<R>,
        seed: impl FnOnce(&mut Blocked<R>),
    ) -> Result<()> {
        seed(self.signals.seed_mut(self.graph, &self.trace, from));
        let how = Walk { from, rules, gradients: None, to_input: true, through_softmax: false };
        Ok(walk_to(self.graph, self.params, &self.trace, &mut self.signals, how, to)?)
    }

    /// The signal that came to a slot. Errors: none came, because what the walk started at does not depend on it.
    pub fn signal(&self, slot: usize) -> Result<View<'_, R>> {
        let name = &self.graph.names()[slot];
        let signal = self.signals.slot(slot).map(Blocked::view);
        signal.ok_or_else(|| {
            Error::request(
                format!("what is explained does not depend on \"{name}\""),
                "choose a layer between the input and it",
            )
        })
    }

    /// All signals of the last walk.
    pub fn signals(&self) -> &Signals<R> {
        &self.signals
    }
}

/// Images per batch: a multiple of the engine's lanes that keeps activations within bounds.
pub(crate) fn batch(graph: &Graph) -> usize {
    let values: usize = (0..=graph.nodes().len()).map(|slot| graph.shape(slot).size()).sum();
    [64, 32].into_iter().find(|n| n * values <= ROOM).unwrap_or(16)
}

/// Runs `variants` variants of every sample through the net, in batches, in order.
///
/// `fill(sample, variant, image)` writes a variant; it starts out as the sample. `then(pass, batch)` sees the trace,
/// in which image i is variant `batch[i].1` of sample `batch[i].0`.
pub(crate) fn each_variant<R: Real>(
    ask: &Ask<'_, R>,
    pass: &mut Pass<'_, R>,
    variants: usize,
    fill: impl Fn(usize, usize, &mut [R]) + Sync + Send,
    mut then: impl FnMut(&mut Pass<'_, R>, &[(usize, usize)]) -> Result<()>,
) -> Result<()> {
    let images = standard(ask.input);
    let size = ask.size();
    let total = ask.samples() * variants;
    let mut jobs = Vec::new();
    for first in (0..total).step_by(pass.capacity()) {
        jobs.clear();
        let last = (first + pass.capacity()).min(total);
        jobs.extend((first..last).map(|job| (job / variants, job % variants)));
        pass.fill(jobs.len(), |i, image| {
            let (sample, variant) = jobs[i];
            image.copy_from_slice(&images[sample * size..][..size]);
            fill(sample, variant, image);
        });
        pass.forward();
        then(pass, &jobs)?;
        ask.progress(last, total);
    }
    Ok(())
}

/// Runs every sample once.
pub(crate) fn each_sample<R: Real>(
    ask: &Ask<'_, R>,
    pass: &mut Pass<'_, R>,
    then: impl FnMut(&mut Pass<'_, R>, &[(usize, usize)]) -> Result<()>,
) -> Result<()> {
    each_variant(ask, pass, 1, |_, _, _| {}, then)
}

/// Runs one variant of each sample in batches of their own; `read(pass, i, sample)` reads a number of image i of the
/// batch.
pub(super) fn once_more<R: Real>(
    ask: &Ask<'_, R>,
    keep: Keep,
    fill: impl Fn(usize, &mut [R]) + Sync + Send,
    read: impl Fn(&Pass<'_, R>, usize, usize) -> Result<f64>,
) -> Result<Vec<f64>> {
    let quiet = Ask { progress: None, ..ask.clone() };
    let mut pass = Pass::new(&quiet, ask.samples(), keep);
    let mut out = Vec::with_capacity(ask.samples());
    let write = |sample: usize, _: usize, image: &mut [R]| fill(sample, image);
    each_variant(&quiet, &mut pass, 1, write, |pass, batch| {
        for (i, &(sample, _)) in batch.iter().enumerate() {
            out.push(read(pass, i, sample)?);
        }
        Ok(())
    })?;
    Ok(out)
}

/// The class explained for each sample and its logit.
pub(crate) fn classes<R: Real>(ask: &Ask<'_, R>) -> Result<Vec<(usize, R)>> {
    let mut pass = Pass::new(ask, ask.samples(), Keep::Nothing);
    let mut out = Vec::with_capacity(ask.samples());
    let quiet = Ask { progress: None, ..ask.clone() };
    each_sample(&quiet, &mut pass, |pass, batch| {
        let logits = pass.logits()?;
        out.extend(batch.iter().enumerate().map(|(i, &(sample, _))| {
            let class = ask.class(sample, logits, i);
            (class, value(logits, i, class))
        }));
        Ok(())
    })?;
    Ok(out)
}

/// The values of images in memory order.
pub(crate) fn standard<R: Real>(images: &Array4<R>) -> std::borrow::Cow<'_, [R]> {
    match images.as_slice() {
        Some(values) => values.into(),
        None => images.iter().copied().collect::<Vec<_>>().into(),
    }
}

/// The values of image `i`, in [C, H, W] order.
pub(crate) fn values<'a, R: Real>(
    view: View<'a, R>,
    i: usize,
) -> impl ExactSizeIterator<Item = R> + Clone + 'a {
    let block = &view.data[i / view.lanes * view.block_len()..][..view.block_len()];
    block[i % view.lanes..].iter().step_by(view.lanes).copied()
}

/// Value number `flat` of image `i`.
pub(crate) fn value<R: Real>(view: View<'_, R>, i: usize, flat: usize) -> R {
    view.data[i / view.lanes * view.block_len() + flat * view.lanes + i % view.lanes]
}

/// Writes image `i`.
pub(crate) fn put<R: Real>(array: &mut Blocked<R>, i: usize, image: impl Iterator<Item = R>) {
    let (lanes, len) = (array.lanes(), array.shape().size() * array.lanes());
    let block = &mut array.values_mut()[i / lanes * len..][..len];
    for (place, value) in block[i % lanes..].iter_mut().step_by(lanes).zip(image) {
        *place = value;
    }
}

/// Writes value number `flat` of image `i`.
pub(crate) fn set<R: Real>(array: &mut Blocked<R>, i: usize, flat: usize, value: R) {
    let (lanes, len) = (array.lanes(), array.shape().size() * array.lanes());
    array.values_mut()[i / lanes * len + flat * lanes + i % lanes] = value;
}

/// The place of the first largest value.
pub(crate) fn strongest<R: Real>(values: impl Iterator<Item = R>) -> usize {
    let mut best: Option<(usize, R)> = None;
    for (i, v) in values.enumerate() {
        if best.is_none_or(|(_, b)| v > b) {
            best = Some((i, v));
        }
    }
    best.map_or(0, |(i, _)| i)
}
