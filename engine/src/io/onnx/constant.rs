//! Arrays that stand in an ONNX file: read, checked against their own sizes, widened or rounded to what is used here.

use super::proto::{Tensor, dtype};
use crate::io::safetensors::half;
use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path};

/// Stands for the batch size where shapes are worked out as numbers.
pub(super) const BATCH: i64 = i64::MIN / 2;

/// An array that is known before the net runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    /// Its name in the file; may be empty.
    pub name: String,
    /// Sizes; none for a single number.
    pub dims: Vec<usize>,
    /// Its numbers, in C order.
    pub numbers: Numbers,
}

/// Numbers as they are used: weights, or sizes and places.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Numbers {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
}

impl Constant {
    /// A list of whole numbers.
    pub fn ints(values: Vec<i64>) -> Self {
        Self { name: String::new(), dims: vec![values.len()], numbers: Numbers::Ints(values) }
    }

    /// Numbers in it.
    pub fn len(&self) -> usize {
        match &self.numbers {
            Numbers::Floats(v) => v.len(),
            Numbers::Ints(v) => v.len(),
        }
    }

    /// Its numbers in single precision.
    pub fn floats(&self) -> Cow<'_, [f32]> {
        match &self.numbers {
            Numbers::Floats(v) => Cow::Borrowed(v),
            Numbers::Ints(v) => Cow::Owned(v.iter().map(|&v| v as f32).collect()),
        }
    }

    /// Its whole numbers, if it holds such.
    pub fn as_ints(&self) -> Option<&[i64]> {
        match &self.numbers {
            Numbers::Ints(v) => Some(v),
            Numbers::Floats(_) => None,
        }
    }

    /// The number, where it holds exactly one.
    pub fn single(&self) -> Option<f32> {
        (self.len() == 1).then(|| self.floats()[0])
    }
}

/// Reads a tensor; `folder` is where files lie that hold numbers outside the model, if any may be opened. The error says
/// what is wrong.
pub(super) fn read(tensor: &Tensor, folder: Option<&Path>) -> Result<Constant, String> {
    let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let dims = dims.ok_or_else(|| format!("its sizes are {:?}", tensor.dims))?;
    let count = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
    let count = count.ok_or_else(|| format!("its sizes {dims:?} are too large"))?;
    let numbers = match tensor.location {
        1 => from_raw(tensor.dtype, &outside(tensor, folder)?)?,
        _ if !tensor.raw.is_empty() => from_raw(tensor.dtype, &tensor.raw)?,
        _ => from_fields(tensor)?,
    };
    let constant = Constant { name: tensor.name.clone(), dims, numbers };
    if constant.len() != count {
        return Err(format!("it has {} numbers for sizes {:?}", constant.len(), constant.dims));
    }
    Ok(constant)
}

