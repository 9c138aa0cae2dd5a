//! `glassbox eval`: loss, accuracy and confusion on a data set.

use crate::error::Result;
use crate::net::NetArgs;
use crate::pictures;
use crate::run::data::DataArgs;
use crate::{say, threads};
use glassbox_engine::io::atomic;
use glassbox_engine::loss::CrossEntropy;
use glassbox_engine::train::{Evaluation, evaluate};
use std::path::PathBuf;
use std::sync::Arc;

/// Measure a net on a data set's test images: loss, accuracy, confusion matrix
///
/// Example: glassbox eval runs/lenet-1
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    net: NetArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Measure on the training images instead
    #[arg(long)]
    train_set: bool,
    /// Write the confusion matrix as a picture
    #[arg(long, value_name = "FILE.png")]
    png: Option<PathBuf>,
    /// Threads (0: one per processor)
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let net = args.net.load()?;
    let splits = args.data.load(net.run.as_deref())?;
    let data = Arc::new(if args.train_set { splits.train } else { splits.test });
    let result = threads::with(args.threads, || Ok(evaluate(&net.graph, &net.params, &data, &CrossEntropy::default())?))?;
    if let Some(png) = &args.png {
        let picture = pictures::confusion(&result, &data.classes, &format!("{} on {}", net.graph.name(), data.name))?;
        atomic::write(png, &picture)?;
    }
    if args.json {
        say::line(format!(
            "{:#}",
            serde_json::json!({
                "model": net.graph.name(), "data": data.name, "images": result.cost.images,
                "loss": result.cost.mean(), "accuracy": result.cost.accuracy(), "confusion": result.confusion,
            })
        ));
        return Ok(());
    }
    say::line(format!(
        "{} images of {}: loss {:.4}, accuracy {:.2} % ({} wrong)",
        say::count(result.cost.images as u64),
        data.name,
        result.cost.mean(),
        100.0 * result.cost.accuracy(),
        result.cost.images - result.cost.correct
    ));
    say::line(format!("\n{}", confusion(&result, &data.classes)));
    if !net.trained {
        say::note("note: no weights were given, so this measures fresh parameters");
    }
    Ok(())
}

/// The confusion matrix as text: rows are true classes, columns predicted ones.
fn confusion(result: &Evaluation, classes: &[String]) -> String {
    let count = classes.len().min(result.confusion.len());
    if count > 20 {
        return format!("(the confusion matrix of {count} classes is a picture: --png FILE)");
    }
    let rows: Vec<Vec<String>> = (0..count)
        .map(|t| std::iter::once(classes[t].clone()).chain((0..count).map(|p| result.confusion[t][p].to_string())).collect())
        .collect();
    let header: Vec<&str> = std::iter::once("true \\ predicted").chain(classes.iter().map(String::as_str)).collect();
    say::table(&header, &rows, &vec![true; count + 1])
}
