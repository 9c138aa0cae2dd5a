//! Operators that slide windows or look across channels: pools, padding, local response normalisation.
//!
//! Padding of its own is merged into the window that follows where both mean the same. Where they do not (zeros before a
//! max-pool over numbers that may be negative, more padding than half a pool) it is done by a convolution of 1x1.

use crate::error::Result;
use crate::io::onnx::import::{Data, Import, Padding, Value, View};
use crate::io::onnx::made::Form;
use crate::io::onnx::proto::Node;
use crate::layers::{AvgPool, Flatten, GlobalAvgPool, Lrn, MaxPool};
use crate::window::Window;

/// Anything below counts as lower than all numbers.
const LOW: f32 = -1e30;

/// The window that a node describes, on an input of (rows, columns).
pub(super) fn window(
    import: &Import<'_>,
    node: &Node,
    input: [usize; 2],
    kernel: [usize; 2],
) -> Result<Window> {
    let mut window = Window::new(kernel);
    window.stride = import.pair(node, "strides", [1; 2], 1)?;
    window.dilation = import.pair(node, "dilations", [1; 2], 1)?;
    let upper = match import.text(node, "auto_pad") {
        "" | "NOTSET" => {
            if let Some(pads) = import.ints(node, "pads") {
                let [top, left, bottom, right] = import.bounded(node, "pads", pads, 0)?[..] else {
                    return Err(import.refuse(
                        node,
                        format!("pads has {} numbers", pads.len()),
                        "four are supported",
                    ));
                };
                (window.pad, window.pad_end) = ([top, left], [bottom, right]);
            }
            return Ok(window);
        }
        "VALID" => return Ok(window),
        "SAME_UPPER" => true,
        "SAME_LOWER" => false,
        other => {
            return Err(import.refuse(
                node,
                format!("auto_pad = {other}"),
                "NOTSET, VALID, SAME_UPPER and SAME_LOWER are supported",
            ));
        }
    };
    for (a, size) in input.into_iter().enumerate() {
        let outputs = size.div_ceil(window.stride[a]);
        let total = ((outputs - 1) * window.stride[a] + window.span(a)).saturating_sub(size);
        let (less, more) = (total / 2, total - total / 2);
        (window.pad[a], window.pad_end[a]) = if upper { (less, more) } else { (more, less) };
    }
    Ok(window)
}

/// The window of a pool. Errors: dilation.
fn pool(import: &Import<'_>, node: &Node, data: Data) -> Result<Window> {
    let input = import.net.shape(data.slot).spatial();
    let kernel = import.pair(node, "kernel_shape", [0; 2], 1)?;
    if kernel[0] == 0 {
        return Err(import.damaged(node, "it has no kernel_shape"));
    }
    let mut window = window(import, node, input, kernel)?;
    if window.dilation != [1; 2] {
        return Err(import.refuse(
            node,
            format!("dilations = {:?}", window.dilation),
            "pools without dilation are supported",
        ));
    }
    window.ceil = import.int(node, "ceil_mode", 0) != 0;
    Ok(window)
}

fn auto(import: &Import<'_>, node: &Node) -> bool {
    import.text(node, "auto_pad").starts_with("SAME")
}

/// The window with the padding of a node before it.
fn merged(mut window: Window, padding: Padding) -> Window {
    for a in 0..2 {
        window.pad[a] += padding.start[a];
        window.pad_end[a] += padding.end[a];
    }
    window
}

/// Whether no window lies in padding alone.
fn half(window: &Window) -> bool {
    (0..2).all(|a| window.pad[a].max(window.pad_end[a]) * 2 <= window.kernel[a])
}

pub(super) fn max_pool<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let mut data = import.data(node, 0)?;
    import.check_plain(node, data)?;
    if auto(import, node) {
        data = import.settled(data)?;
    }
    let mut window = pool(import, node, data)?;
    if let Some(padding) = data.padding {
        // zeros lose against everything that a rectifier lets through, so they may as well not be there
        let loses = padding.low || import.net.kind(data.slot) == "relu";
        let both = merged(window, padding);
        if loses && half(&both) {
            window = both;
        } else {
            data = import.settled(data)?;
        }
    }
    let data = Data { padding: None, ..data };
    if !half(&window) {
        let problem = format!("pads {:?} {:?} with kernel {:?}", window.pad, window.pad_end, window.kernel);
        return Err(import.refuse(node, problem, "padding of at most half the kernel is supported"));
    }
    import.layer(node, data, Form::other(MaxPool { window }), vec![])
}

pub(super) fn average_pool<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let mut data = import.data(node, 0)?;
    import.check_plain(node, data)?;
    if auto(import, node) {
        data = import.settled(data)?;
    }
    let mut window = pool(import, node, data)?;
    let mut count_include_pad = import.int(node, "count_include_pad", 0) != 0;
    let none = window.pad == [0; 2] && window.pad_end == [0; 2];
    if let Some(padding) = data.padding {
        let both = merged(window, padding);
        // zeros of a node of their own always count
        if !padding.low && !window.ceil && half(&both) && (none || count_include_pad) {
            (window, count_include_pad) = (both, true);
        } else {
            data = import.settled(data)?;
        }
    } else if count_include_pad && !window.ceil && !half(&window) {
        let padding = Padding { start: window.pad, end: window.pad_end, low: false };
        data = import.settled(Data { padding: Some(padding), ..data })?;
        (window.pad, window.pad_end) = ([0; 2], [0; 2]);
    } else if none {
        count_include_pad = true;
    }
    let data = Data { padding: None, ..data };
    import.layer(node, data, Form::other(AvgPool { window, count_include_pad }), vec![])
}

