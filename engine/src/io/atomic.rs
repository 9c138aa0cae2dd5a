//! Whole files: read at once, and written so that a reader, or a power cut, meets the old file or the new, never a half.
//!
//! Writing goes to a temporary file in the same folder, which is flushed to the disk and renamed over the target; then
//! the folder itself is flushed, because the rename lives there. Permissions are those of any new file.

use super::disk::{Disk, System, Through};
use crate::{Error, Result};
use std::fs;
use std::io::Write;
use std::path::Path;

/// The bytes of a file.
///
/// # Errors
/// [`Error::Io`] with the file.
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>> {
    let path = path.as_ref();
    fs::read(path).map_err(|e| Error::io(path, "read the file", e))
}

/// The text of a file.
///
/// # Errors
/// [`Error::Io`] with the file; [`Error::Corrupt`] where it is not UTF-8, with the place of the first bad byte.
pub fn read_text(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    String::from_utf8(read(path)?).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::corrupt(path, format!("byte {at}"), "not UTF-8 text", "save the file as UTF-8")
    })
}

/// Writes a file whole or not at all, replacing what was there.
///
/// # Errors
/// [`Error::Io`] with the file and the step that failed; the old file is then untouched.
pub fn write(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    write_on(&System, path, bytes)
}

/// [`write`](fn@write) by the calls of a disk.
///
/// # Errors
/// As for [`write`](fn@write). Where only the last step, flushing the folder, fails, the new file stands in its place.
pub fn write_on(disk: &dyn Disk, path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let folder = parent(path);
    let fail = |action| move |e| Error::io(path, action, e);
    let mut file = disk.create(folder).map_err(fail("create a temporary file beside the file"))?;
    let mut through = Through { disk, file: file.as_file_mut() };
    through.write_all(bytes).map_err(fail("write the file"))?;
    disk.sync(file.as_file()).map_err(fail("flush the file to the disk"))?;
    disk.rename(file, path).map_err(fail("rename the finished temporary file to the file"))?;
    disk.sync_folder(folder).map_err(fail("flush the folder of the file to the disk"))
}

/// The folder that holds `path`; "." for a bare name.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a rename, or a new folder, inside `folder` survive a power cut.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    System.sync_folder(folder).map_err(|e| Error::io(folder, "flush the folder to the disk", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_replace_whole_files_and_leave_nothing_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.bin");
        write(&path, b"one").unwrap();
        write(&path, b"three").unwrap();
        assert_eq!(read(&path).unwrap(), b"three");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        write(dir.path().join("ours"), b"").unwrap();
        fs::write(dir.path().join("plain"), b"").unwrap();
        let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode("ours"), mode("plain"));
    }

    #[test]
    fn a_failed_write_names_the_file_and_keeps_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let error = write(dir.path().join("no/such/a.bin"), b"x").unwrap_err();
        assert!(error.to_string().contains("a.bin: cannot create a temporary file"), "{error}");
        // a folder cannot be replaced by a file
        fs::create_dir(dir.path().join("taken")).unwrap();
        fs::write(dir.path().join("taken/inside"), b"").unwrap();
        let error = write(dir.path().join("taken"), b"x").unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn text_that_is_not_utf8_says_where() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path().join("t"), b"abc\xff").unwrap();
        let error = read_text(dir.path().join("t")).unwrap_err();
        assert!(error.to_string().contains("byte 3"), "{error}");
        assert_eq!(error.exit_code(), 4);
    }
}
