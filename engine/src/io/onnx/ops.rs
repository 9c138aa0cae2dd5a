//! Operators that are read: one line each in [`OPS`], grouped in files by what they do.

mod arithmetic;
mod gelu;
mod lists;
mod norm;
mod shapes;
mod weighted;
mod windows;

pub(super) use norm::Norm;

use super::constant::Constant;
use super::import::{Import, Value, View, wish};
use super::made::Form;
use super::proto::Node;
use crate::error::Result;
use crate::layers::{
    Concat, Dropout, Elu, Gelu, LeakyRelu, LogSoftmax, Relu, Selu, Sigmoid, Softmax, Softplus, Softsign, Tanh,
};

/// Reads one node.
type Op = for<'a> fn(&mut Import<'a>, &'a Node) -> Result<()>;

/// Every operator, by name.
const OPS: &[(&str, Op)] = &[
    ("Add", arithmetic::add),
    ("AveragePool", windows::average_pool),
    ("BatchNormalization", weighted::batch_normalization),
    ("Cast", identity),
    ("Clip", arithmetic::clip),
    ("Concat", concat),
    ("Constant", constant),
    ("ConstantOfShape", lists::constant_of_shape),
    ("Conv", weighted::conv),
    ("ConvTranspose", weighted::conv_transpose),
    ("Div", arithmetic::div),
    ("Dropout", dropout),
    ("Elu", elu),
    ("Erf", gelu::erf),
    ("Flatten", shapes::flatten),
    ("Gather", shapes::gather),
    ("Gelu", exact_gelu),
    ("Gemm", weighted::gemm),
    ("GlobalAveragePool", windows::global_average_pool),
    ("GlobalMaxPool", windows::global_max_pool),
    ("Greater", arithmetic::greater),
    ("Identity", identity),
    ("LRN", windows::lrn),
    ("LeakyRelu", leaky_relu),
    ("LogSoftmax", log_softmax),
    ("MatMul", weighted::mat_mul),
    ("MaxPool", windows::max_pool),
    ("Mul", arithmetic::mul),
    ("Neg", arithmetic::neg),
    ("PRelu", arithmetic::prelu),
    ("Pad", windows::pad),
    ("Pow", norm::pow),
    ("ReduceMean", windows::reduce_mean),
    ("Relu", relu),
    ("Reshape", shapes::reshape),
    ("Selu", selu),
    ("Shape", shapes::shape),
    ("Sigmoid", sigmoid),
    ("Slice", lists::slice),
    ("Softmax", softmax),
    ("Softplus", softplus),
    ("Softsign", softsign),
    ("Squeeze", shapes::squeeze),
    ("Sub", arithmetic::sub),
    ("Sum", arithmetic::sum),
    ("Tanh", tanh),
    ("Transpose", shapes::transpose),
    ("Unsqueeze", shapes::unsqueeze),
    ("Where", arithmetic::choose),
];

/// Adds what a node does to the net. Errors: an operator, or a use of one, that is not supported.
pub(super) fn read<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    if gelu::part(import, node)? || norm::part(import, node)? {
        return Ok(());
    }
    let own = node.domain.is_empty() || node.domain == "ai.onnx";
    match OPS.iter().find(|(name, _)| own && *name == node.op) {
        Some((_, op)) => op(import, node),
        None => {
            let known: Vec<&str> = OPS.iter().map(|(name, _)| *name).collect();
            let problem = "this operator is not supported";
            Err(import.refuse(node, problem, &format!("supported are {}", known.join(", "))))
        }
    }
}

/// A function of single values.
fn pointwise<'a>(import: &mut Import<'a>, node: &'a Node, form: Form) -> Result<()> {
    let data = import.data(node, 0)?;
    let data = import.settled(data)?;
    import.layer(node, data, form, vec![])
}

fn relu<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    pointwise(import, node, Form::other(Relu))
}

fn tanh<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    pointwise(import, node, Form::other(Tanh))
}

fn softplus<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    pointwise(import, node, Form::other(Softplus))
}

fn softsign<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    pointwise(import, node, Form::other(Softsign))
}

fn selu<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let (alpha, gamma) = (import.float(node, "alpha", 1.673_263_2), import.float(node, "gamma", 1.050_701));
    if (alpha - 1.673_263_2).abs() < 1e-5 && (gamma - 1.050_701).abs() < 1e-5 {
        return pointwise(import, node, Form::other(Selu));
    }
    Err(import.refuse(node, format!("alpha = {alpha}, gamma = {gamma}"), "1.6733 and 1.0507 are supported"))
}

