//! architecture: the net as a drawing, layers as boxes, arrows with the shapes that flow.

use super::{Figure, File, Needs, Scene};
use crate::architecture::{Box, architecture};
use crate::error::Result;
use crate::methods::Settings;
use glassbox_engine::layers::options::Value;

pub(super) static FIGURE: Figure = Figure {
    name: "architecture",
    summary: "the net as a drawing: layers, shapes, parameters",
    needs: Needs::Net,
    keys: &[],
    draw,
};

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    let graph = scene.graph;
    let input = graph.input();
    let mut boxes = vec![Box {
        name: "input".into(),
        kind: "input".into(),
        shape: format!("{} x {} x {}", input.c, input.h, input.w),
        ..Box::default()
    }];
    boxes.extend(graph.nodes().iter().map(|node| {
        let out = node.facts.output;
        let params: usize = node
            .facts
            .params
            .iter()
            .filter(|p| p.role.learnable())
            .map(|p| p.dims.iter().product::<usize>())
            .sum();
        Box {
            name: node.name.clone(),
            kind: node.layer.kind().name.into(),
            detail: detail(&node.layer.options()),
            shape: if out.flat { out.c.to_string() } else { format!("{} x {} x {}", out.c, out.h, out.w) },
            params: params as u64,
            inputs: node.inputs.clone(),
        }
    }));
    Ok(vec![File {
        path: "architecture.svg".into(),
        bytes: architecture(graph.name(), &boxes)?.into_bytes(),
    }])
}

/// The options that say most, in words: kernel, and stride, pad, groups, dilation where they are not the usual ones.
fn detail(options: &[(&'static str, Value)]) -> String {
    let text = |value: &Value| match value {
        Value::Int(v) => v.to_string(),
        Value::Float(v) => v.to_string(),
        Value::Ints(v) => v.iter().map(i64::to_string).collect::<Vec<_>>().join("x"),
        Value::Bool(v) => v.to_string(),
        Value::Other(v) => v.clone(),
    };
    let mut words = Vec::new();
    for (key, value) in options {
        let shown = text(value);
        match *key {
            "kernel" => words.push(if shown.contains('x') { shown } else { format!("{shown}x{shown}") }),
            "stride" | "groups" | "dilation" if shown != "1" => words.push(format!("{key} {shown}")),
            "pad" if shown != "0" => words.push(format!("pad {shown}")),
            "p" | "slope" | "size" => words.push(format!("{key} {shown}")),
            _ => {}
        }
    }
    words.join(", ")
}
