//! Text for people: tables, counts, notes.

use indicatif::{ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Seconds between lines about a long way where there is no terminal for a bar.
const PAUSE: f64 = 20.0;

/// A table in columns as wide as their widest cell; numbers (as told by `right`) at the right.
pub fn table(header: &[&str], rows: &[Vec<String>], right: &[bool]) -> String {
    let columns = header.len();
    let width =
        |c: usize| rows.iter().map(|r| r[c].chars().count()).chain([header[c].len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().enumerate().map(|(c, cell)| {
            let pad = " ".repeat(widths[c] - cell.chars().count());
            if right[c] { format!("{pad}{cell}") } else { format!("{cell}{pad}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    let head: Vec<String> = header.iter().map(|h| h.to_string()).collect();
    std::iter::once(line(&head)).chain(rows.iter().map(|r| line(r))).collect::<Vec<_>>().join("\n")
}

/// A count with thousands apart: 1234567 as 1,234,567.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|g| String::from_utf8_lossy(g).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

/// Bytes in the unit that fits.
pub fn bytes(n: usize) -> String {
    match n {
        0..=9_999 => format!("{n} B"),
        10_000..=9_999_999 => format!("{:.1} KiB", n as f64 / 1024.0),
        _ => format!("{:.1} MiB", n as f64 / 1_048_576.0),
    }
}

/// Prints a line to standard output; a reader that has gone away is no error.
pub fn line(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.as_ref());
}

/// How far a long way has been gone: a bar on a terminal, elsewhere a line now and then.
#[derive(Debug)]
pub struct Way {
    bar: Option<ProgressBar>,
    unit: &'static str,
    start: Instant,
    /// Seconds after the start at which the next line is due.
    due: Cell<f64>,
}

impl Way {
    /// A way of so many `unit`s, which the first step tells.
    pub fn new(unit: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template(&format!("{{bar:24}} {{pos}}/{{len}} {unit}, {{eta}} left"));
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, unit, start: Instant::now(), due: Cell::new(PAUSE) }
    }

    /// So far it has been gone.
    pub fn at(&self, done: usize, total: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        } else if let Some(text) = self.told(self.start.elapsed().as_secs_f64(), done, total) {
            note(text);
        }
    }

    /// The line that is due after so many seconds, if one is.
    fn told(&self, seconds: f64, done: usize, total: usize) -> Option<String> {
        if done == 0 || done >= total || seconds < self.due.get() {
            return None;
        }
        self.due.set(seconds + PAUSE);
        let left = seconds * (total - done) as f64 / done as f64;
        Some(format!("{done}/{total} {}, {left:.0} s left", self.unit))
    }

    /// It is done.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Prints a note to standard error.
pub fn note(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_way_is_told_now_and_then() {
        let way = Way { bar: None, unit: "steps", start: Instant::now(), due: Cell::new(PAUSE) };
        assert_eq!(
            [(19.9, 50), (20.0, 0), (20.0, 100)].map(|(s, done)| way.told(s, done, 100)),
            [None, None, None]
        );
        assert_eq!(way.told(21.0, 25, 100).as_deref(), Some("25/100 steps, 63 s left"));
        assert_eq!(way.told(40.9, 50, 100), None);
        assert_eq!(way.told(41.0, 50, 100).as_deref(), Some("50/100 steps, 41 s left"));
    }

    #[test]
    fn tables_line_up() {
        let rows = vec![vec!["conv1".into(), "156".into()], vec!["fc".into(), "48,120".into()]];
        let text = table(&["layer", "parameters"], &rows, &[false, true]);
        assert_eq!(text, "layer  parameters\nconv1         156\nfc         48,120");
        assert_eq!((count(0).as_str(), count(1_234_567).as_str()), ("0", "1,234,567"));
    }
}
