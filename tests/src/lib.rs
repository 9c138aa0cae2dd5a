//! What the integration tests share: comparing arrays, running a layer on its own, small nets, slow oracles.
//!
//! Oracles are written from definitions, in double precision, and use nothing of the engine.

pub mod compare;
pub mod nets;
pub mod oracle;
pub mod single;
pub mod stepper;
