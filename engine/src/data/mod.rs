//! Data sets: one file and one line each.
//!
//! [`load`] takes a name from [`SOURCES`] or a folder: IDX files, CIFAR binary batches (or their tar.gz), or a folder
//! of class-named folders of images. Pixels stay bytes until the [`loader::Loader`] normalises them into a batch.
//!
//! Nothing is ever downloaded: a set that is not on this machine is an error that says which files were looked for,
//! where, and where the set is published. Every file is checked for what it claims before memory is taken for it.

pub mod augment;
pub mod cifar;
pub mod digits;
pub mod folder;
pub mod idx;
pub mod loader;
pub mod picture;
pub mod shapes;

mod cifar10;
mod cifar100;
mod dataset;
mod fashion_mnist;
mod gz;
mod mnist;
mod search;

pub use augment::Augment;
pub use dataset::{Dataset, Splits};
pub use loader::Loader;
pub use search::SearchDirs;

use crate::{Error, Result};
use std::path::Path;

/// Most bytes of pixels in a data set: twice what the largest published one in these formats has (EMNIST by class).
const LIMIT: u64 = 1 << 30;

/// A data set that can be asked for by name.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Augmentation steps that suit its training images.
    pub augment: &'static [&'static str],
    /// Loads it.
    pub load: fn(&SearchDirs) -> Result<Splits>,
}

/// All data sets with a name, in alphabetical order.
pub const SOURCES: &[Source] = &[
    cifar10::SOURCE,
    cifar100::SOURCE,
    digits::SOURCE,
    fashion_mnist::SOURCE,
    mnist::SOURCE,
    shapes::SOURCE,
];

/// Loads a data set by its name in [`SOURCES`], or from a folder or tar.gz of any known kind.
///
/// # Errors
/// [`Error::Missing`] for a set or folder that is not there, with what was looked for; [`Error::Corrupt`] for files
/// that are not what they claim to be; [`Error::Request`] for an unknown name.
pub fn load(name_or_folder: &str, dirs: &SearchDirs) -> Result<Splits> {
    if let Some(source) = SOURCES.iter().find(|source| source.name == name_or_folder) {
        return (source.load)(dirs);
    }
    let path = Path::new(name_or_folder);
    if path.is_dir() {
        return folder::load(path, dirs.size);
    }
    if path.is_file() {
        return cifar::load_archive(path);
    }
    if path.components().count() > 1 || name_or_folder.ends_with(".gz") {
        return Err(Error::missing(
            format!("there is no folder or archive {name_or_folder}"),
            "give a folder of IDX files, CIFAR batches or class-named folders of images, or a CIFAR .tar.gz",
        ));
    }
    Err(Error::unknown("data set or folder", name_or_folder, SOURCES.iter().map(|source| source.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_alphabetical_with_one_line_each() {
        assert!(SOURCES.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(SOURCES.iter().all(|source| !source.about.is_empty() && !source.about.contains('\n')));
    }

    #[test]
    fn an_unknown_name_offers_the_nearest_and_an_unknown_folder_is_missing() {
        let error = load("digit", &SearchDirs::default()).unwrap_err();
        assert!(error.to_string().contains("did you mean \"digits\"?"), "{error}");
        let error = load("no/such/folder", &SearchDirs::default()).unwrap_err();
        assert!(matches!(error, Error::Missing { .. }), "{error}");
    }
}
