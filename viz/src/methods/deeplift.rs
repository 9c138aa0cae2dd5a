//! deeplift: what each input value's difference from a reference contributes to the logit's difference.
//!
//! Two passes, over the image x and a reference x'; multipliers m go down: linear layers by their transpose; a
//! function of one value by `m (y - y') / (z - z')`, or by its slope where |z - z'| is tiny; a max-pool by sharing
//! `m (y - y')` between the cells that won in x and in x': with t = max(y, y'), the image's winner receives `m (t -
//! y')` and the reference's `m (y - t)`, added up over windows, over the cell's own difference. `R = m (x - x')`,
//! [N, C, H, W], signed, and `sum(R) = S_c(x) - S_c(x')`. `baseline` is the reference: zero in the net's own units,
//! mean, black, white, blur or a number.
//!
//! Reference: Shrikumar, Greenside, Kundaje 2017 (arXiv 1704.02685), the Rescale rule.
//!
//! Facts: completeness, which holds for overlapping pools and any reference. Limits: local response normalisation is
//! taken as a function of its own place, and completeness is lost where it is not; the answer depends on the
//! reference.

use super::answer::{Answer, Facts, Residual};
use super::baseline::{BASELINE, Baseline};
use super::integrated_gradients::COMPLETENESS;
use super::pass::{Pass, each_sample, standard, value, values};
use super::score::Score;
use super::{Aim, Ask, Method, Result, Settings, Space};
use glassbox_engine::graph::Keep;
use glassbox_engine::kernels::par;
use glassbox_engine::layers::At;
use glassbox_engine::rules::{Match, RoleKind, Rule};
use glassbox_engine::{Blocked, Error, Graph, Real, RuleSet, Trace, View};
use ndarray::{Array4, Axis};
use std::sync::Arc;

pub(super) static METHOD: Method = Method {
    name: "deeplift",
    summary: "what each difference from a reference contributes to the logit's difference",
    keys: &[BASELINE],
    space: Space::Input,
    aim: Aim::Class,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("deeplift.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let baseline = Baseline::of(settings, ask.graph)?;
    let (images, size) = (standard(ask.input), ask.size());
    let mut bases = vec![R::zero(); images.len()];
    for (image, base) in images.chunks_exact(size).zip(bases.chunks_exact_mut(size)) {
        baseline.write(ask.graph, image, base);
    }
    let mut pass = Pass::new(ask, ask.samples(), Keep::Everything);
    let mut below = Pass::new(ask, ask.samples(), Keep::Everything);
    let mut map = Array4::zeros(ask.input.dim());
    let mut facts = Vec::new();
    each_sample(ask, &mut pass, |pass, batch| {
        below.fill(batch.len(), |i, image| image.copy_from_slice(&bases[batch[i].0 * size..][..size]));
        below.forward();
        let rules = against(ask.graph, &Arc::new(below.trace.clone()));
        let classes: Vec<usize> =
            (0..batch.len()).map(|i| Ok(ask.class(batch[i].0, pass.logits()?, i))).collect::<Result<_>>()?;
        pass.pull_classes(&classes, 0, &rules, Score::Logit)?;
        for (i, &class) in classes.iter().enumerate() {
            let sample = facts.len();
            let pairs = images[sample * size..].iter().zip(&bases[sample * size..]);
            let mut image = map.index_axis_mut(Axis(0), sample);
            for ((place, m), (&x, &base)) in image.iter_mut().zip(values(pass.signal(0)?, i)).zip(pairs) {
                *place = m * (x - base);
            }
            let logit = value(pass.logits()?, i, class).wide();
            let want = logit - value(below.logits()?, i, class).wide();
            let value = image.iter().map(|v| v.wide()).sum::<f64>() - want;
            let residual = Residual { name: "completeness", value, scale: want.abs(), meaning: COMPLETENESS };
            facts.push(Facts {
                class: Some(class),
                score: Some(logit),
                residual: Some(residual),
                ..Facts::default()
            });
        }
        Ok(())
    })?;
    Ok(Answer::new(map.into_dyn(), facts, |_| {
        "the image is the reference, or no difference reaches the class".into()
    }))
}

/// Rules that compare with a reference pass.
fn against<R: Real>(graph: &Graph, reference: &Arc<Trace<R>>) -> RuleSet<R> {
    let mut rules = RuleSet::gradient();
    for (i, node) in graph.nodes().iter().enumerate() {
        let place = Place { reference: reference.clone(), input: node.inputs[0], output: i + 1 };
        let here = Match::Layer(node.name.clone());
        rules = match RoleKind::of(&R::compute(&*node.layer).role()) {
            RoleKind::Rectifier | RoleKind::Pointwise => rules.with(here, Rescale(place)),
            RoleKind::Normalize => rules.with(here, Rescale(place)),
            RoleKind::Select => rules.with(here, Winners(place)),
            _ => rules,
        };
    }
    rules
}

/// Where a layer's values lie in the reference pass.
#[derive(Clone, Debug)]
struct Place<R: Real> {
    reference: Arc<Trace<R>>,
    input: usize,
    output: usize,
}

impl<R: Real> Place<R> {
    fn input(&self) -> Result<View<'_, R>, Error> {
        Ok(self.reference.slot(self.input)?.view())
    }

    fn output(&self) -> Result<View<'_, R>, Error> {
        Ok(self.reference.slot(self.output)?.view())
    }
}

