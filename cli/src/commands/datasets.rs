//! `glassbox datasets`: the list.

use crate::{error::Result, say};
use glassbox_engine::data::SOURCES;

/// List the data sets, with one line each
///
/// Example: glassbox datasets
#[derive(clap::Args, Debug)]
pub struct Args {}

pub fn run(_: Args) -> Result<()> {
    let mut rows: Vec<_> = SOURCES.iter().map(|s| vec![s.name.to_string(), s.about.to_string()]).collect();
    rows.push(vec!["FOLDER".into(), "IDX or CIFAR-binary files, or folders of images, one per class".into()]);
    say::line(say::table(&["data set", "what it is"], &rows, &[false, false]));
    Ok(())
}
