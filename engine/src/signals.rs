//! What flowed back through a net: one array per edge, by name; and its parts, where a batch goes through a net in parts.

use crate::array::{Aligned, Blocked, View};
use crate::error::{Error, Result};
use crate::graph::{Graph, Plan};
#[cfg(feature = "train")]
use crate::kernels::par;
use crate::layers::Batch;
use crate::real::Real;
use crate::trace::Trace;
#[cfg(feature = "train")]
use crate::trace::part_of;
use std::sync::Arc;

/// What flowed back: one array per edge, under the layers' names.
#[derive(Clone, Debug)]
pub struct Signals<R = f32> {
    names: Arc<[String]>,
    /// Per layer, the signal at each of its inputs.
    pub(crate) edges: Vec<Vec<Blocked<R>>>,
    /// Per slot, the seed, or the sum over its readers where there are several.
    pub(crate) sums: Vec<Option<Blocked<R>>>,
    /// Per slot, where its signal lies.
    pub(crate) lies: Vec<Lies>,
    pub(crate) scratch: Aligned<R>,
    /// Where parts of the batch go through the whole net side by side, signals for each, which hold nothing between walks.
    parts: Vec<Signals<R>>,
}

/// Where the signal of a slot lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lies {
    /// The walk did not come here.
    Nowhere,
    /// In `sums`.
    Sum,
    /// At an edge: (layer, input).
    Edge(usize, usize),
}

impl Plan {
    /// Room for a walk; arrays are allocated when a walk first reaches them, and then reused.
    pub fn signals<R: Real>(&self, graph: &Graph) -> Signals<R> {
        let slots = graph.nodes().len() + 1;
        let room = |batch: Batch| Signals {
            names: graph.names().clone(),
            edges: vec![Vec::new(); graph.nodes().len()],
            sums: vec![None; slots],
            lies: vec![Lies::Nowhere; slots],
            scratch: Aligned::zeros(crate::graph::scratch::<R>(graph, batch)),
            parts: Vec::new(),
        };
        let mut signals = room(self.batch());
        if self.splits() {
            signals.parts = (0..self.batch().blocks()).map(|_| room(self.batch())).collect();
        }
        signals
    }
}

impl<R: Real> Signals<R> {
    /// The array in which a walk from `slot` is seeded: zeros, of the trace's batch.
    pub fn seed_mut(&mut self, graph: &Graph, trace: &Trace<R>, slot: usize) -> &mut Blocked<R> {
        let seed = room(&mut self.sums[slot], graph, trace, slot);
        seed.fill(R::zero());
        seed
    }

    /// The signal at a slot: the sum over all its readers. `None` where the walk did not come.
    pub fn slot(&self, slot: usize) -> Option<&Blocked<R>> {
        match self.lies[slot] {
            Lies::Nowhere => None,
            Lies::Sum => self.sums[slot].as_ref(),
            Lies::Edge(layer, input) => Some(&self.edges[layer][input]),
        }
    }

    /// The signal at a layer's output, or at the input, by name. Errors: an unknown name; the walk did not come there.
    pub fn at(&self, name: &str) -> Result<&Blocked<R>> {
        let slot = self.names.iter().position(|n| n == name);
        let slot =
            slot.ok_or_else(|| Error::unknown("layer", name, self.names.iter().map(String::as_str)))?;
        self.slot(slot).ok_or_else(|| {
            Error::request(
                format!("no signal came to \"{name}\""),
                "start the walk at a layer that depends on it, and ask for the input if it is the input",
            )
        })
    }

    /// The signal at one input of a layer, before it is added to those of other readers. `None` where the walk did not
    /// come.
    pub fn edge(&self, layer: usize, input: usize) -> Option<&Blocked<R>> {
        let reached = self.lies[layer + 1] != Lies::Nowhere;
        if reached { self.edges[layer].get(input) } else { None }
    }

    /// Names of the slots.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// A training step in parts.
#[cfg(feature = "train")]
impl<R: Real> Signals<R> {
    /// How many parts of the trace's batch go through the net side by side, forward and back; 1 where it is not split.
    pub(crate) fn split(&self, trace: &Trace<R>) -> usize {
        if self.parts.is_empty() { 1 } else { trace.split() }
    }

