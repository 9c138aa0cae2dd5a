//! Arithmetic of constants that exporters write down for sizes and pads: filled lists and parts of them.

use super::whole;
use crate::error::Result;
use crate::io::onnx::constant::{Constant, Numbers};
use crate::io::onnx::import::{Import, Value};
use crate::io::onnx::proto::Node;
use ndarray::{ArrayD, ArrayViewD, Axis};

/// An array of one number, by its sizes.
pub(super) fn constant_of_shape<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let sizes = import.needed_constant(node, 0)?;
    let sizes = whole(import, node, &sizes)?;
    let dims = import.bounded(node, "shape", &sizes, 0)?;
    let len = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
    import.net.spend(&node.name, len)?;
    let numbers = match node.attribute.is_empty() {
        true => Numbers::Floats(vec![0.0; len]),
        false => match import.literal(node)?.numbers {
            Numbers::Floats(v) if v.len() == 1 => Numbers::Floats(vec![v[0]; len]),
            Numbers::Ints(v) if v.len() == 1 => Numbers::Ints(vec![v[0]; len]),
            _ => return Err(import.damaged(node, "its value is not one number")),
        },
    };
    import.set(node, Value::Constant(Constant { name: String::new(), dims, numbers }.into()))
}

/// A part of a constant.
pub(super) fn slice<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let constant = import.needed_constant(node, 0)?;
    let list = |i: usize, name: &str| -> Result<Option<Vec<i64>>> {
        Ok(match import.constant(node, i)? {
            Some(c) => Some(whole(import, node, &c)?),
            None => import.ints(node, name).map(<[i64]>::to_vec),
        })
    };
    let (starts, ends) = (list(1, "starts")?.unwrap_or_default(), list(2, "ends")?.unwrap_or_default());
    let axes = list(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    import.net.spend(&node.name, constant.len())?;
    let rank = constant.dims.len() as i64;
    let mut chosen = Vec::new();
    for (i, &axis) in axes.iter().enumerate() {
        let axis = usize::try_from(if axis < 0 { axis.saturating_add(rank) } else { axis }).ok();
        let axis = axis.filter(|&a| a < constant.dims.len());
        let (Some(axis), Some(&start), Some(&end), Some(&step)) =
            (axis, starts.get(i), ends.get(i), steps.get(i).filter(|s| **s != 0))
        else {
            return Err(import.damaged(node, &format!("axes {axes:?} of shape {:?}", constant.dims)));
        };
        chosen.push((axis, places(start, end, step, constant.dims[axis])));
    }
    let cut = match &constant.numbers {
        Numbers::Floats(v) => part(&constant.dims, v, &chosen)
            .map(|a| (a.shape().to_vec(), Numbers::Floats(a.into_iter().collect()))),
        Numbers::Ints(v) => part(&constant.dims, v, &chosen)
            .map(|a| (a.shape().to_vec(), Numbers::Ints(a.into_iter().collect()))),
    };
    let Some((dims, numbers)) = cut else {
        return Err(import.damaged(node, &format!("its constant has no shape {:?}", constant.dims)));
    };
    import.set(node, Value::Constant(Constant { name: String::new(), dims, numbers }.into()))
}

/// Indices from `start` to before `end`, of `len`; negative ones count from the end, those beyond it are cut.
fn places(start: i64, end: i64, step: i64, len: usize) -> Vec<usize> {
    let n = len as i64;
    let from_end = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
    let (mut at, end) = match step > 0 {
        true => (from_end(start).clamp(0, n), from_end(end).clamp(0, n)),
        false => (from_end(start).clamp(-1, n - 1), from_end(end).clamp(-1, n - 1)),
    };
    let mut out = Vec::new();
    while if step > 0 { at < end } else { at > end } {
        out.push(at as usize);
        at = at.saturating_add(step);
    }
    out
}

fn part<T: Clone>(dims: &[usize], values: &[T], chosen: &[(usize, Vec<usize>)]) -> Option<ArrayD<T>> {
    let mut array = ArrayViewD::from_shape(dims, values).ok()?.to_owned();
    for (axis, places) in chosen {
        array = array.select(Axis(*axis), places);
    }
    Some(array)
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn slices_are_those_of_onnx() {
        assert_eq!(places(1, 3, 1, 5), [1, 2]);
        assert_eq!(places(-3, i64::MAX, 2, 5), [2, 4]);
        assert_eq!(places(-1, i64::MIN, -1, 3), [2, 1, 0]);
        assert_eq!(places(9, 0, -2, 4), [3, 1]);
        assert!(
            places(2, 1, 1, 4).is_empty()
                && places(0, 9, 1, 0).is_empty()
                && places(-1, -9, -1, 0).is_empty()
        );
    }
}
