//! One signal, pulled from a class or a unit down to the input under some rules: what the methods by rules share.

use super::answer::Facts;
use super::pass::{Pass, each_sample, put, set, strongest, value, values};
use super::score::Score;
use super::{Ask, Error, Result, Unit, residual};
use glassbox_engine::graph::Keep;
use glassbox_engine::{Real, RuleSet};
use ndarray::Array4;

/// The identity that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Gradients and biases give back the logit, where the class is explained and the net is made so that they do;
    /// else adjointness.
    Bias,
    /// What goes down is the transpose of what went up.
    Adjoint,
}

/// Signals at the input, one image per sample, and the facts of each.
pub(super) struct Pulled<R> {
    /// [N, C, H, W].
    pub signal: Array4<R>,
    pub facts: Vec<Facts>,
}

/// Pulls the class, or the unit where the question names a layer, of each sample to the input.
pub(super) fn pull<R: Real>(
    ask: &Ask<'_, R>,
    rules: &RuleSet<R>,
    score: Score,
    check: Check,
) -> Result<Pulled<R>> {
    match (ask.layer, ask.unit) {
        (None, None) => class(ask, rules, score, check),
        (Some(layer), Some(unit)) => project(ask, rules, layer, unit),
        (Some(layer), None) => Err(Error::request(
            format!("layer \"{layer}\" has many units, and none is named"),
            "give --unit K for the strongest of channel K, --unit K,Y,X, or --unit all; or leave out --layer to \
             start at the class",
        )),
        (None, Some(_)) => {
            Err(Error::request("a unit is named, but not its layer", "give --layer too, or leave out --unit"))
        }
    }
}

fn class<R: Real>(ask: &Ask<'_, R>, rules: &RuleSet<R>, score: Score, check: Check) -> Result<Pulled<R>> {
    let mut pass = Pass::new(ask, ask.samples(), Keep::Everything);
    let mut out = Pulled { signal: Array4::zeros(ask.input.dim()), facts: Vec::new() };
    each_sample(ask, &mut pass, |pass, batch| {
        let logits = pass.logits()?;
        let classes: Vec<usize> =
            batch.iter().enumerate().map(|(i, &(sample, _))| ask.class(sample, logits, i)).collect();
        let from = pass.logits;
        pass.pull_classes(&classes, 0, rules, score)?;
        let residuals = match check {
            Check::Bias if score == Score::Logit => residual::of_gradients(pass, &classes, 0)?,
            _ => residual::adjointness(pass, classes.len(), 0, from),
        };
        for ((i, &class), residual) in classes.iter().enumerate().zip(residuals) {
            let logit = value(pass.logits()?, i, class).wide();
            let facts = Facts { class: Some(class), score: Some(logit), residual, ..Facts::default() };
            keep(&mut out, pass, i, facts)?;
        }
        Ok(())
    })?;
    Ok(out)
}

fn keep<R: Real>(out: &mut Pulled<R>, pass: &Pass<'_, R>, i: usize, facts: Facts) -> Result<()> {
    let sample = out.facts.len();
    let mut image = out.signal.index_axis_mut(ndarray::Axis(0), sample);
    image.iter_mut().zip(values(pass.signal(0)?, i)).for_each(|(place, v)| *place = v);
    out.facts.push(facts);
    Ok(())
}

/// The slot and the unit that are asked for. Errors: an unknown layer, the input itself, a unit outside the layer.
pub(super) fn unit_of<R: Real>(ask: &Ask<'_, R>, layer: &str, unit: Unit) -> Result<usize> {
    let slot = ask.graph.slot(layer)?;
    if slot == 0 {
        return Err(Error::request("the input has no units to look into", "name a layer"));
    }
    let shape = ask.graph.shape(slot);
    let inside = match unit {
        Unit::All => true,
        Unit::Channel(k) => k < shape.c,
        Unit::At(k, y, x) => k < shape.c && y < shape.h && x < shape.w,
    };
    if inside {
        return Ok(slot);
    }
    let asked = match unit {
        Unit::At(k, y, x) => format!("unit {k},{y},{x}"),
        Unit::Channel(k) => format!("channel {k}"),
        Unit::All => String::new(),
    };
    Err(Error::request(
        format!("layer \"{layer}\" has no {asked}: its output is {shape}"),
        format!("channels go from 0 to {}, rows to {}, columns to {}", shape.c - 1, shape.h - 1, shape.w - 1),
    ))
}

/// The flat place of the unit in image `i` of a slot; `None` for all units.
pub(super) fn place_of<R: Real>(
    pass: &Pass<'_, R>,
    slot: usize,
    i: usize,
    unit: Unit,
) -> Result<Option<usize>> {
    let view = pass.at(slot)?;
    let (w, plane) = (view.shape.w, view.shape.plane());
    Ok(match unit {
        Unit::All => None,
        Unit::Channel(k) => Some(k * plane + strongest(values(view, i).skip(k * plane).take(plane))),
        Unit::At(k, y, x) => Some(k * plane + y * w + x),
    })
}

/// Pulls a unit's activation to the input: Zeiler and Fergus's projection under any rules.
fn project<R: Real>(ask: &Ask<'_, R>, rules: &RuleSet<R>, layer: &str, unit: Unit) -> Result<Pulled<R>> {
    let slot = unit_of(ask, layer, unit)?;
    let mut pass = Pass::new(ask, ask.samples(), Keep::Everything);
    let mut out = Pulled { signal: Array4::zeros(ask.input.dim()), facts: Vec::new() };
    each_sample(ask, &mut pass, |pass, batch| {
        let places = (0..batch.len()).map(|i| place_of(pass, slot, i, unit)).collect::<Result<Vec<_>>>()?;
        let activations = pass.trace.slot(slot)?.clone();
        pass.pull(slot, 0, rules, |seed| {
            for (i, place) in places.iter().enumerate() {
                match *place {
                    Some(flat) => set(seed, i, flat, value(activations.view(), i, flat)),
                    None => put(seed, i, values(activations.view(), i)),
                }
            }
        })?;
        let shape = ask.graph.shape(slot);
        let residuals = residual::adjointness(pass, places.len(), 0, slot);
        for ((i, &place), residual) in places.iter().enumerate().zip(residuals) {
            let at = |flat: usize| {
                let (k, cell) = (flat / shape.plane(), flat % shape.plane());
                [k, cell / shape.w, cell % shape.w]
            };
            let facts = Facts {
                unit: place.map(at),
                score: place.map(|flat| value(activations.view(), i, flat).wide()),
                residual,
                ..Facts::default()
            };
            keep(&mut out, pass, i, facts)?;
        }
        Ok(())
    })?;
    Ok(out)
}

/// Why a signal that was pulled down is zero everywhere.
pub(super) fn why_zero(facts: &Facts) -> String {
    match (facts.class, facts.score) {
        (None, Some(score)) if score <= 0.0 => {
            format!("the unit did not fire (activation {score}), so there is nothing to project")
        }
        (None, None) => "no unit of the layer fired, so there is nothing to project".into(),
        _ => "every path from what is explained to the input is blocked: each passes a rectifier that is off, or a \
              weight of zero"
            .into(),
    }
}
