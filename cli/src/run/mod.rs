//! Runs: their configuration, their folder, and those who watch them.

pub mod checkpoint;
pub mod config;
pub mod data;
pub mod dump;
pub mod log;
pub mod progress;
pub mod record;
