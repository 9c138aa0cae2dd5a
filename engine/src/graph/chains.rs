//! Runs of layers that are plane-by-plane steps one after another, each reading only the one before: they can take each
//! plane through all of them while it is in the cache.

use super::Graph;
use crate::kernels::planes::LONGEST;

/// For each layer the end (one past the last layer) of the chain that it is in; its own where it is in none.
pub fn ends(graph: &Graph) -> Vec<usize> {
    let count = graph.nodes().len();
    let mut ends: Vec<usize> = alone(count);
    let mut first = 0;
    while first < count {
        let mut end = first + 1;
        while end < count && end - first < LONGEST && follows(graph, first, end) {
            end += 1;
        }
        ends[first..end].fill(end);
        first = end;
    }
    ends
}

/// No chains.
pub fn alone(layers: usize) -> Vec<usize> {
    (1..=layers).collect()
}

/// Whether layer `i` goes on with the planes that the layer before it wrote, in a chain that starts at `first`.
fn follows(graph: &Graph, first: usize, i: usize) -> bool {
    let (before, node) = (&graph.nodes()[i - 1], &graph.nodes()[i]);
    let same_planes = graph.shape(graph.nodes()[first].inputs[0]).c == graph.shape(i).c;
    let steps = before.facts.plane.zip(node.facts.plane);
    node.inputs == [i] && same_planes && steps.is_some_and(|(before, step)| before.output == step.input)
}
