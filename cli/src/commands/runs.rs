//! `glassbox runs`: the runs in a folder, one line each.

use crate::error::{Error, Result};
use crate::run::config::Config;
use crate::run::log;
use crate::say;
use std::path::{Path, PathBuf};

/// List runs: model, data, epochs done, best and last test accuracy
///
/// Example: glassbox runs runs
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folder that holds the runs
    #[arg(value_name = "FOLDER", default_value = "runs")]
    folder: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    let list = std::fs::read_dir(&args.folder).map_err(|e| Error::io(&args.folder, "list the runs", e))?;
    let mut runs: Vec<PathBuf> = list.flatten().map(|e| e.path()).collect();
    runs.retain(|run| run.join("run.toml").is_file());
    runs.sort();
    let rows: Vec<Vec<String>> = runs.iter().map(|run| row(run)).collect();
    let header = ["run", "model", "data", "epochs", "best", "last", "seed"];
    say::line(say::table(&header, &rows, &[false, false, false, true, true, true, true]));
    Ok(())
}

/// What is known of a run; a file that cannot be read leaves its cells empty.
fn row(run: &Path) -> Vec<String> {
    let config = Config::read(&run.join("run.toml")).ok();
    let history = log::history(run).unwrap_or_default();
    let accuracies: Vec<f64> = history.epochs.iter().filter_map(|e| e.test_accuracy).collect();
    let percent = |a: Option<f64>| a.map_or(String::new(), |a| format!("{:.2} %", 100.0 * a));
    let of = |cell: fn(&Config) -> String| config.as_ref().map_or(String::new(), cell);
    vec![
        run.display().to_string(),
        of(|c| c.model.clone()),
        of(|c| c.data.clone()),
        format!("{}/{}", history.epochs.len(), of(|c| c.epochs.to_string())),
        percent(accuracies.iter().copied().reduce(f64::max)),
        percent(accuracies.last().copied()),
        of(|c| c.seed.to_string()),
    ]
}
