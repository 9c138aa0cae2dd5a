//! CIFAR's binary batches (<https://www.cs.toronto.edu/~kriz/cifar.html>), in a folder or a tar.gz.
//!
//! Records of one label byte (CIFAR-100: a coarse one and a fine one) and 3,072 pixel bytes: 32x32 red, green, blue.
//! CIFAR-10 is `data_batch_1.bin`, `data_batch_2.bin`, ... and `test_batch.bin`; CIFAR-100 is `train.bin` and
//! `test.bin`. Class names come from `batches.meta.txt` or `fine_label_names.txt` where those are there. Batches of
//! any length are read; a file is a whole number of records with known labels, or refused.

use super::{Dataset, Splits, cifar10, folder, gz};
use crate::io::atomic;
use crate::{Error, Result};
use flate2::read::MultiGzDecoder;
use ndarray::{Array4, s};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where both sets are published.
pub(super) const PUBLISHED: &str = "https://www.cs.toronto.edu/~kriz/cifar.html (the binary version)";
const PIXELS: usize = 3 * 32 * 32;
/// Most bytes that an archive may unpack to; the published ones take 185 million.
const ARCHIVE_LIMIT: u64 = 256 << 20;
const CURE: &str = "the file is damaged or cut off; copy or download it again";

/// What distinguishes the two formats.
pub(super) struct Layout {
    classes: usize,
    /// Bytes before the pixels; the last of them is the label.
    labels: usize,
    names: &'static str,
    test: &'static str,
    archive: &'static str,
}

/// CIFAR-10.
pub(super) const TEN: Layout = Layout {
    classes: 10,
    labels: 1,
    names: "batches.meta.txt",
    test: "test_batch.bin",
    archive: "cifar-10-binary.tar.gz",
};

/// CIFAR-100.
pub(super) const HUNDRED: Layout = Layout {
    classes: 100,
    labels: 2,
    names: "fine_label_names.txt",
    test: "test.bin",
    archive: "cifar-100-binary.tar.gz",
};

/// The files of a set by their bare names, with where each came from.
type Files = BTreeMap<String, (PathBuf, Vec<u8>)>;

impl Layout {
    /// Name of the i-th training file, counted from 1.
    fn train(&self, i: usize) -> Option<String> {
        match self.classes {
            10 => Some(format!("data_batch_{i}.bin")),
            _ => (i == 1).then(|| "train.bin".to_string()),
        }
    }

    fn owns(&self, name: &str) -> bool {
        let batch = name.starts_with("data_batch_") && name.ends_with(".bin") && self.classes == 10;
        batch || name == self.names || name == self.test || self.train(1).as_deref() == Some(name)
    }
}

/// Loads a folder that holds CIFAR batches, or one tar.gz of them; `None` where there are neither.
///
/// # Errors
/// [`Error::Corrupt`] for files that are not what they claim to be; [`Error::Missing`] for an incomplete set.
pub fn load_folder(path: &Path) -> Result<Option<Splits>> {
    let name = folder::name_of(path);
    for layout in [&TEN, &HUNDRED] {
        if let Some(splits) = find(path, layout, None, &name)? {
            return Ok(Some(splits));
        }
    }
    let names = folder::file_names(path)?;
    let archives: Vec<&String> =
        names.iter().filter(|n| n.ends_with(".tar.gz") || n.ends_with(".tgz")).collect();
    match archives.as_slice() {
        [one] => load_archive(&path.join(one)).map(Some),
        _ => Ok(None),
    }
}

/// Loads a tar.gz of CIFAR batches.
///
/// # Errors
/// [`Error::Corrupt`] for an archive that is damaged, or holds no CIFAR batches.
pub fn load_archive(path: &Path) -> Result<Splits> {
    let packed = atomic::read(path)?;
    let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let name = name.trim_end_matches(".gz").trim_end_matches(".tar").trim_end_matches(".tgz");
    for layout in [&TEN, &HUNDRED] {
        let files = unpack(&packed, path, layout)?;
        if let Some(splits) = assemble(&files, layout, None, name, path)? {
            return Ok(splits);
        }
    }
    let problem = "holds neither data_batch_1.bin nor train.bin";
    Err(Error::corrupt(path, "archive", problem, "give the binary version of CIFAR-10 or CIFAR-100"))
}

