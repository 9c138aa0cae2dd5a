//! What a run folder records of the program, the machine and the data; it decides nothing.

use crate::error::{Error, Result};
use glassbox_engine::data::Splits;
use glassbox_engine::kernels::Isa;

/// The `[record]` table of a run.toml.
pub fn of_run(splits: &Splits) -> Result<String> {
    let mut record = toml::Table::new();
    let mut put = |key: &str, value: String| record.insert(key.into(), toml::Value::String(value));
    put("glassbox", env!("CARGO_PKG_VERSION").into());
    put("cpu", cpu());
    put("instruction_set", Isa::detect().name().into());
    put("os", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH));
    put("train_hash", format!("{:016x}", splits.train.hash()));
    put("test_hash", format!("{:016x}", splits.test.hash()));
    put("command", std::env::args().collect::<Vec<_>>().join(" "));
    let table = toml::Table::from_iter([("record".to_string(), toml::Value::Table(record))]);
    toml::to_string(&table)
        .map_err(|e| Error::request(format!("the record cannot be written: {e}"), "report this"))
}

/// The processor's name, where the system tells it.
pub fn cpu() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|l| l.strip_prefix("model name").and_then(|l| l.split_once(':')));
    let name = name.map_or_else(|| "unknown".to_string(), |(_, name)| name.trim().to_string());
    let count = std::thread::available_parallelism().map_or(1, |n| n.get());
    format!("{name}, {count} processors")
}
