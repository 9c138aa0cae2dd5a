//! IDX files, plain or gzip, as MNIST and its relatives are published (<https://yann.lecun.com/exdb/mnist>).
//!
//! Big-endian: a magic number (00 00 08 and the number of axes), the size of each axis, then one byte per value.
//! Images have three axes [N, H, W], labels one. A set is four files, `train-images-idx3-ubyte`,
//! `train-labels-idx1-ubyte` and the same for `t10k` (or `test`), with or without `.gz`; a common prefix is allowed, as
//! EMNIST has it. A file is exactly as long as its header says, or refused.

use super::{Dataset, LIMIT, SearchDirs, Splits, gz};
use crate::io::atomic;
use crate::{Error, Result};
use ndarray::Array4;
use std::path::{Path, PathBuf};

const CURE: &str = "the file is damaged or cut off; copy or download it again";
const TRAIN: &str = "train-images-idx3-ubyte";
const FILES: &str = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and \
                     t10k-labels-idx1-ubyte (each plain or .gz)";

/// Loads a set by name from the search folders.
pub(super) fn find(
    dirs: &SearchDirs,
    name: &str,
    aliases: &[&str],
    published: &str,
    classes: Option<&[&str]>,
) -> Result<Splits> {
    dirs.find(name, aliases, FILES, published, |folder| {
        Files::look(folder)?.map(|files| files.load(name, classes)).transpose()
    })
}

/// Loads the IDX files in a folder; `None` where there are none. Classes are called by their numbers.
///
/// # Errors
/// [`Error::Corrupt`] for files that are not what they claim to be; [`Error::Missing`] where some of the four are there
/// and some are not; [`Error::Request`] where two sets share the folder.
pub fn load_folder(folder: &Path) -> Result<Option<Splits>> {
    let name = super::folder::name_of(folder);
    Files::look(folder)?.map(|files| files.load(&name, None)).transpose()
}

/// The four files of a set.
struct Files {
    train: [PathBuf; 2],
    test: [PathBuf; 2],
}

impl Files {
    fn look(folder: &Path) -> Result<Option<Self>> {
        let names = super::folder::file_names(folder)?;
        // "train-images.idx3-ubyte.gz" is the same file to us as "train-images-idx3-ubyte"
        let plain = |name: &str| name.trim_end_matches(".gz").replace(".idx", "-idx");
        let mut prefixes: Vec<String> =
            names.iter().filter_map(|name| plain(name).strip_suffix(TRAIN).map(str::to_string)).collect();
        prefixes.dedup();
        let prefix = match prefixes.as_slice() {
            [] => return Ok(None),
            [one] => one,
            several if several.contains(&String::new()) => "",
            several => {
                let problem = format!("{} holds several IDX sets: {}", folder.display(), several.join(", "));
                return Err(Error::request(problem, "put each into a folder of its own"));
            }
        };
        let file = |starts: &[&str], rest: &str| {
            let wanted: Vec<String> = starts.iter().map(|start| format!("{prefix}{start}-{rest}")).collect();
            let found = names.iter().find(|name| wanted.contains(&plain(name)));
            found.map(|name| folder.join(name)).ok_or_else(|| {
                Error::missing(
                    format!("{} holds {prefix}{TRAIN} but no {}", folder.display(), wanted.join(" or ")),
                    format!("an IDX set is {FILES}; add the missing file"),
                )
            })
        };
        let pair = |starts: &[&str]| -> Result<[PathBuf; 2]> {
            Ok([file(starts, "images-idx3-ubyte")?, file(starts, "labels-idx1-ubyte")?])
        };
        Ok(Some(Self { train: pair(&["train"])?, test: pair(&["t10k", "test"])? }))
    }

    fn load(&self, name: &str, classes: Option<&[&str]>) -> Result<Splits> {
        let [train, test] = [read_pair(&self.train)?, read_pair(&self.test)?];
        if train.0.shape()[1..] != test.0.shape()[1..] {
            let problem = format!(
                "images of {:?}, but training images are {:?}",
                &test.0.shape()[2..],
                &train.0.shape()[2..]
            );
            return Err(Error::corrupt(&self.test[0], "header", problem, "use the two halves of one set"));
        }
        let top = train.1.iter().chain(&test.1).max().map_or(0, |&label| label as usize);
        let classes: Vec<String> = match classes {
            Some(names) => names.iter().map(|name| name.to_string()).collect(),
            None => (0..=top).map(|class| class.to_string()).collect(),
        };
        for (file, labels) in [(&self.train[1], &train.1), (&self.test[1], &test.1)] {
            if let Some(i) = labels.iter().position(|&label| label as usize >= classes.len()) {
                let problem = format!("class {}, but \"{name}\" has {} classes", labels[i], classes.len());
                return Err(Error::corrupt(file, format!("label {i}"), problem, CURE));
            }
        }
        let dataset =
            |(pixels, labels)| Dataset { name: name.to_string(), pixels, labels, classes: classes.clone() };
        Ok(Splits { train: dataset(train), test: dataset(test) })
    }
}