/// Differences below this are rounding.
fn tiny<R: Real>() -> R {
    R::of(if R::NAME == "f32" { 1e-6 } else { 1e-10 })
}

/// Values per job.
const GRAIN: usize = 1 << 14;

/// Functions of one value: the slope between reference and image.
#[derive(Clone, Debug)]
struct Rescale<R: Real>(Place<R>);

impl<R: Real> Rule<R> for Rescale<R> {
    fn pull(
        &self,
        at: &At<'_, R>,
        signal: View<'_, R>,
        out: &mut [Blocked<R>],
        scratch: &mut [R],
    ) -> Result<(), Error> {
        at.layer.pull(at, signal, out, scratch);
        let (x, y) = (at.inputs.get(0).data, at.output.data);
        let (x0, y0) = (self.0.input()?.data, self.0.output()?.data);
        par::chunks(out[0].values_mut(), GRAIN, |job, out| {
            for (i, out) in (job * GRAIN..).zip(out) {
                let difference = x[i] - x0[i];
                if difference.abs() > tiny() {
                    *out = signal.data[i] * ((y[i] - y0[i]) / difference);
                }
            }
        });
        Ok(())
    }
}

/// Max-pools: the winners of both passes share.
#[derive(Clone, Debug)]
struct Winners<R: Real>(Place<R>);

impl<R: Real> Rule<R> for Winners<R> {
    fn pull(
        &self,
        at: &At<'_, R>,
        signal: View<'_, R>,
        out: &mut [Blocked<R>],
        _: &mut [R],
    ) -> Result<(), Error> {
        let switches = at.saved[0].switches().values();
        let below = self.0.reference.saved(at.name, "switches")?.switches().values();
        let (x, y) = (at.inputs.get(0).data, at.output.data);
        let (x0, y0) = (self.0.input()?.data, self.0.output()?.data);
        let lanes = signal.lanes;
        let (in_plane, out_plane) = (out[0].shape().plane() * lanes, signal.shape.plane() * lanes);
        par::chunks(out[0].values_mut(), in_plane, |plane, out| {
            out.fill(R::zero());
            for i in plane * out_plane..(plane + 1) * out_plane {
                let (lane, top) = (i % lanes, y[i].max(y0[i]));
                out[switches[i] as usize * lanes + lane] += signal.data[i] * (top - y0[i]);
                out[below[i] as usize * lanes + lane] += signal.data[i] * (y[i] - top);
            }
            for (i, out) in (plane * in_plane..).zip(out) {
                let difference = x[i] - x0[i];
                *out = if difference.abs() > tiny() { *out / difference } else { R::zero() };
            }
        });
        Ok(())
    }
}
