//! Data sets as the command line names them.

use super::config::Config;
use crate::error::{Error, Result};
use glassbox_engine::Graph;
use glassbox_engine::data::{self, Augment, Dataset, Loader, SearchDirs, Splits};
use std::path::{Path, PathBuf};

/// Which data set, as options say it.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct DataArgs {
    /// Data set by name (glassbox datasets lists them) or folder; left out, the run's own, else digits
    #[arg(long, value_name = "NAME|FOLDER")]
    pub data: Option<String>,
    /// Folder in which named data sets are looked for
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Use at most so many images of each half; left out, as many as the run did
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

impl DataArgs {
    /// The data set; `run` is the run folder whose own data, folder and limit hold where no option says otherwise; with
    /// --data, none of them does.
    pub fn load(&self, run: Option<&Path>) -> Result<Splits> {
        let mut own = self.clone();
        if let (Some(run), None) = (run, &self.data) {
            let file = run.join("run.toml");
            if file.is_file() {
                let config = Config::read(&file)?;
                own.data = Some(config.data);
                own.data_dir = own.data_dir.or(config.data_dir);
                own.limit = own.limit.or(config.limit);
            }
        }
        load(own.data.as_deref().unwrap_or("digits"), own.data_dir, own.limit)
    }
}

/// Loads a data set by name or folder, cut down to `limit` images of each half.
pub fn load(name: &str, data_dir: Option<PathBuf>, limit: Option<usize>) -> Result<Splits> {
    let env = std::env::var_os("GLASSBOX_DATA").map(PathBuf::from);
    let splits = data::load(name, &SearchDirs { data_dir, env, size: None })?;
    match limit {
        None => Ok(splits),
        Some(0) => Err(Error::request("--limit 0 leaves no image", "give at least 1")),
        Some(n) => Ok(splits.limit(n, n)),
    }
}

/// The data set of a run: its own, cut down; the same few images in both halves where they are to be learned by heart.
pub fn of_run(config: &Config) -> Result<Splits> {
    let splits = load(&config.data, config.data_dir.clone(), config.limit)?;
    match config.overfit {
        None => Ok(splits),
        Some(0) => Err(Error::request("overfit = 0 leaves no image", "give at least 1")),
        Some(n) => {
            let few = splits.limit(n, 0).train;
            Ok(Splits { train: few.clone(), test: few })
        }
    }
}

/// A loader of a data set for a net: normalised as the net expects.
pub fn loader(data: Dataset, graph: &Graph, augment: Augment, seed: u64) -> Result<Loader> {
    let pixels = graph.pixels();
    Ok(Loader::new(data, &pixels.mean, &pixels.std, augment, seed)?)
}
