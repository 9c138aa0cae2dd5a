//! The program's error: the engine's and viz's own, and what only a command line can get wrong.

use std::path::Path;

/// What can go wrong in the program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine's.
    #[error(transparent)]
    Engine(#[from] glassbox_engine::Error),
    /// Of methods and figures.
    #[error(transparent)]
    Viz(#[from] glassbox_viz::Error),
    /// Somebody asked to stop, and what there is to go on from is on the disk.
    #[error("{0}")]
    Interrupted(String),
    /// A check that the user asked for did not hold.
    #[error("{0}")]
    Failed(String),
}

/// Result with the program's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A request that cannot be carried out, with what would work.
    pub fn request(problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Engine(glassbox_engine::Error::request(problem, cure))
    }

    /// A failed read or write.
    pub fn io(file: impl AsRef<Path>, action: &'static str, source: std::io::Error) -> Self {
        Self::Engine(glassbox_engine::Error::io(file, action, source))
    }

    /// 1 failed, 2 usage, 3 diverged, 4 corrupt input, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Engine(e) => e.exit_code(),
            Self::Viz(e) => e.exit_code(),
            Self::Interrupted(_) => crate::run::stop::INTERRUPTED,
            Self::Failed(_) => 1,
        }
    }
}
