//! A convolutional-network engine in a glass box: every activation, pooling switch and gradient is a named array.
//!
//! Four nouns and two verbs. [`Graph`] says what the net is, [`Params`] what it learned, [`Trace`] what happened in one
//! forward pass, [`Signals`] what flowed back. [`forward()`] makes a trace, [`walk()`] pulls signals down through it by
//! [`rules`]; training is a walk with the gradient rule, and DeconvNet is the same walk with another.
//!
//! ```
//! use glassbox_engine::layers::{Conv, Dense, Flatten, MaxPool, Relu};
//! use glassbox_engine::{Blocked, Graph, Mode, forward};
//!
//! # fn main() -> glassbox_engine::Result<()> {
//! let graph = Graph::builder("tiny", [1, 28, 28])
//!     .layer("conv1", Conv::new(8, 3).pad(1))
//!     .layer("relu1", Relu)
//!     .layer("pool1", MaxPool::new(2))
//!     .layer("flatten", Flatten)
//!     .layer("fc", Dense::new(10))
//!     .build()?;
//! let params = graph.init::<f32>(Default::default(), 1);
//! let images = Blocked::zeros(graph.input(), 16, 16); // 16 images, 16 in a block
//! let trace = forward(&graph, &params, &images, Mode::Eval)?;
//! let maps = trace.activation("relu1")?.image(0); // [C, H, W], not copied
//! assert_eq!(maps.shape(), [8, 28, 28]);
//! let switches = trace.saved("pool1", "switches")?.switches(); // where each maximum was
//! assert_eq!(switches.image(0).shape(), [8, 14, 14]);
//! # Ok(())
//! # }
//! ```

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
pub mod signals;
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
pub use signals::Signals;
pub use trace::{Mode, Trace};
pub use walk::{Walk, walk};
