//! The walk: a signal seeded at one layer, pulled back through a trace to the input, one array per edge.
//!
//! With the gradient rule it is backpropagation; with other rules it is DeconvNet, guided backpropagation or relevance
//! propagation. Where several layers read one array, their signals are added in execution order, so the same walk gives
//! the same bits.

use crate::array::{Blocked, View};
use crate::error::{Error, Result};
use crate::forward::at;
use crate::graph::Graph;
use crate::kernels::par;
use crate::kernels::planes::Chain;
use crate::layers::{Needs, switches};
use crate::params::Params;
use crate::real::Real;
use crate::rules::{RoleKind, RuleSet};
use crate::signals::{Lies, Signals, make_edges, room, signal};
use crate::trace::Trace;
use std::ops::Range;

/// What a walk does besides pulling signals down.
#[derive(Debug)]
pub struct Walk<'a, R: Real> {
    /// Where the signal starts: a slot, whose seed lies in [`Signals::seed_mut`].
    pub from: usize,
    /// Which rule holds where.
    pub rules: &'a RuleSet<R>,
    /// Receives the gradients of the parameters of every layer that the signal passes.
    pub gradients: Option<&'a mut Params<R>>,
    /// Whether the signal is wanted at the net's input; training does not need it.
    pub to_input: bool,
    /// Whether the signal may start above a softmax.
    pub through_softmax: bool,
}

/// Pulls the seed at `walk.from` down to the input. Allocates nothing once a walk of the same batch has been done.
///
/// Gradients of parameters that the signal does not reach become zero.
///
/// Errors: a softmax in the way, unless allowed; a rule that is not defined for a layer; a rule set that names a layer
/// that is not there; a trace that did not keep what a layer's rule reads.
pub fn walk<R: Real>(
    graph: &Graph,
    params: &Params<R>,
    trace: &Trace<R>,
    signals: &mut Signals<R>,
    walk: Walk<'_, R>,
) -> Result<()> {
    walk_to(graph, params, trace, signals, walk, 0)
}

/// Pulls the seed at `walk.from` down to slot `to` and no further; what lies below costs nothing.
///
/// Errors: as [`walk`].
pub fn walk_to<R: Real>(
    graph: &Graph,
    params: &Params<R>,
    trace: &Trace<R>,
    signals: &mut Signals<R>,
    walk: Walk<'_, R>,
    to: usize,
) -> Result<()> {
    let Walk { from, rules, mut gradients, to_input, through_softmax } = walk;
    rules.check(graph)?;
    signals.lies.fill(Lies::Nowhere);
    room(&mut signals.sums[from], graph, trace, from);
    signals.lies[from] = Lies::Sum;
    if let Some(gradients) = gradients.as_deref_mut() {
        for i in (0..to).chain(from..graph.nodes().len()) {
            gradients.of_layer_mut(i).fill(R::zero());
        }
    }
    let mut next = from;
    while next > to {
        next -= 1;
        let i = next;
        gather(graph, trace, signals, i + 1, from);
        let node = &graph.nodes()[i];
        if signals.lies[i + 1] == Lies::Nowhere {
            if let Some(gradients) = gradients.as_deref_mut() {
                gradients.of_layer_mut(i).fill(R::zero());
            }
            continue;
        }
        let rule = rules.rule_for(graph, i);
        check_kept(
            graph,
            trace,
            i,
            rule.map_or(node.facts.needs, |r| r.reads(&*node.layer)),
            gradients.is_some(),
        )?;
        let kind = RoleKind::of(&R::compute(&*node.layer).role());
        if kind == RoleKind::Softmax && !through_softmax {
            return Err(Error::layer(
                node.name.as_str(),
                "an explanation would start above a softmax, where classes push each other down",
                "start at the logits below it, or ask for probabilities explicitly",
            ));
        }
        let first = chain_start(graph, trace, rules, i, to, to_input);
        if first < i {
            pull_chain(graph, trace, signals, first..i + 1);
            next = first;
            continue;
        }
        let at = at(graph, params, trace, i);
        let (low, high) = signals.edges.split_at_mut(i + 1);
        let signal = signal(signals.lies[i + 1], high, &signals.sums, i + 1);
        if let Some(gradients) = gradients.as_deref_mut() {
            at.layer.pull_params(&at, signal, gradients.of_layer_mut(i), &mut signals.scratch);
        }
        if !to_input && node.inputs.iter().all(|&slot| slot == 0) {
            continue;
        }
        let out = &mut low[i];
        make_edges(out, graph, trace, i);
        match rule {
            Some(rule) => rule.pull(&at, signal, out, &mut signals.scratch)?,
            None => at.layer.pull(&at, signal, out, &mut signals.scratch),
        }
    }
    if to_input || to > 0 {
        gather(graph, trace, signals, to, from);
    }
    Ok(())
}

