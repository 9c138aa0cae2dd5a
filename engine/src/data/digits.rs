//! The bundled digits: 10,000 + 2,000 images of MNIST inside the program (LeCun, Cortes and Burges 1998).
//!
//! Drawn evenly: the first 1,000 of each class of MNIST's training file and the first 200 of each class of its test
//! file, kept in file order. [`bundle`] makes the asset from the published files, byte for byte:
//! `cargo run -p glassbox-fixtures --bin bundle-digits -- MNIST_DIR`.
//!
//! The asset is gzip of: 10,000 labels, 2,000 labels, 10,000 images, 2,000 images, one byte per value.

use super::{Dataset, SearchDirs, Source, Splits, gz};
use crate::{Error, Result};
use ndarray::Array4;
use std::path::Path;

/// The bundled digits.
pub const SOURCE: Source = Source {
    name: "digits",
    about: "10,000 + 2,000 handwritten digits of MNIST, 28x28 grey; inside the program",
    augment: &["shift=2"],
    load: |_: &SearchDirs| load(),
};

/// Names of the classes.
pub const CLASSES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

const SIDE: usize = 28;
const TRAIN: usize = 1000;
const TEST: usize = 200;
const ASSET: &[u8] = include_bytes!("../../assets/digits.gz");

/// Unpacks the bundled digits.
///
/// # Errors
/// [`Error::Corrupt`] where the program file itself is damaged.
pub fn load() -> Result<Splits> {
    unpack(ASSET)
}

fn unpack(asset: &[u8]) -> Result<Splits> {
    let (train, test) = (TRAIN * CLASSES.len(), TEST * CLASSES.len());
    let length = (train + test) * (1 + SIDE * SIDE);
    let bytes = gz::unpack(asset, Path::new("digits.gz"), 0, |_| Ok(length as u64))?;
    let (labels, pixels) = bytes.split_at(train + test);
    let (pixels, rest) = pixels.split_at(train * SIDE * SIDE);
    Ok(Splits { train: dataset(&labels[..train], pixels)?, test: dataset(&labels[train..], rest)? })
}

fn dataset(labels: &[u8], pixels: &[u8]) -> Result<Dataset> {
    let corrupt =
        |problem: String| Error::corrupt("digits.gz", "content", problem, "build the program again");
    if let Some(label) = labels.iter().find(|&&label| usize::from(label) >= CLASSES.len()) {
        return Err(corrupt(format!("label {label}")));
    }
    let pixels = Array4::from_shape_vec((labels.len(), 1, SIDE, SIDE), pixels.to_vec());
    Ok(Dataset {
        name: SOURCE.name.into(),
        pixels: pixels.map_err(|e| corrupt(e.to_string()))?,
        labels: labels.iter().map(|&label| label.into()).collect(),
        classes: CLASSES.map(String::from).into(),
    })
}

/// The asset, drawn from all of MNIST.
///
/// # Errors
/// [`Error::Request`] where `mnist` is not 28x28 grey or has too few images of a class.
pub fn bundle(mnist: &Splits) -> Result<Vec<u8>> {
    let (train, test) = (draw(&mnist.train, TRAIN)?, draw(&mnist.test, TEST)?);
    let labels = train.labels.iter().chain(&test.labels).map(|&label| label as u8);
    Ok(gz::pack(&labels.chain(train.pixels).chain(test.pixels).collect::<Vec<u8>>()))
}

/// The first `each` images of each class, in order.
fn draw(all: &Dataset, each: usize) -> Result<Dataset> {
    let mut taken = [0; CLASSES.len()];
    let mut places = Vec::new();
    for (i, &label) in all.labels.iter().enumerate() {
        let count = &mut taken[label as usize % CLASSES.len()];
        if *count < each {
            *count += 1;
            places.push(i);
        }
    }
    if all.shape() != [1, SIDE, SIDE] || all.classes != CLASSES || taken != [each; CLASSES.len()] {
        return Err(Error::request(
            format!("\"{}\" with {taken:?} images of each class is not MNIST", all.name),
            "give the folder of the published MNIST files",
        ));
    }
    Ok(all.subset(&places))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_is_what_was_drawn() {
        let digits = load().unwrap();
        assert_eq!((digits.train.counts(), digits.test.counts()), (vec![1000; 10], vec![200; 10]));
        assert_eq!(digits.train.labels[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
        assert_eq!(digits.test.labels[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
        // the mean of all of MNIST is 0.1307, its deviation 0.3081
        let (mean, std) = digits.train.mean_std();
        assert!((mean[0] - 0.1307).abs() < 2e-3 && (std[0] - 0.3081).abs() < 2e-3, "{mean:?} {std:?}");
        let hashes = [digits.train.hash(), digits.test.hash()];
        assert_eq!(hashes, [0x6c59_34a7_1532_ea03, 0xf796_3906_e060_19b4]);
        assert!(ASSET.len() < 2_300_000);
    }

    #[test]
    fn unpacking_and_bundling_are_inverse() {
        let digits = load().unwrap();
        let again = unpack(&bundle(&digits).unwrap()).unwrap();
        assert_eq!((again.train.hash(), again.test.hash()), (digits.train.hash(), digits.test.hash()));
        assert!(bundle(&digits.limit(9_000, 2_000)).is_err());
    }

    #[test]
    fn a_damaged_asset_is_found() {
        assert!(unpack(&ASSET[..ASSET.len() / 2]).is_err());
    }
}
