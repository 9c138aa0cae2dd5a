//! What a forward pass of a given batch holds in memory; from it traces and signals are made, once, and reused.

use super::{Graph, chains};
use crate::array::{Aligned, Blocked, LANES};
use crate::kernels::Isa;
use crate::layers::Batch;
use crate::real::Real;
use crate::trace::{Mode, Saved, Trace};

/// Which activations outlast a forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Keep {
    /// All of them.
    #[default]
    Everything,
    /// Those that pull-backs read.
    ForWalk,
    /// Only the output.
    Nothing,
}

/// Sizes and places of all arrays of a forward pass.
#[derive(Clone, Debug)]
pub struct Plan {
    batch: Batch,
    keep: Keep,
    /// Storage of each slot.
    places: Vec<usize>,
    kept: Vec<bool>,
    /// Slot of greatest size in each storage.
    largest: Vec<usize>,
    /// Per layer, the end of the chain of layers that run plane by plane together.
    chain_ends: Vec<usize>,
    /// Whether parts of a batch go through the whole net side by side.
    splits: bool,
}

/// Most values per image of all activations of a net through which parts of a batch go side by side: there, splitting the
/// work of every layer costs more than what the threads save by it.
const SMALL: usize = 1 << 15;

impl Plan {
    /// A plan for batches of up to `n` images, in blocks of [`LANES`] (of 1 for a single image), on the fastest
    /// instruction set of this machine.
    pub fn new(graph: &Graph, n: usize, keep: Keep) -> Self {
        let lanes = if n == 1 { 1 } else { LANES };
        Self::with(graph, n, lanes, Isa::detect(), keep)
    }

    /// A plan with the number of images per block (1 or [`LANES`]) and the instruction set given.
    pub fn with(graph: &Graph, n: usize, lanes: usize, isa: Isa, keep: Keep) -> Self {
        let kept = kept(graph, keep);
        let chain_ends = chains::ends(graph);
        let (places, largest) = place(graph, &kept, &chain_ends);
        let batch = Batch { n, lanes, isa, exact: true };
        let splits = batch.blocks() > 1 && lanes > 1 && small(graph);
        Self { batch, keep, places, kept, largest, chain_ends, splits }
    }

    /// Without `exact`, convolutions may go by Winograd's transforms where that is faster: sums round otherwise, and
    /// the sum of products that are all zero may be a rounding error. A plan is exact unless told so.
    pub fn exact(mut self, exact: bool) -> Self {
        self.batch.exact = exact;
        self
    }

    /// The same plan, but every layer runs on its own over the whole batch. A plan otherwise takes each plane through
    /// runs of rectifiers, pools and flattening while it is in the cache, and gives each thread a part of the batch to take
    /// through the whole of a small net; all store the same bits.
    pub fn separate(mut self) -> Self {
        self.splits = false;
        self.chain_ends = chains::alone(self.chain_ends.len());
        self
    }

    /// The size of the batch.
    pub fn batch(&self) -> Batch {
        self.batch
    }

    /// What outlasts a pass.
    pub fn keep(&self) -> Keep {
        self.keep
    }

    /// Whether parts of a batch go through the whole net side by side, see [`Plan::separate`].
    pub fn splits(&self) -> bool {
        self.splits
    }

    /// Room for a forward pass.
    pub fn trace<R: Real>(&self, graph: &Graph) -> Trace<R> {
        let mut trace = self.room(graph, self.batch.n);
        if self.splits {
            trace.parts = (0..self.batch.blocks()).map(|_| self.room(graph, 0)).collect();
        }
        trace
    }

    /// Arrays for `n` images, and scratch for the whole batch.
    fn room<R: Real>(&self, graph: &Graph, n: usize) -> Trace<R> {
        let Batch { lanes, isa, exact, .. } = self.batch;
        let saved =
            |node: &super::Node| node.facts.saved.iter().map(|s| Saved::new(s.kind, n, lanes)).collect();
        Trace {
            names: graph.names().clone(),
            arrays: self.largest.iter().map(|&slot| Blocked::zeros(graph.shape(slot), n, lanes)).collect(),
            place: self.places.clone(),
            kept: self.kept.clone(),
            chain_ends: self.chain_ends.clone(),
            input_places: graph
                .nodes()
                .iter()
                .map(|n| n.inputs.iter().map(|&s| self.places[s]).collect())
                .collect(),
            saved: graph.nodes().iter().map(saved).collect(),
            saved_names: graph
                .nodes()
                .iter()
                .map(|n| n.facts.saved.iter().map(|s| s.name).collect())
                .collect(),
            scratch: Aligned::zeros(scratch::<R>(graph, self.batch)),
            mode: Mode::Eval,
            isa,
            exact,
            first: 0,
            block_lens: self.largest.iter().map(|&slot| graph.shape(slot).size() * lanes).collect(),
            parts: Vec::new(),
        }
    }

