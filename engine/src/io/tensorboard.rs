//! TensorBoard event files: scalars, images and histograms that TensorBoard's own reader shows.
//!
//! A file is a chain of records: length (u64, little-endian), checksum of those eight bytes, the message, checksum of the
//! message. A checksum is CRC-32C, rotated right by 15 bits, plus 0xa282ead8. The first record names the version,
//! "brain.Event:2". Each record is written at once, so that a TensorBoard which is watching never sees a half for long,
//! and a record that could not be written whole is taken back.
//!
//! There is no clock here: every call is given the time, in seconds since 1970. One folder is one run in TensorBoard;
//! tags may hold slashes, which group them: "loss/train".
//!
//! ```no_run
//! # fn main() -> glassbox_engine::Result<()> {
//! use glassbox_engine::io::tensorboard::EventWriter;
//! let mut events = EventWriter::create("runs/lenet-1/tensorboard", 1_700_000_000.0)?;
//! events.scalar("loss/train", 10, 1_700_000_001.0, 0.25)?;
//! events.histogram("conv1.weight", 10, 1_700_000_001.0, &[0.1, -0.2, 0.3])?;
//! # Ok(())
//! # }
//! ```

mod proto;

use super::folder::make_parents;
use crate::error::{Error, Result};
use prost::Message;
use proto::{Content, Event, Histogram, Image, Session, Status, Summary, Value, What};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Buckets of a histogram, all of one width.
const BUCKETS: usize = 64;

/// An event file that is being written.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
    path: PathBuf,
    /// Bytes of whole records.
    good: u64,
}

impl EventWriter {
    /// Begins a new event file in a folder, which is made where needed; files that are there stay as they are.
    ///
    /// # Errors
    /// [`Error::Io`] where folder or file cannot be made.
    pub fn create(folder: impl AsRef<Path>, time: f64) -> Result<Self> {
        let folder = folder.as_ref();
        make_parents(folder)?;
        let (path, file) = new_file(folder, time)?;
        let mut writer = Self { file, path, good: 0 };
        writer.event(time, 0, What::FileVersion("brain.Event:2".into()))?;
        Ok(writer)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says that training goes on from `step`: TensorBoard forgets what earlier files of the folder say of this step and
    /// later ones. Call it first after [`EventWriter::create`] when a run is resumed.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn resume(&mut self, step: u64, time: f64) -> Result<()> {
        self.event(time, step, What::Session(Session { status: Status::Start.into() }))
    }

    /// Adds a number; one that is not finite is shown as such.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn scalar(&mut self, tag: &str, step: u64, time: f64, value: f64) -> Result<()> {
        self.value(tag, step, time, Content::Scalar(value as f32))
    }

    /// Adds a picture, the bytes of a PNG file.
    ///
    /// # Errors
    /// [`Error::Request`] where the bytes are no PNG; [`Error::Io`] where it cannot be written.
    pub fn image(&mut self, tag: &str, step: u64, time: f64, png: &[u8]) -> Result<()> {
        let [height, width, colorspace] = png_facts(png).ok_or_else(|| {
            Error::request(
                format!("image \"{tag}\": its {} bytes are no PNG file", png.len()),
                "encode it as PNG first",
            )
        })?;
        let image = Image { height, width, colorspace, encoded: png.to_vec() };
        self.value(tag, step, time, Content::Image(image))
    }

    /// Adds the distribution of values; those that are not finite are left out, and of no values at all nothing is
    /// written.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be written.
    pub fn histogram(&mut self, tag: &str, step: u64, time: f64, values: &[f32]) -> Result<()> {
        match histogram(values) {
            Some(histogram) => self.value(tag, step, time, Content::Histogram(histogram)),
            None => Ok(()),
        }
    }

    fn value(&mut self, tag: &str, step: u64, time: f64, content: Content) -> Result<()> {
        let value = Value { tag: tag.into(), content: Some(content) };
        self.event(time, step, What::Summary(Summary { value: vec![value] }))
    }

    fn event(&mut self, time: f64, step: u64, what: What) -> Result<()> {
        let event = Event { wall_time: time, step: step as i64, what: Some(what) };
        let bytes = record(&event.encode_to_vec());
        if let Err(e) = self.file.write_all(&bytes) {
            // a half record would hide all that follow; where even this fails, the file ends in that half
            let _ = self.file.set_len(self.good);
            return Err(Error::io(&self.path, "write an event", e));
        }
        self.good += bytes.len() as u64;
        Ok(())
    }
}

