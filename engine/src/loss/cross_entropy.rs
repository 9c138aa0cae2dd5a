//! Cross-entropy of softmax: -sum_k q_k log p_k with q = (1 - s) onehot + s/K, s the label smoothing (Szegedy et al.
//! 2015, arXiv 1512.00567). Softmax, loss and seed in one pass: the seed is (p - q)/N.
//!
//! With a weight w_k for each class it is -sum_k w_k q_k log p_k, and the mean of a batch is the sum over its images
//! divided by the sum of the weights of their classes: PyTorch's definition.

use super::{Loss, Targets, Whole, check_classes, in_groups, top_class};
use crate::array::{Blocked, View};
use crate::error::{Error, Result};
use crate::real::Real;

/// Cross-entropy of softmax.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CrossEntropy {
    /// Share of the target spread evenly over all classes.
    pub smoothing: f64,
}

/// Cross-entropy of softmax in which some classes count more than others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WeightedCrossEntropy {
    /// Share of the target spread evenly over all classes.
    pub smoothing: f64,
    /// How much each class counts; finite, not negative.
    pub weights: Vec<f64>,
}

impl<R: Real> Loss<R> for CrossEntropy {
    fn part(
        &self,
        logits: View<'_, R>,
        targets: Targets<'_, R>,
        whole: Whole,
        seed: Option<&mut Blocked<R>>,
        sums: &mut dyn FnMut(f64),
    ) -> Result<usize> {
        part(self.smoothing, None, logits, targets, whole, seed, sums)
    }
}

impl<R: Real> Loss<R> for WeightedCrossEntropy {
    /// The weights of the classes of all images; 0 only where every class of the batch has weight 0, and so no gradient.
    fn whole(&self, images: usize, targets: Targets<'_, R>) -> Result<Whole> {
        let weigh = |&k: &u32| self.weights.get(k as usize).copied().unwrap_or(0.0);
        let sum: f64 = classes(targets)?.iter().map(weigh).sum();
        Ok(Whole { images, weight: sum.max(f64::MIN_POSITIVE) })
    }

    /// The total is the weighted mean times the number of images, so that its mean over images gives the weighted mean.
    fn part(
        &self,
        logits: View<'_, R>,
        targets: Targets<'_, R>,
        whole: Whole,
        seed: Option<&mut Blocked<R>>,
        sums: &mut dyn FnMut(f64),
    ) -> Result<usize> {
        let (given, classes) = (self.weights.len(), logits.shape.size());
        if given != classes || self.weights.iter().any(|w| !w.is_finite() || *w < 0.0) {
            return Err(Error::request(
                format!("{given} class weights, {:?}, do not fit {classes} classes", self.weights),
                "give one finite number of at least 0 for each class",
            ));
        }
        part(self.smoothing, Some(&self.weights), logits, targets, whole, seed, sums)
    }
}

fn classes<R: Real>(targets: Targets<'_, R>) -> Result<&[u32]> {
    match targets {
        Targets::Classes(classes) => Ok(classes),
        Targets::Values(_) => {
            Err(Error::request("cross-entropy needs classes", "use the loss mse for other targets"))
        }
    }
}

