//! Operators with weights: convolutions, products with matrices, batch normalisation.

use super::windows::window;
use crate::array::Shape;
use crate::error::Result;
use crate::io::onnx::constant::Constant;
use crate::io::onnx::import::{Import, View, wish};
use crate::io::onnx::made::Form;
use crate::io::onnx::proto::Node;
use crate::layers::{BatchNorm, Conv, ConvTranspose, Dense};
use crate::window::Window;

/// The weights of a convolution: [a, b, rows, columns], none zero.
fn kernel(import: &Import<'_>, node: &Node, weight: &Constant) -> Result<[usize; 4]> {
    match weight.dims[..] {
        [a, b, kh, kw] if weight.len() > 0 => match import.ints(node, "kernel_shape") {
            Some(shape) if *shape != [kh as i64, kw as i64] => {
                Err(import.damaged(node, &format!("kernel_shape {shape:?} with weights {:?}", weight.dims)))
            }
            _ => Ok([a, b, kh, kw]),
        },
        _ => Err(import.refuse(
            node,
            format!("weights of shape {:?}", weight.dims),
            "convolutions over rows and columns are supported",
        )),
    }
}

/// The biases of a layer of `out` outputs, if it has any.
fn biases(import: &Import<'_>, node: &Node, i: usize, out: usize) -> Result<Option<Vec<f32>>> {
    match import.constant(node, i)? {
        None => Ok(None),
        Some(c) if c.len() == out => Ok(Some(c.floats().into_owned())),
        Some(c) => Err(import.damaged(node, &format!("it has {} biases for {out} outputs", c.len()))),
    }
}

pub(super) fn conv<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let mut data = import.data(node, 0)?;
    import.check_plain(node, data)?;
    let weight = import.needed_constant(node, 1)?;
    let [out, inputs, kh, kw] = kernel(import, node, &weight)?;
    if data.padding.is_some_and(|p| p.low) || !matches!(import.text(node, "auto_pad"), "" | "NOTSET") {
        data = import.settled(data)?;
    }
    let shape = import.net.shape(data.slot);
    let mut window = window(import, node, shape.spatial(), [kh, kw])?;
    if let Some(padding) = data.padding {
        for a in 0..2 {
            window.pad[a] += padding.start[a];
            window.pad_end[a] += padding.end[a];
        }
    }
    let groups = import.size(node, "group", 1, 1)?;
    if Some(shape.c) != inputs.checked_mul(groups) || out % groups != 0 {
        let problem = format!("weights {:?} in {groups} groups do not fit {} channels", weight.dims, shape.c);
        return Err(import.damaged(node, &problem));
    }
    let bias = biases(import, node, 2, out)?;
    let layer = Conv { out, window, groups, bias: bias.is_some() };
    let weights = std::iter::once(weight.floats().into_owned()).chain(bias).collect();
    let slot = import.net.push(&wish(node, Some(&weight)), Form::Conv(layer), vec![data.slot], weights)?;
    import.set_slot(node, slot, View::Plain)
}

pub(super) fn conv_transpose<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let data = import.plain(node, 0)?;
    let weight = import.needed_constant(node, 1)?;
    let [inputs, per_group, kh, kw] = kernel(import, node, &weight)?;
    let shape = import.net.shape(data.slot);
    let groups = import.size(node, "group", 1, 1)?;
    let Some(out) =
        per_group.checked_mul(groups).filter(|_| inputs == shape.c && inputs.is_multiple_of(groups))
    else {
        let problem = format!("weights {:?} in {groups} groups for {} channels", weight.dims, shape.c);
        return Err(import.damaged(node, &problem));
    };
    let output_pad = import.pair(node, "output_padding", [0; 2], 0)?;
    let stride = import.pair(node, "strides", [1; 2], 1)?;
    if (0..2).any(|a| output_pad[a] >= stride[a] && output_pad[a] > 0) {
        let problem = format!("output_padding {output_pad:?} with strides {stride:?}");
        return Err(import.refuse(node, problem, "less than the stride is supported"));
    }
    let window = transposed(import, node, shape, [kh, kw], output_pad)?;
    let bias = biases(import, node, 2, out)?;
    let layer = ConvTranspose { out, window, output_pad, groups, bias: bias.is_some() };
    let weights = std::iter::once(weight.floats().into_owned()).chain(bias).collect();
    let slot =
        import.net.push(&wish(node, Some(&weight)), Form::ConvTranspose(layer), vec![data.slot], weights)?;
    import.set_slot(node, slot, View::Plain)
}