/// Loads the batches in a folder or in its published archive; `batches` asks for that many training files.
pub(super) fn find(
    path: &Path,
    layout: &Layout,
    batches: Option<usize>,
    name: &str,
) -> Result<Option<Splits>> {
    let mut files = Files::new();
    for file in folder::file_names(path)?.into_iter().filter(|file| layout.owns(file)) {
        let full = path.join(&file);
        let bytes = atomic::read(&full)?;
        files.insert(file, (full, bytes));
    }
    if let Some(splits) = assemble(&files, layout, batches, name, path)? {
        return Ok(Some(splits));
    }
    let archive = path.join(layout.archive);
    if !archive.is_file() {
        return Ok(None);
    }
    assemble(&unpack(&atomic::read(&archive)?, &archive, layout)?, layout, batches, name, &archive)
}

/// The files of `layout` in a tar.gz, wherever in it they are.
fn unpack(packed: &[u8], path: &Path, layout: &Layout) -> Result<Files> {
    let limit = gz::limit(packed.len()).min(ARCHIVE_LIMIT);
    let mut archive = tar::Archive::new(MultiGzDecoder::new(packed).take(limit));
    let files = read_entries(&mut archive, path, layout);
    if archive.into_inner().limit() == 0 {
        let problem = format!("its {} bytes unpack to more than {limit}", packed.len());
        return Err(Error::corrupt(
            path,
            "archive",
            problem,
            "give the binary version of CIFAR-10 or CIFAR-100",
        ));
    }
    files
}

fn read_entries(archive: &mut tar::Archive<impl Read>, path: &Path, layout: &Layout) -> Result<Files> {
    let mut files = Files::new();
    let mut done = 0;
    for entry in archive.entries().map_err(|e| gz::damaged(path, 0, &e))? {
        let mut entry = entry.map_err(|e| gz::damaged(path, done, &e))?;
        let inner = entry.path().map_err(|e| gz::damaged(path, done, &e))?.into_owned();
        let name = inner.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if !layout.owns(&name) || !entry.header().entry_type().is_file() {
            continue;
        }
        let (size, mut bytes) = (entry.size(), Vec::new());
        entry.read_to_end(&mut bytes).map_err(|e| gz::damaged(path, done + bytes.len(), &e))?;
        if bytes.len() as u64 != size {
            let problem = format!("announces {size} bytes, but the archive ends after {}", bytes.len());
            return Err(Error::corrupt(path, inner.display().to_string(), problem, CURE));
        }
        done += bytes.len();
        if files.insert(name, (path.join(&inner), bytes)).is_some() {
            let problem = "the archive holds this file twice";
            return Err(Error::corrupt(path, inner.display().to_string(), problem, CURE));
        }
    }
    Ok(files)
}

/// A data set from its files; `None` where there is no training file at all.
fn assemble(
    files: &Files,
    layout: &Layout,
    batches: Option<usize>,
    name: &str,
    place: &Path,
) -> Result<Option<Splits>> {
    let owned = |file: &&String| **file != layout.names && **file != layout.test;
    let present = files.keys().filter(owned).count();
    if present == 0 {
        return Ok(None);
    }
    let mut train = Vec::new();
    for i in 1..=batches.unwrap_or(present).max(present) {
        let file = layout.train(i).unwrap_or_default();
        train.push(files.get(&file).ok_or_else(|| missing(place, &file))?);
    }
    let test = files.get(layout.test).ok_or_else(|| missing(place, layout.test))?;
    let classes = class_names(files, layout)?;
    let dataset = |batches: &[&(PathBuf, Vec<u8>)]| -> Result<Dataset> {
        let (pixels, labels) = parse(batches, layout, classes.len())?;
        Ok(Dataset { name: name.to_string(), pixels, labels, classes: classes.clone() })
    };
    Ok(Some(Splits { train: dataset(&train)?, test: dataset(&[test])? }))
}

fn missing(place: &Path, file: &str) -> Error {
    Error::missing(
        format!("{} holds a part of CIFAR, but no {file}", place.display()),
        format!("add it, or get the whole set from {PUBLISHED}"),
    )
}

fn class_names(files: &Files, layout: &Layout) -> Result<Vec<String>> {
    let Some((path, bytes)) = files.get(layout.names) else {
        return Ok(match layout.classes {
            10 => cifar10::CLASSES.map(String::from).into(),
            n => (0..n).map(|class| class.to_string()).collect(),
        });
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Error::corrupt(path, format!("byte {}", e.valid_up_to()), "not UTF-8 text", CURE))?;
    let names: Vec<String> =
        text.lines().map(|line| line.trim().to_string()).filter(|line| !line.is_empty()).collect();
    if names.is_empty() || names.len() > layout.classes {
        let problem = format!("{} class names; there are 1 to {}", names.len(), layout.classes);
        return Err(Error::corrupt(path, "text", problem, "one name a line"));
    }
    Ok(names)
}