    /// Values that a trace holds, activations only.
    pub fn activation_values(&self, graph: &Graph) -> usize {
        let images = self.batch.blocks() * self.batch.lanes;
        self.largest.iter().map(|&slot| graph.shape(slot).size() * images).sum()
    }
}

/// Scratch that the hungriest layer needs.
pub(crate) fn scratch<R: Real>(graph: &Graph, batch: Batch) -> usize {
    let need = |node: &super::Node| {
        let shapes: Vec<_> = node.inputs.iter().map(|&s| graph.shape(s)).collect();
        R::compute(&*node.layer).scratch(&shapes, batch)
    };
    graph.nodes().iter().map(need).max().unwrap_or(0)
}

/// Whether parts of a batch are better taken through the whole net side by side.
fn small(graph: &Graph) -> bool {
    let values: usize = (0..=graph.nodes().len()).map(|slot| graph.shape(slot).size()).sum();
    values <= SMALL && graph.nodes().iter().all(|node| !node.facts.mixes)
}

fn kept(graph: &Graph, keep: Keep) -> Vec<bool> {
    let slots = graph.nodes().len() + 1;
    (0..slots)
        .map(|slot| match keep {
            Keep::Everything => true,
            _ if slot == 0 || slot + 1 == slots => true,
            Keep::Nothing => false,
            Keep::ForWalk => {
                graph.nodes()[slot - 1].facts.needs.output
                    || graph.readers(slot).iter().any(|&(node, _)| graph.nodes()[node].facts.needs.inputs)
            }
        })
        .collect()
}

/// A storage for each slot: one of its own where it is kept, else one that no live slot uses. The layers of a chain run
/// together, so that nothing that one of them reads is free before the chain ends.
fn place(graph: &Graph, kept: &[bool], chain_ends: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let (mut places, mut largest, mut free): (Vec<usize>, Vec<usize>, Vec<usize>) = Default::default();
    let mut read: Vec<usize> = Vec::new();
    for slot in 0..kept.len() {
        let reused = if kept[slot] { None } else { free.pop() };
        let place = reused.unwrap_or_else(|| {
            largest.push(slot);
            largest.len() - 1
        });
        if graph.shape(slot).size() > graph.shape(largest[place]).size() {
            largest[place] = slot;
        }
        places.push(place);
        // what only this layer, or its chain, still read is free for the next one
        let inputs = if slot == 0 { &[][..] } else { &graph.nodes()[slot - 1].inputs[..] };
        for &from in inputs {
            let last = graph.readers(from).iter().all(|&(node, _)| node < slot);
            if !kept[from] && last && !read.contains(&places[from]) {
                read.push(places[from]);
            }
        }
        if slot > 0 && chain_ends[slot - 1] == slot {
            free.append(&mut read);
        }
    }
    (places, largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Add, Conv, Relu};

    #[test]
    fn nothing_kept_reuses_storage_but_never_what_is_still_read() {
        let g = Graph::builder("n", [2, 4, 4])
            .layer("a", Conv::new(4, 3).pad(1))
            .layer("b", Relu)
            .layer("c", Conv::new(4, 3).pad(1))
            .layer("d", Relu)
            .layer_from("sum", Add, &["d", "a"])
            .layer("e", Conv::new(2, 1))
            .layer("f", Relu)
            .build()
            .unwrap();
        let plan = Plan::new(&g, 16, Keep::Nothing);
        let everything = Plan::new(&g, 16, Keep::Everything);
        assert!(plan.activation_values(&g) < everything.activation_values(&g));
        for (i, node) in g.nodes().iter().enumerate() {
            for slot in 0..=i {
                let read_later = g.readers(slot).iter().any(|&(reader, _)| reader >= i);
                assert!(
                    !read_later || plan.places[slot] != plan.places[i + 1],
                    "{} writes over slot {slot}",
                    node.name
                );
            }
        }
    }
}
