//! The training loop, and those who watch it.
//!
//! batch(order(seed, epoch)) -> forward -> loss -> walk(gradient) -> guard -> clip -> optimiser -> observers. Observers
//! borrow what happened and cannot change it, so training gives the same bits with or without them.

pub mod checkpoint;
pub mod diagnosis;
mod evaluate;
mod guard;
mod observe;
pub mod probe;
mod recipe;
mod trainer;

pub use checkpoint::{Checkpoint, Place, Standing};
pub use evaluate::{Evaluation, evaluate};
pub use observe::{Epoch, Event, Every, Flow, Observer, Progress};
pub use recipe::{LossKind, Recipe};
pub use trainer::Trainer;
