//! One output value: the sum that made it, or the candidates of its window.

use super::links::{self, option, role};
use super::{How, Part, Step, Term, Unit, Workings, part, rounding};
use crate::error::{Error, Result};
use glassbox_engine::layers::{Role, Sight};
use glassbox_engine::rules::RoleKind;
use glassbox_engine::{Real, Shape};
use ndarray::ArrayViewD;

impl Workings<'_> {
    /// How one output of a layer came about. For max-pools the terms are the candidates of the window.
    ///
    /// # Errors
    /// An unknown layer or unit; the input, which nothing made.
    pub fn value(&self, layer: &str, unit: Unit) -> Result<Step> {
        let slot = self.unit(layer, unit)?;
        if slot == 0 {
            return Err(Error::request("the input is given, not worked out", "ask for a layer above it"));
        }
        let kind = role(&*self.graph.nodes()[slot - 1].layer);
        match kind {
            RoleKind::Affine => self.affine(slot, unit),
            RoleKind::Select => self.select(slot, unit),
            RoleKind::Rectifier | RoleKind::Pointwise => self.pointwise(slot, unit),
            RoleKind::Rescale => self.rescale(slot, unit),
            RoleKind::Normalize => self.normalize(slot, unit),
            RoleKind::Softmax => self.softmax(slot, unit),
            RoleKind::Average | RoleKind::Wire | RoleKind::Sum | RoleKind::Concat => self.linear(slot, unit),
        }
    }

    fn kind(&self, slot: usize) -> &'static str {
        self.graph.nodes()[slot - 1].layer.kind().name
    }

    /// The only input of the layer below `slot`.
    fn below(&self, slot: usize) -> usize {
        self.graph.nodes()[slot - 1].inputs[0]
    }

    fn input_part(&self, slot: usize, unit: Unit) -> Result<Part> {
        Ok(part(self.unit_name(slot, unit), self.activation(slot, unit)?))
    }

    pub(super) fn parameter(&self, slot: usize, name: &str) -> Result<ArrayViewD<'_, f32>> {
        Ok(self.params.get(&format!("{}.{name}", self.name(slot)))?)
    }

    /// bias + sum of weight x input.
    fn affine(&self, slot: usize, unit: Unit) -> Result<Step> {
        let node = &self.graph.nodes()[slot - 1];
        let below = self.below(slot);
        let x = self.graph.shape(below);
        let weight = self.parameter(slot, "weight")?;
        let mut terms = Vec::new();
        if node.facts.params.iter().any(|p| p.name == "bias") {
            let bias = f64::from(self.parameter(slot, "bias")?[[unit[0]]]);
            terms.push(Term::new(vec![part(format!("bias[{}]", unit[0]), bias)]));
        }
        let taps = links::row(node.facts.sight, weight.shape(), x, node.facts.output, unit);
        let count = taps.len();
        for tap in taps {
            let w = part(index("weight", &tap.weight), f64::from(weight[&tap.weight[..]]));
            let mut term = Term::new(vec![w, self.input_part(below, tap.unit)?]).through(tap.unit);
            term.tap = tap.tap;
            terms.push(term);
        }
        let stored = self.activation(slot, unit)?;
        let name = self.unit_name(slot, unit);
        let mut step = Step::sum(name, self.kind(slot), "bias + sum of weight x input", terms, stored);
        if let Sight::Window(_) = node.facts.sight {
            let all: usize = weight.shape()[1..].iter().product();
            if count < all {
                step.notes
                    .push(format!("{} taps of the kernel lie in the padding and add nothing", all - count));
            }
        }
        Ok(step)
    }

    /// The largest value of a window, and the switch that says where it was.
    fn select(&self, slot: usize, unit: Unit) -> Result<Step> {
        let node = &self.graph.nodes()[slot - 1];
        let below = self.below(slot);
        let shape = self.graph.shape(below);
        let (name, array) = (self.name(slot), self.trace.saved(self.name(slot), "switches")?);
        let switch = array.switches().image(0)[unit] as usize;
        let mut terms = Vec::new();
        for (tap, cell) in cells(node.facts.sight, shape, unit) {
            let mut term = Term::new(vec![self.input_part(below, cell)?]).through(cell);
            term.tap = Some(tap);
            terms.push(term);
        }
        let flat = |t: &Term| t.unit.map(|[_, y, x]| y * shape.w + x);
        let found = terms.iter().position(|t| flat(t) == Some(switch));
        let chosen = found.ok_or_else(|| {
            Error::request(
                format!("the switch {switch} of \"{name}\" lies outside its window"),
                "report this",
            )
        })?;
        let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan();
        let best = terms[chosen].value;
        let ties: Vec<usize> =
            (0..terms.len()).filter(|&i| i != chosen && same(terms[i].value, best)).collect();
        let largest = terms.iter().map(|t| t.value).fold(best, |a, b| if b > a { b } else { a });
        let (y, x) = (switch / shape.w, switch % shape.w);
        let mut notes = vec![format!(
            "the switch is {switch}: row {y}, column {x} of {} (row x {} + column)",
            self.name(below),
            shape.w
        )];
        if !ties.is_empty() {
            notes.push(format!("{} tied: the first in row-major order wins", ties.len() + 1));
        }
        Ok(Step {
            name: self.unit_name(slot, unit),
            kind: self.kind(slot).into(),
            formula: "the largest value of the window".into(),
            how: How::Largest { chosen, ties },
            terms,
            total: largest,
            finish: None,
            result: largest,
            stored: self.activation(slot, unit)?,
            slack: 0.0,
            notes,
        })
    }

    /// A weighted sum of inputs whose weights are those of the layer's own transpose: means, sums, wires.
    fn linear(&self, slot: usize, unit: Unit) -> Result<Step> {
        let node = &self.graph.nodes()[slot - 1];
        let mean = role(&*node.layer) == RoleKind::Average;
        let mut terms = Vec::new();
        for (place, slopes) in self.slopes(slot - 1, unit).iter().enumerate() {
            let below = node.inputs[place];
            for ((c, y, x), &slope) in slopes.image(0).indexed_iter() {
                if slope != 0.0 {
                    let input = self.input_part(below, [c, y, x])?;
                    let share = part("share", f64::from(slope));
                    let parts = if mean { vec![share, input] } else { vec![input] };
                    terms.push(Term::new(parts).through([c, y, x]));
                }
            }
        }
        if let (true, Sight::Window(w)) = (mean, node.facts.sight) {
            for term in &mut terms {
                term.tap = term.unit.map(|cell| tap_of(&w, unit, cell));
            }
        }
        let formula = match role(&*node.layer) {
            RoleKind::Average => "mean of the window: sum of input / count",
            RoleKind::Sum => "sum of the inputs at this place",
            _ => "a copy",
        };
        let stored = self.activation(slot, unit)?;
        Ok(Step::sum(self.unit_name(slot, unit), self.kind(slot), formula, terms, stored))
    }

    /// f(x).
    fn pointwise(&self, slot: usize, unit: Unit) -> Result<Step> {
        let (below, node) = (self.below(slot), &self.graph.nodes()[slot - 1]);
        let term = Term::new(vec![self.input_part(below, unit)?]).through(unit);
        let x = term.value;
        let (finish, y) = match <f64 as Real>::compute(&*node.layer).role() {
            Role::Pointwise(f) => (format!("{}(input)", self.kind(slot)), f.value(x)),
            _ => ("max(input, 0)".to_string(), x.max(0.0)),
        };
        let stored = self.activation(slot, unit)?;
        let mut step = Step::sum(self.unit_name(slot, unit), self.kind(slot), &finish, vec![term], stored);
        (step.finish, step.result) = (Some(finish), y);
        step.slack = rounding(8) * x.abs().max(y.abs());
        Ok(step)
    }

    /// (x - mean) weight / sqrt(var + eps) + bias.
    fn rescale(&self, slot: usize, unit: Unit) -> Result<Step> {
        let (below, name, c) = (self.below(slot), self.name(slot), unit[0]);
        let saved =
            |array: &str| -> Result<f64> { Ok(f64::from(self.trace.saved(name, array)?.channels()[c])) };
        let weight = part(format!("weight[{c}]"), f64::from(self.parameter(slot, "weight")?[[c]]));
        let rstd = part(format!("1/sqrt(var[{c}] + eps)"), saved("rstd")?);
        let mean = part(format!("-mean[{c}]"), -saved("mean")?);
        let bias = part(format!("bias[{c}]"), f64::from(self.parameter(slot, "bias")?[[c]]));
        let terms = vec![
            Term::new(vec![weight.clone(), rstd.clone(), self.input_part(below, unit)?]).through(unit),
            Term::new(vec![weight, rstd, mean]),
            Term::new(vec![bias]),
        ];
        let formula = "weight (input - mean) / sqrt(var + eps) + bias";
        let stored = self.activation(slot, unit)?;
        Ok(Step::sum(self.unit_name(slot, unit), self.kind(slot), formula, terms, stored))
    }

    /// x (k + alpha/size sum x^2)^-beta: the terms are those of the scale.
    fn normalize(&self, slot: usize, unit: Unit) -> Result<Step> {
        let (below, node) = (self.below(slot), &self.graph.nodes()[slot - 1]);
        let get = |key: &str| option(&*node.layer, key).unwrap_or(0.0);
        let (size, alpha, beta, k) = (get("size"), get("alpha"), get("beta"), get("k"));
        let mut terms = vec![Term::new(vec![part("k", k)])];
        let [c, y, x] = unit;
        // channels c - size/2 .. c + (size - 1)/2, both included
        let (before, after) = (size as usize / 2, (size as usize - 1) / 2);
        for other in c.saturating_sub(before)..(c + after + 1).min(self.graph.shape(below).c) {
            let input = self.input_part(below, [other, y, x])?;
            let parts = vec![part("alpha/size", alpha / size), input.clone(), input];
            terms.push(Term::new(parts).through([other, y, x]));
        }
        let x = self.activation(below, unit)?;
        let formula = "input x (k + alpha/size sum of squares)^-beta";
        let stored = self.activation(slot, unit)?;
        let mut step = Step::sum(self.unit_name(slot, unit), self.kind(slot), formula, terms, stored);
        step.result = x * step.total.powf(-beta);
        step.finish = Some(format!("{} {x} x total^-{beta}", self.unit_name(below, unit)));
        step.slack = rounding(step.terms.len()) * (1.0 + beta) * step.result.abs();
        Ok(step)
    }

    /// exp(z_k) / sum exp(z_j), or its logarithm; terms are those of the sum, taken above the largest input.
    fn softmax(&self, slot: usize, unit: Unit) -> Result<Step> {
        let (below, [k, y, x]) = (self.below(slot), unit);
        let channels = self.graph.shape(below).c;
        let inputs: Vec<f64> =
            (0..channels).map(|j| self.activation(below, [j, y, x])).collect::<Result<_>>()?;
        let max = inputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let term = |(j, z): (usize, &f64)| {
            let name = format!("exp({} - {max})", self.unit_name(below, [j, y, x]));
            Term::new(vec![part(name, (z - max).exp())]).through([j, y, x])
        };
        let terms = inputs.iter().enumerate().map(term).collect();
        let log = self.kind(slot) == "log_softmax";
        let formula = if log { "input - log(sum of exp(inputs))" } else { "exp(input) / sum of exp(inputs)" };
        let stored = self.activation(slot, unit)?;
        let mut step = Step::sum(self.unit_name(slot, unit), self.kind(slot), formula, terms, stored);
        let probability = step.terms[k].value / step.total;
        (step.result, step.finish) = if log {
            (inputs[k] - max - step.total.ln(), Some(format!("{} - {max} - log(total)", inputs[k])))
        } else {
            (probability, Some(format!("{} / total", step.terms[k].value)))
        };
        let spread = 1.0 + (inputs[k] - max).abs();
        step.slack = rounding(channels) * spread * if log { 1.0 } else { probability };
        step.notes.push(
            "the largest input is taken off every exponent: that changes no quotient and keeps exp finite"
                .into(),
        );
        Ok(step)
    }
}

/// `weight[0,1,2]`.
pub(super) fn index(name: &str, at: &[usize]) -> String {
    let numbers: Vec<String> = at.iter().map(usize::to_string).collect();
    format!("{name}[{}]", numbers.join(","))
}

/// The cells of a pool window on real input, with their taps.
fn cells(sight: Sight, input: Shape, [c, oy, ox]: Unit) -> Vec<([usize; 2], Unit)> {
    let Sight::Window(w) = sight else { return Vec::new() };
    let at = |axis: usize, o: usize, k: usize| (w.start(axis, o) + (k * w.dilation[axis]) as isize) as usize;
    let columns = w.taps(1, ox, input.w);
    w.taps(0, oy, input.h)
        .flat_map(|ky| columns.clone().map(move |kx| [ky, kx]))
        .map(|[ky, kx]| ([ky, kx], [c, at(0, oy, ky), at(1, ox, kx)]))
        .collect()
}

/// Row and column of an input cell inside the window of output `unit`.
fn tap_of(w: &glassbox_engine::window::Window, unit: Unit, cell: Unit) -> [usize; 2] {
    [0, 1].map(|a| (cell[a + 1] as isize - w.start(a, unit[a + 1])) as usize / w.dilation[a])
}
