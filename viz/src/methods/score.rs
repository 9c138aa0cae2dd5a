//! The number that is explained: a logit, unless asked otherwise; never a loss.

use super::pass::{set, value};
use super::{Key, Result, Settings};
use glassbox_engine::{Blocked, Real, View};

/// The option of methods that leave the choice.
pub(crate) const SCORE: Key = Key {
    name: "score",
    default: "logit",
    help: "what is explained: logit, log-probability (logit minus log-sum-exp) or probability",
};

/// The number that is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Score {
    Logit,
    LogProbability,
    Probability,
}

impl Score {
    /// As the option says.
    pub fn of(settings: &Settings) -> Result<Self> {
        let words = [
            ("log-probability", Self::LogProbability),
            ("logit", Self::Logit),
            ("probability", Self::Probability),
        ];
        settings.choice("score", &words)
    }

    /// Writes its gradient with respect to the logits of image `i`.
    pub fn seed<R: Real>(self, seed: &mut Blocked<R>, logits: View<'_, R>, i: usize, class: usize) {
        if self == Self::Logit {
            return set(seed, i, class, R::one());
        }
        let p = probabilities(logits, i);
        let factor = if self == Self::Probability { p[class] } else { 1.0 };
        for (k, p) in p.iter().enumerate() {
            let one = if k == class { 1.0 } else { 0.0 };
            set(seed, i, k, R::of(factor * (one - p)));
        }
    }

    /// The score of a class on image `i`.
    pub fn value<R: Real>(self, logits: View<'_, R>, i: usize, class: usize) -> f64 {
        match self {
            Self::Logit => value(logits, i, class).wide(),
            Self::Probability => probabilities(logits, i)[class],
            Self::LogProbability => probabilities(logits, i)[class].max(f64::MIN_POSITIVE).ln(),
        }
    }
}

/// Softmax of the logits of image `i`.
pub(crate) fn probabilities<R: Real>(logits: View<'_, R>, i: usize) -> Vec<f64> {
    let row: Vec<f64> = (0..logits.shape.size()).map(|k| value(logits, i, k).wide()).collect();
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|v| (v - top).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|p| p / sum).collect()
}
