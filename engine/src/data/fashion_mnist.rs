//! Fashion-MNIST: 60,000 + 10,000 photographs of clothes, 28x28, grey (Xiao, Rasul and Vollgraf 2017, arXiv 1708.07747).

use super::{SearchDirs, Source, Splits, idx};
use crate::Result;

/// All of Fashion-MNIST.
pub const SOURCE: Source = Source {
    name: "fashion-mnist",
    about: "60,000 + 10,000 pictures of clothes, 28x28 grey; IDX files, plain or .gz",
    augment: &[],
    load,
};

/// Names in the order of the labels, as published.
const CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

fn load(dirs: &SearchDirs) -> Result<Splits> {
    let published =
        "https://github.com/zalandoresearch/fashion-mnist (Debian: apt install dataset-fashion-mnist)";
    idx::find(dirs, "fashion-mnist", &["FashionMNIST/raw"], published, Some(&CLASSES))
}
