//! Operators that move values without changing them, and the arithmetic of sizes that exporters write down beside them.
//!
//! The engine has one such layer, flatten. What amounts to it, or to nothing, is read; channels at the back are
//! remembered until they are in front again or a dense layer's weights take up the other order.

use super::whole;
use crate::array::Shape;
use crate::error::Result;
use crate::io::onnx::constant::{BATCH, Constant, Numbers};
use crate::io::onnx::import::{Data, Import, Value, View, wish};
use crate::io::onnx::made::Form;
use crate::io::onnx::proto::Node;
use crate::layers::{Conv, Flatten};

/// Sizes of data after the batch, as ONNX sees them.
fn sizes(import: &Import<'_>, data: Data) -> Vec<i64> {
    let Shape { c, h, w, flat } = import.net.shape(data.slot);
    let sizes = match data.view {
        _ if flat => vec![c],
        View::Last => vec![h, w, c],
        _ => vec![c, h, w],
    };
    sizes.into_iter().map(|n| n as i64).collect()
}

/// Makes a vector of a node's input.
fn flattened<'a>(import: &mut Import<'a>, node: &'a Node, data: Data) -> Result<()> {
    let shape = import.net.shape(data.slot);
    if shape.flat {
        return import.alias(node, 0, data);
    }
    // with one channel, or one place, both orders are the same
    let moved = data.view == View::Last && shape.c > 1 && shape.plane() > 1;
    let view = if moved { View::LastFlat(shape) } else { View::Plain };
    let slot = import.net.push(&wish(node, None), Form::other(Flatten), vec![data.slot], vec![])?;
    import.set_slot(node, slot, view)
}

pub(super) fn flatten<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let data = import.data(node, 0)?;
    let data = import.settled(data)?;
    let rank = sizes(import, data).len() as i64 + 1;
    match import.int(node, "axis", 1) {
        axis if axis == 1 || axis.checked_add(rank) == Some(1) => flattened(import, node, data),
        axis => Err(import.refuse(node, format!("axis = {axis}"), "1, all but the batch, is supported")),
    }
}

/// A new shape that is a vector, or the old one.
pub(super) fn reshape<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let target = match import.constant(node, 1)? {
        Some(c) => whole(import, node, &c)?,
        None => import.ints(node, "shape").unwrap_or(&[]).to_vec(),
    };
    if let Some(Value::Constant(c)) = import.value(node, 0)?.cloned() {
        return reshape_constant(import, node, &c, &target);
    }
    let data = import.data(node, 0)?;
    let data = import.settled(data)?;
    let sizes = sizes(import, data);
    let total: i64 = sizes.iter().product();
    let [first, ref rest @ ..] = target[..] else {
        return Err(import.damaged(node, "its shape is empty"));
    };
    let batch = [0, -1, BATCH].contains(&first) || import.batch == Some(first);
    let resolved: Vec<i64> = rest
        .iter()
        .enumerate()
        .map(|(i, &n)| if n == 0 { sizes.get(i).copied().unwrap_or(0) } else { n })
        .collect();
    let known = resolved.iter().filter(|n| **n > 0).try_fold(1i64, |a, &n| a.checked_mul(n)).unwrap_or(0);
    let free = resolved.iter().filter(|n| **n == -1).count();
    let filled: Vec<i64> = match free {
        1 if known > 0 && first != -1 && total % known == 0 => {
            resolved.iter().map(|&n| if n == -1 { total / known } else { n }).collect()
        }
        _ => resolved,
    };
    match filled[..] {
        _ if batch && filled == sizes => import.alias(node, 0, data),
        [n] if batch && n == total => flattened(import, node, data),
        // the reader of the input has taken this shape already
        _ if batch && data.slot == 0 && filled.iter().product::<i64>() == total => {
            import.alias(node, 0, data)
        }
        _ => {
            let problem = format!("from [N, {}] to {}", list(&sizes), shown(&target));
            Err(import.refuse(node, problem, "reshaping maps to vectors is supported"))
        }
    }
}

