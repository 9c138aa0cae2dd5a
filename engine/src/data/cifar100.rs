//! CIFAR-100: 50,000 + 10,000 small colour photographs of a hundred kinds (Krizhevsky 2009, Learning multiple layers
//! of features from tiny images). The fine labels are used.

use super::{SearchDirs, Source, Splits, cifar};
use crate::Result;

/// All of CIFAR-100.
pub const SOURCE: Source = Source {
    name: "cifar100",
    about: "50,000 + 10,000 photographs of a hundred kinds, 32x32 colour; binary batches, folder or .tar.gz",
    augment: &[],
    load,
};

fn load(dirs: &SearchDirs) -> Result<Splits> {
    let files = "train.bin and test.bin, or cifar-100-binary.tar.gz,";
    dirs.find("cifar100", &["cifar-100-binary", "cifar-100"], files, cifar::PUBLISHED, |folder| {
        cifar::find(folder, &cifar::HUNDRED, None, "cifar100")
    })
}
