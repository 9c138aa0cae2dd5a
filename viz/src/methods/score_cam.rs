//! score-cam: a layer's maps, each weighted by how sure the net is when it sees the image through that map alone.
//!
//! Each map is enlarged to the input (half-pixel bilinear) and stretched to [0, 1]: a mask H_k. `w_k = p_c(x *
//! H_k)`, the class's probability, and `L = max(0, sum_k w_k A_k)`, [N, h, w] at the layer's own size. Maps that are
//! the same everywhere make no mask and weigh nothing. `weights=softmax-logits` takes the softmax over channels of
//! the masked images' logits instead, as the paper writes it: nearly one map alone where logits are large.
//!
//! Reference: Wang et al. 2020 (arXiv 1910.01279); probabilities without a softmax over channels are the authors'
//! code. (With that softmax the paper's baseline term cancels.)
//!
//! Layer: as in grad-cam. Cost: one forward pass per channel. Facts: the probability behind the heaviest map, once
//! more. Limits: "masked out" is zero in the net's own units,
//! which for normalised images is the mean colour.

use super::answer::{Answer, Facts};
use super::cams::{Maps, RELU, site};
use super::pass::{Pass, each_sample, value, values};
use super::residual::repeated;
use super::score::probabilities;
use super::{Aim, Ask, Key, Method, Result, Settings, Space};
use crate::resize::{Resize, resize};
use glassbox_engine::Real;
use glassbox_engine::graph::Keep;
use ndarray::ArrayView2;

pub(super) static METHOD: Method = Method {
    name: "score-cam",
    summary: "a layer's maps weighted by the class's probability behind each as a mask",
    keys: &[
        RELU,
        Key {
            name: "weights",
            default: "probability",
            help: "what weighs a map: probability, softmax-logits",
        },
    ],
    space: Space::Layer,
    aim: Aim::Layer,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("score_cam.rs"),
};

/// The image behind a map: enlarged, stretched to [0, 1]; zero where the map is the same everywhere.
fn mask<R: Real>(map: ArrayView2<'_, f32>, image: &mut [R], h: usize, w: usize) {
    let Ok(mask) = resize(map, h, w, Resize::Bilinear) else { unreachable!("a layer's maps are not empty") };
    let (low, high) = mask.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    for channel in image.chunks_exact_mut(h * w) {
        for (v, m) in channel.iter_mut().zip(&mask) {
            *v *= if high > low { R::of(f64::from((m - low) / (high - low))) } else { R::zero() };
        }
    }
}

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let relu = settings.flag("relu")?;
    let softmax = settings.choice("weights", &[("probability", false), ("softmax-logits", true)])?;
    let site = site(ask)?;
    let (plane, channels, input) = (site.shape.plane(), site.shape.c, ask.graph.input());
    let quiet = Ask { progress: None, ..ask.clone() };
    let mut pass = Pass::new(ask, ask.samples(), Keep::Everything);
    let mut masked = Pass::new(ask, ask.samples() * channels, Keep::Nothing);
    let images = super::pass::standard(ask.input);
    let mut out = Maps::new(ask, &site);
    each_sample(&quiet, &mut pass, |pass, batch| {
        let maps: Vec<Vec<f32>> = (0..batch.len())
            .map(|i| Ok(values(pass.at(site.slot)?, i).map(|v| v.wide() as f32).collect()))
            .collect::<Result<_>>()?;
        let classes: Vec<usize> =
            (0..batch.len()).map(|i| Ok(ask.class(batch[i].0, pass.logits()?, i))).collect::<Result<_>>()?;
        let varies = |&(i, k): &(usize, usize)| {
            let map: &[f32] = &maps[i][k * plane..][..plane];
            map.iter().any(|v| *v != map[0])
        };
        let pairs = (0..batch.len()).flat_map(|i| (0..channels).map(move |k| (i, k)));
        let jobs: Vec<(usize, usize)> = pairs.filter(varies).collect();
        // per map: probability and logit of the class; nothing for maps that make no mask
        let mut found: Vec<Option<(f64, f64)>> = vec![None; batch.len() * channels];
        let mut done = 0;
        for jobs in jobs.chunks(masked.capacity()) {
            masked.fill(jobs.len(), |at, image| {
                let (i, k) = jobs[at];
                image.copy_from_slice(&images[batch[i].0 * image.len()..][..image.len()]);
                let map =
                    ArrayView2::from_shape((site.shape.h, site.shape.w), &maps[i][k * plane..][..plane]);
                mask(map.unwrap_or_else(|e| unreachable!("a channel's map: {e}")), image, input.h, input.w);
            });
            masked.forward();
            for (at, &(i, k)) in jobs.iter().enumerate() {
                let class = classes[i];
                let logits = masked.logits()?;
                let pair = (probabilities(logits, at)[class], value(logits, at, class).wide());
                found[i * channels + k] = Some(pair);
            }
            done += jobs.len();
            ask.progress(batch[0].0 * channels + done, ask.samples() * channels);
        }
        // the heaviest map of each image, once more
        let found_of = |i: usize| &found[i * channels..][..channels];
        let heaviest: Vec<Option<(usize, f64)>> = (0..batch.len())
            .map(|i| {
                let known = found_of(i).iter().enumerate().filter_map(|(k, f)| Some((k, (*f)?.0)));
                known.reduce(|a, b| if b.1 > a.1 { b } else { a })
            })
            .collect();
        masked.fill(batch.len(), |i, image| {
            image.copy_from_slice(&images[batch[i].0 * image.len()..][..image.len()]);
            let Some((k, _)) = heaviest[i] else { return };
            let map = ArrayView2::from_shape((site.shape.h, site.shape.w), &maps[i][k * plane..][..plane]);
            mask(map.unwrap_or_else(|e| unreachable!("a channel's map: {e}")), image, input.h, input.w);
        });
        masked.forward();
        for (i, &class) in classes.iter().enumerate() {
            let again = probabilities(masked.logits()?, i)[class];
            let residual = heaviest[i].map(|(_, p)| repeated(p, again, p));
            let unchecked =
                heaviest[i].is_none().then_some("no map makes a mask, so there is none to repeat");
            let weights = weights(found_of(i), softmax);
            let mut map = vec![R::zero(); plane];
            for (at, a) in values(pass.at(site.slot)?, i).enumerate() {
                map[at % plane] += R::of(weights[at / plane]) * a;
            }
            let logit = value(pass.logits()?, i, class).wide();
            let (class, score) = (Some(class), Some(logit));
            let facts = Facts { class, score, residual, unchecked, ..Facts::default() };
            out.push(map, facts, relu);
        }
        Ok(())
    })?;
    ask.progress(ask.samples() * channels, ask.samples() * channels);
    out.finish(ask)
}

/// Weights of one sample's maps; those without a mask weigh nothing.
fn weights(found: &[Option<(f64, f64)>], softmax: bool) -> Vec<f64> {
    if !softmax {
        return found.iter().map(|f| f.map_or(0.0, |(p, _)| p)).collect();
    }
    let top = found.iter().flatten().map(|(_, logit)| *logit).fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = found.iter().map(|f| f.map_or(0.0, |(_, logit)| (logit - top).exp())).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| if sum > 0.0 { p / sum } else { 0.0 }).collect()
}