    /// Runs `job(its first image, trace of a part, signals of the part, out[i])` for a training step on each of `out.len()`
    /// parts of the batch, side by side: the job runs forward and walks from slot `from`, by the gradient and not to the
    /// input. What it writes lies in the whole arrays afterwards. Only where [`Signals::split`] gives that many.
    pub(crate) fn apart<T: Send>(
        &mut self,
        graph: &Graph,
        trace: &mut Trace<R>,
        from: usize,
        out: &mut [T],
        job: impl Fn(usize, &mut Trace<R>, &mut Signals<R>, &mut T) + Sync + Send,
    ) {
        for (i, node) in graph.nodes().iter().enumerate() {
            if node.inputs.iter().any(|&slot| slot != 0) {
                make_edges(&mut self.edges[i], graph, trace, i);
            }
        }
        for slot in 0..self.sums.len() {
            if slot == from || graph.readers(slot).len() > 1 {
                room(&mut self.sums[slot], graph, trace, slot);
            }
        }
        let count = out.len();
        let mut parts = self.lend(trace.output().view().blocks(), count);
        let mut traces = trace.lend(count);
        par::apart3((&mut traces[..count], &mut parts[..count], out), |_, trace, signals, out| {
            job(trace.first, trace, signals, out);
        });
        trace.take_back(traces);
        self.take_back(parts);
    }

    /// `count` signals that stand for parts of these.
    fn lend(&mut self, blocks: usize, count: usize) -> Vec<Signals<R>> {
        let mut parts = std::mem::take(&mut self.parts);
        for (i, part) in parts[..count].iter_mut().enumerate() {
            let blocks = part_of(blocks, count, i);
            for (whole, part) in self.edges.iter_mut().zip(&mut part.edges) {
                part.resize_with(whole.len(), Blocked::default);
                let pairs = whole.iter_mut().zip(part);
                pairs.for_each(|(whole, part)| whole.lend(blocks.clone(), whole.view().block_len(), part));
            }
            for (whole, part) in self.sums.iter_mut().zip(&mut part.sums) {
                let Some(whole) = whole else { continue };
                whole.lend(blocks.clone(), whole.view().block_len(), part.get_or_insert_default());
            }
        }
        parts
    }

    /// Ends what [`Signals::lend`] began; the signals lie where those of the parts did.
    fn take_back(&mut self, mut parts: Vec<Signals<R>>) {
        self.lies.copy_from_slice(&parts[0].lies);
        for part in &mut parts {
            part.edges.iter_mut().flatten().for_each(Blocked::give_back);
            part.sums.iter_mut().flatten().for_each(Blocked::give_back);
        }
        self.parts = parts;
    }
}

/// The array at a place, made or resized for the trace's batch.
pub(crate) fn room<'a, R: Real>(
    place: &'a mut Option<Blocked<R>>,
    graph: &Graph,
    trace: &Trace<R>,
    slot: usize,
) -> &'a mut Blocked<R> {
    let array = place.get_or_insert_with(|| Blocked::zeros(graph.shape(slot), trace.batch(), trace.lanes()));
    fit(array, trace);
    array
}

fn fit<R: Real>(array: &mut Blocked<R>, trace: &Trace<R>) {
    if !array.holds(trace.batch()) || array.lanes() != trace.lanes() {
        *array = Blocked::zeros(array.shape(), trace.batch(), trace.lanes());
    }
    array.set_batch(trace.batch());
}

/// The signal at a slot, given the edges of the layers from that slot on.
pub(crate) fn signal<'a, R: Real>(
    lies: Lies,
    edges: &'a [Vec<Blocked<R>>],
    sums: &'a [Option<Blocked<R>>],
    slot: usize,
) -> View<'a, R> {
    match lies {
        Lies::Edge(layer, input) => edges[layer - slot][input].view(),
        _ => sums[slot].as_ref().map_or_else(|| unreachable!("a sum lies there"), Blocked::view),
    }
}

/// Room for the signals at the inputs of layer `i`.
pub(crate) fn make_edges<R: Real>(out: &mut Vec<Blocked<R>>, graph: &Graph, trace: &Trace<R>, i: usize) {
    if out.is_empty() {
        let inputs = graph.nodes()[i].inputs.iter();
        out.extend(inputs.map(|&s| Blocked::zeros(graph.shape(s), trace.batch(), trace.lanes())));
    }
    out.iter_mut().for_each(|array| fit(array, trace));
}
