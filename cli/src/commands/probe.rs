//! `glassbox probe`: how far each layer has pulled the classes apart.

use crate::error::{Error, Result};
use crate::net::NetArgs;
use crate::run::data::DataArgs;
use crate::run::images::Shown;
use crate::{say, threads};
use glassbox_engine::data::Dataset;
use glassbox_engine::io::atomic;
use glassbox_engine::train::probe::{Half, Options, Probe, probe};
use glassbox_engine::{Graph, Params};
use glassbox_viz::cnnvis::groups;
use glassbox_viz::probes::{Row, draw};
use glassbox_viz::projection::{MOST, Pooling, points};
use ndarray::Array2;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;

/// Train a linear classifier on what each layer makes of the images, and say how well it does
///
/// The net stays as it is. Layers are the input, the last one of each group of layers, and the logits, unless --layer
/// names others. Maps of more numbers than --features, or too large for the memory, count by the mean of each channel. --limit bounds
/// the images.
///
/// Example: glassbox probe runs/lenet-1 --svg probes.svg
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    net: NetArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Probe this layer ("input" for the pixels); may be given several times
    #[arg(long, value_name = "LAYER")]
    layer: Vec<String>,
    /// Most numbers of a layer that are read one by one
    #[arg(long, value_name = "N", default_value_t = 8192)]
    features: usize,
    /// Passes over the training images
    #[arg(long, value_name = "N", default_value_t = 30)]
    epochs: u64,
    /// Learning rate at the start
    #[arg(long, value_name = "X", default_value_t = 0.02)]
    lr: f64,
    /// Seed of first weights and order
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write the accuracies as a drawing
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Threads (0: one per processor)
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// A probe in its place.
struct Found {
    layer: String,
    features: usize,
    pooled: bool,
    probe: Probe,
}

pub fn run(args: Args) -> Result<()> {
    let net = args.net.load()?;
    let splits = args.data.load(net.run.as_deref())?;
    let halves = [Arc::new(splits.train), Arc::new(splits.test)];
    let slots = slots(&net.graph, &args.layer)?;
    if args.epochs == 0 || halves.iter().any(|h| h.is_empty()) {
        return Err(Error::request("nothing to learn from or judge by", "give images of both halves, and --epochs 1 or more"));
    }
    let found = threads::with(args.threads, || {
        slots.iter().map(|&slot| one(&args, &net.graph, &net.params, &halves, slot)).collect::<Result<Vec<_>>>()
    })?;
    if let Some(file) = &args.svg {
        let title = format!("Linear probes of {} on {}", net.graph.name(), halves[1].name);
        let rows: Vec<Row> = found.iter().map(row).collect();
        let chance = 1.0 / halves[0].classes.len().max(1) as f64;
        atomic::write(file, draw(&title, &rows, chance).as_bytes())?;
    }
    if args.json {
        let layers = found.iter().map(|f| {
            json!({
                "layer": f.layer, "features": f.features, "pooled": f.pooled,
                "train_accuracy": f.probe.train.accuracy(), "test_accuracy": f.probe.test.accuracy(),
                "train_loss": f.probe.train.mean(), "test_loss": f.probe.test.mean(),
            })
        });
        let value = json!({
            "model": net.graph.name(), "data": halves[1].name, "train_images": halves[0].len(),
            "test_images": halves[1].len(), "epochs": args.epochs, "seed": args.seed,
            "layers": layers.collect::<Vec<_>>(),
        });
        say::line(format!("{value:#}"));
        return Ok(());
    }
    let share = |v: f64| format!("{:.2} %", 100.0 * v);
    let cells = |f: &Found| {
        let features = format!("{}{}", say::count(f.features as u64), if f.pooled { " (means)" } else { "" });
        vec![f.layer.clone(), features, share(f.probe.train.accuracy()), share(f.probe.test.accuracy())]
    };
    let rows: Vec<_> = found.iter().map(cells).collect();
    say::line(say::table(&["layer", "features", "training", "test"], &rows, &[false, true, true, true]));
    Ok(())
}

/// The layers to probe.
fn slots(graph: &Graph, layers: &[String]) -> Result<Vec<usize>> {
    if layers.is_empty() {
        return Ok(std::iter::once(0).chain(groups(graph).iter().map(|g| g.slot)).collect());
    }
    layers.iter().map(|layer| Ok(graph.slot(layer)?)).collect()
}

fn one(args: &Args, graph: &Graph, params: &Params<f32>, halves: &[Arc<Dataset>; 2], slot: usize) -> Result<Found> {
    let (size, images) = (graph.shape(slot).size(), halves[0].len().max(halves[1].len()));
    let pooled = size > args.features || size * images > MOST / 2;
    let pooling = if pooled { Pooling::Mean } else { Pooling::Flatten };
    let features = |half: &Arc<Dataset>, name: &str| -> Result<Array2<f32>> {
        let shown = Shown::new(graph, half, name)?;
        let found = points(graph, params, &shown, &[slot], pooling, None)?;
        Ok(found[0].mapv(|v| v as f32))
    };
    let (train, test) = (features(&halves[0], "training")?, features(&halves[1], "test")?);
    let options = Options { epochs: args.epochs, lr: args.lr, seed: args.seed };
    let classes = halves[0].classes.len().max(1);
    let probe = probe(
        Half { features: train.view(), labels: &halves[0].labels },
        Half { features: test.view(), labels: &halves[1].labels },
        classes,
        options,
    )?;
    Ok(Found { layer: graph.names()[slot].clone(), features: train.ncols(), pooled, probe })
}

/// A row of the drawing.
fn row(found: &Found) -> Row {
    let what = if found.pooled { "means of channels" } else { "numbers" };
    let label = format!("{} ({} {what})", found.layer, say::count(found.features as u64));
    Row { label, train: found.probe.train.accuracy(), test: found.probe.test.accuracy() }
}