/// A file of this folder that did not exist. TensorBoard reads a folder's files in the order of their names.
fn new_file(folder: &Path, time: f64) -> Result<(PathBuf, File)> {
    for n in 0u32.. {
        let path = folder.join(format!("events.out.tfevents.{:010}.glassbox.{n}", time.max(0.0) as u64));
        // appending, so that after a record was taken back the next one follows the last whole one
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => continue,
            Err(e) => return Err(Error::io(path, "create the event file", e)),
        }
    }
    unreachable!("a folder holds fewer than 2^32 files of one second")
}

/// A message in its frame.
fn record(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), message, &masked(message)].concat()
}

/// The checksum of a record's part.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// Height, width and number of colour channels from the header of a PNG file (<https://www.w3.org/TR/png-3/#11IHDR>).
fn png_facts(png: &[u8]) -> Option<[i32; 3]> {
    let header = png.strip_prefix(b"\x89PNG\r\n\x1a\n")?.get(..18)?;
    if &header[4..8] != b"IHDR" {
        return None;
    }
    let number = |at: usize| i32::try_from(u32::from_be_bytes(*header[at..].first_chunk()?)).ok();
    let channels = match header[17] {
        0 => 1,
        4 => 2,
        2 | 3 => 3,
        6 => 4,
        _ => return None,
    };
    Some([number(12)?, number(8)?, channels])
}

