//! expected-gradients: integrated gradients, averaged over many baselines.
//!
//! `R = mean over draws of (x - x') * dS_c/dx (x' + a (x - x'))`, [N, C, H, W], signed, with x' going round the
//! background images and a uniform in [0, 1], stratified: draw i of n takes `a = (i + u) / n`, in an order that
//! gives every background image the whole range. `draws` = 200; u depends on (seed, sample, draw) alone. Without
//! background images each image is compared with zero, its own channel means and its own blur.
//!
//! Reference: Erion, Janizek, Sturmfels, Lundberg, Lee 2021 (arXiv 1906.10670).
//!
//! Facts: completeness, `sum(R) = S_c(x) - mean S_c(x')`, which holds in expectation. Limits: chance; the background
//! decides what "nothing there" means.

use super::answer::{Answer, Facts, Residual};
use super::baseline::Baseline;
use super::pass::{classes, standard};
use super::paths::{gradients, logits_at};
use super::score::Score;
use super::{Aim, Ask, Key, Method, Result, Settings, Space};
use glassbox_engine::Real;
use glassbox_engine::rng::{Purpose, Stream};
use ndarray::ArrayD;

pub(super) static METHOD: Method = Method {
    name: "expected-gradients",
    summary: "integrated gradients averaged over background images",
    keys: &[
        Key { name: "draws", default: "200", help: "gradients on ways from background images" },
        Key { name: "seed", default: "0", help: "seed of the places on the ways" },
    ],
    space: Space::Input,
    aim: Aim::Class,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("expected_gradients.rs"),
};

const MEANING: &str = "the sum over the map minus (logit of the image - mean logit of the background): chance, and bends \
                       of the net, keep it from zero";

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let (draws, seed) = (settings.count("draws", 1)?, settings.seed()?);
    let (images, size) = (standard(ask.input), ask.size());
    let background = ask.background.map(standard);
    let graph = ask.graph;
    let own = [Baseline::Channels(vec![0.0; graph.input().c]), Baseline::Mean, Baseline::Blur];
    let count = background.as_ref().map_or(own.len(), |b| b.len() / size);
    let write = |which: usize, sample: &[R], out: &mut [R]| match &background {
        Some(background) => out.copy_from_slice(&background[which * size..][..size]),
        None => own[which].write(graph, sample, out),
    };
    let found = classes(ask)?;
    let targets: Vec<usize> = found.iter().map(|(class, _)| *class).collect();
    let to_background = |_: usize, which: usize, image: &mut [R]| {
        let sample = image.to_vec();
        write(which, &sample, image);
    };
    let below = logits_at(ask, &targets, count, to_background)?;

    // background image b takes every count-th draw, and the strata within it are shared out evenly
    let share = |sample: usize, draw: usize| {
        let u = Stream::new(seed, Purpose::Method, sample as u64, draw as u64).unit();
        let (which, turn) = (draw % count, draw / count);
        let turns = (draws - which).div_ceil(count);
        (turn as f64 + u) / turns as f64
    };
    let mut sums = vec![0.0; images.len()];
    let on_the_way = |sample: usize, draw: usize, image: &mut [R]| {
        let mut base = vec![R::zero(); size];
        write(draw % count, image, &mut base);
        let share = R::of(share(sample, draw));
        for (v, base) in image.iter_mut().zip(base) {
            *v = base + share * (*v - base);
        }
    };
    let mut base = vec![R::zero(); size];
    gradients(ask, &targets, Score::Logit, draws, on_the_way, |sample, draw, gradient| {
        let image = &images[sample * size..][..size];
        write(draw % count, image, &mut base);
        let places = sums[sample * size..][..size].iter_mut().zip(gradient);
        for (((sum, g), &x), &base) in places.zip(image).zip(&base) {
            *sum += (x.wide() - base.wide()) * g.wide();
        }
    })?;
    let map: Vec<R> = sums.iter().map(|sum| R::of(sum / draws as f64)).collect();
    let facts =
        found.iter().zip(&below).zip(map.chunks_exact(size)).map(|((&(class, logit), below), map)| {
            // images that went round once more count more
            let weight = |which: usize| draws.saturating_sub(which).div_ceil(count) as f64 / draws as f64;
            let mean: f64 = below.iter().enumerate().map(|(which, v)| weight(which) * v).sum();
            let want = logit.wide() - mean;
            let value = map.iter().map(|v| v.wide()).sum::<f64>() - want;
            let residual = Residual { name: "completeness", value, scale: want.abs(), meaning: MEANING };
            Facts {
                class: Some(class),
                score: Some(logit.wide()),
                residual: Some(residual),
                ..Facts::default()
            }
        });
    let facts = facts.collect();
    let map = ArrayD::from_shape_vec(ask.input.shape(), map)
        .unwrap_or_else(|e| unreachable!("one value per input value: {e}"));
    let answer =
        Answer::new(map, facts, |_| "the class does not change on any way from the background".into());
    Ok(match ask.background {
        Some(_) => answer.note(format!("compared with {count} background images")),
        None => answer
            .note("no background images given: compared with zero, the image's channel means, and its blur"),
    })
}
