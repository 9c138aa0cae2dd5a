//! What happened in one forward pass: every activation, and every array that a layer saved, by name.

use crate::array::{Blocked, Shape, View};
use crate::error::{Error, Result};
use crate::kernels::par;
use crate::real::Real;
use ndarray::ArrayD;
use std::ops::Range;
use std::sync::Arc;

/// The name under which a trace holds the net's input.
pub const INPUT: &str = "input";

/// How a net runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout passes, batch-norm uses its running statistics.
    Eval,
    /// Dropout draws by (seed, step, layer, sample), batch-norm uses the batch's own statistics.
    Train {
        /// Seed of the run.
        seed: u64,
        /// Step of the run, from 0.
        step: u64,
    },
}

/// A saved array as a layer declares it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SavedDecl {
    /// Its name: "switches".
    pub name: &'static str,
    /// What it holds.
    pub kind: SavedKind,
}

/// What a saved array holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SavedKind {
    /// Flat positions h W + w in the layer's input plane, one per output.
    Switches(Shape),
    /// Zeros and ones, one per output.
    Mask(Shape),
    /// Numbers per image.
    Values(Shape),
    /// One number per channel, of the whole batch.
    Channels(usize),
}

/// An array that a layer saved in the forward pass.
#[derive(Clone, Debug)]
pub enum Saved<R> {
    /// Flat positions h W + w in the layer's input plane.
    Switches(Blocked<u32>),
    /// Zeros and ones.
    Mask(Blocked<u8>),
    /// Numbers per image.
    Values(Blocked<R>),
    /// One number per channel, of the whole batch.
    Channels(Vec<R>),
}

impl<R: Real> Saved<R> {
    /// An empty array of the declared kind for `n` images.
    pub fn new(kind: SavedKind, n: usize, lanes: usize) -> Self {
        match kind {
            SavedKind::Switches(shape) => Self::Switches(Blocked::zeros(shape, n, lanes)),
            SavedKind::Mask(shape) => Self::Mask(Blocked::zeros(shape, n, lanes)),
            SavedKind::Values(shape) => Self::Values(Blocked::zeros(shape, n, lanes)),
            SavedKind::Channels(c) => Self::Channels(vec![R::zero(); c]),
        }
    }

    fn set_batch(&mut self, n: usize) {
        match self {
            Self::Switches(a) => a.set_batch(n),
            Self::Mask(a) => a.set_batch(n),
            Self::Values(a) => a.set_batch(n),
            Self::Channels(_) => {}
        }
    }

    /// Lets `part`, of the same kind, stand for some blocks alone; what the whole batch shares is not lent.
    fn lend(&mut self, blocks: Range<usize>, part: &mut Self) {
        match (self, part) {
            (Self::Switches(whole), Self::Switches(part)) => {
                whole.lend(blocks, whole.view().block_len(), part)
            }
            (Self::Mask(whole), Self::Mask(part)) => whole.lend(blocks, whole.view().block_len(), part),
            (Self::Values(whole), Self::Values(part)) => whole.lend(blocks, whole.view().block_len(), part),
            (whole, _) => unreachable!("{whole:?} is one for the whole batch"),
        }
    }

    fn give_back(&mut self) {
        match self {
            Self::Switches(a) => a.give_back(),
            Self::Mask(a) => a.give_back(),
            Self::Values(a) => a.give_back(),
            Self::Channels(_) => {}
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Switches(a) => size_of_val(a.values()),
            Self::Mask(a) => size_of_val(a.values()),
            Self::Values(a) => size_of_val(a.values()),
            Self::Channels(a) => size_of_val(&a[..]),
        }
    }

    /// The switches; panics for another kind.
    pub fn switches(&self) -> &Blocked<u32> {
        match self {
            Self::Switches(a) => a,
            other => unreachable!("switches, not {other:?}"),
        }
    }

    /// The mask; panics for another kind.
    pub fn mask(&self) -> &Blocked<u8> {
        match self {
            Self::Mask(a) => a,
            other => unreachable!("a mask, not {other:?}"),
        }
    }

    /// Numbers per image; panics for another kind.
    pub fn values(&self) -> &Blocked<R> {
        match self {
            Self::Values(a) => a,
            other => unreachable!("values, not {other:?}"),
        }
    }

    /// Numbers per channel; panics for another kind.
    pub fn channels(&self) -> &[R] {
        match self {
            Self::Channels(a) => a,
            other => unreachable!("channels, not {other:?}"),
        }
    }
}

