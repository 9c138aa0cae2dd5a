//! The program `glassbox`: trains small convolutional nets and looks inside them.

mod commands;
mod error;
mod net;
mod pictures;
mod report;
mod run;
mod say;
mod threads;

use clap::Parser;
use std::process::ExitCode;

/// Train small convolutional nets and look inside: every activation, pooling switch and gradient is a named array.
#[derive(Parser, Debug)]
#[command(name = "glassbox", version, about, arg_required_else_help = true, infer_subcommands = true)]
pub(crate) struct Program {
    #[command(subcommand)]
    command: commands::Command,
}

fn main() -> ExitCode {
    // clap prints help and usage errors itself and exits with 0 or 2
    let program = Program::parse();
    match commands::run(program.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let word = if matches!(error, error::Error::Interrupted(_)) { "stopped" } else { "error" };
            eprintln!("{word}: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