fn leaky_relu<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let slope = import.float(node, "alpha", 0.01);
    pointwise(import, node, Form::other(LeakyRelu { slope }))
}

fn elu<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let alpha = import.float(node, "alpha", 1.0);
    pointwise(import, node, Form::other(Elu { alpha }))
}

fn exact_gelu<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    match import.text(node, "approximate") {
        "" | "none" => pointwise(import, node, Form::other(Gelu)),
        other => Err(import.refuse(node, format!("approximate = {other}"), "the exact form is supported")),
    }
}

/// A sigmoid; one that only gates its own input is left for the product, which is a SiLU.
fn sigmoid<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let (Some(x), Some(y)) = (node.input.first(), node.output.first()) else {
        return Err(import.damaged(node, "it has no input or no output"));
    };
    match import.readers_of(y) {
        [mul] if mul.op == "Mul" && mul.input.contains(x) && mul.input.contains(y) => {
            import.set(node, Value::Gate(x.clone()))
        }
        _ => pointwise(import, node, Form::other(Sigmoid)),
    }
}

fn softmax<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    check_channels(import, node)?;
    pointwise(import, node, Form::other(Softmax))
}

fn log_softmax<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    check_channels(import, node)?;
    pointwise(import, node, Form::other(LogSoftmax))
}

/// Refuses a softmax over anything but channels.
fn check_channels(import: &Import<'_>, node: &Node) -> Result<()> {
    let data = import.data(node, 0)?;
    let shape = import.net.shape(data.slot);
    let axis = import.int(node, "axis", if import.opset < 13 { 1 } else { -1 });
    // older operator sets take all axes from this one on together
    let together = import.opset < 13 && shape.plane() > 1;
    match (shape.flat, data.view) {
        (true, _) if axis == 1 || axis == -1 => Ok(()),
        (false, View::Plain) if (axis == 1 || axis == -3) && !together => Ok(()),
        (false, View::Last) if axis == 3 || axis == -1 => Ok(()),
        _ => Err(import.refuse(
            node,
            format!("axis = {axis} of {shape}"),
            "softmax over channels is supported",
        )),
    }
}

fn dropout<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let ratio = match import.constant(node, 1)? {
        None => import.float(node, "ratio", 0.5),
        Some(c) => c.single().map_or(f64::NAN, super::import::shortest),
    };
    if !(0.0..1.0).contains(&ratio) {
        return Err(import.refuse(
            node,
            format!("ratio = {ratio}"),
            "0 and more, but less than 1, is supported",
        ));
    }
    pointwise(import, node, Form::other(Dropout { p: ratio }))
}

/// A copy, or another number type.
fn identity<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    match import.value(node, 0)?.cloned() {
        Some(Value::Data(data)) => import.alias(node, 0, data),
        Some(other) => import.set(node, other),
        None => Err(import.damaged(node, "its input is missing")),
    }
}

fn constant<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let value = import.literal(node)?;
    import.set(node, Value::Constant(value.into()))
}

fn concat<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    if matches!(import.value(node, 0)?, Some(Value::Constant(_))) {
        return shapes::join(import, node);
    }
    let axis = import.int(node, "axis", 1);
    let (mut slots, mut view) = (Vec::new(), View::Plain);
    for i in 0..node.input.len() {
        let data = import.data(node, i)?;
        let data = import.settled(data)?;
        let flat = import.net.shape(data.slot).flat;
        let channels = match data.view {
            View::Plain if flat => [1, -1],
            View::Plain => [1, -3],
            View::Last => [3, -1],
            View::LastFlat(_) => return import.check_plain(node, data),
        };
        if !channels.contains(&axis) || (i > 0 && view != data.view) {
            let problem = format!("axis = {axis}, or inputs with channels in different places");
            return Err(import.refuse(node, problem, "joining channels is supported"));
        }
        view = data.view;
        slots.push(data.slot);
    }
    if let [slot] = slots[..] {
        return import.set_slot(node, slot, view);
    }
    let slot = import.net.push(&wish(node, None), Form::other(Concat), slots, vec![])?;
    import.set_slot(node, slot, view)
}

/// A constant that must be there, as whole numbers.
fn whole(import: &Import<'_>, node: &Node, constant: &Constant) -> Result<Vec<i64>> {
    let ints = constant.as_ints().map(<[i64]>::to_vec);
    ints.ok_or_else(|| import.damaged(node, &format!("\"{}\" holds no whole numbers", constant.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_in_order_and_none_stands_twice() {
        assert!(OPS.windows(2).all(|w| w[0].0 < w[1].0));
    }
}
