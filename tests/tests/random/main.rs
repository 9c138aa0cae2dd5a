//! Properties over random geometries and random graphs. The cases are drawn from a fixed seed, so that a run that passes
//! always passes.
#![allow(clippy::unwrap_used)] // helpers of tests, too

mod dags;
mod methods;
mod windows;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};

/// Runs a property on `cases` values of a strategy, always the same ones; panics with the smallest that fails.
fn property<S: Strategy>(cases: u32, strategy: S, test: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng).run(&strategy, test).unwrap_or_else(|e| panic!("{e}"));
}