fn part<R: Real>(
    smoothing: f64,
    weights: Option<&[f64]>,
    logits: View<'_, R>,
    targets: Targets<'_, R>,
    whole: Whole,
    mut seed: Option<&mut Blocked<R>>,
    sums: &mut dyn FnMut(f64),
) -> Result<usize> {
    let classes = classes(targets)?;
    check_classes(logits, classes)?;
    if let Some(seed) = seed.as_deref_mut() {
        seed.fill(R::zero());
    }
    let (lanes, len, count) = (logits.lanes, logits.block_len(), logits.shape.size());
    let even = smoothing / count as f64;
    let weight = |k: usize| weights.map_or(1.0, |w| w[k]);
    let scale = if weights.is_some() { whole.images as f64 / whole.weight } else { 1.0 };
    let mut correct = 0;
    in_groups(logits.n, sums, |i| {
        let class = classes[i];
        let first = i / lanes * len + i % lanes;
        let image = logits.data[first..].iter().step_by(lanes).take(count);
        let max = image.clone().map(|v| v.wide()).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = image.clone().map(|v| (v.wide() - max).exp()).sum();
        let log_sum = max + sum.ln();
        let target = |k: usize| weight(k) * if k == class as usize { 1.0 - smoothing + even } else { even };
        let cost = image
            .clone()
            .enumerate()
            .filter(|&(k, _)| target(k) != 0.0)
            .map(|(k, v)| target(k) * (log_sum - v.wide()))
            .sum::<f64>();
        correct += usize::from(top_class(logits, i) == class as usize);
        if let Some(seed) = seed.as_deref_mut() {
            let mass = if weights.is_some() { (0..count).map(target).sum() } else { 1.0 };
            let seed = seed.values_mut()[first..].iter_mut().step_by(lanes);
            for ((k, v), seed) in image.enumerate().zip(seed) {
                *seed = R::of((mass * (v.wide() - log_sum).exp() - target(k)) / whole.weight);
            }
        }
        cost * scale
    });
    Ok(correct)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    // torch.nn.functional.cross_entropy(z, [2, 1, 0], weight=[0.5, 2, 3], label_smoothing=s), PyTorch 2, float64
    const PLAIN: [f64; 9] = [
        0.32931757971743225,
        0.016395756856131285,
        -0.3457133365735635,
        0.021479911851821906,
        -0.027634009633502942,
        0.006154097781681022,
        -0.016235543684988554,
        0.010105965663856468,
        0.006129578021132085,
    ];
    const SMOOTHED: [f64; 9] = [
        0.29764338412324814,
        -0.009121892919547613,
        -0.2885214912037005,
        0.015061307260352147,
        0.015250799617964526,
        -0.03031210687831669,
        0.035711560289078154,
        -0.008746610224510992,
        -0.026964950064567166,
    ];

    #[test]
    fn weighted_classes_give_pytorchs_loss_and_gradient() {
        let logits = array![[1.0, -2.0, 0.5], [0.25, 3.0, -1.0], [2.0, 0.0, -0.5f64]].into_dyn();
        let classes = [2, 1, 0];
        for (smoothing, want, gradient) in
            [(0.0, 0.594587301508156, PLAIN), (0.2, 0.9201185636751672, SMOOTHED)]
        {
            let loss = WeightedCrossEntropy { smoothing, weights: vec![0.5, 2.0, 3.0] };
            for lanes in [1, 16] {
                let Some(logits) = Blocked::from_exported(logits.view(), lanes) else { panic!("two axes") };
                let mut seed = logits.clone();
                seed.fill(f64::NAN);
                let cost = loss.cost(logits.view(), Targets::Classes(&classes), Some(&mut seed)).unwrap();
                assert!((cost.mean() - want).abs() < 1e-14, "{}", cost.mean());
                let own = seed.to_exported();
                assert!(own.iter().zip(gradient).all(|(a, b)| (a - b).abs() < 1e-15), "{own}");
                assert!(seed.values().iter().all(|v| v.is_finite()), "padding receives zeros");
            }
        }
    }

    #[test]
    fn equal_weights_are_no_weights_and_bad_ones_are_refused() {
        let logits = Blocked::from_array4(array![[[[1.0f32]], [[2.0]]]].view(), 1);
        let cost = |weights: Vec<f64>| {
            let loss = WeightedCrossEntropy { smoothing: 0.1, weights };
            loss.cost(logits.view(), Targets::Classes(&[1]), None).map(|c| c.mean())
        };
        let plain =
            CrossEntropy { smoothing: 0.1 }.cost(logits.view(), Targets::Classes(&[1]), None).unwrap();
        assert!((cost(vec![3.0, 3.0]).unwrap() - plain.mean()).abs() < 1e-15);
        for bad in [vec![1.0], vec![1.0, -1.0], vec![1.0, f64::NAN]] {
            assert!(cost(bad).unwrap_err().to_string().contains("do not fit 2 classes"));
        }
        // a batch in which no image counts teaches nothing
        assert_eq!(cost(vec![0.0, 0.0]).unwrap(), 0.0);
    }
}
