//! The forward pass: input and parameters in, a trace of everything out.

use crate::array::Blocked;
use crate::error::{Error, Result};
use crate::graph::{Graph, Keep, Plan};
use crate::kernels::planes::{Chain, LONGEST};
use crate::layers::{At, Forward, switches_mut};
use crate::params::Params;
use crate::real::Real;
use crate::rng;
use crate::trace::{Inputs, Mode, Saved, Trace};
use std::ops::Range;

/// Runs a net on a batch and returns everything that happened. Errors: an input of another shape.
pub fn forward<R: Real>(
    graph: &Graph,
    params: &Params<R>,
    input: &Blocked<R>,
    mode: Mode,
) -> Result<Trace<R>> {
    let plan =
        Plan::with(graph, input.batch(), input.lanes(), crate::kernels::Isa::detect(), Keep::Everything);
    let mut trace = plan.trace(graph);
    set_input(graph, &mut trace, input)?;
    forward_into(graph, params, mode, &mut trace);
    Ok(trace)
}

/// Copies a batch into a trace, ready for [`forward_into`]. Errors: another shape, or another number of lanes.
pub fn set_input<R: Real>(graph: &Graph, trace: &mut Trace<R>, input: &Blocked<R>) -> Result<()> {
    if input.shape() != graph.input() {
        return Err(Error::request(
            format!("the input is {}, but model \"{}\" takes {}", input.shape(), graph.name(), graph.input()),
            "give images of that shape, or change `input` in the model",
        ));
    }
    if input.lanes() != trace.lanes() {
        return Err(Error::request(
            format!("the input has blocks of {}, the trace of {}", input.lanes(), trace.lanes()),
            "make both with the same number of lanes",
        ));
    }
    trace.set_batch(input.batch());
    trace.input_mut().values_mut().copy_from_slice(input.values());
    Ok(())
}

/// Runs a net on the input that lies in the trace, and overwrites the rest of it. Allocates nothing.
pub fn forward_into<R: Real>(graph: &Graph, params: &Params<R>, mode: Mode, trace: &mut Trace<R>) {
    trace.mode = mode;
    if trace.split() > 1 {
        trace.apart(|part| run(graph, params, part, 0));
    } else {
        run(graph, params, trace, 0);
    }
}

/// Runs only the layers after slot `from`, in evaluation, on what lies in the trace at that slot and at the earlier
/// ones that they read ([`Graph::frontier`]); a changed activation thus shows its effect. Allocates nothing.
///
/// Errors: the plan did not keep an array that is read.
pub fn forward_from<R: Real>(
    graph: &Graph,
    params: &Params<R>,
    trace: &mut Trace<R>,
    from: usize,
) -> Result<()> {
    for slot in graph.frontier(from) {
        trace.slot(slot)?;
    }
    trace.mode = Mode::Eval;
    run(graph, params, trace, from);
    Ok(())
}

fn run<R: Real>(graph: &Graph, params: &Params<R>, trace: &mut Trace<R>, from: usize) {
    let mut next = from;
    while next < graph.nodes().len() {
        let end = trace.chain_ends[next];
        if graph.nodes()[next].facts.plane.is_some() {
            run_chain(graph, trace, next..end);
        } else {
            run_layer(graph, params, trace, next, end);
        }
        next = end;
    }
}

/// Runs a layer, and those after it up to `end`, which are plane-by-plane steps that go on with its planes.
fn run_layer<R: Real>(graph: &Graph, params: &Params<R>, trace: &mut Trace<R>, i: usize, end: usize) {
    let (node, place, kernels) = (&graph.nodes()[i], trace.place[i + 1], trace.kernels());
    let mut output = std::mem::take(&mut trace.arrays[place]);
    output.reshape(node.facts.output);
    let mut outputs = outputs(graph, trace, i + 1..end);
    let (saved, saved_above) = trace.saved.split_at_mut(i + 1);
    let planes = output.view().blocks() * node.facts.output.c;
    let then = (end > i + 1).then(|| {
        let chain = Chain::new(planes, output.lanes());
        chain_of(graph, i + 1..end, chain, &mut outputs, saved_above).then(&kernels.planes)
    });
    R::compute(&*node.layer).forward(Forward {
        inputs: Inputs { arrays: &trace.arrays, which: &trace.input_places[i] },
        output: &mut output,
        saved: &mut saved[i],
        params: params.of_layer(i),
        mode: trace.mode,
        key: rng::key(&node.name),
        first: trace.first,
        kernels,
        scratch: &mut trace.scratch,
        then,
    });
    trace.arrays[place] = output;
    put_back(trace, i + 1..end, outputs);
}

