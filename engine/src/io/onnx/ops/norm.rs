//! Local response normalisation as PyTorch writes it: squares, padded and averaged over channels by a pool in three
//! dimensions, times alpha, plus k, to the power beta, below the input: one lrn layer.
//!
//! What stands between the squares and the quotient is remembered as a part of the pattern and makes no layer.

use super::whole;
use crate::error::Result;
use crate::io::onnx::import::{Data, Import, Value, shortest};
use crate::io::onnx::made::Form;
use crate::io::onnx::proto::Node;
use crate::layers::Lrn;

/// How far a normalisation has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::io::onnx) enum Norm {
    /// Squares of each value.
    Squares,
    /// The same with channels as an axis of space.
    Deep,
    /// Zeros before and after the channels.
    Padded([usize; 2]),
    /// Means over so many channels, channels still an axis of space.
    DeepMeans(usize),
    /// Means over so many channels.
    Means(usize),
    /// The layer, as far as it is known.
    Scaled(Lrn),
    Shifted(Lrn),
    Power(Lrn),
}

/// x times itself: the beginning of the pattern. False for other products.
pub(super) fn square<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<bool> {
    if node.input.len() != 2 || node.input[0] != node.input[1] {
        return Ok(false);
    }
    begin(import, node).map(|()| true)
}

fn begin<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let data = import.plain(node, 0)?;
    import.set(node, Value::Norm(Data { alone: false, ..data }, Norm::Squares))
}

/// The square of data; other powers only end the pattern.
pub(super) fn pow<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    match import.constant(node, 1)?.and_then(|c| c.single()) {
        Some(2.0) => begin(import, node),
        _ => Err(import.refuse(node, "a power", "squares in a local response normalisation are supported")),
    }
}

/// Reads a node that belongs to the pattern; false where it does not.
pub(super) fn part<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<bool> {
    let of = |i: usize| match import.value(node, i) {
        Ok(Some(Value::Norm(x, norm))) => Some((*x, *norm, i)),
        _ => None,
    };
    let Some((x, norm, place)) = (0..node.input.len().min(2)).find_map(of) else { return Ok(false) };
    let single = |i: usize| match import.value(node, i) {
        Ok(Some(Value::Constant(c))) => c.single().map(shortest),
        _ => None,
    };
    let other = single(1 - place);
    let lrn = |size: usize, alpha: f64| Lrn { size, alpha, beta: 0.0, k: 0.0 };
    let next = match (node.op.as_str(), norm) {
        ("Reshape" | "Unsqueeze", Norm::Squares) if deep(import, node, x)? => Some(Norm::Deep),
        ("Pad", Norm::Deep) => padding(import, node)?.map(Norm::Padded),
        ("AveragePool", Norm::Padded(pad)) => pooled(import, node, pad)?.map(Norm::DeepMeans),
        ("Squeeze" | "Reshape", Norm::DeepMeans(size)) if flat(import, node)? => Some(Norm::Means(size)),
        ("Reshape", Norm::Means(_)) if flat(import, node)? => Some(norm),
        ("Mul", Norm::Means(size)) => other.map(|alpha| Norm::Scaled(lrn(size, alpha))),
        ("Add", Norm::Scaled(l)) => other.map(|k| Norm::Shifted(Lrn { k, ..l })),
        ("Pow", Norm::Shifted(l)) if place == 0 => other.map(|beta| Norm::Power(Lrn { beta, ..l })),
        ("Div", Norm::Power(l)) if place == 1 && import.data(node, 0)?.slot == x.slot => {
            import.layer(node, x, Form::other(l), vec![])?;
            return Ok(true);
        }
        _ => None,
    };
    let Some(next) = next else {
        let problem = "what it makes of squares is no local response normalisation";
        let cure = "x / (k + alpha mean of squares)^beta over neighbouring channels is supported";
        return Err(import.refuse(node, problem, cure));
    };
    import.set(node, Value::Norm(x, next))?;
    Ok(true)
}

/// A list of whole numbers: input `i`, or the attribute.
fn list(import: &Import<'_>, node: &Node, i: usize, name: &str) -> Result<Vec<i64>> {
    match import.constant(node, i)? {
        Some(c) => whole(import, node, &c),
        None => Ok(import.ints(node, name).unwrap_or(&[]).to_vec()),
    }
}

/// Whether it makes [N, 1, C, H, W] of [N, C, H, W].
fn deep(import: &Import<'_>, node: &Node, x: Data) -> Result<bool> {
    if node.op == "Unsqueeze" {
        return Ok(list(import, node, 1, "axes")? == [1]);
    }
    let shape = import.net.shape(x.slot);
    let fits = |n: i64, size: usize| n == -1 || n == size as i64;
    Ok(match list(import, node, 1, "shape")?[..] {
        [_, 1, c, h, w] => c == shape.c as i64 && fits(h, shape.h) && fits(w, shape.w),
        _ => false,
    })
}

/// Whether it makes [N, C, H, W] again.
fn flat(import: &Import<'_>, node: &Node) -> Result<bool> {
    Ok(match node.op.as_str() {
        "Squeeze" => list(import, node, 1, "axes")? == [1],
        _ => list(import, node, 1, "shape")?.len() == 4,
    })
}

/// Zeros before and after the channels, if it pads nothing else.
fn padding(import: &Import<'_>, node: &Node) -> Result<Option<[usize; 2]>> {
    let pads = list(import, node, 1, "pads")?;
    let zero = import.constant(node, 2)?.and_then(|c| c.single()).unwrap_or(0.0) == 0.0;
    let constant = matches!(import.text(node, "mode"), "" | "constant") && node.input.len() < 4;
    Ok(match pads[..] {
        [0, 0, start, 0, 0, 0, 0, end, 0, 0] if zero && constant => {
            let sides = import.bounded(node, "pads", &[start, end], 0)?;
            Some([sides[0], sides[1]])
        }
        _ => None,
    })
}

/// The number of channels that it averages, if it averages nothing else and every channel has a mean.
fn pooled(import: &Import<'_>, node: &Node, [start, end]: [usize; 2]) -> Result<Option<usize>> {
    let all = |name: &str, value: i64| import.ints(node, name).is_none_or(|l| l.iter().all(|&v| v == value));
    let plain = all("strides", 1) && all("pads", 0) && all("dilations", 1);
    Ok(match import.ints(node, "kernel_shape") {
        Some(&[size, 1, 1]) if plain => {
            let size = import.bounded(node, "kernel_shape", &[size], 1)?[0];
            (start == size / 2 && end == (size - 1) / 2).then_some(size)
        }
        _ => None,
    })
}
