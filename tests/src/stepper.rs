//! A training step put together from the engine's parts, without its trainer: forward, loss, walk, optimiser, statistics.

use glassbox_engine::forward::{fold_statistics, forward_into};
use glassbox_engine::graph::{Graph, Keep, Plan};
use glassbox_engine::loss::{Cost, Loss, Targets};
use glassbox_engine::optim::Optimizer;
use glassbox_engine::trace::Mode;
use glassbox_engine::{Params, Real, RuleSet, Signals, Trace, Walk, walk};

/// All that a training step needs, allocated once.
#[derive(Debug)]
pub struct Stepper<R: Real> {
    /// The net.
    pub graph: Graph,
    /// What it has learned so far.
    pub params: Params<R>,
    /// The last forward pass; its input is filled by the caller.
    pub trace: Trace<R>,
    /// The last walk.
    pub signals: Signals<R>,
    /// The last gradients.
    pub grads: Params<R>,
    optimizer: Box<dyn Optimizer<R>>,
    rules: RuleSet<R>,
    step: u64,
}

impl<R: Real> Stepper<R> {
    /// For batches of up to `n` images.
    pub fn new(graph: Graph, params: Params<R>, n: usize, optimizer: Box<dyn Optimizer<R>>) -> Self {
        let plan = Plan::new(&graph, n, Keep::Everything);
        Self::planned(graph, params, &plan, optimizer)
    }

    /// In the buffers of a plan, on its kernels.
    pub fn planned(graph: Graph, params: Params<R>, plan: &Plan, optimizer: Box<dyn Optimizer<R>>) -> Self {
        let (trace, signals) = (plan.trace(&graph), plan.signals(&graph));
        let grads = Params::zeros(graph.layout().clone());
        let rules = RuleSet::gradient();
        Self { graph, params, trace, signals, grads, optimizer, rules, step: 0 }
    }

    /// One step on the batch that lies in the trace's input.
    pub fn step(&mut self, loss: &dyn Loss<R>, classes: &[u32], lr: f64) -> Cost {
        let mode = Mode::Train { seed: 11, step: self.step };
        let top = self.graph.nodes().len();
        forward_into(&self.graph, &self.params, mode, &mut self.trace);
        let seed = self.signals.seed_mut(&self.graph, &self.trace, top);
        let cost = loss.cost(self.trace.output().view(), Targets::Classes(classes), Some(seed));
        let how = Walk {
            from: top,
            rules: &self.rules,
            gradients: Some(&mut self.grads),
            to_input: false,
            through_softmax: false,
        };
        walk(&self.graph, &self.params, &self.trace, &mut self.signals, how)
            .unwrap_or_else(|e| panic!("{e}"));
        self.optimizer.step(self.params.learnable_mut(), self.grads.learnable(), lr);
        fold_statistics(&self.graph, &mut self.params, &self.trace);
        self.step += 1;
        cost.unwrap_or_else(|e| panic!("{e}"))
    }
}
