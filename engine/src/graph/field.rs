//! Receptive fields: which input pixels a unit can see.

use super::Graph;
use crate::layers::Sight;
use std::ops::Range;

/// Receptive field of a slot's units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Rows and columns seen, before clipping at the image's edge; never more than clipped where a layer sees all.
    pub size: [usize; 2],
    /// Input pixels between the fields of neighbouring units; 0 where every unit sees the whole image.
    pub jump: [usize; 2],
}

/// The input rows and columns that unit (y, x) of a slot can see, `[rows, columns]`; they may reach into the padding.
pub fn of_unit(graph: &Graph, slot: usize, [y, x]: [usize; 2]) -> [Range<isize>; 2] {
    let mut seen: Vec<Option<[Range<isize>; 2]>> = vec![None; slot + 1];
    seen[slot] = Some([y as isize..y as isize + 1, x as isize..x as isize + 1]);
    for at in (1..=slot).rev() {
        let Some(here) = seen[at].take() else { continue };
        let node = &graph.nodes()[at - 1];
        for &from in &node.inputs {
            let below = [0, 1].map(|axis| {
                let len = graph.shape(from).spatial()[axis];
                look(node.facts.sight, axis, here[axis].clone(), len)
            });
            seen[from] = Some(match seen[from].take() {
                None => below,
                Some(old) => [0, 1].map(|a| old[a].start.min(below[a].start)..old[a].end.max(below[a].end)),
            });
        }
    }
    seen[0].clone().unwrap_or([0..0, 0..0])
}

/// What an interval of outputs sees of an input axis of length `len`.
fn look(sight: Sight, axis: usize, here: Range<isize>, len: usize) -> Range<isize> {
    match sight {
        Sight::Point => here,
        Sight::Window(window) => window.sees(axis, here),
        Sight::Transposed(window) => {
            // output o is reached by input i where o = i s - p + u d for some tap u
            let (s, p) = (window.stride[axis] as isize, window.pad[axis] as isize);
            let first = (here.start + p - window.span(axis) as isize).div_euclid(s) + 1;
            let last = (here.end - 1 + p).div_euclid(s);
            first.max(0)..(last + 1).min(len as isize).max(first.max(0))
        }
        Sight::Whole => 0..len as isize,
    }
}

/// The receptive field of a slot: of its middle unit, and the jump to the next.
pub fn of_slot(graph: &Graph, slot: usize) -> Field {
    let shape = graph.shape(slot);
    let middle = [shape.h / 2, shape.w / 2];
    let here = of_unit(graph, slot, middle);
    let mut field = Field { size: [0, 1].map(|a| (here[a].end - here[a].start) as usize), jump: [0; 2] };
    for axis in 0..2 {
        let mut next = middle;
        if shape.spatial()[axis] < 2 {
            continue;
        }
        let (lower, upper) = if middle[axis] + 1 < shape.spatial()[axis] { (0, 1) } else { (1, 0) };
        next[axis] = middle[axis] + upper - lower;
        let there = of_unit(graph, slot, next);
        field.jump[axis] = there[axis].start.abs_diff(here[axis].start);
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Add, Conv, Dense, Flatten, MaxPool, Relu};

    #[test]
    fn fields_of_lenet_are_those_on_paper() {
        let g = Graph::builder("n", [1, 28, 28])
            .layer("conv1", Conv::new(6, 5).pad(2))
            .layer("relu1", Relu)
            .layer("pool1", MaxPool::new(2))
            .layer("conv2", Conv::new(16, 5))
            .layer("pool2", MaxPool::new(2))
            .layer("flatten", Flatten)
            .layer("fc", Dense::new(10))
            .build()
            .unwrap();
        let sizes: Vec<_> = (0..=7).map(|s| of_slot(&g, s)).map(|f| (f.size[0], f.jump[0])).collect();
        assert_eq!(sizes[..6], [(1, 1), (5, 1), (5, 1), (6, 2), (14, 2), (16, 4)]);
        // a vector's units see all that the last pool sees
        assert_eq!((sizes[6], sizes[7]), ((32, 0), (32, 0)));
        assert_eq!(of_unit(&g, 7, [0, 0]), [-2..30, -2..30]);
        assert_eq!(of_unit(&g, 5, [0, 1]), [-2..14, 2..18]);
    }

    #[test]
    fn a_skip_sees_the_union() {
        let g = Graph::builder("n", [1, 9, 9])
            .layer("a", Conv::new(2, 1))
            .layer("b", Conv::new(2, 3).pad(1))
            .layer_from("sum", Add, &["a", "b"])
            .build()
            .unwrap();
        assert_eq!(of_unit(&g, 3, [4, 4]), [3..6, 3..6]);
    }
}
