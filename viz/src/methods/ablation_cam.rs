//! ablation-cam: a layer's maps, each weighted by what the class loses without it.
//!
//! `L = max(0, sum_k w_k A_k)` with `w_k = S_c - S_c(A_k set to zero)`, [N, h, w] at the layer's own size. The paper
//! divides the weights by S_c, which changes the scale, and all signs where the logit is negative; here they are
//! logits.
//!
//! Reference: Desai and Ramaswamy 2020 (WACV, Ablation-CAM).
//!
//! Layer: as in grad-cam. Only the layers above it are run again, once per channel; channels that did not fire weigh
//! nothing and cost nothing. Facts: the heaviest channel, taken out once more. Limits: channels are taken out one at a time, so two that say the same both seem idle.

use super::answer::{Answer, Facts};
use super::cams::{Maps, RELU, site};
use super::pass::{Pass, each_sample, put, strongest, value, values};
use super::residual::repeated;
use super::{Aim, Ask, Method, Result, Settings, Space};
use glassbox_engine::Real;
use glassbox_engine::forward::forward_from;
use glassbox_engine::graph::Keep;

pub(super) static METHOD: Method = Method {
    name: "ablation-cam",
    summary: "a layer's maps weighted by what the class loses without each",
    keys: &[RELU],
    space: Space::Layer,
    aim: Aim::Layer,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("ablation_cam.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let relu = settings.flag("relu")?;
    let site = site(ask)?;
    let (slot, plane, channels) = (site.slot, site.shape.plane(), site.shape.c);
    let quiet = Ask { progress: None, ..ask.clone() };
    let mut pass = Pass::new(ask, ask.samples(), Keep::Everything);
    let mut without = Pass::new(ask, ask.samples() * channels, Keep::Everything);
    let capacity = without.capacity();
    let frontier = ask.graph.frontier(slot);
    let mut out = Maps::new(ask, &site);
    each_sample(&quiet, &mut pass, |pass, batch| {
        let activation = pass.at(slot)?;
        let fired = |&(i, k): &(usize, usize)| {
            values(activation, i).skip(k * plane).take(plane).any(|a| a != R::zero())
        };
        let pairs = (0..batch.len()).flat_map(|i| (0..channels).map(move |k| (i, k)));
        let jobs: Vec<(usize, usize)> = pairs.filter(fired).collect();
        let classes: Vec<usize> =
            (0..batch.len()).map(|i| Ok(ask.class(batch[i].0, pass.logits()?, i))).collect::<Result<_>>()?;
        // the class's logit without a channel, job by job
        let mut remaining = |jobs: &[(usize, usize)]| -> Result<Vec<R>> {
            without.trace.set_batch(jobs.len());
            for &from in &frontier {
                let (source, target) = (pass.at(from)?, without.trace.slot_mut(from)?);
                for (at, &(i, k)) in jobs.iter().enumerate() {
                    let gone = if from == slot { k * plane..(k + 1) * plane } else { 0..0 };
                    let kept = |(at, a): (usize, R)| if gone.contains(&at) { R::zero() } else { a };
                    put(target, at, values(source, i).enumerate().map(kept));
                }
            }
            forward_from(ask.graph, ask.params, &mut without.trace, slot)?;
            let logits = without.logits()?;
            Ok(jobs.iter().enumerate().map(|(at, &(i, _))| value(logits, at, classes[i])).collect())
        };
        let mut weights = vec![R::zero(); batch.len() * channels];
        for jobs in jobs.chunks(capacity) {
            for (&(i, k), left) in jobs.iter().zip(remaining(jobs)?) {
                weights[i * channels + k] = value(pass.logits()?, i, classes[i]) - left;
            }
        }
        let heaviest = |i: usize| strongest(weights[i * channels..][..channels].iter().map(|w| w.abs()));
        let heaviest: Vec<(usize, usize)> = (0..batch.len()).map(|i| (i, heaviest(i))).collect();
        let again = remaining(&heaviest)?;
        for (i, &class) in classes.iter().enumerate() {
            let whole = value(pass.logits()?, i, class);
            let weight = weights[i * channels + heaviest[i].1];
            let residual = repeated(weight.wide(), (whole - again[i]).wide(), weight.wide().abs());
            let mut map = vec![R::zero(); plane];
            for (at, a) in values(activation, i).enumerate() {
                map[at % plane] += weights[i * channels + at / plane] * a;
            }
            let logit = value(pass.logits()?, i, class).wide();
            let (class, score, residual) = (Some(class), Some(logit), Some(residual));
            out.push(map, Facts { class, score, residual, ..Facts::default() }, relu);
        }
        ask.progress(batch[batch.len() - 1].0 + 1, ask.samples());
        Ok(())
    })?;
    out.finish(ask)
}
