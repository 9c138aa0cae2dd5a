//! CIFAR-10: 50,000 + 10,000 small colour photographs of ten kinds (Krizhevsky 2009, Learning multiple layers of
//! features from tiny images).

use super::{SearchDirs, Source, Splits, cifar};
use crate::Result;

/// All of CIFAR-10.
pub const SOURCE: Source = Source {
    name: "cifar10",
    about: "50,000 + 10,000 photographs of ten kinds, 32x32 colour; binary batches, folder or .tar.gz",
    augment: &[],
    load,
};

/// Names in the order of the labels, as published.
pub(super) const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

fn load(dirs: &SearchDirs) -> Result<Splits> {
    let files = "data_batch_1.bin to data_batch_5.bin and test_batch.bin, or cifar-10-binary.tar.gz,";
    dirs.find("cifar10", &["cifar-10-batches-bin", "cifar-10"], files, cifar::PUBLISHED, |folder| {
        cifar::find(folder, &cifar::TEN, Some(5), "cifar10")
    })
}
