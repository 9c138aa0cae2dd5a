//! safetensors files: named arrays, and texts beside them (<https://huggingface.co/docs/safetensors>).
//!
//! A file is eight bytes with the header's length, the header as JSON (name -> dtype, shape, data_offsets), and the
//! numbers, little-endian, C order, with no gap between the arrays. Reading is the format's own library, which refuses
//! whatever is not fully explained; this file turns its refusals into messages with places and numbers. Writing is
//! canonical: the same content gives the same bytes, on any machine (the library writes metadata in random order).
//!
//! Half-precision floats are read as F32, narrower integers as the next of our types that holds them; booleans as U8.

use super::tensor::{Metadata, Tensor, Tensors};
use super::{atomic, tensor};
use crate::{Error, Result};
use ndarray::{ArrayD, IxDyn};
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Key under which the header keeps the metadata; no array can have this name.
const METADATA: &str = "__metadata__";
const CURE: &str = "the file is damaged or was not written by safetensors; copy or save it again";

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// Arrays by name.
    pub tensors: Tensors,
    /// Texts by key.
    pub metadata: Metadata,
}

impl Content {
    /// The array called `name`.
    ///
    /// # Errors
    /// [`Error::Request`] with the nearest name where there is none.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        tensor::get(&self.tensors, name)
    }
}

/// Reads a file.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Corrupt`] where it is not what it claims to be.
pub fn read(path: impl AsRef<Path>) -> Result<Content> {
    parse(&atomic::read(&path)?, path)
}

/// Writes a file, atomically; see [`to_bytes`].
///
/// # Errors
/// [`Error::Io`] where it cannot be written; [`Error::Request`] as for [`to_bytes`].
pub fn write(path: impl AsRef<Path>, tensors: &Tensors, metadata: &Metadata) -> Result<()> {
    atomic::write(path, &to_bytes(tensors, metadata)?)
}

/// Parses the bytes of a file; `file` only names it in messages.
///
/// # Errors
/// [`Error::Corrupt`] with the place, the numbers and the cure.
pub fn parse(bytes: &[u8], file: impl AsRef<Path>) -> Result<Content> {
    let file = file.as_ref();
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| explain(bytes, file, e))?;
    let arrays = SafeTensors::deserialize(bytes).map_err(|e| explain(bytes, file, e))?;
    let mut content = Content::default();
    for (name, view) in arrays.iter() {
        content.tensors.insert(name.to_string(), convert(name, &view, file)?);
    }
    content.metadata.extend(header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
    Ok(content)
}

/// The bytes of a file, the same for the same content: wider types first, so that every array is aligned, then by name.
///
/// # Errors
/// [`Error::Request`] for an array called `__metadata__`, which the format reserves.
pub fn to_bytes(tensors: &Tensors, metadata: &Metadata) -> Result<Vec<u8>> {
    if tensors.contains_key(METADATA) {
        return Err(Error::request(
            format!("safetensors cannot hold an array called \"{METADATA}\""),
            "rename it",
        ));
    }
    let mut order: Vec<(&String, &Tensor)> = tensors.iter().collect();
    order.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.width()));
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert(METADATA.to_string(), json!(metadata));
    }
    let mut end = 0;
    for (name, tensor) in &order {
        let start = end;
        end += tensor.len() * tensor.width();
        let entry = json!({"dtype": tensor.dtype(), "shape": tensor.shape(), "data_offsets": [start, end]});
        header.insert((*name).clone(), entry);
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut out = Vec::with_capacity(8 + text.len() + end);
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text);
    order.iter().for_each(|(_, tensor)| tensor.append_bytes(&mut out));
    Ok(out)
}

