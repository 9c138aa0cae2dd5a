//! One gradient: of a unit, as the sum over the paths that lead up from it; of a parameter, as the sum over the places
//! where it was used.

use super::links::{self, role};
use super::value::index;
use super::{Of, Step, Term, Unit, Workings, part};
use crate::error::{Error, Result};
use glassbox_engine::Shape;
use glassbox_engine::layers::Sight;
use glassbox_engine::rules::RoleKind;

impl Workings<'_> {
    /// What the gradients are of: "loss" or "score".
    fn what(&self) -> &'static str {
        match self.of {
            Of::Loss(_) => "loss",
            Of::Score(_) => "score",
        }
    }

    /// Name of the signal at a unit.
    fn signal_name(&self, slot: usize, unit: Unit) -> String {
        format!("d {}/d {}", self.what(), self.unit_name(slot, unit))
    }

    /// The gradient at a unit: for every layer that reads it and every output there that it feeds, signal x slope.
    ///
    /// # Errors
    /// An unknown layer or unit; a unit above the logits, or one that the class does not depend on.
    pub fn gradient(&self, layer: &str, unit: Unit) -> Result<Step> {
        let (slot, from) = (self.unit(layer, unit)?, self.graph.logits());
        let name = self.signal_name(slot, unit);
        if self.signals.slot(slot).is_none() {
            let problem = format!("no gradient comes to \"{layer}\"");
            return Err(Error::request(
                problem,
                format!("ask for \"{}\" or a layer that it depends on", self.name(from)),
            ));
        }
        let stored = self.signal(slot, unit);
        if slot == from {
            return self.seed(unit, name, stored);
        }
        let mut terms = Vec::new();
        for &(i, input) in self.graph.readers(slot) {
            if i < from && self.signals.slot(i + 1).is_some() {
                self.paths(i, input, unit, &mut terms)?;
            }
        }
        Ok(Step::sum(name, "gradient", "sum over paths: signal above x slope of the path", terms, stored))
    }

    /// Where gradients start.
    fn seed(&self, unit: Unit, name: String, stored: f64) -> Result<Step> {
        let Of::Loss(class) = self.of else {
            let one = if stored == 0.0 { "another logit" } else { "the logit itself" };
            let terms = vec![Term::new(vec![part(one, stored)])];
            return Ok(Step::sum(name, "gradient", "1 at the class, 0 elsewhere", terms, stored));
        };
        let logits = self.trace.slot(self.graph.logits())?.image(0);
        let max = logits.iter().fold(f64::NEG_INFINITY, |m, &z| m.max(f64::from(z)));
        let sum: f64 = logits.iter().map(|&z| (f64::from(z) - max).exp()).sum();
        let share = (f64::from(logits[unit]) - max).exp() / sum;
        let k = unit[0];
        let target = if k == class { -1.0 } else { 0.0 };
        let terms = vec![
            Term::new(vec![part(format!("probability of class {k}"), share)]),
            Term::new(vec![part(format!("-(1 if class {k} is the target)"), target)]),
        ];
        Ok(Step::sum(name, "gradient", "cross-entropy of softmax: probability - target", terms, stored))
    }

    /// The paths from a unit through layer `i`.
    fn paths(&self, i: usize, input: usize, unit: Unit, terms: &mut Vec<Term>) -> Result<()> {
        let node = &self.graph.nodes()[i];
        let above = |out: Unit| part(self.signal_name(i + 1, out), self.signal(i + 1, out));
        if role(&*node.layer) == RoleKind::Affine {
            let weight = self.parameter(i + 1, "weight")?;
            let (x, y) = (self.graph.shape(node.inputs[0]), node.facts.output);
            for tap in links::column(node.facts.sight, weight.shape(), x, y, unit) {
                let w = f64::from(weight[&tap.weight[..]]);
                let slope = part(index(&format!("{}.weight", node.name), &tap.weight), w);
                let mut term = Term::new(vec![above(tap.unit), slope]).through(tap.unit);
                term.tap = tap.tap;
                terms.push(term);
            }
            return Ok(());
        }
        for out in self.reach(i, input, unit)? {
            let slope = f64::from(self.slopes(i, out)[input].image(0)[unit]);
            terms.push(Term::new(vec![above(out), part(self.slope_name(i, slope), slope)]).through(out));
        }
        Ok(())
    }

    /// What the slope of a path through layer `i` is called.
    fn slope_name(&self, i: usize, slope: f64) -> String {
        let node = &self.graph.nodes()[i];
        match role(&*node.layer) {
            RoleKind::Select if slope == 0.0 => "switch elsewhere".into(),
            RoleKind::Select => "switch here".into(),
            RoleKind::Rectifier if slope == 0.0 => "closed: input not above 0".into(),
            RoleKind::Rectifier => "open: input above 0".into(),
            RoleKind::Average => "share of the mean".into(),
            RoleKind::Wire | RoleKind::Concat | RoleKind::Sum => "copied".into(),
            _ => format!("slope of {}", node.name),
        }
    }

    /// The gradient of one parameter of a layer, by its name there and its index: the sum over the places that use it.
    ///
    /// # Errors
    /// An unknown parameter or index; one that is not learned.
    pub fn parameter_gradient(&self, layer: &str, parameter: &str, at: &[usize]) -> Result<Step> {
        let slot = self.graph.slot(layer)?;
        let full = format!("{layer}.{parameter}");
        let gradients = self.gradients.get(&full)?;
        let Some(&stored) = gradients.get(at) else {
            let problem = format!("\"{full}\" has shape {:?} and no place {at:?}", gradients.shape());
            return Err(Error::request(problem, "give one index per axis, each counted from 0"));
        };
        let kind = role(&*self.graph.nodes()[slot - 1].layer);
        let uses = match (kind, parameter) {
            (RoleKind::Affine, "weight") => self.weight_uses(slot, gradients.shape(), at),
            (RoleKind::Rescale, "weight") => self.scale_uses(slot, at[0])?,
            (RoleKind::Affine | RoleKind::Rescale, "bias") => {
                self.channel(slot, at[0]).map(|unit| Ok((unit, Vec::new()))).collect::<Result<_>>()?
            }
            _ => {
                let problem = format!("\"{full}\" has no gradient");
                return Err(Error::request(problem, "ask for a weight or bias that training changes"));
            }
        };
        let terms = uses.into_iter().map(|(unit, parts)| {
            let signal = part(self.signal_name(slot, unit), self.signal(slot, unit));
            Term::new(std::iter::once(signal).chain(parts).collect()).through(unit)
        });
        let name = format!("d {}/d {}", self.what(), index(&full, at));
        let formula = "sum over the places that use it: signal above x what it was multiplied with";
        Ok(Step::sum(name, "gradient", formula, terms.collect(), f64::from(stored)))
    }

    /// All units of a channel.
    fn channel(&self, slot: usize, c: usize) -> impl Iterator<Item = Unit> + use<> {
        let Shape { h, w, .. } = self.graph.shape(slot);
        (0..h).flat_map(move |y| (0..w).map(move |x| [c, y, x]))
    }

    /// Outputs that a weight helped to make, each with the input that it met there.
    fn weight_uses(&self, slot: usize, dims: &[usize], at: &[usize]) -> Vec<(Unit, Vec<super::Part>)> {
        let node = &self.graph.nodes()[slot - 1];
        let (below, y) = (node.inputs[0], node.facts.output);
        let x = self.graph.shape(below);
        let channels = match node.facts.sight {
            // the second axis counts output channels within a group
            Sight::Transposed(_) => {
                let groups = y.c / dims[1];
                at[0] / (x.c / groups) * dims[1] + at[1]
            }
            _ => at[0],
        };
        let met = |unit: Unit| {
            let tap = links::row(node.facts.sight, dims, x, y, unit).into_iter().find(|t| t.weight == at)?;
            let value = f64::from(self.trace.slot(below).ok()?.image(0)[tap.unit]);
            Some((unit, vec![part(self.unit_name(below, tap.unit), value)]))
        };
        self.channel(slot, channels).filter_map(met).collect()
    }

    /// Outputs that a scale of batch-norm made, each with what it scaled.
    fn scale_uses(&self, slot: usize, c: usize) -> Result<Vec<(Unit, Vec<super::Part>)>> {
        let (name, below) = (self.name(slot), self.graph.nodes()[slot - 1].inputs[0]);
        let saved =
            |array: &str| -> Result<f64> { Ok(f64::from(self.trace.saved(name, array)?.channels()[c])) };
        let (mean, rstd) = (saved("mean")?, saved("rstd")?);
        let each = |unit: Unit| {
            let x = self.activation(below, unit)?;
            let centred = part(format!("({} - mean[{c}])", self.unit_name(below, unit)), x - mean);
            Ok((unit, vec![centred, part(format!("1/sqrt(var[{c}] + eps)"), rstd)]))
        };
        self.channel(slot, c).map(each).collect()
    }
}
