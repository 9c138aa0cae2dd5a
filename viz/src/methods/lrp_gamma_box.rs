//! lrp-gamma-box: relevance with strengthened positive weights in convolutions, and pixels between their bounds.
//!
//! Dense layers take the epsilon rule; convolutions the gamma rule, in which contributions of an output's own sign
//! count 1 + `gamma` (0.25) times; the layer that reads the image takes the z^B rule, `z = W x - W+ l - W- h`, with
//! l and h what black and white are to the net (`low`, `high`: numbers instead). [N, C, H, W]. `epsilon` = 1e-6;
//! `bias=absorb` as in lrp-epsilon; the z^B rule has none.
//!
//! Reference: Montavon et al. 2017 (arXiv 1512.02479) for z^B; Montavon, Binder, Lapuschkin, Samek, Mueller 2019 for
//! gamma.
//!
//! Facts: conservation, and sum and range of relevance at every layer. Limits: images with values outside [low,
//! high] break the z^B rule's promise, which is noted.

use super::baseline::seen;
use super::relevance::{BIAS, Bounded, EPSILON, Epsilon, Gamma, Share, propagate};
use super::{Aim, Answer, Ask, Key, Method, Result, Settings, Space};
use glassbox_engine::Real;
use glassbox_engine::rules::{Match, RoleKind};
use ndarray::Axis;

pub(super) static METHOD: Method = Method {
    name: "lrp-gamma-box",
    summary: "relevance with strengthened positive weights, and pixels between their bounds",
    keys: &[
        EPSILON,
        Key {
            name: "gamma",
            default: "0.25",
            help: "how much contributions of an output's own sign are strengthened",
        },
        BIAS,
        Key { name: "low", default: "black", help: "lowest pixel as the net sees it: black or a number" },
        Key { name: "high", default: "white", help: "highest pixel as the net sees it: white or a number" },
    ],
    space: Space::Input,
    aim: Aim::Class,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("lrp_gamma_box.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let share = Share::of(settings)?;
    let gamma = R::of(settings.number("gamma", 0.0..=1e6)?);
    let bound = |key: &'static str, word: &str, pixel: f64| -> Result<Vec<R>> {
        let values = if settings.text(key) == word {
            seen(ask.graph, pixel)
        } else {
            vec![settings.number(key, -1e30..=1e30)?; ask.graph.input().c]
        };
        Ok(values.into_iter().map(R::of).collect())
    };
    let (low, high) = (bound("low", "black", 0.0)?, bound("high", "white", 1.0)?);
    let outside = ask.input.axis_iter(Axis(1)).enumerate().any(|(c, values)| {
        let slack = R::of(1e-5) * (high[c] - low[c]).abs();
        values.iter().any(|&v| v < low[c] - slack || v > high[c] + slack)
    });
    let rules = share
        .set()
        .with(Match::FirstAffine, Bounded { share, low, high })
        .with(Match::Kind("dense"), Epsilon(share))
        .with(Match::Role(RoleKind::Affine), Gamma { share, gamma });
    let answer = propagate(ask, &rules)?;
    Ok(if outside {
        answer.note("some values lie outside [low, high], where the first layer's rule shares out both signs")
    } else {
        answer
    })
}
