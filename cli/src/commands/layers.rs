//! `glassbox layers`: the list.

use crate::{error::Result, say};
use glassbox_engine::layers::KINDS;

/// List the layer kinds, with their keys and one line each
///
/// Example: glassbox layers --keys
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Explain every key
    #[arg(long)]
    keys: bool,
}

pub fn run(args: Args) -> Result<()> {
    let keys = |k: &glassbox_engine::layers::Kind| {
        let own = k.keys.iter().map(|key| match key.default {
            "" => key.name.to_string(),
            default => format!("{} ({default})", key.name),
        });
        let from = k.joins.then(|| "from".to_string());
        own.chain(from).collect::<Vec<_>>().join(", ")
    };
    let rows: Vec<_> = KINDS.iter().map(|k| vec![k.name.to_string(), k.summary.to_string(), keys(k)]).collect();
    say::line(say::table(&["kind", "what it does", "keys (default)"], &rows, &[false; 3]));
    if args.keys {
        for kind in KINDS.iter().filter(|k| !k.keys.is_empty()) {
            let rows: Vec<_> = kind.keys.iter().map(|k| [k.name, k.default, k.help].map(str::to_string).to_vec()).collect();
            say::line(format!("\n{}", say::table(&[kind.name, "default", ""], &rows, &[false; 3])));
        }
    }
    Ok(())
}