fn convert(name: &str, view: &TensorView<'_>, file: &Path) -> Result<Tensor> {
    let (data, shape) = (view.data(), view.shape());
    let place = || format!("array \"{name}\"");
    /// Numbers of `W` bytes each, through `number`, as an array.
    fn array<const W: usize, T>(
        data: &[u8],
        shape: &[usize],
        number: impl Fn([u8; W]) -> T,
    ) -> Result<ArrayD<T>, ndarray::ShapeError> {
        let numbers = data.as_chunks::<W>().0.iter().map(|bytes| number(*bytes)).collect();
        ArrayD::from_shape_vec(IxDyn(shape), numbers)
    }
    let integer = |text: &str| {
        let problem = format!("dtype {text}, which this program does not read");
        Error::corrupt(file, place(), problem, "save the array as F32, F64, I64, U32 or U8")
    };
    match view.dtype() {
        Dtype::F32 => array(data, shape, f32::from_le_bytes).map(Tensor::F32),
        Dtype::F64 => array(data, shape, f64::from_le_bytes).map(Tensor::F64),
        Dtype::F16 => array(data, shape, |b| half(u16::from_le_bytes(b))).map(Tensor::F32),
        Dtype::BF16 => {
            array(data, shape, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)).map(Tensor::F32)
        }
        Dtype::I64 => array(data, shape, i64::from_le_bytes).map(Tensor::I64),
        Dtype::I32 => array(data, shape, |b| i64::from(i32::from_le_bytes(b))).map(Tensor::I64),
        Dtype::I16 => array(data, shape, |b| i64::from(i16::from_le_bytes(b))).map(Tensor::I64),
        Dtype::I8 => array(data, shape, |b| i64::from(i8::from_le_bytes(b))).map(Tensor::I64),
        Dtype::U32 => array(data, shape, u32::from_le_bytes).map(Tensor::U32),
        Dtype::U16 => array(data, shape, |b| u32::from(u16::from_le_bytes(b))).map(Tensor::U32),
        Dtype::U8 | Dtype::BOOL => array(data, shape, u8::from_le_bytes).map(Tensor::U8),
        other => return Err(integer(&other.to_string())),
    }
    .map_err(|e| Error::corrupt(file, place(), format!("shape {shape:?} cannot be held: {e}"), CURE))
}

/// IEEE 754 half precision, exactly.
pub(super) fn half(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    match exponent {
        // zero and subnormals: fraction * 2^-24
        0 => f32::from_bits(sign | (fraction as f32 / (1u32 << 24) as f32).to_bits()),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13),
    }
}

/// The library's refusal with the place and the numbers.
fn explain(bytes: &[u8], file: &Path, error: SafeTensorError) -> Error {
    let total = bytes.len();
    let claimed = bytes.first_chunk().map_or(0, |n| u64::from_le_bytes(*n));
    let (place, problem) = match error {
        SafeTensorError::HeaderTooSmall => {
            ("start".into(), format!("{total} bytes, but the header's length alone takes 8"))
        }
        SafeTensorError::HeaderTooLarge => (
            "header length".into(),
            format!("claims {claimed} bytes; at most 100000000 are allowed, and the file has {total}"),
        ),
        SafeTensorError::InvalidHeaderLength => (
            "header length".into(),
            format!("claims {claimed} bytes, but only {} follow", total.saturating_sub(8)),
        ),
        SafeTensorError::InvalidHeader(e) => {
            (format!("byte {}", 8 + e.valid_up_to()), "not UTF-8 text".into())
        }
        SafeTensorError::InvalidHeaderDeserialization(e) => ("header".into(), format!("not as agreed: {e}")),
        other => liar(bytes, &other),
    };
    Error::corrupt(file, place, problem, CURE)
}

/// Finds the array whose entry does not add up, in a header that is well-formed JSON.
fn liar(bytes: &[u8], error: &SafeTensorError) -> (String, String) {
    let claimed = bytes.first_chunk().map_or(0, |n| u64::from_le_bytes(*n)) as usize;
    let (header, data) = bytes.get(8..).and_then(|b| b.split_at_checked(claimed)).unwrap_or_default();
    let entries: Map<String, Value> = serde_json::from_slice(header).unwrap_or_default();
    let mut entries: Vec<_> = entries.iter().filter(|(name, _)| *name != METADATA).collect();
    entries.sort_by_key(|(_, e)| (offset(e, 0), offset(e, 1)));
    let mut end = 0;
    for (name, entry) in entries {
        let (start, stop) = (offset(entry, 0), offset(entry, 1));
        let place = format!("array \"{name}\"");
        if start != end || stop < start {
            let problem = format!("its bytes are said to be {start} to {stop}, but {end} bytes precede it");
            return (place, problem);
        }
        if bytes_of(entry) != Some(u128::from(stop - start)) {
            let (dtype, shape) = (&entry["dtype"], &entry["shape"]);
            let problem =
                format!("dtype {dtype} with shape {shape} does not fill its {} bytes", stop - start);
            return (place, problem);
        }
        end = stop;
    }
    if end == data.len() as u64 {
        return ("header".into(), format!("refused: {error}"));
    }
    ("data".into(), format!("the header explains {end} bytes of arrays, but {} are there", data.len()))
}

