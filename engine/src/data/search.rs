//! Where data sets are looked for.

use super::SOURCES;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Folders under which packages of the operating system keep data sets (Debian's dataset-fashion-mnist does).
const SYSTEM: [&str; 2] = ["/usr/share/datasets", "/usr/local/share/datasets"];

/// Where to look for data sets, in this order, before the system's own places.
#[derive(Clone, Debug, Default)]
pub struct SearchDirs {
    /// The folder that the user named.
    pub data_dir: Option<PathBuf>,
    /// The folder that the environment names.
    pub env: Option<PathBuf>,
    /// Height and width to which images of different sizes are brought; without it they are refused.
    pub size: Option<[usize; 2]>,
}

impl SearchDirs {
    /// Folders that may hold the set called `name` or one of its `aliases`, most specific first.
    ///
    /// A folder that the user gave may hold the files itself, unless it bears the name of another set: two sets use
    /// the same file names.
    fn candidates(&self, name: &str, aliases: &[&str]) -> Vec<PathBuf> {
        let names = || std::iter::once(&name).chain(aliases);
        let mut out = Vec::new();
        for root in [&self.data_dir, &self.env].into_iter().flatten() {
            out.extend(names().map(|name| root.join(name)));
            let other = SOURCES.iter().any(|s| s.name != name && root.ends_with(s.name));
            out.extend((!other).then(|| root.clone()));
        }
        for root in SYSTEM {
            out.extend(names().map(|name| Path::new(root).join(name)));
        }
        out
    }

    /// The first result that `look` finds; otherwise the error says which `files` were looked for, in which folders,
    /// and where the set is published.
    ///
    /// # Errors
    /// [`Error::Missing`], or the first error of `look`.
    pub(super) fn find<T>(
        &self,
        name: &str,
        aliases: &[&str],
        files: &str,
        published: &str,
        mut look: impl FnMut(&Path) -> Result<Option<T>>,
    ) -> Result<T> {
        let candidates = self.candidates(name, aliases);
        for folder in candidates.iter().filter(|folder| folder.is_dir()) {
            if let Some(found) = look(folder)? {
                return Ok(found);
            }
        }
        let folders: Vec<String> = candidates.iter().map(|folder| folder.display().to_string()).collect();
        Err(Error::missing(
            format!(
                "data set \"{name}\" is not on this machine: looked for {files} in {}",
                folders.join(", ")
            ),
            format!(
                "get it from {published}, and name the folder with --data-dir or $GLASSBOX_DATA, \
                 or use the built-in \"digits\" or \"shapes\""
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_set_says_what_where_and_how() {
        let dirs = SearchDirs { data_dir: Some("/nowhere".into()), ..SearchDirs::default() };
        let error = super::super::load("mnist", &dirs).unwrap_err();
        assert!(matches!(error, Error::Missing { .. }));
        let text = error.to_string();
        for part in [
            "train-images-idx3-ubyte",
            "/nowhere/mnist, /nowhere/MNIST/raw, /nowhere, /usr/share/datasets/mnist",
            "https://",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn a_folder_named_after_another_set_is_not_taken() {
        let dirs = SearchDirs { data_dir: Some("/data/mnist".into()), ..SearchDirs::default() };
        assert!(!dirs.candidates("fashion-mnist", &[]).contains(&PathBuf::from("/data/mnist")));
        assert!(dirs.candidates("mnist", &[]).contains(&PathBuf::from("/data/mnist")));
    }
}
