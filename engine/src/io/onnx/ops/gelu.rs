//! GELU as exporters write it where the operator set has none: x (1 + Erf(x / sqrt(2))) / 2, its factors in any order.
//!
//! What stands between the Erf and the last product is remembered as a part of the pattern and makes no layer.

use crate::error::Result;
use crate::io::onnx::import::{Data, Gauss, Import, Value};
use crate::io::onnx::made::Form;
use crate::io::onnx::proto::Node;
use crate::layers::Gelu;

/// The error function, of x / sqrt(2) only.
pub(super) fn erf<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let data = import.data(node, 0)?;
    let near = |scale: f32| (scale - std::f32::consts::FRAC_1_SQRT_2).abs() < 1e-6;
    match import.net.scaling(data.slot).filter(|_| data.padding.is_none()) {
        Some((slot, scale)) if near(scale) => {
            let x = Data { slot, alone: false, ..data };
            import.set(node, Value::Gauss(x, Gauss::Erf))
        }
        _ => Err(import.refuse(node, "it is no part of a GELU", "Erf(x / sqrt(2)) is supported")),
    }
}

/// Reads a sum, product or quotient that belongs to the pattern; false where it does not.
pub(super) fn part<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<bool> {
    let of = |i: usize| import.value(node, i).map(|v| v.cloned());
    let (x, part, other, place) = match (of(0)?, of(1)?) {
        (Some(Value::Gauss(x, part)), Some(other)) => (x, part, other, 1),
        (Some(other), Some(Value::Gauss(x, part))) => (x, part, other, 0),
        _ => return Ok(false),
    };
    let constant = match &other {
        Value::Constant(c) => c.single(),
        _ => None,
    };
    let halves = match node.op.as_str() {
        "Mul" => constant == Some(0.5),
        "Div" => constant == Some(2.0) && place == 1,
        _ => false,
    };
    let times = |scale: f32| match other {
        Value::Data(d) if node.op == "Mul" && d.padding.is_none() => {
            (d.slot == x.slot && scale == 1.0) || import.net.scaling(d.slot) == Some((x.slot, scale))
        }
        _ => false,
    };
    let next = match part {
        Gauss::Erf if node.op == "Add" && constant == Some(1.0) => Gauss::Plus,
        Gauss::Plus if halves => Gauss::Half,
        Gauss::Plus if times(1.0) => Gauss::Product,
        Gauss::Plus if times(0.5) => return finish(import, node, x),
        Gauss::Half if times(1.0) => return finish(import, node, x),
        Gauss::Product if halves => return finish(import, node, x),
        _ => {
            let cure = "x (1 + Erf(x / sqrt(2))) / 2 is supported";
            return Err(import.refuse(node, "what it makes of an Erf is no GELU", cure));
        }
    };
    import.set(node, Value::Gauss(x, next))?;
    Ok(true)
}

fn finish<'a>(import: &mut Import<'a>, node: &'a Node, x: Data) -> Result<bool> {
    import.layer(node, x, Form::other(Gelu), vec![])?;
    Ok(true)
}
