//! `glassbox models`: the list.

use crate::{error::Result, say};
use glassbox_engine::graph::models::{self, MODELS};

/// List the built-in models, with one line each
///
/// Example: glassbox models --show lenet > model.toml
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print the model text of one, to start your own from
    #[arg(long, value_name = "NAME")]
    show: Option<String>,
}

pub fn run(args: Args) -> Result<()> {
    if let Some(name) = args.show {
        say::line(models::named(&name)?.to_toml().trim_end());
        return Ok(());
    }
    let mut rows = Vec::new();
    for model in MODELS {
        let graph = models::named(model.name)?;
        let parameters = say::count(graph.layout().count() as u64);
        rows.push(vec![model.name.to_string(), graph.input().to_string(), parameters, model.summary.to_string()]);
    }
    say::line(say::table(&["model", "input", "parameters", "what it is"], &rows, &[false, false, true, false]));
    Ok(())
}
