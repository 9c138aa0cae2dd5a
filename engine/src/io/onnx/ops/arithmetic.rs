//! Sums, products with constants, and the rectifiers that are made of them.
//!
//! What multiplies each channel by a number and adds another goes into the weights of the layer before, where that layer
//! feeds nothing else, and becomes a batch normalisation with fixed statistics where it does not. `Clip` to [low, high] is
//! high - relu(high - low - relu(x - low)); `PRelu` is relu(x) - slope relu(-x), or a leaky_relu where all slopes are one.

use super::norm;
use super::weighted::back_order;
use crate::error::Result;
use crate::io::onnx::constant::Constant;
use crate::io::onnx::import::{Data, Import, Value, View, shortest, wish};
use crate::io::onnx::made::Form;
use crate::io::onnx::proto::Node;
use crate::layers::{Add, LeakyRelu, Relu, Silu};
use std::rc::Rc;

/// The two inputs of a node.
enum Pair {
    Both,
    /// Data on the left, a constant on the right.
    Right(Data, Rc<Constant>),
    /// A constant on the left, data on the right.
    Left(Rc<Constant>, Data),
    Constants(Rc<Constant>, Rc<Constant>),
}

fn pair(import: &mut Import<'_>, node: &Node) -> Result<Pair> {
    let of = |i: usize| import.value(node, i).map(|v| v.cloned());
    Ok(match (of(0)?, of(1)?) {
        (Some(Value::Data(d)), Some(Value::Constant(c))) => Pair::Right(import.settled(d)?, c),
        (Some(Value::Constant(c)), Some(Value::Data(d))) => Pair::Left(c, import.settled(d)?),
        (Some(Value::Constant(a)), Some(Value::Constant(b))) => Pair::Constants(a, b),
        _ => Pair::Both,
    })
}

/// A number per channel out of a constant that is spread over data of this view, in the engine's order.
fn per_channel(import: &mut Import<'_>, node: &Node, c: &Constant, data: Data) -> Result<Vec<f32>> {
    let shape = import.net.shape(data.slot);
    import.net.spend(&node.name, shape.c)?;
    if let Some(one) = c.single() {
        return Ok(vec![one; shape.c]);
    }
    let (rank, channel) = match data.view {
        _ if shape.flat => (2, 1),
        View::Last => (4, 3),
        _ => (4, 1),
    };
    let fits = c.dims.len() <= rank
        && c.dims.iter().rev().enumerate().all(|(i, &d)| d == 1 || (rank - 1 - i == channel && d == shape.c));
    if !fits {
        let problem = format!("a constant of shape {:?} with {shape}", c.dims);
        return Err(import.refuse(node, problem, "one number, or one per channel, is supported"));
    }
    let values = c.floats();
    Ok(match back_order(data.view, shape.c) {
        Some(order) => order.iter().map(|&i| values[i]).collect(),
        None => values.into_owned(),
    })
}

/// scale x + shift.
fn affine<'a>(
    import: &mut Import<'a>,
    node: &'a Node,
    place: usize,
    data: Data,
    scale: Vec<f32>,
    shift: Vec<f32>,
) -> Result<()> {
    if scale.iter().all(|&s| s == 1.0) && shift.iter().all(|&s| s == 0.0) {
        return import.alias(node, place, data);
    }
    if data.alone && import.sole(node, place) && import.net.fold(data.slot, &scale, &shift) {
        return import.set(node, Value::Data(data));
    }
    let slot = import.net.affine(&wish(node, None), data.slot, scale, shift)?;
    import.set_slot(node, slot, data.view)
}

/// Joins two constants of whole numbers or of one shape.
fn constants<'a>(
    import: &mut Import<'a>,
    node: &'a Node,
    a: &Constant,
    b: &Constant,
    f: fn(f32, f32) -> f32,
    g: fn(i64, i64) -> Option<i64>,
) -> Result<()> {
    use crate::io::onnx::constant::Numbers::{Floats, Ints};
    let n = a.len().max(b.len());
    let dims = if a.len() == n { a.dims.clone() } else { b.dims.clone() };
    let spread = [a, b].iter().all(|c| c.len() == 1 || c.dims == dims);
    import.net.spend(&node.name, n)?;
    let numbers = match (&a.numbers, &b.numbers) {
        _ if !spread || n == 0 => None,
        (Ints(x), Ints(y)) => {
            (0..n).map(|i| g(x[i % x.len()], y[i % y.len()])).collect::<Option<Vec<_>>>().map(Ints)
        }
        _ => {
            let (x, y) = (a.floats(), b.floats());
            Some(Floats((0..n).map(|i| f(x[i % x.len()], y[i % y.len()])).collect()))
        }
    };
    match numbers {
        Some(numbers) => {
            import.set(node, Value::Constant(Constant { name: String::new(), dims, numbers }.into()))
        }
        None => {
            let problem = format!("constants of shapes {:?} and {:?}", a.dims, b.dims);
            Err(import.refuse(node, problem, "fold constants when saving the model"))
        }
    }
}

