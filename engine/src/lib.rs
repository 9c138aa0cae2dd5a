//! A convolutional-network engine in a glass box: every activation, pooling switch and gradient is a named array.

pub mod array;
#[cfg(feature = "data")]
pub mod data;
pub mod error;
#[cfg(feature = "io")]
pub mod io;
pub mod kernels;
pub mod layers;
pub mod params;
pub mod real;
pub mod rng;
pub mod trace;
pub mod window;

pub use array::{Blocked, LANES, Shape, View};
pub use error::{Error, Result};
pub use params::Params;
pub use real::Real;
pub use trace::{Mode, Trace};
