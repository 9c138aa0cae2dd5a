//! Runs: their configuration, their folder, and those who watch them.

pub mod checkpoint;
pub mod config;
pub mod data;
pub mod diagnosis;
pub mod dump;
pub mod images;
pub mod lock;
pub mod log;
pub mod progress;
pub mod record;
pub mod seeds;
pub mod session;
pub mod snapshots;
pub mod stop;
pub mod tensorboard;
pub mod usual;
