//! What a run folder records of the program, the machine and the data; it decides nothing.

use super::config::Config;
use crate::error::{Error, Result};
use glassbox_engine::data::Splits;
use glassbox_engine::io::atomic;
use glassbox_engine::kernels::Isa;
use std::path::Path;

/// The record's key of the configuration that the last resume went on with.
const ALLOWED: &str = "resumed_with";

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
    text(record)
}

/// Refuses data that are not those that the run began with. Errors: a hash of run.toml that differs.
pub fn same_data(run_toml: &Path, splits: &Splits) -> Result<()> {
    let record = read(run_toml)?;
    for (key, half, data) in [("train_hash", "training", &splits.train), ("test_hash", "test", &splits.test)]
    {
        let now = format!("{:016x}", data.hash());
        let then = record.get(key).and_then(toml::Value::as_str).unwrap_or(&now);
        if then != now {
            return Err(Error::request(
                format!(
                    "the {half} images of \"{}\" have changed since the run began (hash {then}, now {now})",
                    data.name
                ),
                "put the data back as they were, or start a new run",
            ));
        }
    }
    Ok(())
}

/// Writes the configuration back, and adds to the record that the run was resumed.
pub fn resumed(run_toml: &Path, config: &Config, step: u64) -> Result<()> {
    let mut record = read(run_toml)?;
    let command = std::env::args().collect::<Vec<_>>().join(" ");
    let list = record.entry("resumed").or_insert_with(|| toml::Value::Array(Vec::new()));
    if let toml::Value::Array(list) = list {
        list.push(toml::Value::String(format!("after step {step}: {command}")));
    }
    record.insert(ALLOWED.into(), toml::Value::String(config.deciding()?));
    let text = format!("{}\n{}", config.to_toml()?, text(record)?);
    Ok(atomic::write(run_toml, text.as_bytes())?)
}

/// The configuration that the last resume went on with, as [`Config::deciding`] tells it.
pub fn allowed(run_toml: &Path) -> Result<Option<String>> {
    Ok(read(run_toml)?.get(ALLOWED).and_then(toml::Value::as_str).map(String::from))
}

/// The `[record]` table of a run.toml.
pub fn read(run_toml: &Path) -> Result<toml::Table> {
    let table: toml::Table = toml::from_str(&atomic::read_text(run_toml)?).unwrap_or_default();
    Ok(table.get("record").and_then(toml::Value::as_table).cloned().unwrap_or_default())
}

fn text(record: toml::Table) -> Result<String> {
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
