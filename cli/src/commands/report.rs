//! `glassbox report`: the report of a run, written again.

use crate::error::{Error, Result};
use crate::net::NetArgs;
use crate::run::config::Config;
use crate::run::data;
use crate::{report, say, threads};
use glassbox_engine::train::evaluate;
use std::path::PathBuf;
use std::sync::Arc;

/// Write report.html of a run: one file, to be opened in a browser
///
/// Example: glassbox report runs/lenet-1
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The run folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    if !args.run.join("run.toml").is_file() {
        let problem = format!("{} is no run folder: it holds no run.toml", args.run.display());
        return Err(Error::request(problem, "name a folder that glassbox train made"));
    }
    let config = Config::read(&args.run.join("run.toml"))?;
    // the end of the run, which is what training reported too, and not its best epoch
    let latest = args.run.join("checkpoints/latest.safetensors");
    let place = Some(args.run.display().to_string());
    let net = NetArgs { place, weights: latest.is_file().then_some(latest), ..NetArgs::default() }.load()?;
    let test = Arc::new(data::of_run(&config)?.test);
    let loss = config.recipe()?.loss.build();
    let result = threads::with(config.threads, || {
        Ok((!test.is_empty()).then(|| evaluate(&net.graph, &net.params, &test, &*loss)).transpose()?)
    })?;
    let file = report::write(&args.run, &net.graph, &test, result.as_ref())?;
    say::line(file.display().to_string());
    Ok(())
}