/// Numbers out of little-endian bytes.
fn from_raw(kind: i32, raw: &[u8]) -> Result<Numbers, String> {
    fn split<const W: usize>(raw: &[u8]) -> Result<&[[u8; W]], String> {
        match raw.as_chunks() {
            (chunks, []) => Ok(chunks),
            _ => Err(format!("its {} bytes are no multiple of {W}", raw.len())),
        }
    }
    let floats = |v: Vec<f32>| Ok(Numbers::Floats(v));
    let ints = |v: Vec<i64>| Ok(Numbers::Ints(v));
    match kind {
        dtype::FLOAT => floats(split(raw)?.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        dtype::DOUBLE => floats(split(raw)?.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()),
        dtype::FLOAT16 => floats(split(raw)?.iter().map(|b| half(u16::from_le_bytes(*b))).collect()),
        dtype::BFLOAT16 => floats(split(raw)?.iter().map(|b| brain(u16::from_le_bytes(*b))).collect()),
        dtype::INT64 => ints(split(raw)?.iter().map(|b| i64::from_le_bytes(*b)).collect()),
        dtype::INT32 => ints(split(raw)?.iter().map(|b| i32::from_le_bytes(*b).into()).collect()),
        dtype::INT8 => ints(raw.iter().map(|&b| i64::from(b as i8)).collect()),
        dtype::UINT8 | dtype::BOOL => ints(raw.iter().map(|&b| b.into()).collect()),
        other => Err(unread(other)),
    }
}

/// Numbers out of the typed fields.
fn from_fields(tensor: &Tensor) -> Result<Numbers, String> {
    let bits = |f: fn(u16) -> f32| tensor.int32s.iter().map(|&v| f(v as u16)).collect();
    Ok(match tensor.dtype {
        dtype::FLOAT => Numbers::Floats(tensor.floats.clone()),
        dtype::DOUBLE => Numbers::Floats(tensor.doubles.iter().map(|&v| v as f32).collect()),
        dtype::FLOAT16 => Numbers::Floats(bits(half)),
        dtype::BFLOAT16 => Numbers::Floats(bits(brain)),
        dtype::INT64 => Numbers::Ints(tensor.int64s.clone()),
        dtype::INT32 | dtype::INT8 | dtype::UINT8 | dtype::BOOL => {
            Numbers::Ints(tensor.int32s.iter().map(|&v| v.into()).collect())
        }
        other => return Err(unread(other)),
    })
}

fn unread(kind: i32) -> String {
    format!("numbers of type {kind} are not read; floats and whole numbers up to 64 bits are")
}

/// The upper half of a single-precision number.
fn brain(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The bytes of a tensor that lies in another file of the same folder, or below it.
fn outside(tensor: &Tensor, folder: Option<&Path>) -> Result<Vec<u8>, String> {
    let entry = |key: &str| tensor.external.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    let location = entry("location").ok_or("it lies in another file, whose name is missing")?;
    let inside = Path::new(location).components().all(|c| matches!(c, Component::Normal(_)));
    if !inside || location.is_empty() {
        return Err(format!("it lies in \"{location}\", outside the model's folder"));
    }
    let folder = folder.ok_or_else(|| format!("it lies in another file, \"{location}\""))?;
    let number = |key: &str| match entry(key).map(str::parse::<u64>) {
        None => Ok(None),
        Some(Ok(n)) => Ok(Some(n)),
        Some(Err(_)) => Err(format!("its {key} in \"{location}\" is no number")),
    };
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let path = folder.join(location);
    let fail = |e: std::io::Error| format!("it lies in {}, which cannot be read: {e}", path.display());
    let mut file = File::open(&path).map_err(fail)?;
    let left = file.metadata().map_err(fail)?.len().saturating_sub(offset);
    let length = length.unwrap_or(left);
    if length > left {
        return Err(format!("it claims {length} bytes of {}, where {left} are left", path.display()));
    }
    file.seek(SeekFrom::Start(offset)).map_err(fail)?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::super::proto::Entry;
    use super::*;

    fn tensor(kind: i32, dims: &[i64], raw: &[u8]) -> Tensor {
        Tensor { dtype: kind, dims: dims.to_vec(), raw: raw.to_vec(), ..Tensor::default() }
    }

    #[test]
    fn raw_bytes_and_typed_fields_say_the_same() {
        let ints = Tensor { dtype: dtype::INT64, dims: vec![2], int64s: vec![-1, 7], ..Tensor::default() };
        let raw = [(-1i64).to_le_bytes(), 7i64.to_le_bytes()].concat();
        assert_eq!(read(&ints, None), read(&tensor(dtype::INT64, &[2], &raw), None));
        let halves = Tensor { dtype: dtype::FLOAT16, int32s: vec![0x3c00], ..Tensor::default() };
        assert_eq!(read(&halves, None).unwrap().single(), Some(1.0));
        assert_eq!(
            read(&tensor(dtype::BFLOAT16, &[], &[0x49, 0x40]), None).unwrap().single(),
            Some(3.140_625)
        );
        assert_eq!(read(&tensor(dtype::INT8, &[1], &[0xff]), None).unwrap().as_ints(), Some(&[-1i64][..]));
    }

    #[test]
    fn sizes_and_bytes_must_agree() {
        let cases = [
            (tensor(dtype::FLOAT, &[2], &[0; 4]), "it has 1 numbers for sizes [2]"),
            (tensor(dtype::FLOAT, &[-1], &[0; 4]), "its sizes are [-1]"),
            (tensor(dtype::FLOAT, &[i64::MAX, 4], &[0; 4]), "too large"),
            (tensor(dtype::FLOAT, &[1], &[0; 5]), "its 5 bytes are no multiple of 4"),
            (tensor(8, &[1], b"text"), "numbers of type 8 are not read"),
            (tensor(dtype::FLOAT, &[1 << 40], &[]), "it has 0 numbers"),
        ];
        for (tensor, want) in cases {
            let error = read(&tensor, None).unwrap_err();
            assert!(error.contains(want), "{want}\n{error}");
        }
    }

    #[test]
    fn numbers_in_another_file_are_read_from_the_models_folder_only() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = [1f32, 2.0, 3.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(folder.path().join("w.data"), bytes).unwrap();
        let outside = |location: &str, offset: &str, length: &str| {
            let entry = |key: &str, value: &str| Entry { key: key.into(), value: value.into() };
            let external =
                vec![entry("location", location), entry("offset", offset), entry("length", length)];
            Tensor { external, location: 1, ..tensor(dtype::FLOAT, &[2], &[]) }
        };
        let load = |t: Tensor| read(&t, Some(folder.path()));
        assert_eq!(*load(outside("w.data", "4", "8")).unwrap().floats(), [2.0, 3.0]);
        for (location, offset, length, want) in [
            ("../w.data", "0", "8", "outside the model's folder"),
            ("/etc/hostname", "0", "8", "outside the model's folder"),
            ("none", "0", "8", "cannot be read"),
            ("w.data", "8", "8", "where 4 are left"),
            ("w.data", "x", "8", "is no number"),
            ("w.data", "0", "4", "it has 1 numbers"),
        ] {
            let error = load(outside(location, offset, length)).unwrap_err();
            assert!(error.contains(want), "{want}\n{error}");
        }
    }
}
