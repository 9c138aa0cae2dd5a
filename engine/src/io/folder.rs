//! New folders, never one that exists: a run cannot overwrite another.

use super::atomic::{parent, sync_folder};
use crate::{Error, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Makes the first of `parent/name-1`, `parent/name-2`, ... that does not exist, and `parent` itself where needed.
///
/// Two programs that ask at once get two folders: making a folder is one step that only one of them wins.
///
/// # Errors
/// [`Error::Request`] for a name that is no single folder name; [`Error::Io`] where a folder cannot be made.
pub fn create_new(parent: impl AsRef<Path>, name: &str) -> Result<PathBuf> {
    let parent = parent.as_ref();
    if name.is_empty() || name.contains(['/', '\\', '\0']) {
        return Err(Error::request(
            format!("\"{name}\" cannot be a folder's name"),
            "give a name without slashes",
        ));
    }
    make_parents(parent)?;
    for n in 1u64.. {
        let path = parent.join(format!("{name}-{n}"));
        if make(&path)? {
            return Ok(path);
        }
    }
    unreachable!("a folder system holds fewer than 2^64 folders")
}

/// Makes exactly this folder, and its parents where needed.
///
/// # Errors
/// [`Error::Request`] where anything of that name exists, even an empty folder; [`Error::Io`] where it cannot be made.
pub fn create_fresh(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    make_parents(parent(path))?;
    if make(path)? {
        return Ok(());
    }
    Err(Error::request(
        format!("{} exists and is never overwritten", path.display()),
        "name a folder that does not exist yet, or remove this one",
    ))
}

pub(super) fn make_parents(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| Error::io(path, "create the folder", e))
}

/// Whether the folder was made (true) or something of that name was there before (false).
fn make(path: &Path) -> Result<bool> {
    match fs::create_dir(path) {
        Ok(()) => sync_folder(parent(path)).map(|()| true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(Error::io(path, "create the folder", e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_up_and_nothing_is_reused() {
        let dir = tempfile::tempdir().unwrap();
        let runs = dir.path().join("a/runs");
        assert_eq!(create_new(&runs, "lenet").unwrap(), runs.join("lenet-1"));
        fs::write(runs.join("lenet-2"), b"a file in the way").unwrap();
        assert_eq!(create_new(&runs, "lenet").unwrap(), runs.join("lenet-3"));
    }

    #[test]
    fn many_at_once_get_different_folders() {
        let dir = tempfile::tempdir().unwrap();
        let mut made: Vec<PathBuf> = std::thread::scope(|scope| {
            let jobs: Vec<_> =
                (0..16).map(|_| scope.spawn(|| create_new(dir.path(), "run").unwrap())).collect();
            jobs.into_iter().map(|job| job.join().unwrap()).collect()
        });
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 16);
    }

    #[test]
    fn an_existing_folder_is_refused_even_when_empty() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("deep/out");
        create_fresh(&out).unwrap();
        let error = create_fresh(&out).unwrap_err();
        let want =
            "out exists and is never overwritten; name a folder that does not exist yet, or remove this one";
        assert!(error.to_string().ends_with(want), "{error}");
        assert!(create_new(dir.path(), "a/b").is_err());
    }
}
