//! `glassbox inspect`: a net as a table.

use crate::error::Result;
use crate::net::NetArgs;
use crate::say;
use glassbox_engine::graph::field;
use glassbox_engine::{Graph, Keep, Plan};
use serde_json::json;

/// Show a net as a table: layer, kind, output shape, parameters, multiply-adds, receptive field, trace memory
///
/// Example: glassbox inspect lenet
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    net: NetArgs,
    /// Images in the batch that the memory is told for
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let net = args.net.load()?;
    let graph = &net.graph;
    let batch = args.batch.max(1);
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for (i, node) in graph.nodes().iter().enumerate() {
        let parameters: usize = node.facts.params.iter().map(|p| p.dims.iter().product::<usize>()).sum();
        let seen = field::of_slot(graph, i + 1);
        let bytes = layer_bytes(graph, i, batch);
        let from: Vec<&str> = node.inputs.iter().map(|&s| graph.names()[s].as_str()).collect();
        let saved: Vec<&str> = node.facts.saved.iter().map(|s| s.name).collect();
        rows.push(vec![
            node.name.clone(),
            node.layer.kind().name.to_string(),
            if node.inputs == [i] { String::new() } else { from.join(" + ") },
            node.facts.output.to_string(),
            say::count(parameters as u64),
            say::count(node.facts.macs),
            format!("{}x{}", seen.size[0], seen.size[1]),
            saved.join(" "),
            say::bytes(bytes),
        ]);
        values.push(json!({
            "layer": node.name, "kind": node.layer.kind().name, "from": from,
            "output": node.facts.output.exported(1)[1..], "parameters": parameters, "macs": node.facts.macs,
            "receptive_field": seen.size, "saved": saved, "trace_bytes": bytes,
        }));
    }
    let total: usize = (0..graph.nodes().len()).map(|i| layer_bytes(graph, i, batch)).sum();
    let parameters = graph.layout().count();
    if args.json {
        let input = graph.input();
        let whole = json!({
            "model": graph.name(), "input": [input.c, input.h, input.w], "batch": batch,
            "parameters": parameters, "macs": graph.macs(), "trace_bytes": total, "layers": values,
        });
        say::line(format!("{whole:#}"));
        return Ok(());
    }
    say::line(format!("model {}, input {}", graph.name(), graph.input()));
    let header = ["layer", "kind", "from", "output", "parameters", "multiply-adds", "sees", "saves", "trace"];
    say::line(say::table(&header, &rows, &[false, false, false, true, true, true, true, false, true]));
    say::line(format!(
        "{} parameters to learn, {} multiply-adds per image, {} of trace for a batch of {batch} \
         ({} when nothing but the output is kept)",
        say::count(parameters as u64),
        say::count(graph.macs()),
        say::bytes(total),
        say::bytes(Plan::new(graph, batch, Keep::Nothing).activation_values(graph) * size_of::<f32>()),
    ));
    Ok(())
}

/// Bytes that a layer's output and saved arrays take in the trace of a batch.
fn layer_bytes(graph: &Graph, i: usize, batch: usize) -> usize {
    use glassbox_engine::trace::SavedKind;
    let images = if batch == 1 { 1 } else { batch.next_multiple_of(glassbox_engine::LANES) };
    let node = &graph.nodes()[i];
    let saved: usize = node.facts.saved.iter().map(|s| match s.kind {
        SavedKind::Switches(shape) | SavedKind::Values(shape) => shape.size() * images * size_of::<f32>(),
        SavedKind::Mask(shape) => shape.size() * images,
        SavedKind::Channels(c) => c * size_of::<f32>(),
    }).sum();
    node.facts.output.size() * images * size_of::<f32>() + saved
}
