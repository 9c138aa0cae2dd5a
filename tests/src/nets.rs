//! Running whole nets: a batch in, a trace and the signals of a walk out.

use crate::compare::{bits, blocked, shuffled};
use glassbox_engine::forward::{forward_into, set_input};
use glassbox_engine::graph::{Graph, Keep, Plan};
use glassbox_engine::kernels::Isa;
use glassbox_engine::layers::{BatchNorm, Conv, Dense, Dropout, Flatten, MaxPool, Relu};
use glassbox_engine::trace::{Mode, Saved};
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
    /// Instruction set.
    pub isa: Isa,
    /// Whether every layer runs on its own.
    pub separate: bool,
    /// Whether convolutions keep to the direct kernels.
    pub exact: bool,
}

impl<R: Real> Net<R> {
    /// A net that keeps everything, in blocks of `lanes`.
    pub fn new(graph: Graph, params: Params<R>, lanes: usize) -> Self {
        Self {
            graph,
            params,
            lanes,
            keep: Keep::Everything,
            isa: Isa::detect(),
            separate: false,
            exact: true,
        }
    }

    /// Sizes for a batch.
    pub fn plan(&self, n: usize) -> Plan {
        let plan = Plan::with(&self.graph, n, self.lanes, self.isa, self.keep).exact(self.exact);
        if self.separate { plan.separate() } else { plan }
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

    /// Bits of all that a forward pass and a walk from the output store: kept activations, saved arrays, the signal at
    /// every edge, gradients of parameters.
    pub fn stored(&self, x: &ArrayD<f64>, mode: Mode, rules: &RuleSet<R>) -> Vec<(String, Vec<u64>)> {
        let trace = self.forward(x, mode);
        let (signals, grads) = self.walk(&trace, self.top(), rules, |seed| {
            let weight = shuffled(&self.graph.output().exported(x.shape()[0]), 2);
            *seed = blocked(&weight, self.lanes);
        });
        let mut stored = vec![("gradients".to_string(), bits(grads.slab()))];
        for (slot, name) in self.graph.names().iter().enumerate() {
            stored.extend(trace.slot(slot).ok().map(|a| (format!("activation of {name}"), bits(a.values()))));
        }
        for (layer, name, saved) in trace.all_saved() {
            let values = match saved {
                Saved::Switches(a) => a.values().iter().map(|&v| u64::from(v)).collect(),
                Saved::Mask(a) => a.values().iter().map(|&v| u64::from(v)).collect(),
                Saved::Values(a) => bits(a.values()),
                Saved::Channels(a) => bits(a),
            };
            stored.push((format!("{name} of {layer}"), values));
        }
        for (i, node) in self.graph.nodes().iter().enumerate() {
            let edges = (0..node.inputs.len()).filter_map(|at| signals.edge(i, at));
            stored.extend(edges.map(|a| (format!("signal below {}", node.name), bits(a.values()))));
        }
        stored
    }

    /// Panics where layers that run together store other bits than layers that run on their own.
    pub fn check_together(&self, x: &ArrayD<f64>, mode: Mode, rules: &RuleSet<R>) {
        let run = |separate| Net { separate, ..self.clone() }.stored(x, mode, rules);
        let (together, apart) = (run(false), run(true));
        assert_eq!(together.len(), apart.len());
        for ((what, together), (_, apart)) in together.iter().zip(&apart) {
            let how = (self.graph.name(), what, self.isa.name(), self.exact, self.keep, mode);
            assert!(together == apart, "{how:?} differs from that of layers on their own");
        }
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