#[cfg(feature = "train")]
impl<R: Real> Signals<R> {
    /// Writes the gradients of all parameters, after a walk that did not; zeros where it did not come.
    ///
    /// Errors: the plan did not keep an array that is read.
    pub(crate) fn pull_params(
        &mut self,
        graph: &Graph,
        params: &Params<R>,
        trace: &Trace<R>,
        gradients: &mut Params<R>,
    ) -> Result<()> {
        for (i, node) in graph.nodes().iter().enumerate().rev().filter(|(_, n)| !n.facts.params.is_empty()) {
            if self.lies[i + 1] == Lies::Nowhere {
                gradients.of_layer_mut(i).fill(R::zero());
                continue;
            }
            check_kept(graph, trace, i, node.facts.needs, true)?;
            let at = at(graph, params, trace, i);
            let signal = signal(self.lies[i + 1], &self.edges[i + 1..], &self.sums, i + 1);
            at.layer.pull_params(&at, signal, gradients.of_layer_mut(i), &mut self.scratch);
        }
        Ok(())
    }
}

/// The first of the layers up to `i` that can be pulled together with it: plane-by-plane steps that pass by the gradient,
/// each read by the next alone. Slots below `to` are not wanted, the net's input only with `to_input`.
fn chain_start<R: Real>(
    graph: &Graph,
    trace: &Trace<R>,
    rules: &RuleSet<R>,
    i: usize,
    to: usize,
    to_input: bool,
) -> usize {
    let end = trace.chain_ends[i];
    let mut first = i;
    while first > to
        && trace.chain_ends[first - 1] == end
        && graph.nodes()[first - 1].facts.plane.is_some()
        && rules.rule_for(graph, first).is_none()
        && rules.rule_for(graph, first - 1).is_none()
        && graph.readers(first).len() == 1
        && (to_input || graph.nodes()[first - 1].inputs != [0])
        && check_kept(graph, trace, first - 1, graph.nodes()[first - 1].facts.needs, false).is_ok()
    {
        first -= 1;
    }
    first
}

/// Pulls a signal back through layers that are plane-by-plane steps together, see [`crate::kernels::planes`].
fn pull_chain<R: Real>(graph: &Graph, trace: &Trace<R>, signals: &mut Signals<R>, layers: Range<usize>) {
    let (low, high) = signals.edges.split_at_mut(layers.end);
    let signal = signal(signals.lies[layers.end], high, &signals.sums, layers.end);
    let planes = signal.blocks() * graph.shape(graph.nodes()[layers.start].inputs[0]).c;
    let mut chain = Chain::new(planes, signal.lanes);
    for (i, out) in low.iter_mut().enumerate().skip(layers.start).rev() {
        make_edges(out, graph, trace, i);
        let Some(step) = graph.nodes()[i].facts.plane else { unreachable!("a chain is made of steps") };
        let y = trace.arrays[trace.place[i + 1]].values();
        chain = chain.pull(step, y, switches(&trace.saved[i]), out[0].values_mut());
    }
    chain.run_pull(&trace.kernels().planes, signal.data);
    for slot in layers.start + 1..layers.end {
        signals.lies[slot] = Lies::Edge(slot, 0);
    }
}

/// Refuses a trace that did not keep what the pull-back of layer `i` reads.
fn check_kept<R: Real>(graph: &Graph, trace: &Trace<R>, i: usize, reads: Needs, learns: bool) -> Result<()> {
    let node = &graph.nodes()[i];
    if reads.inputs || learns && !node.facts.params.is_empty() {
        node.inputs.iter().try_for_each(|&slot| trace.slot(slot).map(|_| ()))?;
    }
    if reads.output { trace.slot(i + 1).map(|_| ()) } else { Ok(()) }
}

/// Finds or adds up the signal at a slot, from the layers that read it.
fn gather<R: Real>(graph: &Graph, trace: &Trace<R>, signals: &mut Signals<R>, slot: usize, from: usize) {
    if slot == from {
        return;
    }
    let reached = |signals: &Signals<R>, layer: usize| signals.lies[layer + 1] != Lies::Nowhere;
    let mut live = graph.readers(slot).iter().filter(|&&(layer, _)| layer < from && reached(signals, layer));
    let (first, second) = (live.next().copied(), live.next().copied());
    signals.lies[slot] = match (first, second) {
        (None, _) => Lies::Nowhere,
        (Some((layer, input)), None) => Lies::Edge(layer, input),
        (Some(_), Some(_)) => {
            let mut sum = std::mem::take(room(&mut signals.sums[slot], graph, trace, slot));
            sum.fill(R::zero());
            for &(layer, input) in graph.readers(slot) {
                if layer < from && reached(signals, layer) {
                    add(&mut sum, signals.edges[layer][input].view());
                }
            }
            signals.sums[slot] = Some(sum);
            Lies::Sum
        }
    };
}