/// The window of a transposed convolution: pads as given, or such that the output has the size that is asked for.
fn transposed(
    import: &Import<'_>,
    node: &Node,
    shape: Shape,
    kernel: [usize; 2],
    output_pad: [usize; 2],
) -> Result<Window> {
    let mode = import.text(node, "auto_pad");
    let same = mode.starts_with("SAME");
    let Some(list) = import.ints(node, "output_shape").or(same.then_some(&[])) else {
        return window(import, node, shape.spatial(), kernel);
    };
    let mut window = Window::new(kernel);
    window.stride = import.pair(node, "strides", [1; 2], 1)?;
    window.dilation = import.pair(node, "dilations", [1; 2], 1)?;
    let sizes = match list {
        [] => [0, 1].map(|a| shape.spatial()[a] * window.stride[a]),
        // some writers put the batch and the channels in front
        [.., h, w] => match import.bounded(node, "output_shape", &[*h, *w], 1)?[..] {
            [h, w] => [h, w],
            _ => return Err(import.damaged(node, "output_shape has no two sizes")),
        },
        _ => return Err(import.damaged(node, "output_shape has no two sizes")),
    };
    for a in 0..2 {
        let full = (shape.spatial()[a] - 1) * window.stride[a] + window.span(a) + output_pad[a];
        let Some(total) = full.checked_sub(sizes[a]) else {
            let problem = format!("an output of {sizes:?}, larger than its windows reach");
            return Err(import.refuse(node, problem, "write output_padding"));
        };
        let (less, more) = (total / 2, total - total / 2);
        let upper = mode == "SAME_UPPER";
        (window.pad[a], window.pad_end[a]) = if upper { (less, more) } else { (more, less) };
    }
    Ok(window)
}

/// y = x W' + b with W `[out, in]`, in whatever order the file has them.
fn dense<'a>(
    import: &mut Import<'a>,
    node: &'a Node,
    weight: &Constant,
    by_rows: bool,
    bias: Option<Vec<f32>>,
) -> Result<()> {
    let data = import.data(node, 0)?;
    let shape = import.net.shape(data.slot);
    if !shape.flat {
        let problem = format!("it multiplies {shape} by a matrix");
        return Err(import.refuse(node, problem, "products of vectors [N, K] and a matrix are supported"));
    }
    let [a, b] = weight.dims[..] else {
        return Err(import.refuse(
            node,
            format!("weights of shape {:?}", weight.dims),
            "a matrix is supported",
        ));
    };
    let (out, inputs) = if by_rows { (a, b) } else { (b, a) };
    if inputs != shape.c || out == 0 {
        return Err(import.damaged(node, &format!("weights {:?} for {} inputs", weight.dims, shape.c)));
    }
    let values = weight.floats();
    let order = back_order(data.view, inputs);
    let mut weights = Vec::with_capacity(values.len());
    for o in 0..out {
        for i in 0..inputs {
            let i = order.as_ref().map_or(i, |order| order[i]);
            weights.push(if by_rows { values[o * inputs + i] } else { values[i * out + o] });
        }
    }
    let layer = Dense { out, bias: bias.is_some() };
    let weights = std::iter::once(weights).chain(bias).collect();
    let slot = import.net.push(&wish(node, Some(weight)), Form::Dense(layer), vec![data.slot], weights)?;
    import.set_slot(node, slot, View::Plain)
}

/// For each index of the engine's vector the index in the file's, where they differ.
pub(super) fn back_order(view: View, size: usize) -> Option<Vec<usize>> {
    let View::LastFlat(Shape { c, h, w, .. }) = view else { return None };
    Some((0..size).map(|i| i % (h * w) * c + i / (h * w)).collect())
}

pub(super) fn gemm<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let (alpha, beta) = (import.float(node, "alpha", 1.0) as f32, import.float(node, "beta", 1.0) as f32);
    if import.int(node, "transA", 0) != 0 {
        return Err(import.refuse(node, "transA = 1", "0 is supported"));
    }
    let by_rows = import.int(node, "transB", 0) != 0;
    let mut weight = (*import.needed_constant(node, 1)?).clone();
    let out = weight.dims.get(usize::from(!by_rows)).copied().unwrap_or(0);
    let bias = match import.constant(node, 2)? {
        None => None,
        Some(c) if c.len() == out => Some(c.floats().iter().map(|v| v * beta).collect()),
        Some(c) => {
            let one = c
                .single()
                .ok_or_else(|| import.damaged(node, &format!("{} biases for {out} outputs", c.len())))?;
            import.net.spend(&node.name, out)?;
            Some(vec![one * beta; out])
        }
    };
    if alpha != 1.0 {
        let scaled = weight.floats().iter().map(|v| v * alpha).collect();
        weight.numbers = crate::io::onnx::constant::Numbers::Floats(scaled);
    }
    dense(import, node, &weight, by_rows, bias)
}

pub(super) fn mat_mul<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let weight = import.needed_constant(node, 1)?;
    dense(import, node, &weight, false, None)
}

pub(super) fn batch_normalization<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let data = import.data(node, 0)?;
    let data = import.settled(data)?;
    if import.int(node, "training_mode", 0) != 0 {
        return Err(import.refuse(node, "training_mode = 1", "save the net in evaluation mode"));
    }
    if let View::LastFlat(_) = data.view {
        return import.check_plain(node, data);
    }
    let channels = import.net.shape(data.slot).c;
    let mut weights = Vec::new();
    for i in 1..5 {
        let c = import.needed_constant(node, i)?;
        if c.len() != channels {
            return Err(
                import.damaged(node, &format!("input {i} has {} numbers for {channels} channels", c.len()))
            );
        }
        weights.push(c.floats().into_owned());
    }
    let momentum = super::super::import::shortest((1.0 - import.float(node, "momentum", 0.9)) as f32);
    let layer = BatchNorm { eps: import.float(node, "epsilon", 1e-5), momentum };
    let name = wish(node, import.constant(node, 1)?.as_deref());
    let slot = import.net.push(&name, Form::other(layer), vec![data.slot], weights)?;
    import.set_slot(node, slot, data.view)
}
