//! Layer-wise relevance propagation: the rules, as data for a walk, and the way from a class to a map.
//!
//! A unit's relevance R is shared out over what it summed: with a = inputs and z = sums, `R_in = a * W^T (R / z)`
//! for weights and sums that a rule chooses. z is kept from zero by `z + epsilon sign(z)`, sign(0) = 1. Rectifiers,
//! other functions of one value, flatten and local response normalisation pass relevance on; max-pools give it to
//! the winner; means and sums share it out in proportion; batch-norm is folded into the layer before it, or shares
//! like any linear layer.

use super::answer::{Answer, Facts, Residual};
use super::fold::folded;
use super::pass::{Pass, each_sample, set, value, values};
use super::residual::layer_sums;
use super::{Ask, Key, Result, Settings};
use glassbox_engine::graph::Keep;
use glassbox_engine::kernels::par;
use glassbox_engine::layers::{Affine, At, Role};
use glassbox_engine::rules::{Match, Pass as Through, RoleKind, Rule};
use glassbox_engine::{Blocked, Error, Real, RuleSet, View};
use ndarray::{Array4, Axis};

pub(super) const EPSILON: Key = Key {
    name: "epsilon",
    default: "1e-6",
    help: "keeps sums from zero; larger values absorb more relevance",
};

pub(super) const BIAS: Key = Key {
    name: "bias",
    default: "absorb",
    help: "absorb: biases take their share of relevance; ignore: only inputs do, and each layer conserves the sum",
};

const MEANING: &str =
    "the sum over the map minus the logit: what biases and the stabiliser absorbed on the way";

/// What all relevance rules share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share<R> {
    pub epsilon: R,
    pub bias: bool,
}

impl<R: Real> Share<R> {
    /// As the options say.
    pub fn of(settings: &Settings) -> Result<Self> {
        let bias = settings.choice("bias", &[("absorb", true), ("ignore", false)])?;
        Ok(Self { epsilon: R::of(settings.number("epsilon", 0.0..=1e6)?), bias })
    }

    /// R / (z + epsilon sign(z)); nothing where that is 0 / 0.
    fn ratio(&self, relevance: R, z: R) -> R {
        if relevance == R::zero() {
            return R::zero();
        }
        relevance / if z < R::zero() { z - self.epsilon } else { z + self.epsilon }
    }

    /// The rules that hold in every preset for layers without weights.
    pub fn set(self) -> RuleSet<R> {
        let mut rules = RuleSet::gradient();
        for kind in [RoleKind::Rectifier, RoleKind::Pointwise, RoleKind::Normalize] {
            rules = rules.with(Match::Role(kind), Through);
        }
        for kind in [RoleKind::Average, RoleKind::Sum, RoleKind::Rescale] {
            rules = rules.with(Match::Role(kind), Epsilon(self));
        }
        rules
    }
}

/// Values per job.
const GRAIN: usize = 1 << 14;

/// out[i] = f(a[i], b[i]).
fn each<R: Real>(out: &mut Blocked<R>, a: &[R], b: &[R], f: impl Fn(R, R) -> R + Sync + Send) {
    par::chunks(out.values_mut(), GRAIN, |job, out| {
        for (out, (&a, &b)) in out.iter_mut().zip(a[job * GRAIN..].iter().zip(&b[job * GRAIN..])) {
            *out = f(a, b);
        }
    });
}

/// out[i] += a[i] b[i].
fn add_product<R: Real>(out: &mut Blocked<R>, a: &[R], b: &[R]) {
    par::chunks(out.values_mut(), GRAIN, |job, out| {
        for (out, (&a, &b)) in out.iter_mut().zip(a[job * GRAIN..].iter().zip(&b[job * GRAIN..])) {
            *out += a * b;
        }
    });
}

fn like<R: Real>(view: View<'_, R>) -> Blocked<R> {
    Blocked::zeros(view.shape, view.n, view.lanes)
}

/// The positive or negative part of values.
fn part<R: Real>(values: &[R], positive: bool) -> Vec<R> {
    let zero = R::zero();
    values.iter().map(|&v| if positive { v.max(zero) } else { v.min(zero) }).collect()
}

fn part_of<R: Real>(x: View<'_, R>, positive: bool) -> Blocked<R> {
    let zero = R::zero();
    let mut out = like(x);
    each(&mut out, x.data, x.data, |v, _| if positive { v.max(zero) } else { v.min(zero) });
    out
}

/// Each input's share of the sum that the forward pass made: LRP-0 and LRP-epsilon; the proportional rule for means
/// and sums.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epsilon<R>(pub Share<R>);

