//! Which unit feeds which: the taps of one output of an affine layer, the outputs that one input reaches, and the slope
//! of a path, read off the layer's own pull-back where it is no affine layer.

use super::{Unit, Workings};
use crate::error::Result;
use glassbox_engine::layers::options::Value;
use glassbox_engine::layers::{Layer, Sight};
use glassbox_engine::rules::RoleKind;
use glassbox_engine::window::Window;
use glassbox_engine::{Blocked, Real, Shape};

/// A path through an affine layer: a unit on the other side, and the weight on the way.
pub(super) struct Tap {
    pub unit: Unit,
    /// Index of the weight, in its own shape.
    pub weight: Vec<usize>,
    /// Row and column in the kernel; none for dense layers.
    pub tap: Option<[usize; 2]>,
}

/// The role of a layer.
pub(super) fn role(layer: &dyn Layer) -> RoleKind {
    RoleKind::of(&<f32 as Real>::compute(layer).role())
}

/// Place of tap `k` of output `o`, where it falls on real input.
fn place(window: &Window, axis: usize, o: usize, k: usize, len: usize) -> Option<usize> {
    let at = window.start(axis, o) + (k * window.dilation[axis]) as isize;
    usize::try_from(at).ok().filter(|&at| at < len)
}

/// The output whose tap `k` falls on input `i`.
fn owner(window: &Window, axis: usize, i: usize, k: usize, outputs: usize) -> Option<usize> {
    let at = (i + window.pad[axis]).checked_sub(k * window.dilation[axis])?;
    let stride = window.stride[axis];
    (at.is_multiple_of(stride) && at / stride < outputs).then_some(at / stride)
}

fn taps(window: &Window) -> impl Iterator<Item = [usize; 2]> {
    let [kh, kw] = window.kernel;
    (0..kh).flat_map(move |ky| (0..kw).map(move |kx| [ky, kx]))
}

/// The taps that make output `unit` of an affine layer: dims are those of its weight.
pub(super) fn row(sight: Sight, dims: &[usize], x: Shape, y: Shape, unit: Unit) -> Vec<Tap> {
    let [c, oy, ox] = unit;
    match sight {
        // weight [C_out, C_in / groups, kh, kw]
        Sight::Window(w) => {
            let first = c / (y.c / (x.c / dims[1])) * dims[1];
            over(dims[1], &w, |i, [ky, kx]| {
                let cell = [first + i, place(&w, 0, oy, ky, x.h)?, place(&w, 1, ox, kx, x.w)?];
                Some(Tap { unit: cell, weight: vec![c, i, ky, kx], tap: Some([ky, kx]) })
            })
        }
        // weight [C_in, C_out / groups, kh, kw]
        Sight::Transposed(w) => {
            let groups = y.c / dims[1];
            let per = x.c / groups;
            let first = c / dims[1] * per;
            over(per, &w, |i, [ky, kx]| {
                let cell = [first + i, owner(&w, 0, oy, ky, x.h)?, owner(&w, 1, ox, kx, x.w)?];
                Some(Tap { unit: cell, weight: vec![first + i, c % dims[1], ky, kx], tap: Some([ky, kx]) })
            })
        }
        // weight [C_out, C_in]
        Sight::Whole | Sight::Point => {
            (0..x.c).map(|i| Tap { unit: [i, 0, 0], weight: vec![c, i], tap: None }).collect()
        }
    }
}

/// The taps by which input `unit` of an affine layer feeds its outputs.
pub(super) fn column(sight: Sight, dims: &[usize], x: Shape, y: Shape, unit: Unit) -> Vec<Tap> {
    let [c, iy, ix] = unit;
    match sight {
        Sight::Window(w) => {
            let per = y.c / (x.c / dims[1]);
            let first = c / dims[1] * per;
            over(per, &w, |o, [ky, kx]| {
                let cell = [first + o, owner(&w, 0, iy, ky, y.h)?, owner(&w, 1, ix, kx, y.w)?];
                Some(Tap { unit: cell, weight: vec![first + o, c % dims[1], ky, kx], tap: Some([ky, kx]) })
            })
        }
        Sight::Transposed(w) => {
            let first = c / (x.c / (y.c / dims[1])) * dims[1];
            over(dims[1], &w, |o, [ky, kx]| {
                let cell = [first + o, place(&w, 0, iy, ky, y.h)?, place(&w, 1, ix, kx, y.w)?];
                Some(Tap { unit: cell, weight: vec![c, o, ky, kx], tap: Some([ky, kx]) })
            })
        }
        Sight::Whole | Sight::Point => {
            (0..y.c).map(|o| Tap { unit: [o, 0, 0], weight: vec![o, c], tap: None }).collect()
        }
    }
}

