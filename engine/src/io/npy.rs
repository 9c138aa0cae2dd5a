//! npy files: one array each (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).
//!
//! Read: f32, f64, i32, i64, u8 and bool, either byte order, C or Fortran order, as f32. Written: f32 in C order. The
//! library that parses the format trusts the header, so its length, its nesting and the size of the array that it
//! announces are checked against the file first.

use super::atomic;
use crate::{Error, Result};
use ndarray::{ArrayD, ArrayViewD};
use ndarray_npy::npy::header::Header;
use ndarray_npy::{ReadNpyError, ReadNpyExt, ReadableElement, WriteNpyExt};
use std::path::Path;

/// Longest header that is read, in bytes; numpy's own limit.
const HEADER_LIMIT: usize = 10_000;
const CURE: &str = "save it again with numpy.save";

/// Reads an array as f32; f64 and wide integers are rounded to the nearest.
///
/// # Errors
/// [`Error::Io`] where it cannot be read; [`Error::Corrupt`] where it is not what it claims to be.
pub fn read(path: impl AsRef<Path>) -> Result<ArrayD<f32>> {
    parse(&atomic::read(&path)?, path)
}

/// Writes an array as f32 in C order, atomically.
///
/// # Errors
/// [`Error::Io`] where it cannot be written.
pub fn write(path: impl AsRef<Path>, array: ArrayViewD<'_, f32>) -> Result<()> {
    let path = path.as_ref();
    atomic::write(path, &to_bytes(array, path)?)
}

/// The bytes of such a file; `file` only names it in messages.
///
/// # Errors
/// [`Error::Io`] where the library cannot put the array in that form.
pub fn to_bytes(array: ArrayViewD<'_, f32>, file: impl AsRef<Path>) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(128 + 4 * array.len());
    let written = array.as_standard_layout().write_npy(&mut out);
    written.map_err(|e| Error::io(file, "put the array in npy form", std::io::Error::other(e)))?;
    Ok(out)
}

/// Parses the bytes of a file; `file` only names it in messages.
///
/// # Errors
/// [`Error::Corrupt`] with the place, the numbers and the cure.
pub fn parse(bytes: &[u8], file: impl AsRef<Path>) -> Result<ArrayD<f32>> {
    let file = file.as_ref();
    check_header_text(bytes, file)?;
    let mut rest = bytes;
    let header = Header::from_reader(&mut rest).map_err(|e| corrupt(file, "header", e.to_string()))?;
    let dtype = header.type_descriptor.as_string().cloned().unwrap_or_default();
    let width = match dtype.trim_start_matches(['<', '>', '|', '=']) {
        "f4" | "i4" => 4,
        "f8" | "i8" => 8,
        "u1" | "b1" => 1,
        _ => {
            let problem = format!("dtype {} is not read", header.type_descriptor);
            return Err(Error::corrupt(file, "header", problem, "convert the array with .astype('float32')"));
        }
    };
    check_size(&header.shape, width, rest.len(), file)?;
    match &dtype[dtype.len() - 2..] {
        "f4" => load::<f32>(bytes, file),
        "f8" => Ok(load::<f64>(bytes, file)?.mapv(|x| x as f32)),
        "i4" => Ok(load::<i32>(bytes, file)?.mapv(|x| x as f32)),
        "i8" => Ok(load::<i64>(bytes, file)?.mapv(|x| x as f32)),
        "u1" => Ok(load::<u8>(bytes, file)?.mapv(f32::from)),
        _ => Ok(load::<bool>(bytes, file)?.mapv(|x| f32::from(u8::from(x)))),
    }
}

