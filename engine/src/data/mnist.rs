//! MNIST: 60,000 + 10,000 handwritten digits, 28x28, grey (LeCun, Cortes and Burges 1998).

use super::{SearchDirs, Source, Splits, idx};
use crate::Result;

/// All of MNIST.
pub const SOURCE: Source = Source {
    name: "mnist",
    about: "60,000 + 10,000 handwritten digits, 28x28 grey; IDX files, plain or .gz",
    augment: &[],
    load,
};

fn load(dirs: &SearchDirs) -> Result<Splits> {
    let published =
        "https://ossci-datasets.s3.amazonaws.com/mnist/ (first published at yann.lecun.com/exdb/mnist)";
    idx::find(dirs, "mnist", &["MNIST/raw"], published, Some(&super::digits::CLASSES))
}