/// Runs layers that are plane-by-plane steps together, see [`crate::kernels::planes`].
fn run_chain<R: Real>(graph: &Graph, trace: &mut Trace<R>, layers: Range<usize>) {
    let kernels = trace.kernels();
    let mut outputs = outputs(graph, trace, layers.clone());
    let x = trace.arrays[trace.input_places[layers.start][0]].view();
    let chain = Chain::new(x.blocks() * x.shape.c, x.lanes);
    let saved = &mut trace.saved[layers.start..];
    chain_of(graph, layers.clone(), chain, &mut outputs, saved).run_forward(&kernels.planes, x.data);
    put_back(trace, layers, outputs);
}

/// The outputs of a few layers, taken out of the trace to be written.
fn outputs<R: Real>(graph: &Graph, trace: &mut Trace<R>, layers: Range<usize>) -> [Blocked<R>; LONGEST] {
    let mut outputs: [Blocked<R>; LONGEST] = Default::default();
    for (output, i) in outputs.iter_mut().zip(layers) {
        *output = std::mem::take(&mut trace.arrays[trace.place[i + 1]]);
        output.reshape(graph.shape(i + 1));
    }
    outputs
}

fn put_back<R: Real>(trace: &mut Trace<R>, layers: Range<usize>, outputs: [Blocked<R>; LONGEST]) {
    for (output, i) in outputs.into_iter().zip(layers) {
        trace.arrays[trace.place[i + 1]] = output;
    }
}

/// The steps of some layers, which write `outputs` and, from the first of them on, `saved`.
fn chain_of<'a, R: Real>(
    graph: &Graph,
    layers: Range<usize>,
    mut chain: Chain<'a, R>,
    outputs: &'a mut [Blocked<R>],
    saved: &'a mut [Vec<Saved<R>>],
) -> Chain<'a, R> {
    for (i, (output, saved)) in layers.zip(outputs.iter_mut().zip(saved)) {
        let Some(step) = graph.nodes()[i].facts.plane else { unreachable!("a chain is made of steps") };
        chain = chain.forward(step, output.values_mut(), switches_mut(saved));
    }
    chain
}

/// Layer `i` in its place in a trace.
pub fn at<'a, R: Real>(graph: &'a Graph, params: &'a Params<R>, trace: &'a Trace<R>, i: usize) -> At<'a, R> {
    let node = &graph.nodes()[i];
    At {
        name: &node.name,
        layer: R::compute(&*node.layer),
        inputs: Inputs { arrays: &trace.arrays, which: &trace.input_places[i] },
        output: trace.arrays[trace.place[i + 1]].view(),
        saved: &trace.saved[i],
        params: params.of_layer(i),
        mode: trace.mode,
        kernels: trace.kernels(),
    }
}

/// Moves running statistics by what a forward pass in training mode saved.
pub fn fold_statistics<R: Real>(graph: &Graph, params: &mut Params<R>, trace: &Trace<R>) {
    for (i, node) in graph.nodes().iter().enumerate() {
        if node.facts.params.iter().all(|p| p.role.learnable()) {
            continue;
        }
        // what the layer read while it ran is in the trace; its parameters are only written here
        let inputs = Inputs { arrays: &trace.arrays, which: &trace.input_places[i] };
        let layer = R::compute(&*node.layer);
        layer.fold_statistics(inputs, &trace.saved[i], params.of_layer_mut(i));
    }
}
