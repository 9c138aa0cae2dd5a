//! `glassbox predict`: logits, and the top classes.

use crate::error::Result;
use crate::net::{self, NetArgs};
use crate::say;
use glassbox_engine::io::npy;
use glassbox_engine::{Mode, forward};
use ndarray::{ArrayD, Axis};
use std::path::PathBuf;

/// Run a net on images: logits, and a table of the top classes
///
/// Example: glassbox predict runs/lenet-1 --input digit.png
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    net: NetArgs,
    /// A .npy of shape [N,C,H,W] as the net sees it, or image files
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    input: Vec<PathBuf>,
    /// Write the logits, [N,K], to this .npy
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Classes to show per image
    #[arg(long, default_value_t = 3)]
    top: usize,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let net = args.net.load()?;
    let images = net::input(&net.graph, &args.input)?;
    let mut logits: Vec<ArrayD<f32>> = Vec::new();
    for part in images.axis_chunks_iter(Axis(0), 64) {
        let trace = forward(&net.graph, &net.params, &net::blocked(&part.to_owned()), Mode::Eval)?;
        logits.push(trace.slot(net.graph.logits())?.to_exported());
    }
    let views: Vec<_> = logits.iter().map(|l| l.view()).collect();
    let logits = ndarray::concatenate(Axis(0), &views)
        .map_err(|e| crate::error::Error::request(format!("the logits do not fit together: {e}"), "report this"))?;
    if let Some(out) = &args.out {
        npy::write(out, logits.view())?;
    }
    let tops: Vec<Vec<(usize, f32, f64)>> = logits.axis_iter(Axis(0)).map(|l| top(l.iter().copied(), args.top)).collect();
    if args.json {
        let images = tops.iter().map(|top| {
            top.iter()
                .map(|&(k, logit, p)| serde_json::json!({"class": k, "name": net.graph.class_name(k), "logit": logit, "probability": p}))
                .collect::<Vec<_>>()
        });
        say::line(format!("{:#}", serde_json::json!({"images": images.collect::<Vec<_>>()})));
        return Ok(());
    }
    let cell = |&(k, logit, p): &(usize, f32, f64)| format!("{} {:.1} % ({logit:.3})", net.graph.class_name(k), 100.0 * p);
    let rows: Vec<Vec<String>> = tops
        .iter()
        .enumerate()
        .map(|(i, top)| vec![i.to_string(), top.iter().map(cell).collect::<Vec<_>>().join(", ")])
        .collect();
    say::line(say::table(&["image", "class probability (logit)"], &rows, &[true, false]));
    if !net.trained {
        say::note("note: no weights were given, so these are the guesses of fresh parameters");
    }
    Ok(())
}

/// The largest logits with their softmax probabilities: (class, logit, probability).
fn top(logits: impl Iterator<Item = f32>, n: usize) -> Vec<(usize, f32, f64)> {
    let mut all: Vec<(usize, f32)> = logits.enumerate().collect();
    let max = all.iter().map(|(_, v)| *v).fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = all.iter().map(|(_, v)| f64::from(v - max).exp()).sum();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(n.max(1));
    all.into_iter().map(|(k, v)| (k, v, f64::from(v - max).exp() / sum)).collect()
}