/// Pixels [N, 3, 32, 32] and labels of the records in some files, in order.
fn parse(files: &[&(PathBuf, Vec<u8>)], layout: &Layout, classes: usize) -> Result<(Array4<u8>, Vec<u32>)> {
    let record = layout.labels + PIXELS;
    let count: usize = files.iter().map(|(_, bytes)| bytes.len() / record).sum();
    let (mut pixels, mut labels) = (Vec::with_capacity(count * PIXELS), Vec::with_capacity(count));
    for (path, bytes) in files {
        if bytes.is_empty() || bytes.len() % record != 0 {
            let problem = format!("{} bytes are no whole number of {record}-byte records", bytes.len());
            return Err(Error::corrupt(path, "length", problem, CURE));
        }
        for (i, chunk) in bytes.chunks_exact(record).enumerate() {
            let label = chunk[layout.labels - 1];
            if usize::from(label) >= classes {
                let problem = format!("class {label}, but there are {classes} classes");
                return Err(Error::corrupt(path, format!("record {i}, byte {}", i * record), problem, CURE));
            }
            labels.push(u32::from(label));
            pixels.extend_from_slice(&chunk[layout.labels..]);
        }
    }
    let pixels = Array4::from_shape_vec((count, 3, 32, 32), pixels)
        .map_err(|e| Error::corrupt(&files[0].0, "length", e.to_string(), CURE))?;
    Ok((pixels, labels))
}

/// Writes a set of 3x32x32 images with at most ten classes as CIFAR-10 is published: five training batches of equal
/// length (fewer where there are fewer images), `test_batch.bin`, `batches.meta.txt`. The folder must not exist.
///
/// # Errors
/// [`Error::Request`] for a set of another shape, and for a folder that exists; [`Error::Io`] where writing fails.
pub fn write_cifar_binary(splits: &Splits, dir: &Path) -> Result<()> {
    let set = &splits.train;
    if set.shape() != [3, 32, 32] || splits.test.shape() != [3, 32, 32] || set.classes.len() > TEN.classes {
        let ([c, h, w], k) = (set.shape(), set.classes.len());
        let problem = format!("\"{}\" has {c}x{h}x{w} images of {k} classes", set.name);
        return Err(Error::request(problem, "CIFAR-10 files hold 3x32x32 images of at most 10 classes"));
    }
    if set.is_empty() || splits.test.is_empty() {
        return Err(Error::request(format!("\"{}\" has an empty half", set.name), "write a set with images"));
    }
    crate::io::folder::create_fresh(dir)?;
    for (i, first) in (0..set.len()).step_by(set.len().div_ceil(5)).enumerate() {
        let last = (first + set.len().div_ceil(5)).min(set.len());
        let name = format!("data_batch_{}.bin", i + 1);
        atomic::write(dir.join(name), &records(set, first, last))?;
    }
    atomic::write(dir.join(TEN.test), &records(&splits.test, 0, splits.test.len()))?;
    atomic::write(dir.join(TEN.names), (set.classes.join("\n") + "\n").as_bytes())
}

