//! The commands: one file each, and one line here.

use crate::error::Result;

/// Declares the commands: a variant with its aliases, and the module whose `Args` and `run` it is.
macro_rules! commands {
    ($($(#[$attr:meta])* $variant:ident => $module:ident,)*) => {
        $(mod $module;)*

        /// What to do.
        #[derive(clap::Subcommand, Debug)]
        pub enum Command {
            $($(#[$attr])* $variant(Box<$module::Args>),)*
        }

        /// Does it.
        pub fn run(command: Command) -> Result<()> {
            match command {
                $(Command::$variant(args) => $module::run(*args),)*
            }
        }
    };
}

commands! {
    Bench => bench,
    Compare => compare,
    Completions => completions,
    Datasets => datasets,
    #[command(visible_alias = "evaluate")]
    Eval => eval,
    Explain => explain,
    ExplainStep => explain_step,
    Export => export,
    Figure => figure,
    Gradcheck => gradcheck,
    #[command(visible_alias = "summary")]
    Inspect => inspect,
    Layers => layers,
    Methods => methods,
    Models => models,
    Predict => predict,
    Report => report,
    Probe => probe,
    Resume => resume,
    Runs => runs,
    Trace => trace,
    #[command(visible_alias = "fit")]
    Train => train,
    Verify => verify,
}