impl<R: Real> Rule<R> for Epsilon<R> {
    fn pull(
        &self,
        at: &At<'_, R>,
        signal: View<'_, R>,
        out: &mut [Blocked<R>],
        scratch: &mut [R],
    ) -> Result<(), Error> {
        let mut ratio = like(signal);
        each(&mut ratio, signal.data, at.output.data, |_, z| z);
        if !self.0.bias {
            take_out_bias(at, &mut ratio);
        }
        let sums = ratio.clone();
        each(&mut ratio, signal.data, sums.values(), |r, z| self.0.ratio(r, z));
        at.layer.pull(at, ratio.view(), out, scratch);
        for (i, out) in out.iter_mut().enumerate() {
            let pulled = out.clone();
            each(out, at.inputs.get(i).data, pulled.values(), |a, c| a * c);
        }
        Ok(())
    }
}

/// Takes what does not depend on the input out of a layer's sums.
fn take_out_bias<R: Real>(at: &At<'_, R>, sums: &mut Blocked<R>) {
    let Some(shift) = super::residual::shift(at) else { return };
    let (channels, plane) = (sums.shape().c, sums.shape().plane() * sums.lanes());
    par::chunks(sums.values_mut(), plane, |job, sums| {
        let shift = R::of(shift[job % channels]);
        sums.iter_mut().for_each(|v| *v -= shift);
    });
}

/// One of the linear parts that a rule takes a layer apart into: these inputs meet these weights.
struct Part<R> {
    input: Blocked<R>,
    weight: Vec<R>,
    bias: Option<Vec<R>>,
}

impl<R: Real> Part<R> {
    /// Adds what the part sums up to `sums`.
    fn add_to(&self, layer: &dyn Affine<R>, at: &At<'_, R>, sums: &mut Blocked<R>, scratch: &mut [R]) {
        let mut out = like(sums.view());
        layer.map(at, self.input.view(), &self.weight, self.bias.as_deref(), &mut out, scratch);
        par::chunks(sums.values_mut(), GRAIN, |job, sums| {
            sums.iter_mut().zip(&out.values()[job * GRAIN..]).for_each(|(s, &v)| *s += v);
        });
    }

    /// Adds what its inputs receive to `out`.
    fn share_out(
        &self,
        layer: &dyn Affine<R>,
        at: &At<'_, R>,
        ratio: View<'_, R>,
        out: &mut Blocked<R>,
        scratch: &mut [R],
    ) {
        let mut pulled = like(self.input.view());
        layer.transpose(at, ratio, &self.weight, &mut pulled, scratch);
        add_product(out, self.input.values(), pulled.values());
    }
}

/// Sums of some parts, relevance over sums, shared out to the parts' inputs. `keep` says which outputs take part.
fn through_parts<R: Real>(
    share: Share<R>,
    at: &At<'_, R>,
    signal: View<'_, R>,
    parts: &[Part<R>],
    keep: impl Fn(R) -> bool + Sync + Send,
    out: &mut Blocked<R>,
    scratch: &mut [R],
) {
    let Role::Affine(layer) = at.layer.role() else { return };
    let mut sums = like(signal);
    parts.iter().for_each(|part| part.add_to(layer, at, &mut sums, scratch));
    let mut ratio = like(signal);
    each(&mut ratio, signal.data, sums.values(), |r, z| share.ratio(r, z));
    par::chunks(ratio.values_mut(), GRAIN, |job, ratio| {
        for (ratio, &z) in ratio.iter_mut().zip(&at.output.data[job * GRAIN..]) {
            *ratio = if keep(z) { *ratio } else { R::zero() };
        }
    });
    parts.iter().for_each(|part| part.share_out(layer, at, ratio.view(), out, scratch));
}

/// Weights with one sign strengthened: w + gamma w+ (or w-).
fn strengthened<R: Real>(weight: &[R], gamma: R, positive: bool) -> Vec<R> {
    weight.iter().zip(part(weight, positive)).map(|(&w, p)| w + gamma * p).collect()
}

/// Contributions of an output's own sign count 1 + gamma times (Montavon et al. 2019); where inputs are not negative
/// this is the weight rule `w + gamma w+`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gamma<R> {
    pub share: Share<R>,
    pub gamma: R,
}

impl<R: Real> Rule<R> for Gamma<R> {
    fn pull(
        &self,
        at: &At<'_, R>,
        signal: View<'_, R>,
        out: &mut [Blocked<R>],
        scratch: &mut [R],
    ) -> Result<(), Error> {
        let (x, weight) = (at.inputs.get(0), at.params.get(0));
        let bias = at.params.named("bias").filter(|_| self.share.bias);
        out[0].fill(R::zero());
        for up in [true, false] {
            // what pulls towards the output's sign: inputs and weights of equal signs if it is up, of unequal if down
            let parts = [true, false].map(|positive| Part {
                input: part_of(x, positive),
                weight: strengthened(weight, self.gamma, positive == up),
                bias: bias.filter(|_| positive).map(|b| strengthened(b, self.gamma, up)),
            });
            let keep = move |z: R| (z >= R::zero()) == up;
            through_parts(self.share, at, signal, &parts, keep, &mut out[0], scratch);
        }
        Ok(())
    }
}

