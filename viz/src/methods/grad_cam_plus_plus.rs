//! grad-cam++: Grad-CAM with weights that count places where the class gains, so that several objects show.
//!
//! `L = max(0, sum_k w_k A_k)`, `w_k = sum over places of alpha_k max(0, g_k)`, `alpha_k = g^2 / (2 g^2 + S_k g^3)`
//! with g = dS_c/dA_k and S_k the sum of A_k over places. Only places with g > 0 count, and there alpha g = g / (2 +
//! g S_k), which needs neither the exponential of the paper's score (it cancels; only the map's scale changes) nor a
//! small constant: `w_k = sum over g > 0 of g / (2 + g S_k)`. `variant=normalised` divides by the sum of alpha over
//! those places, as the authors' code does. [N, h, w] at the layer's own size.
//!
//! Reference: Chattopadhyay, Sarkar, Howlader, Balasubramanian 2018 (arXiv 1710.11063), equation 19.
//!
//! Layer: as in grad-cam; where activations can be negative, S_k is taken as at least zero, so that no weight blows
//! up. Facts: the bias identity of the gradients. Limits: in practice close to Grad-CAM with its gradients cut at zero (Lerma and Lucas 2022, arXiv
//! 2205.10838).

use super::answer::Answer;
use super::cams::{RELU, by_gradient};
use super::score::Score;
use super::{Aim, Ask, Key, Method, Result, Settings, Space};
use glassbox_engine::Real;

pub(super) static METHOD: Method = Method {
    name: "grad-cam++",
    summary: "Grad-CAM with weights that count places where the class gains",
    keys: &[
        RELU,
        Key {
            name: "variant",
            default: "plain",
            help: "weights as in the paper: plain; as in its code: normalised",
        },
    ],
    space: Space::Layer,
    aim: Aim::Layer,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("grad_cam_plus_plus.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let normalised = settings.choice("variant", &[("normalised", true), ("plain", false)])?;
    by_gradient(ask, Score::Logit, settings.flag("relu")?, |mut channel| {
        let totals = channel.sums(|a, _| a);
        let two = R::of(2.0);
        let alpha = |g: R, total: R| {
            if g > R::zero() { R::one() / (two + g * total.max(R::zero())) } else { R::zero() }
        };
        let mut weights = channel.sums_with(&totals, |_, g, total| g * alpha(g, total));
        if normalised {
            let shares = channel.sums_with(&totals, |_, g, total| alpha(g, total));
            for (weight, share) in weights.iter_mut().zip(shares) {
                *weight = if share > R::zero() { *weight / share } else { R::zero() };
            }
        }
        channel.add(&weights, |a, _, weight| weight * a);
    })
}