fn list(sizes: &[i64]) -> String {
    sizes.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

fn shown(target: &[i64]) -> String {
    let sizes: Vec<String> =
        target.iter().map(|&n| if n == BATCH { "N".into() } else { n.to_string() }).collect();
    format!("[{}]", sizes.join(", "))
}

fn reshape_constant<'a>(import: &mut Import<'a>, node: &'a Node, c: &Constant, target: &[i64]) -> Result<()> {
    let dims: Vec<Option<usize>> = target
        .iter()
        .enumerate()
        .map(|(i, &n)| if n == 0 { c.dims.get(i).copied() } else { usize::try_from(n).ok() })
        .collect();
    let known = dims.iter().flatten().try_fold(1usize, |a, &n| a.checked_mul(n)).unwrap_or(0);
    let free = target.iter().filter(|n| **n == -1).count();
    let fits = known > 0 && c.len().is_multiple_of(known) && (free == 1 || (free == 0 && c.len() == known));
    if !fits || dims.iter().flatten().count() + free != dims.len() {
        return Err(import.damaged(node, &format!("{} numbers to shape {}", c.len(), shown(target))));
    }
    let dims = dims.into_iter().map(|d| d.unwrap_or(c.len() / known)).collect();
    import.set(node, Value::Constant(Constant { dims, ..c.clone() }.into()))
}

pub(super) fn transpose<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let perm = import.ints(node, "perm");
    if let Some(Value::Constant(c)) = import.value(node, 0)?.cloned() {
        return transpose_constant(import, node, &c, perm);
    }
    let data = import.data(node, 0)?;
    let data = import.settled(data)?;
    let shape = import.net.shape(data.slot);
    let perm = perm.unwrap_or(&[]);
    let same = perm.iter().enumerate().all(|(i, &p)| p == i as i64) && !perm.is_empty();
    let view = match (data.view, perm) {
        _ if same => data.view,
        (View::Plain, [0, 2, 3, 1]) if !shape.flat => View::Last,
        (View::Last, [0, 3, 1, 2]) if !shape.flat => View::Plain,
        _ => {
            let problem = format!("perm = {perm:?} of {shape}");
            return Err(import.refuse(
                node,
                problem,
                "channels to the back and to the front again is supported",
            ));
        }
    };
    import.alias(node, 0, Data { view, ..data })
}

fn transpose_constant<'a>(
    import: &mut Import<'a>,
    node: &'a Node,
    c: &Constant,
    perm: Option<&[i64]>,
) -> Result<()> {
    let rank = c.dims.len();
    let perm: Vec<usize> = match perm {
        None => (0..rank).rev().collect(),
        Some(p) => p.iter().filter_map(|&p| usize::try_from(p).ok()).collect(),
    };
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if sorted != (0..rank).collect::<Vec<_>>() {
        return Err(import.damaged(node, &format!("perm {perm:?} of {rank} axes")));
    }
    fn moved<T: Clone>(dims: &[usize], values: &[T], perm: &[usize]) -> Option<Vec<T>> {
        let array = ndarray::ArrayViewD::from_shape(dims, values).ok()?;
        Some(array.permuted_axes(perm.to_vec()).iter().cloned().collect())
    }
    let numbers = match &c.numbers {
        Numbers::Floats(v) => moved(&c.dims, v, &perm).map(Numbers::Floats),
        Numbers::Ints(v) => moved(&c.dims, v, &perm).map(Numbers::Ints),
    };
    let numbers = numbers.ok_or_else(|| import.damaged(node, "its constant has no such shape"))?;
    let dims = perm.iter().map(|&p| c.dims[p]).collect();
    import.set(node, Value::Constant(Constant { name: c.name.clone(), dims, numbers }.into()))
}

/// Sizes of an array, as whole numbers.
pub(super) fn shape<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let all = match import.value(node, 0)?.cloned() {
        Some(Value::Constant(c)) => c.dims.iter().map(|&d| d as i64).collect(),
        _ => {
            let data = import.data(node, 0)?;
            let data = import.settled(data)?;
            let batch = import.batch.unwrap_or(BATCH);
            [vec![batch], sizes(import, data)].concat()
        }
    };
    let rank = all.len() as i64;
    let place = |v: i64| if v < 0 { v.saturating_add(rank).max(0) } else { v.min(rank) } as usize;
    let (start, end) = (place(import.int(node, "start", 0)), place(import.int(node, "end", rank)));
    let part = all.get(start..end.max(start)).unwrap_or(&[]).to_vec();
    import.set(node, Value::Constant(Constant::ints(part).into()))
}

/// One channel of maps, by a 1x1 convolution with a single one.
fn channel<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let data = import.plain(node, 0)?;
    let (shape, places) = (import.net.shape(data.slot), import.needed_constant(node, 1)?);
    let axis = import.int(node, "axis", 0);
    let wanted = whole(import, node, &places)?;
    let c = match wanted[..] {
        [k] if !shape.flat && (axis == 1 || axis == -3) => {
            if k < 0 {
                k + shape.c as i64
            } else {
                k
            }
        }
        _ => {
            let problem = format!("places {wanted:?} along axis {axis} of {shape}");
            return Err(import.refuse(node, problem, "one channel of maps is supported"));
        }
    };
    let Some(c) = usize::try_from(c).ok().filter(|&c| c < shape.c) else {
        return Err(import.damaged(node, &format!("place {wanted:?} of {} channels", shape.c)));
    };
    import.net.spend(&node.name, shape.c)?;
    let mut weight = vec![0.0; shape.c];
    weight[c] = 1.0;
    let form = Form::Conv(Conv::new(1, 1).without_bias());
    let slot = import.net.push(&wish(node, None), form, vec![data.slot], vec![weight])?;
    let data = Data { slot, view: View::Plain, padding: None, alone: true };
    import.set(node, if places.dims.is_empty() { Value::Plane(data) } else { Value::Data(data) })
}