fn records(set: &Dataset, first: usize, last: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity((last - first) * (1 + PIXELS));
    for i in first..last {
        out.push(set.labels[i] as u8);
        out.extend(set.pixels.slice(s![i, .., .., ..]).iter());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(n: usize) -> Dataset {
        Dataset {
            name: "sample".into(),
            pixels: Array4::from_shape_fn((n, 3, 32, 32), |(n, c, h, w)| (n * 7 + c * 100 + h * 3 + w) as u8),
            labels: (0..n as u32).map(|i| i % 3).collect(),
            classes: ["a", "b", "c"].map(String::from).into(),
        }
    }

    fn splits() -> Splits {
        Splits { train: sample(11), test: sample(4) }
    }

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), *bytes).unwrap();
        }
        gz::pack(&tar.into_inner().unwrap())
    }

    #[test]
    fn what_is_written_is_read_back_from_folder_and_archive() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("set");
        write_cifar_binary(&splits(), &out).unwrap();
        let read = load_folder(&out).unwrap().unwrap();
        assert_eq!((read.train.hash(), read.test.hash()), (splits().train.hash(), splits().test.hash()));
        assert_eq!(read.train.name, "set");
        let names = folder::file_names(&out).unwrap();
        let contents: Vec<Vec<u8>> =
            names.iter().map(|name| std::fs::read(out.join(name)).unwrap()).collect();
        let files: Vec<(&str, &[u8])> =
            names.iter().map(String::as_str).zip(contents.iter().map(Vec::as_slice)).collect();
        let packed = dir.path().join("my-cifar.tar.gz");
        std::fs::write(&packed, archive(&files)).unwrap();
        let unpacked = load_archive(&packed).unwrap();
        assert_eq!(unpacked.train.hash(), splits().train.hash());
        assert_eq!(unpacked.train.name, "my-cifar");
        assert_eq!(super::super::load(packed.to_str().unwrap(), &Default::default()).unwrap(), unpacked);
        assert!(write_cifar_binary(&splits(), &out).unwrap_err().to_string().contains("never overwritten"));
    }

    #[test]
    fn hundred_classes_use_the_fine_label() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = vec![5u8, 99];
        record.extend([7; PIXELS]);
        std::fs::write(dir.path().join("train.bin"), [&record[..], &record[..]].concat()).unwrap();
        std::fs::write(dir.path().join("test.bin"), &record).unwrap();
        let set = load_folder(dir.path()).unwrap().unwrap();
        assert_eq!((set.train.labels.as_slice(), set.test.classes.len()), (&[99, 99][..], 100));
    }

    #[test]
    fn incomplete_sets_name_the_missing_file() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("set");
        write_cifar_binary(&splits(), &out).unwrap();
        std::fs::remove_file(out.join("data_batch_2.bin")).unwrap();
        let error = load_folder(&out).unwrap_err();
        assert!(matches!(error, Error::Missing { .. }) && error.to_string().contains("no data_batch_2.bin"));
        std::fs::remove_file(out.join("test_batch.bin")).unwrap();
        for i in [3, 4] {
            std::fs::remove_file(out.join(format!("data_batch_{i}.bin"))).unwrap();
        }
        assert!(load_folder(&out).unwrap_err().to_string().contains("no test_batch.bin"));
        assert!(
            find(&out, &TEN, Some(5), "cifar10").unwrap_err().to_string().contains("no data_batch_2.bin")
        );
    }

    #[test]
    fn each_reason_for_rejection_names_place_and_numbers() {
        let one = |bytes: Vec<u8>| {
            let error = parse(&[&("x.bin".into(), bytes)], &TEN, 10).unwrap_err();
            assert_eq!(error.exit_code(), 4);
            error.to_string()
        };
        assert!(one(vec![]).contains("0 bytes are no whole number of 3073-byte records"));
        assert!(one(vec![0; 3072]).contains("3072 bytes"));
        assert!(one(vec![0; 3074]).contains("3074 bytes"));
        let mut bytes = vec![0; 2 * 3073];
        bytes[3073] = 10;
        assert!(one(bytes).contains("record 1, byte 3073: class 10, but there are 10 classes"));
        let names = |text: &[u8]| {
            let files = Files::from([("batches.meta.txt".into(), ("m.txt".into(), text.to_vec()))]);
            class_names(&files, &TEN).unwrap_err().to_string()
        };
        assert!(names(b"\n\n").contains("0 class names"));
        assert!(names(&b"x\n".repeat(11)).contains("11 class names"));
        assert!(names(b"ab\xff").contains("byte 2"));
    }

    #[test]
    fn archives_that_lie_are_refused() {
        let record = vec![0u8; 3073];
        let whole = archive(&[("data_batch_1.bin", &record), ("test_batch.bin", &record)]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tar.gz");
        let refuse = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let error = load_archive(&path).unwrap_err();
            assert_eq!(error.exit_code(), 4, "{error}");
            error.to_string()
        };
        assert!(refuse(&whole[..whole.len() / 2]).contains("gzip data"));
        assert!(refuse(b"no gzip").contains("gzip data"));
        assert!(refuse(&archive(&[("readme.html", b"x")])).contains("holds neither"));
        let twice = archive(&[("data_batch_1.bin", &record), ("data_batch_1.bin", &record)]);
        assert!(refuse(&twice).contains("holds this file twice"));
        // bombs: a file, and a file name, of zeros
        let zeros = vec![0; 40 << 20];
        assert!(refuse(&archive(&[("data_batch_1.bin", &zeros)])).contains("unpack to more than"));
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(zeros.len() as u64);
        header.set_cksum();
        refuse(&gz::pack(&[header.as_bytes().as_slice(), &zeros].concat()));
        // a tar whose last file announces more bytes than follow
        let mut header = tar::Header::new_gnu();
        header.set_path("data_batch_1.bin").unwrap();
        header.set_size(1 << 40);
        header.set_cksum();
        refuse(&gz::pack(&[header.as_bytes().as_slice(), &record].concat()));
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(cut in 0usize..400, at in 0usize..400, byte: u8) {
            let record = vec![0u8; 3073];
            let mut bytes = archive(&[("data_batch_1.bin", &record), ("test_batch.bin", &record)]);
            bytes.truncate(cut);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            let path = Path::new("x.tar.gz");
            let _ = unpack(&bytes, path, &TEN).and_then(|files| assemble(&files, &TEN, None, "x", path));
        }
    }
}