/// The sum of all inputs, which must be computed by the net.
pub(super) fn sum<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let first = import.data(node, 0)?;
    let mut slots = Vec::new();
    for i in 0..node.input.len() {
        let data = import.data(node, i)?;
        let data = import.settled(data)?;
        if data.view != first.view {
            return Err(import.refuse(
                node,
                "its inputs have channels in different places",
                "transpose one of them",
            ));
        }
        slots.push(data.slot);
    }
    if slots.len() == 1 {
        let data = import.settled(first)?;
        return import.alias(node, 0, data);
    }
    let slot = import.net.push(&wish(node, None), Form::other(Add), slots, vec![])?;
    import.set_slot(node, slot, first.view)
}

pub(super) fn add<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    match pair(import, node)? {
        Pair::Both => sum(import, node),
        Pair::Constants(a, b) => constants(import, node, &a, &b, |a, b| a + b, i64::checked_add),
        Pair::Right(data, c) => shifted(import, node, 0, data, &c, 1.0, 1.0),
        Pair::Left(c, data) => shifted(import, node, 1, data, &c, 1.0, 1.0),
    }
}

pub(super) fn sub<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    match pair(import, node)? {
        Pair::Both => {
            Err(import.refuse(node, "it subtracts two results of the net", "constants can be subtracted"))
        }
        Pair::Constants(a, b) => constants(import, node, &a, &b, |a, b| a - b, i64::checked_sub),
        Pair::Right(data, c) => shifted(import, node, 0, data, &c, 1.0, -1.0),
        Pair::Left(c, data) => shifted(import, node, 1, data, &c, -1.0, 1.0),
    }
}

/// sign x + constant_sign c.
fn shifted<'a>(
    import: &mut Import<'a>,
    node: &'a Node,
    place: usize,
    data: Data,
    c: &Constant,
    sign: f32,
    constant_sign: f32,
) -> Result<()> {
    let shift: Vec<f32> = per_channel(import, node, c, data)?.iter().map(|v| v * constant_sign).collect();
    affine(import, node, place, data, vec![sign; shift.len()], shift)
}

/// x times a number per channel.
fn scaled<'a>(
    import: &mut Import<'a>,
    node: &'a Node,
    place: usize,
    data: Data,
    scale: Vec<f32>,
) -> Result<()> {
    let shift = vec![0.0; scale.len()];
    affine(import, node, place, data, scale, shift)
}

pub(super) fn mul<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    if norm::square(import, node)? {
        return Ok(());
    }
    match pair(import, node)? {
        Pair::Constants(a, b) => constants(import, node, &a, &b, |a, b| a * b, i64::checked_mul),
        Pair::Right(data, c) => {
            let scale = per_channel(import, node, &c, data)?;
            scaled(import, node, 0, data, scale)
        }
        Pair::Left(c, data) => {
            let scale = per_channel(import, node, &c, data)?;
            scaled(import, node, 1, data, scale)
        }
        Pair::Both => {
            let gated = (0..2).find(|&i| {
                let other = node.input.get(1 - i);
                matches!((import.value(node, i), other), (Ok(Some(Value::Gate(of))), Some(x)) if of == x)
            });
            let Some(gate) = gated else {
                let problem = "it multiplies two results of the net";
                return Err(import.refuse(
                    node,
                    problem,
                    "products with constants, and x * Sigmoid(x), are supported",
                ));
            };
            let data = import.data(node, 1 - gate)?;
            let data = import.settled(data)?;
            import.layer(node, data, Form::other(Silu), vec![])
        }
    }
}

pub(super) fn div<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    match pair(import, node)? {
        Pair::Constants(a, b) => constants(import, node, &a, &b, |a, b| a / b, i64::checked_div),
        Pair::Right(data, c) => {
            let scale = per_channel(import, node, &c, data)?.iter().map(|v| 1.0 / v).collect();
            scaled(import, node, 0, data, scale)
        }
        _ => Err(import.refuse(node, "it divides by a result of the net", "constants may divide")),
    }
}

