//! The number of threads: chosen once, before anything runs.

use crate::error::{Error, Result};

/// Runs `job` on a pool of `threads` threads (0: one per processor). Everything inside uses that pool, and results do
/// not depend on its size.
pub fn with<T: Send>(threads: usize, job: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool =
        pool.map_err(|e| Error::request(format!("cannot start {threads} threads: {e}"), "ask for fewer"))?;
    pool.install(job)
}