pub(super) fn global_average_pool<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let data = import.plain(node, 0)?;
    import.layer(node, data, Form::other(GlobalAvgPool), vec![])
}

pub(super) fn global_max_pool<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let data = import.plain(node, 0)?;
    let kernel = import.net.shape(data.slot).spatial();
    let window = Window { stride: kernel, ..Window::new(kernel) };
    import.layer(node, data, Form::other(MaxPool { window }), vec![])
}

/// The mean over rows and columns.
pub(super) fn reduce_mean<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let data = import.data(node, 0)?;
    let data = import.settled(data)?;
    let axes = match import.constant(node, 1)? {
        Some(c) => super::whole(import, node, &c)?,
        None => import.ints(node, "axes").unwrap_or(&[]).to_vec(),
    };
    let mut places: Vec<i64> = axes.iter().map(|&a| if a < 0 { a.saturating_add(4) } else { a }).collect();
    places.sort_unstable();
    let spatial: &[i64] = if data.view == View::Last { &[1, 2] } else { &[2, 3] };
    let shape = import.net.shape(data.slot);
    if shape.flat || places != spatial {
        let problem = format!("axes = {axes:?} of {shape}");
        return Err(import.refuse(node, problem, "the mean over rows and columns is supported"));
    }
    if import.int(node, "keepdims", 1) != 0 {
        return import.layer(node, data, Form::other(GlobalAvgPool), vec![]);
    }
    let name = super::wish(node, None);
    let mean = import.net.push(&name, Form::other(GlobalAvgPool), vec![data.slot], vec![])?;
    let slot = import.net.push(&format!("{name}.flatten"), Form::other(Flatten), vec![mean], vec![])?;
    import.set_slot(node, slot, View::Plain)
}

pub(super) fn lrn<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let data = import.data(node, 0)?;
    let data = import.settled(data)?;
    let size = import.size(node, "size", 0, 1)?;
    if size % 2 == 0 && size > 1 {
        return Err(import.refuse(node, format!("size = {size}"), "odd sizes are supported"));
    }
    let (alpha, beta) = (import.float(node, "alpha", 1e-4), import.float(node, "beta", 0.75));
    let k = import.float(node, "bias", 1.0);
    import.layer(node, data, Form::other(Lrn { size, alpha, beta, k }), vec![])
}

/// Padding in a node of its own.
pub(super) fn pad<'a>(import: &mut Import<'a>, node: &'a Node) -> Result<()> {
    let data = import.data(node, 0)?;
    let data = import.settled(data)?;
    if !matches!(import.text(node, "mode"), "" | "constant") {
        let mode = import.text(node, "mode");
        return Err(import.refuse(node, format!("mode = {mode}"), "constant padding is supported"));
    }
    let pads = match import.constant(node, 1)? {
        Some(c) => super::whole(import, node, &c)?,
        None => import.ints(node, "pads").unwrap_or(&[]).to_vec(),
    };
    let value = match import.constant(node, 2)? {
        Some(c) => c.single().unwrap_or(0.0),
        None => import.float(node, "value", 0.0) as f32,
    };
    let axes = match import.constant(node, 3)? {
        Some(c) => super::whole(import, node, &c)?,
        None => (0..pads.len() as i64 / 2).collect(),
    };
    if value != 0.0 && value > LOW {
        return Err(import.refuse(node, format!("it pads with {value}"), "zeros are supported"));
    }
    if pads.iter().all(|&p| p == 0) {
        return import.alias(node, 0, data);
    }
    let rows = if data.view == View::Last { 1 } else { 2 };
    let mut padding = Padding { start: [0; 2], end: [0; 2], low: value <= LOW };
    for (i, axis) in axes.iter().enumerate() {
        let (Some(&start), Some(&end)) = (pads.get(i), pads.get(i + axes.len())) else {
            return Err(import.damaged(node, "it has fewer pads than axes"));
        };
        let sides = import.bounded(node, "pads", &[start, end], 0)?;
        match if *axis < 0 { axis.saturating_add(4) - rows } else { axis - rows } {
            a @ 0..=1 => (padding.start[a as usize], padding.end[a as usize]) = (sides[0], sides[1]),
            _ if sides == [0, 0] => {}
            _ => {
                return Err(import.refuse(
                    node,
                    "it pads images or channels",
                    "padding of rows and columns is supported",
                ));
            }
        }
    }
    if import.net.shape(data.slot).flat {
        return Err(import.refuse(node, "it pads a vector", "padding of maps is supported"));
    }
    let alone = data.alone && import.sole(node, 0);
    import.set(node, Value::Data(Data { padding: Some(padding), alone, ..data }))
}
