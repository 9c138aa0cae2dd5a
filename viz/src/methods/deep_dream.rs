//! deep-dream: the image, changed so that a layer sees more of what it sees already.
//!
//! Raises half the sum of squares of the layer's activations, whose gradient starts as the activations themselves.
//! From the smallest of `octaves` (4) sizes, each `ratio` (1.4) times the one below, to the image's own: the image
//! at that size plus the details found so far takes `iterations` (10) steps of `step` (1.5 of 255 pixel levels)
//! times gradient over mean |gradient|, each rolled at random by up to `jitter` (32, at most a seventh of the side)
//! pixels, and kept between black and white; what was added is the detail that the next size starts with. [N, C, H,
//! W] in the net's own units.
//!
//! Reference: Mordvintsev, Olah, Tyka 2015 (Inceptionism), and the notebook published with it.
//!
//! Layer: as in grad-cam. Sizes that are too small for the layer are left out, and so are all but the image's own
//! where layers in between have a fixed size. Facts: the layer's half sum of squares reached, and once more in the
//! whole net. Limits: shows what a
//! layer likes, not what it used.

use super::answer::{Answer, Facts};
use super::baseline::seen;
use super::cams::{enlarge, site};
use super::pass::standard;
use super::studio::{Goal, OWN_UNITS, Step, climb, reached_again, roll};
use super::{Aim, Ask, Key, Method, Result, Settings, Space, Targets};
use glassbox_engine::rng::{Purpose, Stream};
use glassbox_engine::{Graph, Params, Real};
use ndarray::{Array3, Array4};

pub(super) static METHOD: Method = Method {
    name: "deep-dream",
    summary: "the image, changed so that a layer sees more of what it sees",
    keys: &[
        Key { name: "octaves", default: "4", help: "sizes, the image's own included" },
        Key { name: "ratio", default: "1.4", help: "from one size to the next" },
        Key { name: "iterations", default: "10", help: "steps at each size" },
        Key { name: "step", default: "1.5", help: "mean change of a pixel in a step, in levels of 255" },
        Key { name: "jitter", default: "32", help: "most pixels that the image is rolled before a gradient" },
        Key { name: "seed", default: "0", help: "seed of the rolls" },
    ],
    space: Space::Made,
    aim: Aim::Layer,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("deep_dream.rs"),
};

/// The part of a net up to a slot, for images of another size; `None` where a layer does not fit.
fn part_of<R: Real>(
    graph: &Graph,
    params: &Params<R>,
    slot: usize,
    h: usize,
    w: usize,
) -> Option<(Graph, Params<R>)> {
    let mut builder = Graph::builder(graph.name(), [graph.input().c, h, w]);
    for node in &graph.nodes()[..slot] {
        let from: Vec<&str> = node.inputs.iter().map(|&s| graph.names()[s].as_str()).collect();
        builder = builder.shared(&node.name, node.layer.clone(), &from);
    }
    let part = builder.build().ok()?;
    let mut values = Params::zeros(part.layout().clone());
    for spec in part.layout().specs() {
        values.set(&spec.name, params.get(&spec.name).ok()?).ok()?;
    }
    Some((part, values))
}