/// Values per job.
const GRAIN: usize = 1 << 14;

fn add<R: Real>(sum: &mut Blocked<R>, part: View<'_, R>) {
    par::chunks(sum.values_mut(), GRAIN, |job, sum| {
        for (sum, &part) in sum.iter_mut().zip(&part.data[job * GRAIN..]) {
            *sum += part;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::{forward, forward_from};
    use crate::graph::{Init, Keep, Plan};
    use crate::layers::{Add, Conv, MaxPool, Relu};
    use crate::trace::Mode;
    use ndarray::Array4;

    #[test]
    fn parts_of_a_pass_and_of_a_walk_give_the_bits_of_the_whole() {
        let graph = Graph::builder("skip", [1, 6, 6])
            .layer("conv1", Conv::new(3, 3).pad(1))
            .layer("relu1", Relu)
            .layer("conv2", Conv::new(3, 3).pad(1))
            .layer_from("add", Add, &["conv2", "relu1"])
            .layer("pool", MaxPool::new(3).stride(1))
            .build()
            .unwrap();
        let params: Params<f64> = graph.init(Init::He, 3);
        let x = Array4::from_shape_fn((2, 1, 6, 6), |(n, _, h, w)| ((n * 36 + h * 6 + w) as f64 * 1.7).sin());
        let mut trace = forward(&graph, &params, &Blocked::from_array4(x.view(), 1), Mode::Eval).unwrap();
        assert_eq!(graph.frontier(3), [2, 3]);
        let whole = trace.output().to_array4();
        trace.slot_mut(5).unwrap().fill(f64::NAN);
        forward_from(&graph, &params, &mut trace, 3).unwrap();
        assert_eq!(trace.output().to_array4(), whole);

        let plan = Plan::new(&graph, 2, Keep::Everything);
        let rules = RuleSet::gradient();
        let signal_at = |to: usize, slot: usize| {
            let mut signals = plan.signals(&graph);
            signals.seed_mut(&graph, &trace, 5).fill(0.5);
            let how =
                Walk { from: 5, rules: &rules, gradients: None, to_input: true, through_softmax: false };
            walk_to(&graph, &params, &trace, &mut signals, how, to).unwrap();
            signals.slot(slot).map(Blocked::to_array4)
        };
        assert_eq!(signal_at(2, 2), signal_at(0, 2));
        assert!(signal_at(2, 2).is_some() && signal_at(2, 1).is_none());
    }

    #[test]
    fn what_was_not_kept_is_refused_and_what_is_not_reached_has_no_gradient() {
        let graph = Graph::builder("two", [1, 5, 5])
            .layer("conv1", Conv::new(2, 3))
            .layer("relu1", Relu)
            .layer("conv2", Conv::new(2, 2))
            .layer("relu2", Relu)
            .layer("conv3", Conv::new(2, 1))
            .build()
            .unwrap();
        let params: Params<f64> = graph.init(Init::He, 3);
        let mut gradients = Params::zeros(graph.layout().clone());
        gradients.slab_mut().fill(7.0);
        let mut run = |keep: Keep, rules: RuleSet<f64>, from: usize| {
            let plan = Plan::new(&graph, 2, keep);
            let (mut trace, mut signals) = (plan.trace(&graph), plan.signals(&graph));
            trace.input_mut().fill(0.3);
            crate::forward::forward_into(&graph, &params, Mode::Eval, &mut trace);
            signals.seed_mut(&graph, &trace, from).fill(1.0);
            let gradients = Some(&mut gradients);
            let how = Walk { from, rules: &rules, gradients, to_input: true, through_softmax: false };
            walk(&graph, &params, &trace, &mut signals, how)
        };
        run(Keep::ForWalk, RuleSet::guided(), 3).unwrap();
        let text = run(Keep::Nothing, RuleSet::gradient(), 5).unwrap_err().to_string();
        assert!(text.contains("was not kept"), "{text}");
        run(Keep::Everything, RuleSet::gradient(), 3).unwrap();
        assert!(gradients.get("conv3.weight").unwrap().iter().all(|&g| g == 0.0));
        assert!(gradients.get("conv2.bias").unwrap().iter().all(|&g| g != 0.0));
    }
}
