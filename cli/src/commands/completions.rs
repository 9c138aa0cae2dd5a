//! `glassbox completions`: what a shell needs to complete the program's commands and options.

use crate::error::Result;
use clap::CommandFactory;
use clap_complete::Shell;

/// Print the completion script of a shell
///
/// Example: glassbox completions bash > ~/.local/share/bash-completion/completions/glassbox
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub fn run(args: Args) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Program::command(), "glassbox", &mut script);
    crate::say::line(String::from_utf8_lossy(&script).trim_end());
    Ok(())
}
