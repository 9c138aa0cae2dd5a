//! Identities that hold for a whole walk, measured on what flowed: the price is a few sums.

use super::answer::Residual;
use super::pass::{Pass, value, values};
use super::{Result, answer::LayerSum};
use glassbox_engine::forward::at;
use glassbox_engine::kernels::par;
use glassbox_engine::layers::{At, Role};
use glassbox_engine::rules::RoleKind;
use glassbox_engine::{Graph, Real, View};

const BIAS: &str = "sum(activation x gradient) plus, over all layers, sum(gradient x bias) gives back the logit: \
    true of nets made of linear layers, rectifiers and pools";
const ADJOINT: &str = "largest gap over linear layers and pools between <forward(x) - bias, signal> and \
    <x, signal pulled down>: 0 if what goes down is exactly the transpose of what went up (only overlap=sum is)";
const REPEAT: &str = "the number that counts most in the map, computed once more in another batch, minus the first: 0 up \
    to rounding if no image touches another and every number is in its place";

/// What a linear layer adds that does not depend on its input, per channel.
pub(super) fn shift<R: Real>(at: &At<'_, R>) -> Option<Vec<f64>> {
    match at.layer.role() {
        Role::Affine(_) => at.params.named("bias").map(|bias| bias.iter().map(|b| b.wide()).collect()),
        Role::Rescale => {
            let (weight, bias) = (at.params.named("weight")?, at.params.named("bias")?);
            let (mean, rstd) = (at.saved[0].channels(), at.saved[2].channels());
            let shift = |c: usize| bias[c].wide() - mean[c].wide() * weight[c].wide() * rstd[c].wide();
            Some((0..bias.len()).map(shift).collect())
        }
        _ => None,
    }
}

/// The sum over a signal of image `i`, weighted per channel.
fn weighted<R: Real>(signal: View<'_, R>, i: usize, weights: &[f64]) -> f64 {
    let plane = signal.shape.plane();
    let mut values = values(signal, i);
    weights.iter().map(|w| w * values.by_ref().take(plane).map(|v| v.wide()).sum::<f64>()).sum()
}

fn dot<R: Real>(a: View<'_, R>, b: View<'_, R>, i: usize) -> (f64, f64) {
    let products = values(a, i).zip(values(b, i)).map(|(a, b)| a.wide() * b.wide());
    products.fold((0.0, 0.0), |(sum, size), p| (sum + p, size + p.abs()))
}

/// Whether every layer between two slots leaves degree one: linear, rectifiers, pools.
pub(super) fn piecewise_linear<R: Real>(graph: &Graph, to: usize, from: usize) -> bool {
    graph.nodes()[to..from].iter().all(|node| {
        let kind = RoleKind::of(&R::compute(&*node.layer).role());
        let smooth = matches!(kind, RoleKind::Pointwise | RoleKind::Normalize | RoleKind::Softmax);
        !smooth || node.layer.kind().name == "leaky_relu"
    })
}

/// The sum over the layers between two slots of <signal, bias>, for image `i` after a walk with the gradient rule.
pub(super) fn bias_part<R: Real>(pass: &Pass<'_, R>, i: usize, to: usize, from: usize) -> f64 {
    let part = |layer: usize| {
        let signal = pass.signals().slot(layer + 1)?.view();
        let shift = shift(&at(pass.graph, pass.params, &pass.trace, layer))?;
        Some(weighted(signal, i, &shift))
    };
    (to..from).filter_map(part).sum()
}

/// sum(A g) + sum(bias g) - score, for image `i` after a walk with the gradient rule from the logits down to slot
/// `to`. `None` where a layer in between is neither linear nor a rectifier nor a pool, or where a path leads around
/// the slot.
pub(super) fn bias_identity<R: Real>(
    pass: &Pass<'_, R>,
    i: usize,
    to: usize,
    class: usize,
) -> Result<Option<Residual>> {
    let (graph, from) = (pass.graph, pass.logits);
    if !piecewise_linear::<R>(graph, to, from) || graph.frontier(to) != [to] {
        return Ok(None);
    }
    let score = value(pass.logits()?, i, class).wide();
    let (inputs, size) = dot(pass.at(to)?, pass.signal(to)?, i);
    let biases = bias_part(pass, i, to, from);
    let value = inputs + biases - score;
    Ok(Some(Residual { name: "bias identity", value, scale: size.max(score.abs()), meaning: BIAS }))
}

/// The bias identity where it holds, else adjointness, for image `i` after a walk with the gradient rule from the
/// class's logit down to slot `to`: whether the gradients that a map is made of are right.
pub(super) fn of_gradients<R: Real>(
    pass: &Pass<'_, R>,
    i: usize,
    to: usize,
    class: usize,
) -> Result<Option<Residual>> {
    let whole = bias_identity(pass, i, to, class)?;
    Ok(whole.or_else(|| adjointness(pass, i, to, pass.logits)))
}

/// One residual for each of `n` images, image by image on all threads.
pub(super) fn each<R: Real>(
    pass: &Pass<'_, R>,
    n: usize,
    of: impl Fn(&Pass<'_, R>, usize) -> Result<Option<Residual>> + Sync + Send,
) -> Result<Vec<Option<Residual>>> {
    let mut out: Vec<Result<Option<Residual>>> = (0..n).map(|_| Ok(None)).collect();
    par::chunks(&mut out, 1, |i, place| place[0] = of(pass, i));
    out.into_iter().collect()
}

/// A number that was computed before and once more, in another batch.
pub(super) fn repeated(before: f64, again: f64, scale: f64) -> Residual {
    Residual { name: "repeat", value: again - before, scale, meaning: REPEAT }
}

/// The worst gap over layers between <J x, signal> and <x, J^T signal>, for image `i` after a walk from slot `from` down
/// to slot `to`.
pub(super) fn adjointness<R: Real>(pass: &Pass<'_, R>, i: usize, to: usize, from: usize) -> Option<Residual> {
    let mut worst: Option<Residual> = None;
    for layer in to..from {
        let at = at(pass.graph, pass.params, &pass.trace, layer);
        if matches!(at.layer.role(), Role::Rectifier | Role::Pointwise(_) | Role::Normalize | Role::Softmax) {
            continue;
        }
        let Some(signal) = pass.signals().slot(layer + 1) else { continue };
        let (up, size) = dot(at.output, signal.view(), i);
        let up = up - shift(&at).map_or(0.0, |shift| weighted(signal.view(), i, &shift));
        let (mut down, mut scale) = (0.0, size);
        for input in 0..at.inputs.len() {
            let Some(edge) = pass.signals().edge(layer, input) else { continue };
            let (sum, size) = dot(at.inputs.get(input), edge.view(), i);
            down += sum;
            scale += size;
        }
        let here = Residual { name: "adjointness", value: up - down, scale, meaning: ADJOINT };
        if worst.as_ref().is_none_or(|w| here.relative() > w.relative()) {
            worst = Some(here);
        }
    }
    worst
}

/// Sum and range of the signal at every slot that it came to, from `from` down to the input, for image `i`.
pub(super) fn layer_sums<R: Real>(pass: &Pass<'_, R>, i: usize, from: usize) -> Vec<LayerSum> {
    let names = pass.graph.names();
    let sum_at = |slot: usize| {
        let signal = pass.signals().slot(slot)?.view();
        let sum = values(signal, i).map(|v| v.wide()).sum();
        let (min, max) = super::answer::range(values(signal, i).map(|v| v.wide()));
        Some(LayerSum { layer: names[slot].clone(), sum, min, max })
    };
    (0..=from).rev().filter_map(sum_at).collect()
}
