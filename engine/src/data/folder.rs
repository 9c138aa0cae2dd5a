//! Folders: IDX files, CIFAR batches, or one folder of images per class.
//!
//! Images: `DIR/<class>/*.png` (or .jpg, .jpeg), classes in alphabetical order. With `DIR/train/<class>` and
//! `DIR/test/<class>` (or val, valid, validation) the halves are as given; otherwise, of each class, every 6th image in
//! alphabetical order is for testing, and the last one of two to five. All grey: one channel; else three.

use super::{Dataset, LIMIT, Splits, cifar, idx, picture};
use crate::{Error, Result};
use ndarray::{Array4, Axis};
use std::fs;
use std::path::{Path, PathBuf};

/// Loads a folder of any known kind; `size`, (height, width), is asked of images that differ in size.
///
/// # Errors
/// [`Error::Missing`] for a folder that is of no known kind, with what was looked for; [`Error::Corrupt`] for files
/// that are not what they claim to be; [`Error::Request`] for images of different sizes where no size is asked.
pub fn load(folder: &Path, size: Option<[usize; 2]>) -> Result<Splits> {
    if let Some(splits) = idx::load_folder(folder)? {
        return Ok(splits);
    }
    if let Some(splits) = cifar::load_folder(folder)? {
        return Ok(splits);
    }
    if let Some(splits) = load_images(folder, size)? {
        return Ok(splits);
    }
    if folder.join("data_batch_1").is_file() || folder.join("train").is_file() {
        return Err(Error::missing(
            format!("{} holds CIFAR in its Python form", folder.display()),
            format!("get the binary version from {}", cifar::PUBLISHED),
        ));
    }
    Err(Error::missing(
        format!(
            "{} holds no data set: looked for train-images-idx3-ubyte[.gz], data_batch_1.bin, train.bin, a CIFAR \
             .tar.gz, and folders of .png or .jpg images",
            folder.display()
        ),
        "put the images of each class into a folder of that name, or name another folder",
    ))
}

/// The last part of a folder's name.
pub(super) fn name_of(folder: &Path) -> String {
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    full.file_name().map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned())
}

/// Names of the files in a folder, in alphabetical order; names that are not UTF-8 are no file of ours.
pub(super) fn file_names(folder: &Path) -> Result<Vec<String>> {
    names(folder, Path::is_file)
}

