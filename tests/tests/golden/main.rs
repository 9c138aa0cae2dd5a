//! Golden values, made with PyTorch and with explicit formulas.
#![allow(clippy::unwrap_used)] // helpers of tests, too

mod layers;
mod nets;
mod training;
