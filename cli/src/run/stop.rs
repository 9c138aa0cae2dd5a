//! Being asked to stop: the first SIGINT or SIGTERM lets training end after this step, with a checkpoint; the second,
//! or one that comes while nothing is trained, ends the program at once. Files are written whole or not at all, so
//! that is safe at any moment.

use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of a program that was interrupted.
pub const INTERRUPTED: u8 = 130;

/// Whether somebody asked to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    training: Arc<AtomicBool>,
}

impl Stop {
    /// Listens from now on. Errors: the system does not allow it.
    pub fn listen() -> Result<Self> {
        let stop = Self::default();
        let seen = stop.clone();
        ctrlc::set_handler(move || {
            let again = seen.asked.swap(true, Ordering::SeqCst);
            if again || !seen.training.load(Ordering::SeqCst) {
                std::process::exit(INTERRUPTED.into());
            }
        })
        .map_err(|e| Error::Failed(format!("cannot listen for signals: {e}")))?;
        Ok(stop)
    }

    /// Whether somebody did.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Says whether training is under way.
    pub fn training(&self, on: bool) {
        self.training.store(on, Ordering::SeqCst);
    }
}
