//! Running whole nets: a batch in, a trace and the signals of a walk out.

use crate::compare::blocked;
use glassbox_engine::forward::{forward_into, set_input};
use glassbox_engine::graph::{Graph, Keep, Plan};
use glassbox_engine::kernels::Isa;
use glassbox_engine::layers::{BatchNorm, Conv, Dense, Dropout, Flatten, MaxPool, Relu};
use glassbox_engine::trace::Mode;
use glassbox_engine::{Blocked, Params, Real, RuleSet, Signals, Trace, Walk, walk};
use ndarray::ArrayD;

/// A net with its parameters and how it is run.
#[derive(Clone, Debug)]
pub struct Net<R: Real> {
    /// The layers.
    pub graph: Graph,
    /// What it learned.
    pub params: Params<R>,
    /// Images per block.
    pub lanes: usize,
    /// Which activations are kept.
    pub keep: Keep,
}

impl<R: Real> Net<R> {
    /// A net that keeps everything, in blocks of `lanes`.
    pub fn new(graph: Graph, params: Params<R>, lanes: usize) -> Self {
        Self { graph, params, lanes, keep: Keep::Everything }
    }

    /// Sizes for a batch.
    pub fn plan(&self, n: usize) -> Plan {
        Plan::with(&self.graph, n, self.lanes, Isa::detect(), self.keep)
    }

    /// Runs a batch as exported.
    pub fn forward(&self, x: &ArrayD<f64>, mode: Mode) -> Trace<R> {
        let mut trace = self.plan(x.shape()[0]).trace(&self.graph);
        set_input(&self.graph, &mut trace, &blocked(x, self.lanes)).unwrap_or_else(|e| panic!("{e}"));
        forward_into(&self.graph, &self.params, mode, &mut trace);
        trace
    }

    /// Walks from slot `from`, whose seed `seed` writes, down to the input; parameter gradients too.
    pub fn walk(
        &self,
        trace: &Trace<R>,
        from: usize,
        rules: &RuleSet<R>,
        seed: impl FnOnce(&mut Blocked<R>),
    ) -> (Signals<R>, Params<R>) {
        let mut signals = self.plan(trace.batch()).signals(&self.graph);
        seed(signals.seed_mut(&self.graph, trace, from));
        let mut grads = Params::zeros(self.graph.layout().clone());
        let how = Walk { from, rules, gradients: Some(&mut grads), to_input: true, through_softmax: true };
        walk(&self.graph, &self.params, trace, &mut signals, how).unwrap_or_else(|e| panic!("{e}"));
        (signals, grads)
    }

    /// The slot of the output.
    pub fn top(&self) -> usize {
        self.graph.nodes().len()
    }
}

/// Writes one value of image `i` in a blocked array: channel `c`, flat place `p`.
pub fn put<R: Real>(array: &mut Blocked<R>, i: usize, c: usize, p: usize, value: f64) {
    let (lanes, shape) = (array.lanes(), array.shape());
    let at = (i / lanes * shape.size() + c * shape.plane() + p) * lanes + i % lanes;
    array.values_mut()[at] = R::of(value);
}

/// A small net with all that makes training depend on order: dropout, batch-norm, pooling, two dense layers.
pub fn small() -> Graph {
    let graph = Graph::builder("small", [2, 11, 9])
        .layer("conv1", Conv::new(6, 3).pad(1))
        .layer("bn1", BatchNorm::default())
        .layer("relu1", Relu)
        .layer("pool1", MaxPool::new(3).stride(2))
        .layer("conv2", Conv::new(8, 3))
        .layer("relu2", Relu)
        .layer("drop1", Dropout { p: 0.3 })
        .layer("flatten", Flatten)
        .layer("fc1", Dense::new(20))
        .layer("relu3", Relu)
        .layer("drop2", Dropout { p: 0.5 })
        .layer("fc2", Dense::new(5))
        .build();
    graph.unwrap_or_else(|e| panic!("{e}"))
}