pub(super) fn neg<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let data = import.data(node, 0)?;
    let data = import.settled(data)?;
    let channels = import.net.shape(data.slot).c;
    import.net.spend(&node.name, channels)?;
    scaled(import, node, 0, data, vec![-1.0; channels])
}

pub(super) fn clip<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let data = import.data(node, 0)?;
    let data = import.settled(data)?;
    let bound = |i: usize, name: &str, default: f32| -> Result<f32> {
        Ok(match import.constant(node, i)? {
            Some(c) => c.single().unwrap_or(f32::NAN),
            None => import.float(node, name, default) as f32,
        })
    };
    let (low, high) = (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?);
    if low.is_nan() || high.is_nan() || low > high {
        let problem = format!("it clips to {low} to {high}");
        return Err(import.refuse(node, problem, "numbers in order are supported"));
    }
    // a side at the end of the numbers clips nothing
    let (below, above) = (low > f32::MIN, high < f32::MAX);
    let channels = import.net.shape(data.slot).c;
    import.net.spend(&node.name, 6 * channels)?;
    let name = wish(node, None);
    let mut slot = data.slot;
    let map = |import: &mut Import<'a>, part: &str, slot: usize, scale: f32, shift: f32| {
        if (scale, shift) == (1.0, 0.0) {
            return Ok(slot);
        }
        import.net.affine(&format!("{name}.{part}"), slot, vec![scale; channels], vec![shift; channels])
    };
    let relu =
        |import: &mut Import<'a>, slot: usize| import.net.push(&name, Form::other(Relu), vec![slot], vec![]);
    // relu(x - low), which is above zero where x is above low
    if below {
        slot = map(import, "from_low", slot, 1.0, -low)?;
        slot = relu(import, slot)?;
    }
    let base = if below { low } else { 0.0 };
    if above {
        slot = map(import, "from_high", slot, -1.0, high - base)?;
        slot = relu(import, slot)?;
        slot = map(import, "back", slot, -1.0, high)?;
    } else {
        slot = map(import, "back", slot, 1.0, base)?;
    }
    if slot == data.slot {
        return import.alias(node, 0, data);
    }
    import.set_slot(node, slot, data.view)
}

pub(super) fn prelu<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let data = import.data(node, 0)?;
    let data = import.settled(data)?;
    let slope = import.needed_constant(node, 1)?;
    let slopes = per_channel(import, node, &slope, data)?;
    if let Some(&first) = slopes.first().filter(|first| slopes.iter().all(|s| s == *first)) {
        return import.layer(node, data, Form::other(LeakyRelu { slope: shortest(first) }), vec![]);
    }
    let channels = slopes.len();
    import.net.spend(&node.name, 3 * channels)?;
    let name = wish(node, Some(&slope));
    let above = import.net.push(&format!("{name}.above"), Form::other(Relu), vec![data.slot], vec![])?;
    let mirrored =
        import.net.affine(&format!("{name}.mirror"), data.slot, vec![-1.0; channels], vec![0.0; channels])?;
    let below = import.net.push(&format!("{name}.below"), Form::other(Relu), vec![mirrored], vec![])?;
    let scale = slopes.iter().map(|s| -s).collect();
    let below = import.net.affine(&format!("{name}.slope"), below, scale, vec![0.0; channels])?;
    let slot = import.net.push(&name, Form::other(Add), vec![above, below], vec![])?;
    import.set_slot(node, slot, data.view)
}

/// A comparison with a number, for a choice that follows.
pub(super) fn greater<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    import.data(node, 0)?;
    match import.constant(node, 1)?.and_then(|c| c.single()) {
        Some(limit) => import.set(node, Value::Above(node.input[0].clone(), limit)),
        None => Err(import.refuse(node, "it compares with many numbers", "one number is supported")),
    }
}

/// x where it is large, else Softplus(x): exporters guard Softplus so, and there both are the same number.
pub(super) fn choose<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    if let Some(Value::Above(of, limit)) = import.value(node, 0)? {
        let other = import.data(node, 2)?;
        let same = node.input.get(1) == Some(of) && *limit >= 17.0;
        if same && import.net.reads(other.slot, import.data(node, 1)?.slot, "softplus") {
            return import.alias(node, 2, other);
        }
    }
    Err(import.refuse(node, "it chooses between results", "the guard of a Softplus is supported"))
}
