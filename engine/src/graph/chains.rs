//! Runs of layers that are plane-by-plane steps one after another, each reading only the one before: they can take each
//! plane through all of them while it is in the cache. A layer that feeds planes, a convolution, may head a run.

use super::Graph;
use crate::kernels::planes::LONGEST;

/// For each layer the end (one past the last layer) of the run that it is in; its own where it is in none.
pub fn ends(graph: &Graph) -> Vec<usize> {
    let count = graph.nodes().len();
    let mut ends: Vec<usize> = alone(count);
    let mut first = 0;
    while first < count {
        let longest = LONGEST + usize::from(graph.nodes()[first].facts.feeds);
        let mut end = first + 1;
        while end < count && end - first < longest && follows(graph, first, end) {
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

/// Whether layer `i` goes on with the planes that the layer before it wrote, in a run that starts at `first`.
fn follows(graph: &Graph, first: usize, i: usize) -> bool {
    let (head, before, node) = (&graph.nodes()[first], &graph.nodes()[i - 1], &graph.nodes()[i]);
    let planes = if head.facts.feeds { graph.shape(first + 1).c } else { graph.shape(head.inputs[0]).c };
    let Some(step) = node.facts.plane else { return false };
    let fits = match before.facts.plane {
        Some(before) => before.output == step.input,
        None => before.facts.feeds,
    };
    node.inputs == [i] && planes == graph.shape(i).c && fits
}