/// Refuses headers that are longer than the file or the limit, or nested more deeply than any array's is.
fn check_header_text(bytes: &[u8], file: &Path) -> Result<()> {
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err(corrupt(file, "start", "no npy file: it must begin with \\x93NUMPY".into()));
    }
    let (start, length) = match *bytes {
        [_, _, _, _, _, _, 1, _, a, b, ..] => (10, u16::from_le_bytes([a, b]) as usize),
        [_, _, _, _, _, _, 2 | 3, _, a, b, c, d, ..] => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        [_, _, _, _, _, _, version @ (0 | 4..), ..] => {
            return Err(corrupt(file, "version", format!("version {version}; 1, 2 and 3 are known")));
        }
        _ => {
            return Err(corrupt(file, "header length", format!("the file ends after {} bytes", bytes.len())));
        }
    };
    if length > HEADER_LIMIT || start + length > bytes.len() {
        let left = bytes.len() - start;
        let problem = format!("claims {length} bytes; {left} follow, and at most {HEADER_LIMIT} are allowed");
        return Err(corrupt(file, "header length", problem));
    }
    let brackets = bytes[start..start + length].iter().filter(|b| b"([{".contains(b)).count();
    if brackets > 4 {
        let problem = format!("{brackets} opening brackets; a plain array has two");
        return Err(Error::corrupt(file, "header", problem, "save a plain array, without fields"));
    }
    Ok(())
}

/// Refuses an array that is not exactly the rest of the file, and empty arrays whose other sizes overflow.
fn check_size(shape: &[usize], width: usize, left: usize, file: &Path) -> Result<()> {
    // Sizes without zeros, because an empty array's strides still have to be numbers.
    let span = shape.iter().filter(|&&n| n > 0).try_fold(width, |size, &n| size.checked_mul(n));
    let empty = shape.contains(&0);
    let size = span.filter(|&n| n <= isize::MAX as usize).map(|n| if empty { 0 } else { n });
    if size == Some(left) {
        return Ok(());
    }
    let need = size.map_or("more than 2^63".to_string(), |n| n.to_string());
    let problem =
        format!("shape {shape:?} of {width}-byte numbers takes {need} bytes, but {left} follow the header");
    Err(corrupt(file, "data", problem))
}

fn load<T: ReadableElement>(bytes: &[u8], file: &Path) -> Result<ArrayD<T>> {
    ArrayD::read_npy(bytes).map_err(|e: ReadNpyError| corrupt(file, "data", e.to_string()))
}