/// [N, C, h, w] at another size, half-pixel bilinear.
fn resized<R: Real>(images: &Array4<R>, h: usize, w: usize) -> Result<Array4<R>> {
    let (n, c, from_h, from_w) = images.dim();
    let maps = Array3::from_shape_vec((n * c, from_h, from_w), standard(images).into_owned());
    let maps = maps.unwrap_or_else(|e| unreachable!("one map per channel: {e}"));
    let out = enlarge(&maps, h, w)?;
    Ok(out.into_shape_with_order((n, c, h, w)).unwrap_or_else(|e| unreachable!("the same maps: {e}")))
}

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let (octaves, iterations) = (settings.count("octaves", 1)?, settings.count("iterations", 1)?);
    let (ratio, levels) = (settings.number("ratio", 1.01..=10.0)?, settings.number("step", 0.0..=255.0)?);
    let (jitter, seed) = (settings.count("jitter", 0)?, settings.seed()?);
    let site = site(ask)?;
    let (n, c, full_h, full_w) = ask.input.dim();
    let (low, high) = (seen(ask.graph, 0.0), seen(ask.graph, 1.0));
    let mut notes = site.notes.clone();
    let mut detail: Option<Array4<R>> = None;
    let mut facts = Vec::new();
    for octave in (0..octaves).rev() {
        let shrink = ratio.powi(octave as i32);
        let side = |len: usize| ((len as f64 / shrink).round() as usize).max(1);
        let (h, w) = if octave == 0 { (full_h, full_w) } else { (side(full_h), side(full_w)) };
        let Some((graph, params)) = part_of(ask.graph, ask.params, site.slot, h, w) else {
            notes.push(format!("no octave of {h}x{w}: a layer on the way does not fit it"));
            continue;
        };
        let base = if octave == 0 { ask.input.clone() } else { resized(ask.input, h, w)? };
        let start = match &detail {
            None => base.clone(),
            Some(detail) => &base + &resized(detail, h, w)?,
        };
        let mut images = standard(&start).into_owned();
        let reach = jitter.min(h.min(w) / 7);
        let shift = |sample: usize, iteration: usize| {
            let draw = (octave * iterations + iteration) as u64;
            let mut stream = Stream::new(seed, Purpose::Method, sample as u64, draw);
            let mut one = || stream.below(2 * reach + 1) as isize - reach as isize;
            (one(), one())
        };
        for (sample, image) in images.chunks_exact_mut(c * h * w).enumerate() {
            let (rows, columns) = shift(sample, 0);
            roll(image, h, w, rows, columns);
        }
        let here =
            Ask { graph: &graph, params: &params, input: &start, targets: Targets::Top, ..ask.clone() };
        let reached =
            climb(&here, &mut images, &Goal::Energy(site.slot), iterations, false, |at: Step<'_, R>| {
                let mean = at.gradient.iter().map(|g| g.abs()).sum::<f64>() / at.gradient.len() as f64;
                let channels = at.image.chunks_exact_mut(h * w).zip(at.gradient.chunks_exact(h * w));
                for (channel, (image, gradient)) in channels.enumerate() {
                    let step =
                        if mean > 0.0 { levels / 255.0 * (high[channel] - low[channel]) / mean } else { 0.0 };
                    let (low, high) = (R::of(low[channel]), R::of(high[channel]));
                    for (v, g) in image.iter_mut().zip(gradient) {
                        *v = (*v + R::of(step * g)).max(low).min(high);
                    }
                }
                let (rows, columns) = shift(at.sample, at.iteration);
                roll(at.image, h, w, -rows, -columns);
                if at.iteration + 1 < iterations {
                    let (rows, columns) = shift(at.sample, at.iteration + 1);
                    roll(at.image, h, w, rows, columns);
                }
            })?;
        let images = Array4::from_shape_vec((n, c, h, w), images)
            .unwrap_or_else(|e| unreachable!("one image per sample: {e}"));
        if octave == 0 {
            facts.extend(reached.iter().map(|&v| Facts { score: Some(v), ..Facts::default() }));
        }
        detail = Some(images - base);
    }
    let detail = detail.unwrap_or_else(|| Array4::zeros(ask.input.dim()));
    let dream = ask.input + &detail;
    let reached: Vec<f64> = facts.iter().filter_map(|f: &Facts| f.score).collect();
    let checks = reached_again(ask, &standard(&dream), &Goal::Energy(site.slot), &reached)?;
    facts.iter_mut().zip(checks).for_each(|(facts, check)| facts.residual = Some(check));
    let mut answer = Answer::new(dream.into_dyn(), facts, |_| "the image is zero".into());
    notes.push(OWN_UNITS.into());
    answer.notes = notes;
    Ok(answer)
}
