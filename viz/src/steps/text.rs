//! Steps as text for a terminal, and as JSON.

use super::{How, Step, Term, Unpooling};
use serde_json::{Value, json};

/// Significant digits of printed numbers: all that single precision has.
const DIGITS: usize = 7;

fn number(value: f64) -> String {
    crate::number::significant(value, DIGITS)
}

impl Step {
    /// The step as lines of text; of more than `limit` terms, the largest, and the rest in one line.
    pub fn text(&self, limit: usize) -> String {
        let mut lines = vec![format!("{} ({}): {}", self.name, self.kind, self.formula)];
        let shown = largest(&self.terms, limit);
        let rows: Vec<[String; 2]> = shown
            .iter()
            .map(|&i| [left(&self.terms[i]), number(self.terms[i].value) + &self.mark(i)])
            .collect();
        let width = rows.iter().map(|r| r[0].chars().count()).max().unwrap_or(0);
        lines.extend(rows.iter().map(|[left, right]| {
            let pad = " ".repeat(width - left.chars().count());
            format!("  {left}{pad}  = {right}")
        }));
        let rest = self.terms.len() - shown.len();
        if rest > 0 {
            let in_rows: f64 = shown.iter().map(|&i| self.terms[i].value).sum();
            let together = match self.how {
                How::Sum => format!(", together {}", number(self.total - in_rows)),
                How::Largest { .. } => String::new(),
            };
            lines.push(format!("  and {rest} smaller ones{together}"));
        }
        let what = match self.how {
            How::Sum => format!(
                "sum of {} {}",
                self.terms.len(),
                if self.terms.len() == 1 { "term" } else { "terms" }
            ),
            How::Largest { .. } => format!("largest of {}", self.terms.len()),
        };
        lines.push(format!("  {what}: {}", number(self.total)));
        if let Some(finish) = &self.finish {
            lines.push(format!("  {finish}: {}", number(self.result)));
        }
        lines.push(check(self.stored, self.off(), self.slack));
        lines.extend(self.notes.iter().map(|n| format!("  {n}")));
        lines.join("\n")
    }

    fn mark(&self, i: usize) -> String {
        match &self.how {
            How::Largest { chosen, .. } if *chosen == i => "  <- the switch points here".into(),
            How::Largest { ties, .. } if ties.contains(&i) => "  (as large, but later)".into(),
            _ => String::new(),
        }
    }

    /// The step as JSON: every term, the sum, what the engine stored, their difference and what rounding may do.
    pub fn json(&self) -> Value {
        let terms: Vec<Value> = self.terms.iter().map(term).collect();
        let mut out = json!({
            "name": self.name, "kind": self.kind, "formula": self.formula, "terms": terms, "total": self.total,
            "finish": self.finish, "result": self.result, "stored": self.stored, "off": self.off(),
            "rounding": self.slack, "agrees": self.agrees(), "notes": self.notes,
        });
        if let How::Largest { chosen, ties } = &self.how {
            out["switch"] = json!(chosen);
            out["ties"] = json!(ties);
        }
        out
    }
}

impl Unpooling {
    /// The channel as lines of text; of more than `limit` values, the largest.
    pub fn text(&self, limit: usize) -> String {
        let head =
            format!("{} at {}, channel {}, put back into {}", self.what, self.pool, self.channel, self.below);
        let mut lines = vec![head];
        let mut order: Vec<usize> = (0..self.placed.len()).collect();
        if order.len() > limit {
            order.sort_by(|&a, &b| self.placed[b].value.abs().total_cmp(&self.placed[a].value.abs()));
            order.truncate(limit);
            order.sort_unstable();
        }
        for &i in &order {
            let p = &self.placed[i];
            let ([wy, wx], [y, x]) = (p.window, p.cell);
            lines.push(format!("  window {wy},{wx}: {} -> cell {y},{x}", number(p.value)));
        }
        if order.len() < self.placed.len() {
            lines.push(format!("  and {} smaller ones", self.placed.len() - order.len()));
        }
        let shared = self.shared();
        for ([y, x], from) in shared.iter().take(limit) {
            let parts: Vec<String> = from.iter().map(|&i| number(self.placed[i].value)).collect();
            let sum = number(self.plane[[*y, *x]]);
            lines.push(format!("  cell {y},{x} is shared, so it receives {} = {sum}", parts.join(" + ")));
        }
        if shared.len() > limit {
            lines.push(format!("  and {} more shared cells", shared.len() - limit));
        }
        let cells = self.plane.iter().filter(|v| **v != 0.0).count();
        lines.push(format!("  {cells} of {} cells are not zero", self.plane.len()));
        lines.push(format!(
            "  the engine's unpooling: off by at most {} (rounding may give {})",
            number(self.off()),
            number(self.slack)
        ));
        lines.join("\n")
    }

    /// The channel as JSON: every value with its cell, the shared cells, and the difference from the engine's result.
    pub fn json(&self) -> Value {
        let placed: Vec<Value> = self
            .placed
            .iter()
            .map(|p| json!({"window": p.window, "value": p.value, "cell": p.cell}))
            .collect();
        let shared: Vec<Value> = self
            .shared()
            .into_iter()
            .map(|(cell, from)| json!({"cell": cell, "from": from, "sum": self.plane[cell]}))
            .collect();
        json!({
            "pool": self.pool, "below": self.below, "channel": self.channel, "what": self.what, "placed": placed,
            "shared": shared, "off": self.off(), "rounding": self.slack, "agrees": self.agrees(),
        })
    }
}

/// The places of the largest terms, in order; all where there are no more than `limit`.
pub(super) fn largest(terms: &[Term], limit: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..terms.len()).collect();
    if order.len() > limit {
        order.sort_by(|&a, &b| terms[b].value.abs().total_cmp(&terms[a].value.abs()));
        order.truncate(limit);
        order.sort_unstable();
    }
    order
}

/// What stands before the value: the product, or the name of a single number.
fn left(term: &Term) -> String {
    match &term.parts[..] {
        [one] => one.name.clone(),
        _ => product(term),
    }
}

/// `weight[0,0,1,1] 0.5 x input[0,2,2] 2`.
pub(super) fn product(term: &Term) -> String {
    let parts: Vec<String> = term.parts.iter().map(|p| format!("{} {}", p.name, number(p.value))).collect();
    parts.join("  x  ")
}

fn term(term: &Term) -> Value {
    let parts: Vec<Value> = term.parts.iter().map(|p| json!({"name": p.name, "value": p.value})).collect();
    json!({"parts": parts, "value": term.value, "unit": term.unit, "tap": term.tap})
}

/// What the engine stored, and how far the sum is from it.
fn check(stored: f64, off: f64, slack: f64) -> String {
    let off = if off == 0.0 { "the same".into() } else { format!("off by {}", crate::number::short(off)) };
    let may = if slack == 0.0 {
        String::new()
    } else {
        format!("; rounding may give {}", crate::number::short(slack))
    };
    format!("  the engine stored {} ({off}{may})", number(stored))
}