/// Buckets of one width between the smallest and the largest finite value; none where there is no finite value.
fn histogram(values: &[f32]) -> Option<Histogram> {
    let finite = || values.iter().filter(|v| v.is_finite()).map(|&v| f64::from(v));
    let (mut min, mut max, mut num, mut sum, mut sum_squares) =
        (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0, 0.0);
    for v in finite() {
        (min, max) = (min.min(v), max.max(v));
        num += 1.0;
        sum += v;
        sum_squares += v * v;
    }
    if num == 0.0 {
        return None;
    }
    let count = if min < max { BUCKETS } else { 1 };
    let width = (max - min) / count as f64;
    let mut bucket = vec![0.0; count];
    for v in finite() {
        // of equal values there is one bucket, without width
        let at = if width > 0.0 { ((v - min) / width) as usize } else { 0 };
        bucket[at.min(count - 1)] += 1.0;
    }
    let edge = |i: usize| if i + 1 == count { max } else { min + width * (i + 1) as f64 };
    Some(Histogram { min, max, num, sum, sum_squares, bucket_limit: (0..count).map(edge).collect(), bucket })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x03\0\0\0\x02\x08\x02\0\0\0rest";

    /// The messages of a file, every checksum verified bit by bit.
    fn read(bytes: &[u8]) -> Vec<Event> {
        let (mut rest, mut out) = (bytes, Vec::new());
        while !rest.is_empty() {
            let (length, after) = rest.split_at(8);
            let n = u64::from_le_bytes(length.try_into().unwrap()) as usize;
            assert_eq!(after[..4], slow_checksum(length));
            assert_eq!(after[4 + n..][..4], slow_checksum(&after[4..][..n]));
            out.push(Event::decode(&after[4..][..n]).unwrap());
            rest = &after[8 + n..];
        }
        out
    }

    /// CRC-32C from its polynomial, masked.
    fn slow_checksum(bytes: &[u8]) -> [u8; 4] {
        let mut crc = !0u32;
        for &b in bytes {
            crc ^= u32::from(b);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            }
        }
        (!crc).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
    }

    #[test]
    fn the_bytes_are_those_that_tensorboard_reads() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventWriter::create(folder.path(), 1.5).unwrap();
        events.scalar("a", 3, 2.5, 0.25).unwrap();
        let bytes = fs::read(events.path()).unwrap();
        // wall_time, file_version; length and its checksum in front, the message's checksum behind
        let mut want =
            vec![24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22, 9, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 0x1a, 13];
        want.extend(b"brain.Event:2");
        assert_eq!(bytes[..want.len()], want);
        // step 3; summary of 10 bytes with a value of 8: tag "a", simple_value 0.25
        let tail = [0x10, 3, 0x2a, 10, 0x0a, 8, 0x0a, 1, b'a', 0x15, 0, 0, 0x80, 0x3e];
        assert_eq!(bytes[bytes.len() - 4 - tail.len()..][..tail.len()], tail);
        assert_eq!(read(&bytes).len(), 2);
    }

    #[test]
    fn every_kind_of_value_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventWriter::create(folder.path().join("new/run"), 10.0).unwrap();
        events.resume(7, 11.0).unwrap();
        events.scalar("loss/train", 7, 12.0, f64::NAN).unwrap();
        events.image("maps", 8, 13.0, PNG).unwrap();
        events.histogram("w", 9, 14.0, &[1.0, 2.0, 2.0, f32::NAN, -1.0, f32::INFINITY]).unwrap();
        events.histogram("nothing", 9, 14.0, &[f32::NAN]).unwrap();
        let all = read(&fs::read(events.path()).unwrap());
        assert_eq!(
            all.iter().map(|e| (e.step, e.wall_time)).collect::<Vec<_>>(),
            [(0, 10.0), (7, 11.0), (7, 12.0), (8, 13.0), (9, 14.0)]
        );
        let content = |i: usize| match &all[i].what {
            Some(What::Summary(s)) => s.value[0].content.clone().unwrap(),
            other => panic!("{other:?}"),
        };
        assert!(matches!(content(2), Content::Scalar(v) if v.is_nan()));
        let want = Image { height: 2, width: 3, colorspace: 3, encoded: PNG.to_vec() };
        assert_eq!(content(3), Content::Image(want));
        let Content::Histogram(h) = content(4) else { panic!("no histogram") };
        assert_eq!((h.min, h.max, h.num, h.sum, h.sum_squares), (-1.0, 2.0, 4.0, 4.0, 10.0));
        assert_eq!((h.bucket.iter().sum::<f64>(), h.bucket[0], h.bucket[63]), (4.0, 1.0, 2.0));
        assert!(h.bucket_limit.is_sorted() && h.bucket_limit.len() == 64 && h.bucket_limit[63] == 2.0);
    }

    #[test]
    fn equal_values_share_one_bucket() {
        let h = histogram(&[3.0; 5]).unwrap();
        assert_eq!((h.bucket, h.bucket_limit), (vec![5.0], vec![3.0]));
        let tiny = histogram(&[0.0, f32::from_bits(1)]).unwrap();
        assert_eq!(tiny.bucket.iter().sum::<f64>(), 2.0);
    }

    #[test]
    fn a_second_writer_begins_a_second_file_that_sorts_behind() {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<_> = [5.0, 5.0, 20.0]
            .map(|t| EventWriter::create(folder.path(), t).unwrap().path().to_path_buf())
            .to_vec();
        assert!(names.is_sorted() && names[0] != names[1], "{names:?}");
    }

    #[test]
    fn what_is_no_png_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventWriter::create(folder.path(), 0.0).unwrap();
        for bytes in [&b"GIF89a"[..], &PNG[..20], b""] {
            let error = events.image("maps", 0, 0.0, bytes).unwrap_err().to_string();
            assert!(error.contains("image \"maps\"") && error.contains("no PNG"), "{error}");
        }
        assert_eq!(read(&fs::read(events.path()).unwrap()).len(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut events = EventWriter { file, path: "events".into(), good: 0 };
        let error = events.scalar("a", 0, 0.0, 1.0).unwrap_err().to_string();
        assert!(error.starts_with("events: cannot write an event"), "{error}");
    }
}
