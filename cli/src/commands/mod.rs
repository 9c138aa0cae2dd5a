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

#[cfg(test)]
mod tests {
    use crate::Program;
    use clap::{CommandFactory, Parser};

    #[test]
    fn every_command_shows_examples_that_it_understands() {
        for command in Program::command().get_subcommands() {
            let name = command.get_name();
            let help = command.clone().render_long_help().to_string();
            let examples: Vec<&str> =
                help.lines().filter_map(|line| line.trim().strip_prefix("Example: ")).collect();
            assert!(!examples.is_empty(), "{name} shows no example:\n{help}");
            for example in examples {
                let line = example.split(" > ").next().unwrap();
                assert!(line.starts_with(&format!("glassbox {name}")), "{name}: {example}");
                if let Err(e) = Program::try_parse_from(line.split_whitespace()) {
                    panic!("{example}: {e}");
                }
            }
        }
    }
}
