//! integrated-gradients: the gradient, averaged on the straight way from a baseline to the image.
//!
//! `R = (x - x') * integral over a from 0 to 1 of dS_c/dx (x' + a (x - x'))`, [N, C, H, W], signed; the values add
//! up to `S_c(x) - S_c(x')`. The integral is a sum of `steps` = 50 gradients by `rule`: gauss-legendre (default),
//! midpoint, trapezoid (ends weigh half), left or right. `baseline` is zero in the net's own units, which for
//! normalised images is the mean colour; also mean, black, white, blur or a number. With `tolerance=0.01`, say, a
//! sample's steps are doubled (at most five times) until the sum is within that share of the difference.
//!
//! Reference: Sundararajan, Taly, Yan 2017 (arXiv 1703.01365).
//!
//! Facts: completeness. Limits: rectifier nets bend along the way, so no rule converges faster than 1/steps; a pixel
//! equal to the baseline's receives nothing.

use super::answer::{Answer, Facts, Residual};
use super::baseline::{BASELINE, Baseline};
use super::pass::{classes, standard};
use super::paths::{gradients, logits_at};
use super::score::Score;
use super::{Aim, Ask, Key, Method, Result, Settings, Space, Targets};
use glassbox_engine::{Graph, Real};
use ndarray::{Array4, Axis};

pub(super) static METHOD: Method = Method {
    name: "integrated-gradients",
    summary: "gradients averaged on the way from a baseline, times the way",
    keys: &[
        Key { name: "steps", default: "50", help: "gradients on the way" },
        Key {
            name: "rule",
            default: "gauss-legendre",
            help: "where they are taken: gauss-legendre, left, midpoint, right, trapezoid",
        },
        BASELINE,
        Key {
            name: "tolerance",
            default: "0",
            help: "double the steps until the residual is below this share; 0 does not",
        },
    ],
    space: Space::Input,
    aim: Aim::Class,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("integrated_gradients.rs"),
};

pub(super) const COMPLETENESS: &str =
    "the sum over the map minus (logit of the image - logit of the baseline)";

/// How often steps are doubled at most.
const DOUBLINGS: u32 = 5;

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let mut steps = settings.count("steps", 2)?;
    let rules = [
        ("gauss-legendre", Rule::GaussLegendre),
        ("left", Rule::Left),
        ("midpoint", Rule::Midpoint),
        ("right", Rule::Right),
        ("trapezoid", Rule::Trapezoid),
    ];
    let rule = settings.choice("rule", &rules)?;
    let tolerance = settings.number("tolerance", 0.0..=1.0)?;
    let baseline = Baseline::of(settings, ask.graph)?;
    let graph = ask.graph;
    let found = classes(ask)?;
    let mut map = Array4::zeros(ask.input.dim());
    let mut facts = vec![Facts::default(); ask.samples()];
    let mut open: Vec<usize> = (0..ask.samples()).collect();
    for doubling in 0.. {
        let input = ask.input.select(Axis(0), &open);
        let targets: Vec<usize> = open.iter().map(|&s| found[s].0).collect();
        let part = Ask { input: &input, targets: Targets::Each(targets.clone()), ..ask.clone() };
        let maps = integrate(&part, &targets, &baseline, &rule.nodes(steps))?;
        let below = logits_at(&part, &targets, 1, |_, _, image| to_baseline(graph, &baseline, image))?;
        let mut still = Vec::new();
        for (at, &sample) in open.iter().enumerate() {
            let one = maps.index_axis(Axis(0), at);
            let (class, logit) = found[sample];
            let want = logit.wide() - below[at][0];
            let value = one.iter().map(|v| v.wide()).sum::<f64>() - want;
            let residual = Residual { name: "completeness", value, scale: want.abs(), meaning: COMPLETENESS };
            if tolerance > 0.0 && doubling < DOUBLINGS && residual.relative() > tolerance {
                still.push(sample);
                continue;
            }
            map.index_axis_mut(Axis(0), sample).assign(&one);
            let (class, score, residual) = (Some(class), Some(logit.wide()), Some(residual));
            facts[sample] = Facts { class, score, residual, ..Facts::default() };
        }
        if still.is_empty() {
            break;
        }
        (open, steps) = (still, steps * 2);
    }
    Ok(Answer::new(map.into_dyn(), facts, |_| {
        "the image is the baseline, or the class does not change on the way between them".into()
    }))
}

