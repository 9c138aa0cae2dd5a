//! A convolutional-network engine in a glass box: every activation, pooling switch and gradient is a named array.

pub mod array;
#[cfg(feature = "data")]
pub mod data;
pub mod error;
#[cfg(feature = "io")]
pub mod io;
pub mod rng;
pub mod window;

pub use array::{Blocked, LANES, Shape, View};
pub use error::{Error, Result};