/// Chosen numbers of a list of sizes, or a channel of maps.
pub(super) fn gather<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    if let Some(Value::Data(_)) = import.value(node, 0)? {
        return channel(import, node);
    }
    let (list, places) = (import.needed_constant(node, 0)?, import.needed_constant(node, 1)?);
    let (list, wanted) = (whole(import, node, &list)?, whole(import, node, &places)?);
    let n = list.len() as i64;
    let pick = |&p: &i64| {
        let p = if p < 0 { p.checked_add(n)? } else { p };
        list.get(usize::try_from(p).ok()?).copied()
    };
    let picked: Option<Vec<i64>> = wanted.iter().map(pick).collect();
    let picked = picked.ok_or_else(|| import.damaged(node, &format!("places {wanted:?} of {n} numbers")))?;
    let constant =
        Constant { name: String::new(), dims: places.dims.clone(), numbers: Numbers::Ints(picked) };
    import.set(node, Value::Constant(constant.into()))
}

/// Lists of sizes, one behind the other.
pub(super) fn join<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let mut all = Vec::new();
    for i in 0..node.input.len() {
        let part = import.needed_constant(node, i)?;
        import.net.spend(&node.name, part.len())?;
        all.extend(whole(import, node, &part)?);
    }
    import.set(node, Value::Constant(Constant::ints(all).into()))
}

/// The axes of a squeeze.
fn axes(import: &Import<'_>, node: &Node) -> Result<Option<Vec<i64>>> {
    match import.constant(node, 1)? {
        Some(c) => whole(import, node, &c).map(Some),
        None => Ok(import.ints(node, "axes").map(<[i64]>::to_vec)),
    }
}

/// Drops rows and columns of maps that have one of each.
pub(super) fn squeeze<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let axes = axes(import, node)?;
    if let Some(Value::Constant(c)) = import.value(node, 0)?.cloned() {
        let dims = if c.len() == 1 { vec![] } else { vec![c.len()] };
        return import.set(node, Value::Constant(Constant { dims, ..(*c).clone() }.into()));
    }
    let data = import.data(node, 0)?;
    let data = import.settled(data)?;
    let shape = import.net.shape(data.slot);
    let mut places: Option<Vec<i64>> =
        axes.clone().map(|a| a.iter().map(|&a| if a < 0 { a.saturating_add(4) } else { a }).collect());
    if let Some(p) = &mut places {
        p.sort_unstable();
    }
    let spatial: &[i64] = if data.view == View::Last { &[1, 2] } else { &[2, 3] };
    if shape.flat || shape.plane() != 1 || places.as_deref().is_some_and(|p| p != spatial) {
        let problem = format!("axes = {axes:?} of {shape}");
        return Err(import.refuse(node, problem, "dropping one row and one column is supported"));
    }
    flattened(import, node, data)
}

/// Adds axes of size one to sizes and constants, and to a channel its own axis.
pub(super) fn unsqueeze<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    if let Some(Value::Plane(data)) = import.value(node, 0)?.cloned() {
        let axes = axes(import, node)?.unwrap_or_default();
        if axes != [1] && axes != [-3] {
            return Err(import.refuse(node, format!("axes = {axes:?} of a channel"), "1 is supported"));
        }
        return import.set(node, Value::Data(data));
    }
    let constant = import.needed_constant(node, 0)?;
    let axes = axes(import, node)?.unwrap_or_default();
    let rank = (constant.dims.len() + axes.len()) as i64;
    let mut places: Vec<i64> = axes.iter().map(|&a| if a < 0 { a.saturating_add(rank) } else { a }).collect();
    places.sort_unstable();
    let mut dims = constant.dims.clone();
    for place in places {
        match usize::try_from(place) {
            Ok(place) if place <= dims.len() && dims.len() < 16 => dims.insert(place, 1),
            _ => return Err(import.damaged(node, &format!("axes {axes:?} of shape {:?}", constant.dims))),
        }
    }
    import.set(node, Value::Constant(Constant { dims, ..(*constant).clone() }.into()))
}
