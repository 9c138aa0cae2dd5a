//! ONNX files (<https://onnx.ai>): nets written for other programs, and read from them.
//!
//! Written: every layer kind, with weights under PyTorch's names and a batch of any size; evaluation only, as ONNX is.
//! Mean, standard deviation and class names ride along in the file's metadata.
//!
//! Read: nets of one input that are made of the operators in `OPS` (a file with another one is refused with the
//! list), with all sizes but the batch known. Parameters keep the names of the file's weights where those end in
//! ".weight". Weights may lie in other files of the same folder. What has no layer of its own is expressed by layers that
//! do the same: constants that scale and shift go into the weights before them, or become a batch normalisation with
//! fixed statistics; padding goes into the next window. GELU, SiLU and local response normalisation are known where an
//! exporter wrote them out in arithmetic. Memory grows with the size of the file, whatever it claims.
//!
//! Limits: no loops, branches or recurrent nets; no reshaping but to vectors; convolutions over rows and columns only.

mod constant;
mod export;
mod import;
mod made;
mod ops;
mod proto;
#[cfg(test)]
mod tests;

use super::atomic;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::params::Params;
use prost::Message;
use std::path::Path;

/// Metadata keys for what ONNX has no place for, each a JSON list.
const MEAN_KEY: &str = "glassbox.mean";
const STD_KEY: &str = "glassbox.std";
const CLASSES_KEY: &str = "glassbox.classes";

/// A net as the bytes of an ONNX file. Inputs `[N, C, H, W]` as the net sees them, outputs `[N, K]` or `[N, C, H, W]`.
///
/// # Errors
/// [`Error::Layer`] for a layer that ONNX cannot express.
pub fn to_bytes(graph: &Graph, params: &Params<f32>) -> Result<Vec<u8>> {
    Ok(export::model(graph, params)?.encode_to_vec())
}

/// Writes a net as an ONNX file, atomically.
///
/// # Errors
/// As [`to_bytes`], and [`Error::Io`] where the file cannot be written.
pub fn write(path: impl AsRef<Path>, graph: &Graph, params: &Params<f32>) -> Result<()> {
    atomic::write(path, &to_bytes(graph, params)?)
}

/// Reads the bytes of an ONNX file; `file` only names it in messages, and weights outside the file are refused.
///
/// # Errors
/// [`Error::Corrupt`] for bytes that are no ONNX file; [`Error::Request`] and [`Error::Layer`] for a net that cannot be
/// expressed, with node, operator and what is supported.
pub fn parse(bytes: &[u8], file: impl AsRef<Path>) -> Result<(Graph, Params<f32>)> {
    net(bytes, file.as_ref(), None)
}

/// Reads an ONNX file, and the files beside it that hold its weights, if any do.
///
/// # Errors
/// As [`parse`], and [`Error::Io`] where the file cannot be read.
pub fn read(path: impl AsRef<Path>) -> Result<(Graph, Params<f32>)> {
    let path = path.as_ref();
    net(&atomic::read(path)?, path, Some(atomic::parent(path)))
}

fn net(bytes: &[u8], file: &Path, folder: Option<&Path>) -> Result<(Graph, Params<f32>)> {
    let model = proto::Model::decode(bytes)
        .map_err(|e| Error::corrupt(file, "message", e.to_string(), "save the model as ONNX again"))?;
    import::net(&model, file, folder, bytes.len())
}
