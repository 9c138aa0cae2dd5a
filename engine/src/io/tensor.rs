//! A named array of any of the types that files hold.

use crate::{Error, Result};
use ndarray::ArrayD;
use std::collections::BTreeMap;

/// Arrays by name, in alphabetical order.
pub type Tensors = BTreeMap<String, Tensor>;

/// Texts by key that ride along in a file, in alphabetical order.
pub type Metadata = BTreeMap<String, String>;

/// An array of any type that is kept in files.
#[derive(Clone, Debug, PartialEq)]
pub enum Tensor {
    /// Single precision: parameters, activations.
    F32(ArrayD<f32>),
    /// Double precision: reference values.
    F64(ArrayD<f64>),
    /// Signed integers: counters, and whatever narrower signed integers a file holds.
    I64(ArrayD<i64>),
    /// Unsigned integers: pooling switches.
    U32(ArrayD<u32>),
    /// Bytes: masks, pixels.
    U8(ArrayD<u8>),
}

macro_rules! each {
    ($tensor:expr, $array:ident => $result:expr) => {
        match $tensor {
            Tensor::F32($array) => $result,
            Tensor::F64($array) => $result,
            Tensor::I64($array) => $result,
            Tensor::U32($array) => $result,
            Tensor::U8($array) => $result,
        }
    };
}

impl Tensor {
    /// Sizes of the axes.
    pub fn shape(&self) -> &[usize] {
        each!(self, array => array.shape())
    }

    /// Numbers in the array.
    pub fn len(&self) -> usize {
        each!(self, array => array.len())
    }

    /// Whether the array holds no number.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type's name in safetensors: "F32", "F64", "I64", "U32" or "U8".
    pub fn dtype(&self) -> &'static str {
        match self {
            Self::F32(_) => "F32",
            Self::F64(_) => "F64",
            Self::I64(_) => "I64",
            Self::U32(_) => "U32",
            Self::U8(_) => "U8",
        }
    }

    /// Bytes per number.
    pub fn width(&self) -> usize {
        match self {
            Self::F64(_) | Self::I64(_) => 8,
            Self::F32(_) | Self::U32(_) => 4,
            Self::U8(_) => 1,
        }
    }

    /// A copy in single precision, each number rounded to the nearest.
    pub fn to_f32(&self) -> ArrayD<f32> {
        match self {
            Self::F32(array) => array.clone(),
            Self::F64(array) => array.mapv(|x| x as f32),
            Self::I64(array) => array.mapv(|x| x as f32),
            Self::U32(array) => array.mapv(|x| x as f32),
            Self::U8(array) => array.mapv(f32::from),
        }
    }

    /// A copy in double precision; integers beyond 2^53 are rounded.
    pub fn to_f64(&self) -> ArrayD<f64> {
        match self {
            Self::F32(array) => array.mapv(f64::from),
            Self::F64(array) => array.clone(),
            Self::I64(array) => array.mapv(|x| x as f64),
            Self::U32(array) => array.mapv(f64::from),
            Self::U8(array) => array.mapv(f64::from),
        }
    }

    /// This array in single precision, without a copy where it already is.
    pub fn into_f32(self) -> ArrayD<f32> {
        match self {
            Self::F32(array) => array,
            other => other.to_f32(),
        }
    }

    /// Appends the numbers in C order, little-endian.
    pub(super) fn append_bytes(&self, out: &mut Vec<u8>) {
        match self {
            Self::F32(a) => a.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
            Self::F64(a) => a.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
            Self::I64(a) => a.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
            Self::U32(a) => a.iter().for_each(|x| out.extend_from_slice(&x.to_le_bytes())),
            Self::U8(a) => out.extend(a.iter()),
        }
    }
}

macro_rules! from_arrays {
    ($($variant:ident: $number:ty),*) => {$(
        impl<D: ndarray::Dimension> From<ndarray::Array<$number, D>> for Tensor {
            fn from(array: ndarray::Array<$number, D>) -> Self {
                Self::$variant(array.into_dyn())
            }
        }
    )*};
}
from_arrays!(F32: f32, F64: f64, I64: i64, U32: u32, U8: u8);

/// The tensor called `name`; the error offers the nearest of the names that are there.
///
/// # Errors
/// [`Error::Request`] where there is none.
pub fn get<'a>(tensors: &'a Tensors, name: &str) -> Result<&'a Tensor> {
    tensors.get(name).ok_or_else(|| Error::unknown("array", name, tensors.keys().map(String::as_str)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr1, arr2};

    #[test]
    fn facts_and_conversions_of_each_type() {
        let cases: [(Tensor, &str, usize); 5] = [
            (arr2(&[[1f32, 2.0]]).into(), "F32", 4),
            (arr2(&[[1f64, 2.0]]).into(), "F64", 8),
            (arr2(&[[1i64, 2]]).into(), "I64", 8),
            (arr2(&[[1u32, 2]]).into(), "U32", 4),
            (arr2(&[[1u8, 2]]).into(), "U8", 1),
        ];
        for (tensor, dtype, width) in cases {
            assert_eq!(
                (tensor.dtype(), tensor.width(), tensor.shape(), tensor.len()),
                (dtype, width, &[1, 2][..], 2)
            );
            assert_eq!(tensor.to_f32(), arr2(&[[1f32, 2.0]]).into_dyn());
            assert_eq!(tensor.to_f64(), arr2(&[[1f64, 2.0]]).into_dyn());
            let mut bytes = Vec::new();
            tensor.append_bytes(&mut bytes);
            assert_eq!(bytes.len(), 2 * width);
        }
    }

    #[test]
    fn a_missing_name_offers_the_nearest() {
        let tensors = Tensors::from([("conv1.weight".into(), arr1(&[0f32]).into())]);
        let error = get(&tensors, "conv1.wieght").unwrap_err().to_string();
        assert!(error.contains("did you mean \"conv1.weight\""), "{error}");
    }
}