/// Only contributions that raise an output count: alpha 1, beta 0 (Bach et al. 2015).
#[derive(Clone, Copy, Debug)]
pub(super) struct Plus<R>(pub Share<R>);

impl<R: Real> Rule<R> for Plus<R> {
    fn pull(
        &self,
        at: &At<'_, R>,
        signal: View<'_, R>,
        out: &mut [Blocked<R>],
        scratch: &mut [R],
    ) -> Result<(), Error> {
        let bias = at.params.named("bias").filter(|_| self.0.bias);
        let parts = [true, false].map(|positive| Part {
            input: part_of(at.inputs.get(0), positive),
            weight: part(at.params.get(0), positive),
            bias: bias.filter(|_| positive).map(|b| part(b, true)),
        });
        out[0].fill(R::zero());
        through_parts(self.0, at, signal, &parts, |_| true, &mut out[0], scratch);
        Ok(())
    }
}

/// For pixels between bounds l and h: z = W x - W+ l - W- h, so that every share has one sign (Montavon et al. 2017).
#[derive(Clone, Debug)]
pub(super) struct Bounded<R> {
    pub share: Share<R>,
    /// Per channel.
    pub low: Vec<R>,
    /// Per channel.
    pub high: Vec<R>,
}

impl<R: Real> Rule<R> for Bounded<R> {
    fn pull(
        &self,
        at: &At<'_, R>,
        signal: View<'_, R>,
        out: &mut [Blocked<R>],
        scratch: &mut [R],
    ) -> Result<(), Error> {
        let (x, weight) = (at.inputs.get(0), at.params.get(0));
        let bound = |per_channel: &[R]| {
            let mut out = like(x);
            let plane = x.shape.plane() * x.lanes;
            let channels = out.values_mut().chunks_exact_mut(plane).enumerate();
            channels.for_each(|(job, plane)| plane.fill(-per_channel[job % x.shape.c]));
            out
        };
        let mut plain = like(x);
        each(&mut plain, x.data, x.data, |v, _| v);
        let part_with = |input, weight| Part { input, weight, bias: None };
        let parts = [
            part_with(plain, weight.to_vec()),
            part_with(bound(&self.low), part(weight, true)),
            part_with(bound(&self.high), part(weight, false)),
        ];
        out[0].fill(R::zero());
        through_parts(self.share, at, signal, &parts, |_| true, &mut out[0], scratch);
        Ok(())
    }
}

/// Relevance of each input value for the class, by a set of rules.
pub(super) fn propagate<R: Real>(ask: &Ask<'_, R>, rules: &RuleSet<R>) -> Result<Answer<R>> {
    let (graph, params) = folded(ask.graph, ask.params)?;
    let ask = Ask { graph: &graph, params: &params, ..ask.clone() };
    let mut pass = Pass::new(&ask, ask.samples(), Keep::Everything);
    let mut map = Array4::zeros(ask.input.dim());
    let mut facts = Vec::new();
    each_sample(&ask, &mut pass, |pass, batch| {
        let from = pass.logits;
        let starts: Vec<(usize, R)> = batch
            .iter()
            .enumerate()
            .map(|(i, &(sample, _))| {
                let class = ask.class(sample, pass.logits()?, i);
                Ok((class, value(pass.logits()?, i, class)))
            })
            .collect::<Result<_>>()?;
        pass.pull(from, 0, rules, |seed| {
            starts.iter().enumerate().for_each(|(i, &(class, logit))| set(seed, i, class, logit));
        })?;
        for (i, &(class, logit)) in starts.iter().enumerate() {
            let mut image = map.index_axis_mut(Axis(0), facts.len());
            image.iter_mut().zip(values(pass.signal(0)?, i)).for_each(|(place, v)| *place = v);
            let logit = logit.wide();
            let value = values(pass.signal(0)?, i).map(|v| v.wide()).sum::<f64>() - logit;
            let residual = Residual { name: "conservation", value, scale: logit.abs(), meaning: MEANING };
            facts.push(Facts {
                class: Some(class),
                score: Some(logit),
                residual: Some(residual),
                layers: layer_sums(pass, i, from),
                ..Facts::default()
            });
        }
        Ok(())
    })?;
    Ok(Answer::new(map.into_dyn(), facts, |_| "no input contributed to the logit".into()))
}