fn over(channels: usize, window: &Window, tap: impl Fn(usize, [usize; 2]) -> Option<Tap>) -> Vec<Tap> {
    let mut out = Vec::new();
    for c in 0..channels {
        out.extend(taps(window).filter_map(|k| tap(c, k)));
    }
    out
}

impl Workings<'_> {
    /// Slopes of output `unit` of layer `i` with respect to each of its inputs: the layer's pull-back of a single one.
    pub(super) fn slopes(&self, i: usize, [c, y, x]: Unit) -> Vec<Blocked<f32>> {
        let (node, at) = (&self.graph.nodes()[i], self.at(i));
        let mut one = Blocked::zeros(node.facts.output, 1, 1);
        let shape = node.facts.output;
        one.values_mut()[(c * shape.h + y) * shape.w + x] = 1.0;
        let mut out: Vec<_> =
            node.inputs.iter().map(|&slot| Blocked::zeros(self.graph.shape(slot), 1, 1)).collect();
        let inputs: Vec<Shape> = node.inputs.iter().map(|&slot| self.graph.shape(slot)).collect();
        let batch = glassbox_engine::layers::Batch { n: 1, lanes: 1, isa: self.trace.isa(), exact: true };
        let mut scratch = vec![0.0; at.layer.scratch(&inputs, batch)];
        at.layer.pull(&at, one.view(), &mut out, &mut scratch);
        out
    }

    /// Outputs of layer `i`, which is no affine one, that its input number `input` may feed at `unit`.
    pub(super) fn reach(&self, i: usize, input: usize, unit: Unit) -> Result<Vec<Unit>> {
        let node = &self.graph.nodes()[i];
        let (from, to) = (self.graph.shape(node.inputs[input]), node.facts.output);
        let [c, y, x] = unit;
        Ok(match role(&*node.layer) {
            RoleKind::Wire if to.flat && !from.flat => vec![[(c * from.h + y) * from.w + x, 0, 0]],
            RoleKind::Concat => {
                let before: usize = node.inputs[..input].iter().map(|&slot| self.graph.shape(slot).c).sum();
                vec![[before + c, y, x]]
            }
            RoleKind::Select | RoleKind::Average => {
                let holds = |axis: usize, o: usize, at: usize, len: usize| match node.facts.sight {
                    Sight::Window(w) => (0..w.kernel[axis]).any(|k| place(&w, axis, o, k, len) == Some(at)),
                    _ => true,
                };
                let rows = (0..to.h).filter(|&o| holds(0, o, y, from.h));
                let columns: Vec<usize> = (0..to.w).filter(|&o| holds(1, o, x, from.w)).collect();
                rows.flat_map(|oy| columns.iter().map(move |&ox| [c, oy, ox])).collect()
            }
            RoleKind::Normalize => {
                let near = option(&*node.layer, "size").unwrap_or(to.c as f64) as usize / 2;
                (c.saturating_sub(near)..(c + near + 1).min(to.c)).map(|k| [k, y, x]).collect()
            }
            RoleKind::Softmax => (0..to.c).map(|k| [k, y, x]).collect(),
            _ => vec![unit],
        })
    }
}

/// A number among the layer's options.
pub(super) fn option(layer: &dyn Layer, key: &str) -> Option<f64> {
    layer.options().iter().find(|(k, _)| *k == key).and_then(|(_, value)| match value {
        Value::Int(v) => Some(*v as f64),
        Value::Float(v) => Some(*v),
        _ => None,
    })
}
