//! `glassbox datasets`: the list, and sets written as files.

use crate::error::Result;
use crate::run::data;
use crate::say;
use glassbox_engine::data::{SOURCES, cifar};
use std::path::PathBuf;

/// List the data sets, with one line each; or write one of colour images as CIFAR-10's binary files
///
/// Example: glassbox datasets
///
/// Example: glassbox datasets shapes --write cifar-10-batches-bin
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The data set to write: a name or a folder
    #[arg(value_name = "NAME|FOLDER", requires = "write")]
    data: Option<String>,
    /// Where to write it, in CIFAR-10's binary layout: a folder that does not exist yet
    #[arg(long, value_name = "FOLDER", requires = "data")]
    write: Option<PathBuf>,
    /// Folder in which named data sets are looked for
    #[arg(long, value_name = "FOLDER", requires = "write")]
    data_dir: Option<PathBuf>,
    /// Write at most so many images of each half
    #[arg(long, value_name = "N", requires = "write")]
    limit: Option<usize>,
}

pub fn run(args: Args) -> Result<()> {
    if let (Some(name), Some(folder)) = (&args.data, &args.write) {
        let splits = data::load(name, args.data_dir, args.limit)?;
        cifar::write_cifar_binary(&splits, folder)?;
        let [train, test] = [&splits.train, &splits.test].map(|half| say::count(half.len() as u64));
        say::line(format!("{train} training and {test} test images of {name} in {}", folder.display()));
        return Ok(());
    }
    let mut rows: Vec<_> = SOURCES.iter().map(|s| vec![s.name.to_string(), s.about.to_string()]).collect();
    rows.push(vec!["FOLDER".into(), "IDX or CIFAR-binary files, or folders of images, one per class".into()]);
    say::line(say::table(&["data set", "what it is"], &rows, &[false, false]));
    Ok(())
}