fn names(folder: &Path, keep: impl Fn(&Path) -> bool) -> Result<Vec<String>> {
    let fail = |e| Error::io(folder, "list the folder", e);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if let Ok(name) = entry.file_name().into_string()
            && !name.starts_with('.')
            && keep(&entry.path())
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A class's name and its images in alphabetical order.
type Class = (String, Vec<PathBuf>);

fn load_images(folder: &Path, size: Option<[usize; 2]>) -> Result<Option<Splits>> {
    let halves = ["test", "val", "valid", "validation"].map(|name| folder.join(name));
    let (train, test) = match halves.iter().find(|half| half.is_dir()) {
        Some(test) if folder.join("train").is_dir() => (classes(&folder.join("train"))?, classes(test)?),
        _ => split(classes(folder)?),
    };
    if train.is_empty() {
        return Ok(None);
    }
    if test.iter().all(|(_, images)| images.is_empty()) {
        return Err(Error::missing(
            format!("{} has no image to test with", folder.display()),
            "give each class at least two images, or add a folder test/ beside train/",
        ));
    }
    let names: Vec<String> = train.iter().map(|(name, _)| name.clone()).collect();
    if let Some((extra, _)) = test.iter().find(|(name, _)| !names.contains(name)) {
        let problem = format!(
            "{}: the test half has a class \"{extra}\" that the training half lacks",
            folder.display()
        );
        return Err(Error::request(problem, format!("known: {}", names.join(", "))));
    }
    let format = Format::of(train.iter().chain(&test).flat_map(|(_, images)| images), size)?;
    let name = name_of(folder);
    let half = |classes: &[Class]| -> Result<Dataset> {
        let (pixels, labels) = format.read(classes, &names)?;
        Ok(Dataset { name: name.clone(), pixels, labels, classes: names.clone() })
    };
    Ok(Some(Splits { train: half(&train)?, test: half(&test)? }))
}

/// The folders in `folder` that hold images.
fn classes(folder: &Path) -> Result<Vec<Class>> {
    let mut out = Vec::new();
    for name in names(folder, Path::is_dir)? {
        let class = folder.join(&name);
        let images: Vec<PathBuf> = file_names(&class)?
            .iter()
            .filter(|file| picture::is_picture(file))
            .map(|file| class.join(file))
            .collect();
        if !images.is_empty() {
            out.push((name, images));
        }
    }
    Ok(out)
}

/// Every 6th image of each class, or the last of a few, goes to the second half.
fn split(classes: Vec<Class>) -> (Vec<Class>, Vec<Class>) {
    let halves = classes.into_iter().map(|(name, images)| {
        let count = images.len();
        let tests = |i: usize| i % 6 == 5 || (i > 0 && count < 6 && i == count - 1);
        let (test, train): (Vec<_>, Vec<_>) = images.into_iter().enumerate().partition(|&(i, _)| tests(i));
        let paths = |half: Vec<(usize, PathBuf)>| half.into_iter().map(|(_, path)| path).collect();
        ((name.clone(), paths(train)), (name, paths(test)))
    });
    halves.unzip()
}

/// Channels and size that all images of a set are brought to.
struct Format {
    channels: usize,
    size: [usize; 2],
    resize: bool,
}

impl Format {
    /// Looks at the headers of all images; without an asked `size` they must agree.
    fn of<'a>(images: impl Iterator<Item = &'a PathBuf>, asked: Option<[usize; 2]>) -> Result<Self> {
        let mut first: Option<(&PathBuf, [usize; 2])> = None;
        let (mut channels, mut count) = (1, 0u64);
        for image in images {
            let facts = picture::facts(image)?;
            channels = channels.max(facts.channels);
            count += 1;
            match first {
                None => first = Some((image, facts.size)),
                Some((other, size)) if size != facts.size && asked.is_none() => {
                    let text = |path: &Path, [h, w]: [usize; 2]| format!("{} is {w}x{h}", path.display());
                    let problem = format!("{} but {}", text(other, size), text(image, facts.size));
                    return Err(Error::request(problem, "ask for one size, or bring all images to one size"));
                }
                Some(_) => {}
            }
        }
        let size = asked.or(first.map(|(_, size)| size)).unwrap_or_default();
        let bytes = size.iter().try_fold(count * channels as u64, |p, &n| p.checked_mul(n as u64));
        if bytes.is_none_or(|n| n > LIMIT) {
            let problem =
                format!("{count} images of {channels}x{}x{} are more than {LIMIT} bytes", size[0], size[1]);
            return Err(Error::request(problem, "ask for a smaller size, or use fewer images"));
        }
        Ok(Self { channels, size, resize: asked.is_some() })
    }

    /// Pixels [N, C, H, W] and labels, class by class.
    fn read(&self, classes: &[Class], names: &[String]) -> Result<(Array4<u8>, Vec<u32>)> {
        let [h, w] = self.size;
        let count = classes.iter().map(|(_, images)| images.len()).sum();
        let mut pixels = Array4::zeros((count, self.channels, h, w));
        let mut labels = Vec::with_capacity(count);
        let mut places = pixels.axis_iter_mut(Axis(0));
        for (name, images) in classes {
            let label = names.iter().position(|known| known == name).unwrap_or_default() as u32;
            for (image, mut place) in images.iter().zip(&mut places) {
                let resize = self.resize.then_some(self.size);
                let read = picture::read_bytes(image, self.channels, resize)?;
                if read.dim() != place.dim() {
                    let problem = format!("{:?} pixels, but its header said {:?}", read.dim(), place.dim());
                    return Err(Error::corrupt(image, "image", problem, "save the image again"));
                }
                place.assign(&read);
                labels.push(label);
            }
        }
        Ok((pixels, labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    fn grey(path: PathBuf, value: u8, w: u32, h: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_pixel(w, h, Luma([value])).save(path).unwrap();
    }

    #[test]
    fn classes_are_folders_and_every_sixth_image_tests() {
        let dir = tempfile::tempdir().unwrap();
        for i in 0..13u8 {
            grey(dir.path().join(format!("cat/{i:02}.png")), i, 4, 3);
        }
        for i in 0..3u8 {
            grey(dir.path().join(format!("ant/{i}.png")), 100 + i, 4, 3);
        }
        fs::create_dir(dir.path().join("empty")).unwrap();
        fs::write(dir.path().join("cat/notes.txt"), "no image").unwrap();
        let splits = load(dir.path(), None).unwrap();
        assert_eq!(splits.train.classes, ["ant", "cat"]);
        assert_eq!((splits.train.counts(), splits.test.counts()), (vec![2, 11], vec![1, 2]));
        assert_eq!(splits.train.shape(), [1, 3, 4]);
        let tests: Vec<u8> = splits.test.pixels.slice(ndarray::s![.., 0, 0, 0]).to_vec();
        assert_eq!(tests, [102, 5, 11]);
    }

    #[test]
    fn given_halves_are_kept_and_one_colour_image_makes_all_colour() {
        let dir = tempfile::tempdir().unwrap();
        grey(dir.path().join("train/a/1.png"), 9, 2, 2);
        grey(dir.path().join("val/a/1.png"), 7, 2, 2);
        fs::create_dir_all(dir.path().join("train/b")).unwrap();
        RgbImage::from_pixel(2, 2, Rgb([1, 2, 3])).save(dir.path().join("train/b/1.png")).unwrap();
        let splits = load(dir.path(), None).unwrap();
        assert_eq!((splits.train.labels.as_slice(), splits.test.labels.as_slice()), (&[0, 1][..], &[0][..]));
        let at = |n, c| splits.train.pixels[[n, c, 1, 1]];
        assert_eq!([at(0, 0), at(0, 2), at(1, 0), at(1, 1), at(1, 2)], [9, 9, 1, 2, 3]);
        fs::rename(dir.path().join("val/a"), dir.path().join("val/z")).unwrap();
        assert!(load(dir.path(), None).unwrap_err().to_string().contains("a class \"z\""));
    }

    #[test]
    fn different_sizes_are_named_or_resized() {
        let dir = tempfile::tempdir().unwrap();
        grey(dir.path().join("a/1.png"), 50, 4, 3);
        grey(dir.path().join("a/2.png"), 50, 8, 6);
        let error = load(dir.path(), None).unwrap_err().to_string();
        assert!(error.contains("1.png is 4x3 but") && error.contains("2.png is 8x6"), "{error}");
        let splits = load(dir.path(), Some([5, 5])).unwrap();
        assert_eq!(splits.test.pixels, Array4::from_elem((1, 1, 5, 5), 50));
        let error = load(dir.path(), Some([1 << 20, 1 << 20])).unwrap_err().to_string();
        assert!(error.contains("are more than"), "{error}");
    }

    #[test]
    fn a_folder_of_nothing_says_what_was_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(dir.path(), None).unwrap_err();
        assert!(
            matches!(&error, Error::Missing { problem, .. } if problem.contains("data_batch_1.bin")),
            "{error}"
        );
        grey(dir.path().join("a/1.png"), 50, 4, 3);
        assert!(load(dir.path(), None).unwrap_err().to_string().contains("no image to test with"));
        fs::write(dir.path().join("a/2.png"), b"not a png").unwrap();
        assert_eq!(load(dir.path(), None).unwrap_err().exit_code(), 4);
    }
}