fn to_baseline<R: Real>(graph: &Graph, baseline: &Baseline, image: &mut [R]) {
    let sample = image.to_vec();
    baseline.write(graph, &sample, image);
}

fn integrate<R: Real>(
    ask: &Ask<'_, R>,
    classes: &[usize],
    baseline: &Baseline,
    nodes: &[(f64, f64)],
) -> Result<Array4<R>> {
    let (images, size) = (standard(ask.input), ask.size());
    let mut bases = vec![R::zero(); images.len()];
    for (image, base) in images.chunks_exact(size).zip(bases.chunks_exact_mut(size)) {
        baseline.write(ask.graph, image, base);
    }
    let mut sums = vec![0.0; images.len()];
    let on_the_way = |sample: usize, step: usize, image: &mut [R]| {
        let share = R::of(nodes[step].0);
        for (v, &base) in image.iter_mut().zip(&bases[sample * size..]) {
            *v = base + share * (*v - base);
        }
    };
    gradients(ask, classes, Score::Logit, nodes.len(), on_the_way, |sample, step, gradient| {
        for (sum, g) in sums[sample * size..][..size].iter_mut().zip(gradient) {
            *sum += nodes[step].1 * g.wide();
        }
    })?;
    let map = images.iter().zip(&bases).zip(&sums);
    let map = map.map(|((&x, &base), &sum)| R::of((x.wide() - base.wide()) * sum)).collect();
    Ok(Array4::from_shape_vec(ask.input.dim(), map)
        .unwrap_or_else(|e| unreachable!("one value per input value: {e}")))
}

/// Where gradients are taken, and how they weigh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    GaussLegendre,
    Left,
    Midpoint,
    Right,
    Trapezoid,
}

impl Rule {
    /// (place in [0, 1], weight); the weights add up to one.
    fn nodes(self, n: usize) -> Vec<(f64, f64)> {
        let count = n as f64;
        let even = |shift: f64| (0..n).map(|i| ((i as f64 + shift) / count, 1.0 / count)).collect();
        match self {
            Self::GaussLegendre => gauss_legendre(n),
            Self::Left => even(0.0),
            Self::Midpoint => even(0.5),
            Self::Right => even(1.0),
            Self::Trapezoid => {
                let last = (n - 1) as f64;
                let weight = |i| if i == 0 || i == n - 1 { 0.5 / last } else { 1.0 / last };
                (0..n).map(|i| (i as f64 / last, weight(i))).collect()
            }
        }
    }
}

/// Nodes and weights of Gauss and Legendre's rule on [0, 1]: roots of the Legendre polynomial by Newton's method.
fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    let polynomial = |t: f64| {
        let (mut before, mut here) = (1.0, t);
        for k in 2..=n {
            let k = k as f64;
            (before, here) = (here, ((2.0 * k - 1.0) * t * here - (k - 1.0) * before) / k);
        }
        (here, n as f64 * (t * here - before) / (t * t - 1.0))
    };
    let node = |i: usize| {
        let mut t = (std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
        for _ in 0..100 {
            let (value, slope) = polynomial(t);
            t -= value / slope;
            if (value / slope).abs() < 1e-16 {
                break;
            }
        }
        let slope = polynomial(t).1;
        ((1.0 - t) / 2.0, 1.0 / ((1.0 - t * t) * slope * slope))
    };
    (0..n).map(node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_every_rule_add_up_to_one() {
        for rule in [Rule::GaussLegendre, Rule::Left, Rule::Midpoint, Rule::Right, Rule::Trapezoid] {
            let sum: f64 = rule.nodes(50).iter().map(|(_, w)| w).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{rule:?} {sum}");
        }
    }

    #[test]
    fn gauss_legendre_is_exact_for_polynomials_of_degree_2n_minus_1() {
        for n in [2, 3, 5, 10] {
            let integral: f64 = gauss_legendre(n).iter().map(|(t, w)| w * t.powi(2 * n as i32 - 1)).sum();
            assert!((integral - 1.0 / (2 * n) as f64).abs() < 1e-14, "{n}");
        }
    }
}
