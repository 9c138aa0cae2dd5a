//! Layer groups: a run of layers that a drawing stands for by its last activation.
//!
//! The layers that decide what a unit says (activations; in nets without any, convolutions and dense layers) are
//! candidates. A candidate is drawn unless the next one follows it in a plain chain at the same resolution: groups thus
//! end at pools, strides, flattening, forks and joins, and before the logits. What a skip connects is always drawn.

use glassbox_engine::Graph;

/// A group of layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The slot that stands for it.
    pub slot: usize,
    /// Its layers: what lies between the groups before it and its own slot.
    pub layers: Vec<String>,
}

/// Kinds that decide what a unit says.
const ACTIVATIONS: [&str; 7] = ["elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "tanh"];

/// The groups of a net, in execution order; the logits are always the last.
pub fn groups(graph: &Graph) -> Vec<Group> {
    let slots = representatives(graph);
    let mut owner: Vec<Option<usize>> = vec![None; graph.nodes().len() + 1];
    for &slot in &slots {
        claim(graph, &slots, &mut owner, slot);
    }
    let layers = |slot| {
        let own = (1..owner.len()).filter(|&s| owner[s] == Some(slot));
        own.map(|s| graph.names()[s].clone()).collect()
    };
    slots.iter().map(|&slot| Group { slot, layers: layers(slot) }).collect()
}

/// Gives `slot`, and all that leads to it from other groups, to the group of `slot`, unless another has it.
fn claim(graph: &Graph, slots: &[usize], owner: &mut [Option<usize>], slot: usize) {
    let mut open = vec![slot];
    while let Some(at) = open.pop() {
        if at == 0 || owner[at].is_some() || (at != slot && slots.contains(&at)) {
            continue;
        }
        owner[at] = Some(slot);
        open.extend(&graph.nodes()[at - 1].inputs);
    }
}

/// The slots that are drawn, ascending.
fn representatives(graph: &Graph) -> Vec<usize> {
    let logits = graph.logits();
    let of = |kinds: &[&str]| -> Vec<usize> {
        (1..logits).filter(|&s| kinds.contains(&graph.nodes()[s - 1].layer.kind().name)).collect()
    };
    let mut candidates = of(&ACTIVATIONS);
    if candidates.is_empty() {
        candidates = of(&["conv", "conv_transpose", "dense"]);
    }
    candidates.push(logits);
    let last = |slot: &usize| next(graph, &candidates, *slot).is_none_or(|after| after == logits);
    candidates.iter().copied().filter(last).collect()
}

/// The next candidate, if a plain chain of one resolution leads to it.
fn next(graph: &Graph, candidates: &[usize], slot: usize) -> Option<usize> {
    let mut at = slot;
    loop {
        let [(reader, _)] = graph.readers(at) else { return None };
        let same = |s: usize| (graph.shape(s).spatial(), graph.shape(s).flat);
        at = reader + 1;
        if graph.nodes()[*reader].inputs.len() != 1 || same(at) != same(slot) {
            return None;
        }
        if candidates.contains(&at) {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glassbox_engine::graph::models;

    fn drawn(name: &str) -> Vec<String> {
        let graph = models::named(name).unwrap();
        groups(&graph).into_iter().map(|g| graph.names()[g.slot].clone()).collect()
    }

    #[test]
    fn chains_are_grouped_between_pools_and_residual_nets_at_every_fork_and_join() {
        assert_eq!(drawn("lenet"), ["relu1", "relu2", "relu4", "fc3"]);
        assert_eq!(drawn("gap-small"), ["relu1", "relu2", "relu3", "fc"]);
        let residual = ["relu1", "relu2", "relu3", "relu4", "relu5", "relu6", "fc"];
        assert_eq!(drawn("resnet-small"), residual);
    }

    #[test]
    fn every_layer_up_to_the_logits_has_one_group() {
        for model in models::MODELS {
            let graph = models::named(model.name).unwrap();
            let mut all: Vec<String> = groups(&graph).into_iter().flat_map(|g| g.layers).collect();
            all.sort();
            let mut want = graph.names()[1..=graph.logits()].to_vec();
            want.sort();
            assert_eq!(all, want, "{}", model.name);
        }
    }
}
