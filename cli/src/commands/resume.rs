//! `glassbox resume`: goes on with a run that was stopped, killed, or is to be longer.

use crate::error::{Error, Result};
use crate::run::checkpoint::{self, CONFIG_NOTE, Newest};
use crate::run::config::Config;
use crate::run::lock::Lock;
use crate::run::progress::Manner;
use crate::run::session::{self, Session};
use crate::run::stop::Stop;
use crate::run::{data, record, usual};
use crate::{say, threads};
use glassbox_engine::Graph;
use glassbox_engine::io::{atomic, weights};
use glassbox_engine::train::Checkpoint;
use std::path::PathBuf;

/// Go on with a run from its newest checkpoint, to the same bits as if it had never stopped
///
/// Mid-epoch too. With --epochs, a run is made longer; its schedule then stretches over all epochs.
///
/// Example: glassbox resume runs/lenet-1 --epochs 20
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The run folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Train to so many epochs in all [default: as run.toml says]
    #[arg(long, value_name = "N")]
    epochs: Option<u64>,
    /// Go on although run.toml was changed
    #[arg(long)]
    force: bool,
    /// Threads (0: one per processor); results do not depend on it [default: as run.toml says]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Make no figures at the end
    #[arg(long)]
    no_figures: bool,
    /// Say nothing but errors
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// Tell progress and the result as JSON lines
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    let run = args.run.clone();
    let (run_toml, model_toml) = (run.join("run.toml"), run.join("model.toml"));
    if !run_toml.is_file() {
        let problem = format!("{} is no run folder: it holds no run.toml", run.display());
        return Err(Error::request(problem, "name a folder that glassbox train made (glassbox runs lists them)"));
    }
    let lock = Lock::take(&run)?;
    let mut config = Config::read(&run_toml)?;
    config.epochs = args.epochs.unwrap_or(config.epochs);
    config.recipe()?;
    let graph = Graph::from_toml(&atomic::read_text(&model_toml)?, &model_toml.display().to_string())?;
    let splits = data::of_run(&config)?;
    let config = usual::fill(config, &graph, splits.train.len());
    record::same_data(&run_toml, &splits)?;
    let Newest { found, damaged } = checkpoint::newest(&run, &graph)?;
    for error in &damaged {
        say::note(format!("note: passed over: {error}"));
    }
    let from = match found {
        Some((path, from)) => {
            same_config(&args, &config, &from)?;
            let told = format!("note: going on after step {} from {}", from.place.step, path.display());
            (!args.quiet).then(|| say::note(told));
            Some(from)
        }
        None => {
            say::note("note: no checkpoint was written yet, so the run starts again from its first step");
            None
        }
    };
    record::resumed(&run_toml, &config, from.as_ref().map_or(0, |c| c.place.step))?;
    let params = match &config.weights {
        Some(file) if from.is_none() => weights::load(file, Some(graph.clone()))?.1,
        _ => graph.init(config.initialiser()?, config.seed),
    };
    let manner = match (args.quiet, args.json) {
        (true, _) => Manner::Quiet,
        (_, true) => Manner::Json,
        _ => Manner::Plain,
    };
    let (figures, stop) = (!args.no_figures, Stop::listen()?);
    threads::with(args.threads.unwrap_or(config.threads), || {
        session::train(Session { run, lock, config, graph, params, splits, from, manner, figures, stop })
    })?;
    Ok(())
}

/// Refuses a configuration that is not the checkpoint's, unless the user insists.
fn same_config(args: &Args, config: &Config, from: &Checkpoint) -> Result<()> {
    let before = from.notes.get(CONFIG_NOTE).map_or("", String::as_str);
    let mut changes = config.changes_since(before)?;
    if args.epochs.is_some() {
        changes.retain(|line| !line.starts_with("epochs:"));
    }
    if changes.is_empty() {
        return Ok(());
    }
    let list = changes.join("\n  ");
    let file = args.run.join("run.toml");
    // an earlier resume was allowed to change this, and ended before its first checkpoint
    if record::allowed(&file)?.as_deref() == Some(&config.deciding()?) {
        return Ok(());
    }
    if args.force {
        say::note(format!("note: {} was changed since the checkpoint:\n  {list}", file.display()));
        return Ok(());
    }
    Err(Error::request(
        format!("{} was changed since the checkpoint:\n  {list}", file.display()),
        "put it back, start a new run, or go on all the same with --force",
    ))
}
