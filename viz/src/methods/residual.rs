//! Identities that hold for a whole walk, measured on what flowed: the price is a few sums, taken for all images of a
//! block at once.

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

/// Numbers of each image of a batch, found block by block: `add(block, sums)` adds up those of a block, one per lane.
fn per_image<R: Real, T: Clone + Default + Send>(
    view: View<'_, R>,
    add: impl Fn(usize, &mut [T]) + Sync + Send,
) -> Vec<T> {
    let mut sums = vec![T::default(); view.n.next_multiple_of(view.lanes)];
    par::chunks(&mut sums, view.lanes, add);
    sums.truncate(view.n);
    sums
}

/// The sum over a signal, weighted per channel, of each image.
fn weighted<R: Real>(signal: View<'_, R>, weights: &[f64]) -> Vec<f64> {
    let (lanes, plane) = (signal.lanes, signal.shape.plane() * signal.lanes);
    per_image(signal, |block, sums: &mut [f64]| {
        let values = &signal.data[block * signal.block_len()..][..signal.block_len()];
        let mut channel = vec![0.0; lanes];
        for (weight, values) in weights.iter().zip(values.chunks_exact(plane)) {
            channel.fill(0.0);
            for place in values.chunks_exact(lanes) {
                channel.iter_mut().zip(place).for_each(|(sum, v)| *sum += v.wide());
            }
            sums.iter_mut().zip(&channel).for_each(|(sum, channel)| *sum += weight * channel);
        }
    })
}

/// The sum of products of each image, and of their magnitudes.
fn dots<R: Real>(a: View<'_, R>, b: View<'_, R>) -> Vec<(f64, f64)> {
    let (lanes, len) = (a.lanes, a.block_len());
    per_image(a, |block, sums: &mut [(f64, f64)]| {
        let [a, b] = [a, b].map(|view| &view.data[block * len..][..len]);
        for (a, b) in a.chunks_exact(lanes).zip(b.chunks_exact(lanes)) {
            for ((sums, a), b) in sums.iter_mut().zip(a).zip(b) {
                let product = a.wide() * b.wide();
                sums.0 += product;
                sums.1 += product.abs();
            }
        }
    })
}

/// Whether every layer between two slots leaves degree one: linear, rectifiers, pools.
pub(super) fn piecewise_linear<R: Real>(graph: &Graph, to: usize, from: usize) -> bool {
    graph.nodes()[to..from].iter().all(|node| {
        let kind = RoleKind::of(&R::compute(&*node.layer).role());
        let smooth = matches!(kind, RoleKind::Pointwise | RoleKind::Normalize | RoleKind::Softmax);
        !smooth || node.layer.kind().name == "leaky_relu"
    })
}

/// The sum over the layers between two slots of <signal, bias>, of each image after a walk with the gradient rule.
fn bias_part<R: Real>(pass: &Pass<'_, R>, n: usize, to: usize, from: usize) -> Vec<f64> {
    let mut out = vec![0.0; n];
    for layer in to..from {
        let Some(signal) = pass.signals().slot(layer + 1) else { continue };
        let Some(shift) = shift(&at(pass.graph, pass.params, &pass.trace, layer)) else { continue };
        out.iter_mut().zip(weighted(signal.view(), &shift)).for_each(|(sum, part)| *sum += part);
    }
    out
}

/// sum(A g) + sum(bias g) - score, of each image after a walk with the gradient rule from its class's logit down to
/// slot `to`. `None` where a layer in between is neither linear nor a rectifier nor a pool, or where a path leads
/// around the slot.
fn bias_identity<R: Real>(pass: &Pass<'_, R>, classes: &[usize], to: usize) -> Result<Option<Vec<Residual>>> {
    let (graph, from) = (pass.graph, pass.logits);
    if !piecewise_linear::<R>(graph, to, from) || graph.frontier(to) != [to] {
        return Ok(None);
    }
    let inputs = dots(pass.at(to)?, pass.signal(to)?);
    let biases = bias_part(pass, classes.len(), to, from);
    let logits = pass.logits()?;
    let one = |(i, &class): (usize, &usize)| {
        let score = value(logits, i, class).wide();
        let (sum, size) = inputs[i];
        let (value, scale) = (sum + biases[i] - score, size.max(score.abs()));
        Residual { name: "bias identity", value, scale, meaning: BIAS }
    };
    Ok(Some(classes.iter().enumerate().map(one).collect()))
}

/// The bias identity where it holds, else adjointness, of each image after a walk with the gradient rule from its
/// class's logit down to slot `to`: whether the gradients that a map is made of are right.
pub(super) fn of_gradients<R: Real>(
    pass: &Pass<'_, R>,
    classes: &[usize],
    to: usize,
) -> Result<Vec<Option<Residual>>> {
    Ok(match bias_identity(pass, classes, to)? {
        Some(found) => found.into_iter().map(Some).collect(),
        None => adjointness(pass, classes.len(), to, pass.logits),
    })
}

/// A number that was computed before and once more, in another batch.
pub(super) fn repeated(before: f64, again: f64, scale: f64) -> Residual {
    Residual { name: "repeat", value: again - before, scale, meaning: REPEAT }
}

/// The worst gap over layers between <J x, signal> and <x, J^T signal>, of each of `n` images after a walk from slot
/// `from` down to slot `to`.
pub(super) fn adjointness<R: Real>(
    pass: &Pass<'_, R>,
    n: usize,
    to: usize,
    from: usize,
) -> Vec<Option<Residual>> {
    let mut worst: Vec<Option<Residual>> = vec![None; n];
    for layer in to..from {
        let at = at(pass.graph, pass.params, &pass.trace, layer);
        if matches!(at.layer.role(), Role::Rectifier | Role::Pointwise(_) | Role::Normalize | Role::Softmax) {
            continue;
        }
        let Some(signal) = pass.signals().slot(layer + 1) else { continue };
        let up = dots(at.output, signal.view());
        let shifts = shift(&at).map_or_else(|| vec![0.0; n], |shift| weighted(signal.view(), &shift));
        let edges = (0..at.inputs.len()).filter_map(|input| {
            let edge = pass.signals().edge(layer, input)?;
            Some(dots(at.inputs.get(input), edge.view()))
        });
        let edges: Vec<Vec<(f64, f64)>> = edges.collect();
        for (i, worst) in worst.iter_mut().enumerate() {
            let down: f64 = edges.iter().map(|edge| edge[i].0).sum();
            let scale = edges.iter().map(|edge| edge[i].1).sum::<f64>() + up[i].1;
            let value = up[i].0 - shifts[i] - down;
            let here = Residual { name: "adjointness", value, scale, meaning: ADJOINT };
            if worst.as_ref().is_none_or(|w| here.relative() > w.relative()) {
                *worst = Some(here);
            }
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