/// The inputs of one layer, out of the arrays of a trace.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a, R> {
    pub(crate) arrays: &'a [Blocked<R>],
    pub(crate) which: &'a [usize],
}

impl<'a, R: Real> Inputs<'a, R> {
    /// Inputs `which` of `arrays`, in that order: for running a layer on its own, outside a graph.
    pub fn new(arrays: &'a [Blocked<R>], which: &'a [usize]) -> Self {
        Self { arrays, which }
    }

    /// Input `i` of the layer.
    pub fn get(&self, i: usize) -> View<'a, R> {
        self.arrays[self.which[i]].view()
    }

    /// How many inputs the layer has.
    pub fn len(&self) -> usize {
        self.which.len()
    }

    /// Never true of a layer in a graph.
    pub fn is_empty(&self) -> bool {
        self.which.is_empty()
    }
}

/// Part `i` of `count` of `blocks` blocks, all of about the same length.
pub(crate) fn part_of(blocks: usize, count: usize, i: usize) -> Range<usize> {
    blocks * i / count..blocks * (i + 1) / count
}

/// Every array of one forward pass, by name. Slot 0 is the net's input, slot i + 1 the output of layer i.
#[derive(Clone, Debug)]
pub struct Trace<R = f32> {
    /// Names of the slots.
    pub(crate) names: Arc<[String]>,
    /// Storage of each slot; several share one where a plan keeps nothing.
    pub(crate) arrays: Vec<Blocked<R>>,
    /// Storage index of each slot.
    pub(crate) place: Vec<usize>,
    /// Slots whose values outlast the forward pass.
    pub(crate) kept: Vec<bool>,
    /// Per layer, the end of the chain of layers that run plane by plane together.
    pub(crate) chain_ends: Vec<usize>,
    /// Storage indices of each layer's inputs.
    pub(crate) input_places: Vec<Vec<usize>>,
    /// Saved arrays of each layer, with their names.
    pub(crate) saved: Vec<Vec<Saved<R>>>,
    pub(crate) saved_names: Vec<Vec<&'static str>>,
    /// Scratch shared by all layers, which run one after another.
    pub(crate) scratch: crate::array::Aligned<R>,
    pub(crate) mode: Mode,
    pub(crate) isa: crate::kernels::Isa,
    pub(crate) exact: bool,
    /// Place of the first image in the batch of which this is a part; 0 for a whole batch.
    pub(crate) first: usize,
    /// Values of storage per block, of each storage.
    pub(crate) block_lens: Vec<usize>,
    /// Where parts of the batch go through the whole net side by side, a trace for each, at most one a block, which holds
    /// nothing between passes.
    pub(crate) parts: Vec<Trace<R>>,
}

impl<R: Real> Trace<R> {
    /// How many parts of this batch, runs of whole blocks, go through the whole net side by side, one a thread; 1 where
    /// the batch is not split.
    pub(crate) fn split(&self) -> usize {
        if self.parts.is_empty() { 1 } else { par::threads().min(self.output().view().blocks()).max(1) }
    }

    /// Runs `job(part)` on each part of this batch; what a job writes into its part lies in this trace afterwards.
    pub(crate) fn apart(&mut self, job: impl Fn(&mut Trace<R>) + Sync + Send) {
        let count = self.split();
        let mut parts = self.lend(count);
        par::apart(&mut parts[..count], |_, part| job(part));
        self.take_back(parts);
    }

    /// `count` traces that stand for parts of this one, which nobody may touch before [`Trace::take_back`].
    pub(crate) fn lend(&mut self, count: usize) -> Vec<Trace<R>> {
        let mut parts = std::mem::take(&mut self.parts);
        let (all, lanes) = (self.output().view().blocks(), self.lanes());
        for (i, part) in parts[..count].iter_mut().enumerate() {
            let blocks = part_of(all, count, i);
            let arrays = self.arrays.iter_mut().zip(&self.block_lens).zip(&mut part.arrays);
            arrays.for_each(|((whole, &len), part)| whole.lend(blocks.clone(), len, part));
            let saved = self.saved.iter_mut().flatten().zip(part.saved.iter_mut().flatten());
            saved.for_each(|(whole, part)| whole.lend(blocks.clone(), part));
            (part.mode, part.first) = (self.mode, blocks.start * lanes);
        }
        parts
    }

