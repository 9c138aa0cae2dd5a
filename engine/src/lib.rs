//! A convolutional-network engine in a glass box: every activation, pooling switch and gradient is a named array.

pub mod array;
#[cfg(feature = "data")]
pub mod data;
pub mod error;
pub mod forward;
pub mod gradcheck;
pub mod graph;
#[cfg(feature = "io")]
pub mod io;
pub mod kernels;
pub mod layers;
pub mod loss;
pub mod optim;
pub mod params;
pub mod real;
pub mod rng;
pub mod rules;
pub mod trace;
#[cfg(feature = "train")]
pub mod train;
pub mod walk;
pub mod window;

pub use array::{Blocked, LANES, Shape, View};
pub use error::{Error, Result};
pub use forward::forward;
pub use graph::{Graph, Keep, Plan};
pub use params::Params;
pub use real::Real;
pub use rules::{Rule, RuleSet};
pub use trace::{Mode, Trace};
pub use walk::{Signals, Walk, walk};