fn read_pair([images, labels]: &[PathBuf; 2]) -> Result<(Array4<u8>, Vec<u32>)> {
    let pixels = parse_images(&atomic::read(images)?, images)?;
    let classes = parse_labels(&atomic::read(labels)?, labels)?;
    if pixels.shape()[0] != classes.len() {
        let problem =
            format!("{} labels, but {} has {} images", classes.len(), images.display(), pixels.shape()[0]);
        return Err(Error::corrupt(labels, "header", problem, "use the labels that belong to the images"));
    }
    Ok((pixels, classes))
}

/// Images of an IDX file, plain or gzip, [N, 1, H, W]; `file` only names it in messages.
///
/// # Errors
/// [`Error::Corrupt`] with the place, the numbers and the cure.
pub fn parse_images(bytes: &[u8], file: &Path) -> Result<Array4<u8>> {
    let (sizes, values) = parse::<3>(bytes, file)?;
    let [n, h, w] = sizes;
    Array4::from_shape_vec((n, 1, h, w), values).map_err(|e| corrupt(file, "header", e.to_string()))
}

/// Labels of an IDX file, plain or gzip; `file` only names it in messages.
///
/// # Errors
/// [`Error::Corrupt`] with the place, the numbers and the cure.
pub fn parse_labels(bytes: &[u8], file: &Path) -> Result<Vec<u32>> {
    let (_, values) = parse::<1>(bytes, file)?;
    Ok(values.into_iter().map(u32::from).collect())
}

/// Sizes and values of a file with `AXES` axes.
fn parse<const AXES: usize>(bytes: &[u8], file: &Path) -> Result<([usize; AXES], Vec<u8>)> {
    let start = 4 + 4 * AXES;
    let mut content = if gz::is_gzip(bytes) {
        gz::unpack(bytes, file, start, |head| Ok(start as u64 + header::<AXES>(head, file)?.1))?
    } else {
        let (_, count) = header::<AXES>(bytes, file)?;
        let left = (bytes.len() - start) as u64;
        if left != count {
            return Err(corrupt(
                file,
                "header",
                format!("announces {count} bytes of values, but {left} follow"),
            ));
        }
        bytes.to_vec()
    };
    let (sizes, _) = header::<AXES>(&content, file)?;
    content.drain(..start);
    Ok((sizes, content))
}

/// Sizes of the axes, and their product.
fn header<const AXES: usize>(bytes: &[u8], file: &Path) -> Result<([usize; AXES], u64)> {
    let start = 4 + 4 * AXES;
    let words: Vec<u32> =
        bytes.as_chunks::<4>().0.iter().take(1 + AXES).map(|&w| u32::from_be_bytes(w)).collect();
    if words.len() <= AXES {
        return Err(corrupt(file, "header", format!("takes {start} bytes, but there are {}", bytes.len())));
    }
    let want = 0x800 + AXES as u32;
    if words[0] != want {
        let problem =
            format!("magic number {:#010x}; unsigned bytes with {AXES} axes have {want:#010x}", words[0]);
        return Err(corrupt(file, "byte 0", problem));
    }
    let mut sizes = [0; AXES];
    for (size, &word) in sizes.iter_mut().zip(&words[1..]) {
        *size = word as usize;
    }
    let product = sizes.iter().try_fold(1u64, |p, &n| p.checked_mul(n as u64));
    match product {
        Some(0) => Err(corrupt(file, "header", format!("sizes {sizes:?} hold nothing"))),
        Some(n) if n <= LIMIT => Ok((sizes, n)),
        _ => Err(corrupt(file, "header", format!("sizes {sizes:?} are more than {LIMIT} bytes"))),
    }
}