fn offset(entry: &Value, end: usize) -> u64 {
    entry["data_offsets"][end].as_u64().unwrap_or(u64::MAX)
}

/// Bytes that an entry's dtype and shape need; `None` where that overflows.
fn bytes_of(entry: &Value) -> Option<u128> {
    let dtype: Dtype = serde_json::from_value(entry["dtype"].clone()).ok()?;
    let sizes = entry["shape"].as_array()?.iter().map(Value::as_u64);
    let bits =
        sizes.chain([Some(dtype.bitsize() as u64)]).try_fold(1u128, |p, n| p.checked_mul(n?.into()))?;
    (bits % 8 == 0).then_some(bits / 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, arr0, arr1};
    use proptest::prelude::*;

    fn sample() -> (Tensors, Metadata) {
        let tensors = Tensors::from([
            ("b".to_string(), Array::from_shape_fn((2, 3), |(i, j)| (i * 3 + j) as f32 - 2.5).into()),
            ("a".to_string(), arr1(&[1u8, 2, 255]).into()),
            ("empty".to_string(), Array::<f32, _>::zeros((0, 4)).into()),
            ("pool:switches".to_string(), arr1(&[0u32, u32::MAX]).into()),
            ("n".to_string(), arr0(-7i64).into()),
            ("w".to_string(), arr1(&[0.1f64]).into()),
        ]);
        let metadata = Metadata::from([("z".into(), "\"quoted\"\nü".into()), ("model".into(), "x".into())]);
        (tensors, metadata)
    }

    fn sample_bytes() -> Vec<u8> {
        let (tensors, metadata) = sample();
        to_bytes(&tensors, &metadata).unwrap()
    }

    /// A file with this header and this many zero bytes of data.
    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut out = (header.len() as u64).to_le_bytes().to_vec();
        out.extend(header.as_bytes());
        out.resize(out.len() + data, 0);
        out
    }

    fn refusal(bytes: &[u8]) -> String {
        let error = parse(bytes, "x.safetensors").unwrap_err();
        assert_eq!(error.exit_code(), 4, "{error}");
        error.to_string()
    }

    #[test]
    fn what_is_written_is_read_back_and_the_library_agrees() {
        let (tensors, metadata) = sample();
        let bytes = sample_bytes();
        assert_eq!(parse(&bytes, "x").unwrap(), Content { tensors: tensors.clone(), metadata });
        let theirs = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(theirs.len(), tensors.len());
        assert_eq!(theirs.tensor("n").unwrap().data(), (-7i64).to_le_bytes());
        assert_eq!(theirs.tensor("b").unwrap().shape(), [2, 3]);
    }

    #[test]
    fn bytes_are_canonical_and_arrays_aligned() {
        let text = String::from_utf8_lossy(&sample_bytes()).into_owned();
        let at = |key: &str| text.find(key).unwrap();
        assert!(at("\"model\"") < at("\"z\"") && at("\"z\"") < at("\"n\""));
        assert!(at("\"n\"") < at("\"w\"") && at("\"w\"") < at("\"b\"") && at("\"b\"") < at("\"a\""));
        let length = u64::from_le_bytes(*sample_bytes().first_chunk().unwrap());
        assert_eq!(length % 8, 0);
    }

    #[test]
    fn non_standard_layouts_are_written_in_c_order() {
        let array = Array::from_shape_fn((2, 3), |(i, j)| (i * 3 + j) as f32);
        let transposed = Tensors::from([("t".to_string(), array.clone().reversed_axes().into())]);
        let plain = Tensors::from([("t".to_string(), array.t().as_standard_layout().to_owned().into())]);
        assert_eq!(
            to_bytes(&transposed, &Metadata::new()).unwrap(),
            to_bytes(&plain, &Metadata::new()).unwrap()
        );
    }

    #[test]
    fn narrow_types_widen_exactly() {
        let halves: [(u16, f32); 8] = [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x03ff, 6.097_555e-5),
            (0x8000, -0.0),
            (0x7c00, f32::INFINITY),
            (0x3555, 0.333_251_95),
        ];
        for (bits, want) in halves {
            assert_eq!(half(bits).to_bits(), want.to_bits(), "{bits:04x}");
        }
        assert!(half(0x7e00).is_nan());
        let mut bytes = file(r#"{"x":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}"#, 0);
        bytes.extend(0x4049u16.to_le_bytes());
        assert_eq!(parse(&bytes, "x").unwrap().get("x").unwrap(), &arr1(&[3.140_625f32]).into());
        let mut bytes = file(r#"{"x":{"dtype":"I16","shape":[],"data_offsets":[0,2]}}"#, 0);
        bytes.extend((-3i16).to_le_bytes());
        assert_eq!(parse(&bytes, "x").unwrap().get("x").unwrap(), &arr0(-3i64).into());
    }

    #[test]
    fn each_reason_for_rejection_names_place_and_numbers() {
        let entry = |dtype: &str, shape: &str, offsets: &str| {
            format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        let two = |second: &str| {
            format!(
                r#"{{"x":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}},"y":{{"dtype":"U8","shape":[4],"data_offsets":{second}}}}}"#
            )
        };
        let mut cases: Vec<(Vec<u8>, &str)> = vec![
            (b"abc".to_vec(), "start: 3 bytes"),
            (u64::MAX.to_le_bytes().to_vec(), "header length: claims 18446744073709551615"),
            (1000u64.to_le_bytes().to_vec(), "claims 1000 bytes, but only 0 follow"),
            (file("{", 0), "header: not as agreed"),
            (file("[]", 0), "header: not as agreed"),
            (file(r#"{"x":1}"#, 0), "header: not as agreed"),
            (file(r#"{"__metadata__":{"a":1}}"#, 0), "header: not as agreed"),
            (file(&entry("F31", "[1]", "[0,4]"), 4), "unknown variant `F31`"),
            (file(&entry("F32", "[-1]", "[0,4]"), 4), "header: not as agreed"),
            (
                file(&entry("F32", "[2]", "[0,4]"), 4),
                "array \"x\": dtype \"F32\" with shape [2] does not fill its 4 bytes",
            ),
            (file(&entry("F32", "[4294967296,4294967296]", "[0,4]"), 4), "does not fill its 4 bytes"),
            (file(&entry("F32", "[9223372036854775807]", "[0,4]"), 4), "does not fill its 4 bytes"),
            (file(&entry("F32", "[1]", "[4,8]"), 8), "array \"x\": its bytes are said to be 4 to 8"),
            (file(&entry("F32", "[1]", "[4,0]"), 8), "array \"x\": its bytes are said to be 4 to 0"),
            (file(&entry("F32", "[1]", "[0,4]"), 3), "explains 4 bytes of arrays, but 3 are there"),
            (file(&entry("F32", "[1]", "[0,4]"), 9), "explains 4 bytes of arrays, but 9 are there"),
            (file(&two("[2,6]"), 8), "array \"y\": its bytes are said to be 2 to 6, but 4 bytes precede it"),
            (file(&two("[6,10]"), 10), "array \"y\": its bytes are said to be 6 to 10, but 4"),
            (file(&entry("U64", "[1]", "[0,8]"), 8), "array \"x\": dtype U64"),
            (file(&entry("F32", "[0,4294967295,4294967296,4294967296]", "[0,0]"), 0), "array \"x\": shape"),
            (file(&"[".repeat(100_000), 0), "header: not as agreed"),
        ];
        let mut bytes = file("{  }", 0);
        bytes[9] = 0xff;
        cases.push((bytes, "byte 9: not UTF-8"));
        for (bytes, want) in cases {
            let message = refusal(&bytes);
            assert!(message.starts_with("x.safetensors: ") && message.contains(want), "{want}\n{message}");
        }
    }

    #[test]
    fn the_reserved_name_is_refused() {
        let tensors = Tensors::from([(METADATA.to_string(), arr0(0f32).into())]);
        assert!(to_bytes(&tensors, &Metadata::new()).is_err());
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(cut in 0usize..700, at in 0usize..700, byte: u8) {
            let mut bytes = sample_bytes();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(cut.max(8));
            let _ = parse(&bytes, "x");
        }
    }
}