    /// Ends what [`Trace::lend`] began.
    pub(crate) fn take_back(&mut self, mut parts: Vec<Trace<R>>) {
        self.mode = parts[0].mode;
        for part in &mut parts {
            part.arrays.iter_mut().for_each(Blocked::give_back);
            part.saved.iter_mut().flatten().for_each(Saved::give_back);
        }
        self.parts = parts;
    }

    /// Images in the batch.
    pub fn batch(&self) -> usize {
        self.arrays[self.place[0]].batch()
    }

    /// Images per block.
    pub fn lanes(&self) -> usize {
        self.arrays[self.place[0]].lanes()
    }

    /// Changes the number of images; at most the plan's batch.
    pub fn set_batch(&mut self, n: usize) {
        self.arrays.iter_mut().for_each(|a| a.set_batch(n));
        self.saved.iter_mut().flatten().for_each(|s| s.set_batch(n));
    }

    /// How the pass ran.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The instruction set that the pass ran on.
    pub fn isa(&self) -> crate::kernels::Isa {
        self.isa
    }

    /// The kernels that the pass ran on.
    pub fn kernels(&self) -> &'static crate::kernels::Kernels<R> {
        R::kernels(self.isa, self.exact)
    }

    /// Names of the slots: "input", then every layer in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The input, to be filled before a forward pass.
    pub fn input_mut(&mut self) -> &mut Blocked<R> {
        &mut self.arrays[self.place[0]]
    }

    /// The array of slot `slot` (0 the input, i + 1 layer i). Errors: the plan did not keep it.
    pub fn slot(&self, slot: usize) -> Result<&Blocked<R>> {
        if !self.kept[slot] {
            return Err(Error::request(
                format!("the activation of \"{}\" was not kept", self.names[slot]),
                "run forward with a plan that keeps everything",
            ));
        }
        Ok(&self.arrays[self.place[slot]])
    }

    /// The array of slot `slot`, to be changed before [`crate::forward::forward_from`]. Errors: the plan did not keep it.
    pub fn slot_mut(&mut self, slot: usize) -> Result<&mut Blocked<R>> {
        self.slot(slot)?;
        Ok(&mut self.arrays[self.place[slot]])
    }

    /// The output of the last layer.
    pub fn output(&self) -> &Blocked<R> {
        &self.arrays[self.place[self.place.len() - 1]]
    }

    /// The activation of a layer, or the input, by name. Errors: an unknown name, or one that the plan did not keep.
    pub fn activation(&self, name: &str) -> Result<&Blocked<R>> {
        self.slot(self.slot_of(name)?)
    }

    /// An array that a layer saved, by the layer's name and its own. Errors: unknown names.
    pub fn saved(&self, layer: &str, array: &str) -> Result<&Saved<R>> {
        let slot = self.slot_of(layer)?;
        let none: &[&str] = &[];
        let names = if slot == 0 { none } else { &self.saved_names[slot - 1] };
        let at = names.iter().position(|n| *n == array);
        let at =
            at.ok_or_else(|| Error::unknown(&format!("saved array of \"{layer}\""), array, names.to_vec()))?;
        Ok(&self.saved[slot - 1][at])
    }

    /// Every saved array with the name of its layer and its own.
    pub fn all_saved(&self) -> impl Iterator<Item = (&str, &'static str, &Saved<R>)> {
        self.saved.iter().enumerate().flat_map(move |(i, saved)| {
            let names = &self.saved_names[i];
            saved.iter().zip(names).map(move |(array, name)| (self.names[i + 1].as_str(), *name, array))
        })
    }

    /// The slot of a name.
    pub fn slot_of(&self, name: &str) -> Result<usize> {
        let slot = self.names.iter().position(|n| n == name);
        slot.ok_or_else(|| Error::unknown("layer", name, self.names.iter().map(String::as_str)))
    }

    /// A copy of an activation as exported, [N, C, H, W] or [N, C]. Errors as [`Trace::activation`].
    pub fn export(&self, name: &str) -> Result<ArrayD<R>> {
        Ok(self.activation(name)?.to_exported())
    }

    /// Bytes held by activations and saved arrays.
    pub fn bytes(&self) -> usize {
        let arrays: usize = self.arrays.iter().map(|a| size_of_val(a.values())).sum();
        arrays + self.saved.iter().flatten().map(Saved::bytes).sum::<usize>()
    }
}
