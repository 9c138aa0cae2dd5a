//! `glassbox methods`: the list, and the manual pages.

use crate::error::Result;
use crate::say;
use glassbox_viz::methods::{self, METHODS};

/// List the methods that explain a net, with one line each; or print the manual page of one
///
/// Example: glassbox methods deconvnet
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Print the manual page of this method: formula, source, options, limits
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

pub fn run(args: Args) -> Result<()> {
    if let Some(name) = args.name {
        let method = methods::named(&name)?;
        say::line(method.manual().trim_end());
        if !method.keys.is_empty() {
            let rows: Vec<_> = method.keys.iter().map(|k| [k.name, k.default, k.help].map(str::to_string).to_vec()).collect();
            say::line(format!("\n{}", say::table(&["--set", "default", ""], &rows, &[false; 3])));
        }
        return Ok(());
    }
    let keys = |m: &methods::Method| m.keys.iter().map(|k| k.name).collect::<Vec<_>>().join(" ");
    let rows: Vec<_> = METHODS.iter().map(|m| vec![m.name.to_string(), m.summary.to_string(), keys(m)]).collect();
    say::line(say::table(&["method", "what it shows", "--set"], &rows, &[false; 3]));
    Ok(())
}
