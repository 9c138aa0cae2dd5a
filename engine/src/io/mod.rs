//! Files: safetensors, npy, TensorBoard events, writing that never leaves half a file, and folders that are never overwritten.
//!
//! Everything read is checked against the file's own length before memory is taken for it, and a file that is not what
//! it claims to be is [`Error::Corrupt`](crate::Error::Corrupt), never a panic.

pub mod atomic;
pub mod disk;
pub mod folder;
pub mod npy;
pub mod onnx;
pub mod safetensors;
pub mod tensor;
pub mod tensorboard;
pub mod weights;

pub use tensor::{Metadata, Tensor, Tensors};