fn corrupt(file: &Path, place: &str, problem: String) -> Error {
    Error::corrupt(file, place, problem, CURE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(magic: u32, sizes: &[u32], values: usize) -> Vec<u8> {
        let mut out = magic.to_be_bytes().to_vec();
        sizes.iter().for_each(|size| out.extend(size.to_be_bytes()));
        out.extend((0..values).map(|i| (i % 3) as u8));
        out
    }

    fn write_set(folder: &Path, prefix: &str, suffix: &str, gzip: bool) {
        for (name, magic, sizes, values) in [
            ("train-images-idx3-ubyte", 0x803, &[6u32, 2, 3][..], 36),
            ("train-labels-idx1-ubyte", 0x801, &[6], 6),
            ("t10k-images-idx3-ubyte", 0x803, &[3, 2, 3], 18),
            ("t10k-labels-idx1-ubyte", 0x801, &[3], 3),
        ] {
            let bytes = file(magic, sizes, values);
            let bytes = if gzip { gz::pack(&bytes) } else { bytes };
            std::fs::write(folder.join(format!("{prefix}{name}{suffix}")), bytes).unwrap();
        }
    }

    #[test]
    fn plain_and_packed_files_are_the_same_set() {
        let plain = tempfile::tempdir().unwrap();
        let packed = tempfile::tempdir().unwrap();
        write_set(plain.path(), "", "", false);
        write_set(packed.path(), "emnist-", ".gz", true);
        let a = load_folder(plain.path()).unwrap().unwrap();
        let b = load_folder(packed.path()).unwrap().unwrap();
        assert_eq!((a.train.hash(), a.test.hash()), (b.train.hash(), b.test.hash()));
        assert_eq!(a.train.shape(), [1, 2, 3]);
        assert_eq!(a.train.labels, [0, 1, 2, 0, 1, 2]);
        assert_eq!(a.train.classes, ["0", "1", "2"]);
        assert_eq!(a.train.pixels[[1, 0, 0, 1]], 1);
    }

    #[test]
    fn incomplete_and_crowded_folders_are_explained() {
        let dir = tempfile::tempdir().unwrap();
        assert!(load_folder(dir.path()).unwrap().is_none());
        write_set(dir.path(), "a-", "", false);
        std::fs::remove_file(dir.path().join("a-t10k-labels-idx1-ubyte")).unwrap();
        let error = load_folder(dir.path()).unwrap_err();
        assert!(
            error.to_string().contains("no a-t10k-labels-idx1-ubyte or a-test-labels-idx1-ubyte"),
            "{error}"
        );
        write_set(dir.path(), "b-", "", false);
        assert!(load_folder(dir.path()).unwrap_err().to_string().contains("several IDX sets: a-, b-"));
    }

    #[test]
    fn halves_and_labels_must_fit_together() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: Vec<u8>| std::fs::write(dir.path().join(name), bytes).unwrap();
        write_set(dir.path(), "", "", false);
        put("t10k-images-idx3-ubyte", file(0x803, &[3, 3, 2], 18));
        let error = load_folder(dir.path()).unwrap_err().to_string();
        assert!(error.contains("images of [3, 2], but training images are [2, 3]"), "{error}");
        put("t10k-images-idx3-ubyte", file(0x803, &[2, 2, 3], 12));
        let error = load_folder(dir.path()).unwrap_err().to_string();
        assert!(error.contains("3 labels, but") && error.contains("has 2 images"), "{error}");
        write_set(dir.path(), "", "", false);
        let files = Files::look(dir.path()).unwrap().unwrap();
        let error = files.load("pair", Some(&["a", "b"])).unwrap_err();
        assert!(error.to_string().contains("label 2: class 2, but \"pair\" has 2 classes"), "{error}");
    }

    #[test]
    fn each_reason_for_rejection_names_place_and_numbers() {
        let bomb = [&gz::pack(&file(0x803, &[1, 2, 3], 6))[..], &gz::pack(&vec![0; 5_000_000])].concat();
        for (bytes, want) in [
            (vec![0, 0, 8], "header: takes 16 bytes, but there are 3"),
            (file(0x803, &[6, 2], 0), "header: takes 16 bytes, but there are 12"),
            (file(0x801, &[6, 2, 3], 36), "byte 0: magic number 0x00000801"),
            (file(0x0308_0000, &[6, 2, 3], 36), "magic number 0x03080000"),
            (file(0x803, &[6, 2, 3], 35), "announces 36 bytes of values, but 35 follow"),
            (file(0x803, &[6, 2, 3], 37), "announces 36 bytes of values, but 37 follow"),
            (file(0x803, &[0, 2, 3], 0), "sizes [0, 2, 3] hold nothing"),
            (file(0x803, &[u32::MAX; 3], 0), "are more than 1073741824 bytes"),
            (file(0x803, &[1 << 16, 1 << 14, 2], 9), "are more than 1073741824 bytes"),
            (file(0x803, &[1 << 16, 1 << 14, 1], 9), "announces 1073741824 bytes of values, but 9 follow"),
            (gz::pack(&file(0x803, &[6, 2, 3], 35)), "announces 52 unpacked bytes, but only 51"),
            (gz::pack(&file(0x803, &[6, 2, 3], 37)), "announces 52 unpacked bytes, but more"),
            (gz::pack(b"abc"), "header: takes 16 bytes, but there are 3"),
            (bomb, "announces 22 unpacked bytes, but more"),
        ] {
            let error = parse_images(&bytes, Path::new("x.idx")).unwrap_err();
            assert!(error.to_string().contains(want), "{want}\n{error}");
            assert_eq!(error.exit_code(), 4);
        }
        assert!(parse_labels(&file(0x801, &[5], 4), Path::new("x")).is_err());
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(gzip: bool, cut in 0usize..80, at in 0usize..80, byte: u8) {
            let mut bytes = file(0x803, &[6, 2, 3], 36);
            if gzip {
                bytes = gz::pack(&bytes);
            }
            bytes.truncate(cut);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let _ = parse_images(&bytes, Path::new("x"));
        }
    }
}
