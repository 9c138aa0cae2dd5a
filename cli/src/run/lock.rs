//! One program at a time in a run folder.
//!
//! The operating system holds the lock for as long as the program lives, so a killed one leaves nothing to clean up.

use crate::error::{Error, Result};
use std::fs::{File, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

/// The right to write into a run folder, until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it. Errors: another program has it, with its process number; the lock file cannot be made.
    pub fn take(run: &Path) -> Result<Self> {
        let path = run.join(".lock");
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = open.map_err(|e| Error::io(&path, "open the lock file", e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // the number only helps the reader; without it the message still holds
                let _ = file.read_to_string(&mut holder);
                return Err(Error::request(
                    format!("{} is in use by process {}", run.display(), holder.trim()),
                    "wait until it ends, or stop it: it writes a checkpoint first",
                ));
            }
            Err(TryLockError::Error(e)) => return Err(Error::io(&path, "lock the run folder", e)),
        }
        let own = format!("{}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.write_all(own.as_bytes()))
            .map_err(|e| Error::io(&path, "write the lock file", e))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_refused_and_free_again_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        let text = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(text.contains(&format!("in use by process {}", std::process::id())), "{text}");
        drop(lock);
        Lock::take(dir.path()).unwrap();
    }
}
