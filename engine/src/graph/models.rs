//! Models that come with the program: a model text each, and one line in [`MODELS`].

use super::Graph;
use crate::error::{Error, Result};

/// A model that comes with the program.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Its name.
    pub name: &'static str,
    /// One line: what it is.
    pub summary: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// All of them, by name.
pub const MODELS: &[Model] = &[
    Model {
        name: "alexnet",
        summary: "AlexNet as in torchvision, 3x224x224, 1000 classes (Krizhevsky 2014, arXiv 1404.5997)",
        text: include_str!("models/alexnet.toml"),
    },
    Model {
        name: "alexnet-cifar",
        summary: "AlexNet cut down to 3x32x32: five 3x3 convolutions, three dense layers",
        text: include_str!("models/alexnet-cifar.toml"),
    },
    Model {
        name: "cifar-quick",
        summary: "Caffe's cifar10_quick, 3x32x32: three 5x5 convolutions, overlapping pools",
        text: include_str!("models/cifar-quick.toml"),
    },
    Model {
        name: "gap-small",
        summary: "convolutions, global average pooling and one dense layer, 1x28x28: the kind of net that CAM needs",
        text: include_str!("models/gap-small.toml"),
    },
    Model {
        name: "lenet",
        summary: "LeNet-5 with ReLU and max-pooling, 1x28x28 (LeCun et al. 1998)",
        text: include_str!("models/lenet.toml"),
    },
    Model {
        name: "mnist-example",
        summary: "two 3x3 convolutions of 32 and 64, one pool, dense 128, 1x28x28: the usual MNIST example",
        text: include_str!("models/mnist-example.toml"),
    },
    Model {
        name: "resnet-small",
        summary: "six convolutions with batch-norm and two skips, 3x32x32 (after He et al. 2015, arXiv 1512.03385)",
        text: include_str!("models/resnet-small.toml"),
    },
    Model {
        name: "zfnet",
        summary: "the net of Zeiler and Fergus, 3x224x224, 1000 classes (arXiv 1311.2901)",
        text: include_str!("models/zfnet.toml"),
    },
];

/// The model of that name. Errors: an unknown name.
pub fn named(name: &str) -> Result<Graph> {
    let model = MODELS.iter().find(|m| m.name == name);
    let model = model.ok_or_else(|| Error::unknown("model", name, MODELS.iter().map(|m| m.name)))?;
    Graph::from_toml(model.text, model.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_counts_are_the_known_ones() {
        assert!(MODELS.is_sorted_by_key(|m| m.name));
        let counts = [
            ("alexnet", 61_100_840),
            ("alexnet-cifar", 6_976_842),
            ("cifar-quick", 145_578),
            ("lenet", 61_706),
            ("mnist-example", 1_199_882),
            ("zfnet", 62_357_608),
        ];
        for (name, count) in counts {
            assert_eq!(named(name).unwrap().layout().count(), count, "{name}");
        }
    }
}