fn corrupt(file: &Path, place: &str, problem: String) -> Error {
    Error::corrupt(file, place, problem, CURE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, ShapeBuilder, arr0, arr2};
    use proptest::prelude::*;

    /// A version 1 file with this header text and these bytes.
    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend((header.len() as u16 + 1).to_le_bytes());
        out.extend(header.as_bytes());
        out.push(b'\n');
        out.extend(data);
        out
    }

    fn dict(dtype: &str, fortran: &str, shape: &str) -> String {
        format!("{{'descr': '{dtype}', 'fortran_order': {fortran}, 'shape': {shape}, }}")
    }

    fn sample() -> Vec<u8> {
        to_bytes(arr2(&[[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]]).into_dyn().view(), "a.npy").unwrap()
    }

    #[test]
    fn arrays_survive_whatever_their_layout() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        let plain = Array::from_shape_fn((2, 3, 4), |(i, j, k)| (i * 100 + j * 10 + k) as f32).into_dyn();
        for array in [plain.clone(), plain.reversed_axes(), arr0(5f32).into_dyn(), Array::zeros(vec![0, 3])] {
            write(&path, array.view()).unwrap();
            assert_eq!(read(&path).unwrap(), array);
        }
    }

    #[test]
    fn every_dtype_byte_order_and_axis_order_is_read() {
        let want = arr2(&[[1f32, 2.0, 0.0], [3.0, 4.0, 255.0]]).into_dyn();
        let rows = [1u8, 2, 0, 3, 4, 255];
        let columns = [1u8, 3, 2, 4, 0, 255];
        assert_eq!(parse(&file(&dict("|u1", "False", "(2, 3)"), &rows), "x").unwrap(), want);
        assert_eq!(parse(&file(&dict("|u1", "True", "(2, 3)"), &columns), "x").unwrap(), want);
        let wide = |f: &dyn Fn(u8) -> Vec<u8>| rows.iter().flat_map(|&x| f(x)).collect::<Vec<u8>>();
        for (dtype, data) in [
            ("<f4", wide(&|x| f32::from(x).to_le_bytes().to_vec())),
            (">f4", wide(&|x| f32::from(x).to_be_bytes().to_vec())),
            ("<f8", wide(&|x| f64::from(x).to_le_bytes().to_vec())),
            ("<i4", wide(&|x| i32::from(x).to_le_bytes().to_vec())),
            ("<i8", wide(&|x| i64::from(x).to_le_bytes().to_vec())),
        ] {
            assert_eq!(parse(&file(&dict(dtype, "False", "(2, 3)"), &data), "x").unwrap(), want, "{dtype}");
        }
        let bools = parse(&file(&dict("|b1", "False", "(2,)"), &[0, 1]), "x").unwrap();
        assert_eq!(bools, ndarray::arr1(&[0f32, 1.0]).into_dyn());
        let fortran = Array::from_shape_vec((2, 3).f(), columns.to_vec()).unwrap();
        assert_eq!(fortran.mapv(f32::from).into_dyn(), want);
    }

    #[test]
    fn each_reason_for_rejection_names_place_and_numbers() {
        let plain = sample();
        let mut long_header = b"\x93NUMPY\x02\x00".to_vec();
        long_header.extend(u32::MAX.to_le_bytes());
        let mut version = plain.clone();
        version[6] = 9;
        let cases = [
            (b"PK\x03\x04".to_vec(), "start: no npy file"),
            (plain[..7].to_vec(), "the file ends after 7 bytes"),
            (version, "version 9"),
            (long_header, "header length: claims 4294967295 bytes; 0 follow"),
            (plain[..40].to_vec(), "header length: claims 118 bytes; 30 follow"),
            (plain[..plain.len() - 1].to_vec(), "takes 24 bytes, but 23 follow"),
            ([&plain[..], b"x"].concat(), "takes 24 bytes, but 25 follow"),
            (file(&dict("<f4", "False", "(4611686018427387904, 4)"), &[]), "takes more than 2^63 bytes"),
            (file(&dict("<f4", "False", "(99999999999999999999,)"), &[]), "illegal value for key shape"),
            (file(&dict("<f4", "False", "(-1,)"), &[]), "illegal value for key shape"),
            (
                file(&dict("<f4", "False", "(0, 4294967296, 4294967296, 4294967296)"), &[]),
                "takes more than 2^63 bytes",
            ),
            (file(&dict("<c8", "False", "(1,)"), &[0; 8]), "dtype '<c8' is not read"),
            (file(&dict("é", "False", "(1,)"), &[0; 8]), "header: "),
            (
                file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", &[0; 4]),
                "is not read",
            ),
            (file(&dict("|b1", "False", "(1,)"), &[7]), "data: "),
            (file(&dict("<f4", "Perhaps", "(1,)"), &[0; 4]), "header: "),
            (file("{'descr': '<f4'}", &[0; 4]), "missing key"),
            (file(&"(".repeat(9000), &[]), "9000 opening brackets"),
            (file("nonsense", &[]), "header: "),
        ];
        for (bytes, want) in cases {
            let error = parse(&bytes, "x.npy").unwrap_err();
            assert!(error.to_string().contains(want), "{want}\n{error}");
            assert_eq!(error.exit_code(), 4);
        }
    }

    proptest! {
        #[test]
        fn no_damage_makes_it_panic(cut in 0usize..152, at in 0usize..152, byte: u8) {
            let mut bytes = sample();
            bytes[at] = byte;
            bytes.truncate(cut);
            prop_assert!(parse(&bytes, "x").is_err());
        }
    }
}
