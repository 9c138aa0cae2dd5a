//! The calls by which a file comes to the disk, one method each, so that a test can let any of them fail.
//!
//! [`System`] is the operating system. Whoever writes what must not be lost takes a [`Disk`] and calls nothing else.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use tempfile::NamedTempFile;

/// Files as the operating system keeps them.
pub trait Disk: std::fmt::Debug + Send + Sync {
    /// Makes a temporary file in `folder`, open for writing.
    fn create(&self, folder: &Path) -> io::Result<NamedTempFile> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".glassbox-").suffix(".part");
        #[cfg(unix)]
        {
            // Temporary files are private by default, but this one becomes the user's; the umask still applies.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        builder.tempfile_in(folder)
    }

    /// Writes some of the bytes, and says how many.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(file, bytes)
    }

    /// Flushes a file to the disk.
    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    /// Gives the temporary file its name, in place of what bore it.
    fn rename(&self, file: NamedTempFile, path: &Path) -> io::Result<()> {
        file.persist(path).map(drop).map_err(|e| e.error)
    }

    /// Makes a rename, or a new folder, inside `folder` survive a power cut.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        // Only Unix lets a folder be opened and flushed.
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        #[cfg(not(unix))]
        let _ = folder;
        Ok(())
    }

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}

/// The operating system's own calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Disk for System {}

/// A file as a writer, through a disk.
pub(super) struct Through<'a> {
    pub disk: &'a dyn Disk,
    pub file: &'a mut File,
}

impl io::Write for Through<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.write(self.file, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
