//! Numeric against analytic gradients, in double precision.
//!
//! For a loss E and a number x among parameters and inputs: (E(x + h) - E(x - h)) / 2h, against what the walk gives.
//! Where a rectifier or a max-pool switch changes between x - h and x + h, the function has a kink there and the
//! difference means nothing: such numbers are counted and named, not compared.

use crate::array::Blocked;
use crate::error::Result;
use crate::forward::{forward_into, set_input};
use crate::graph::{Graph, Keep, Plan};
use crate::kernels::Isa;
use crate::layers::Role;
use crate::loss::{CrossEntropy, Loss, Targets};
use crate::params::Params;
use crate::real::Real;
use crate::rng::{Purpose, Stream, key};
use crate::rules::RuleSet;
use crate::trace::{INPUT, Mode, Saved, Trace};
use crate::walk::{Walk, walk};

/// How gradients are checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Step of the difference.
    pub step: f64,
    /// Numbers checked per parameter and of the input, drawn at random; all where there are fewer.
    pub samples: usize,
    /// Seed of the draw.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { step: 1e-5, samples: 40, seed: 1 }
    }
}

/// What came out for one parameter, or for the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// Numbers compared.
    pub compared: usize,
    /// Numbers at a kink, left out.
    pub kinks: usize,
    /// Layers where kinks were met.
    pub kink_layers: Vec<String>,
    /// Largest difference, relative to the largest gradient of this array (or to 1e-6 where all are smaller).
    pub error: f64,
    /// Largest analytic gradient.
    pub largest: f64,
}

struct Probe<'a> {
    graph: &'a Graph,
    trace: Trace<f64>,
    targets: &'a [u32],
    mode: Mode,
}

impl Probe<'_> {
    /// The loss, and the pattern of rectifiers and switches with which it was computed.
    fn loss(&mut self, params: &Params<f64>) -> Result<(f64, Vec<u64>)> {
        forward_into(self.graph, params, self.mode, &mut self.trace);
        let logits = self.trace.slot(self.graph.logits())?.view();
        let cost = CrossEntropy::default().cost(logits, Targets::Classes(self.targets), None)?;
        Ok((cost.mean(), self.pattern()?))
    }

    /// One number per layer that has kinks: it changes where the branch of any of its units does.
    fn pattern(&self) -> Result<Vec<u64>> {
        let nodes = self.graph.nodes();
        let mut out = vec![0; nodes.len()];
        for (i, node) in nodes.iter().enumerate() {
            let kinked = match f64::compute(&*node.layer).role() {
                Role::Rectifier => true,
                Role::Pointwise(f) => f.slope(-1e-9, f.value(-1e-9)) != f.slope(1e-9, f.value(1e-9)),
                _ => false,
            };
            let mix = |hash: u64, bit: u64| (hash ^ bit).wrapping_mul(0x100_0000_01b3);
            if kinked {
                let input = self.trace.slot(node.inputs[0])?;
                out[i] = input.values().iter().fold(7, |hash, &v| mix(hash, u64::from(v > 0.0)));
            }
            for saved in &self.trace.saved[i] {
                if let Saved::Switches(switches) = saved {
                    out[i] = switches.values().iter().fold(7, |hash, &s| mix(hash, u64::from(s)));
                }
            }
        }
        Ok(out)
    }
}

/// Checks every parameter and the input of a net on a batch. Errors: an input or targets that do not fit the net.
pub fn check(
    graph: &Graph,
    params: &Params<f64>,
    input: &Blocked<f64>,
    targets: &[u32],
    mode: Mode,
    settings: Settings,
) -> Result<Vec<Checked>> {
    let plan = Plan::with(graph, input.batch(), input.lanes(), Isa::Portable, Keep::Everything);
    let mut probe = Probe { graph, trace: plan.trace(graph), targets, mode };
    set_input(graph, &mut probe.trace, input)?;
    let (_, _) = probe.loss(params)?;
    let mut signals = plan.signals(graph);
    let mut gradients = Params::zeros(graph.layout().clone());
    let from = graph.logits();
    let seed = signals.seed_mut(graph, &probe.trace, from);
    CrossEntropy::default().cost(probe.trace.slot(from)?.view(), Targets::Classes(targets), Some(seed))?;
    let rules = RuleSet::gradient();
    let how =
        Walk { from, rules: &rules, gradients: Some(&mut gradients), to_input: true, through_softmax: true };
    walk(graph, params, &probe.trace, &mut signals, how)?;

    let mut out = Vec::new();
    let mut moved = params.clone();
    for spec in graph.layout().specs().iter().filter(|s| s.decl.role.learnable()) {
        let analytic = &gradients.slab()[spec.offset..spec.offset + spec.len];
        out.push(compare(&spec.name, analytic, settings, &mut probe, |probe, at, by| {
            let place = spec.offset + at;
            let old = moved.slab()[place];
            moved.slab_mut()[place] = old + by;
            let result = probe.loss(&moved);
            moved.slab_mut()[place] = old;
            result
        })?);
    }
    if let Ok(signal) = signals.at(INPUT) {
        let analytic: Vec<f64> = signal.to_array4().into_iter().collect();
        let (size, lanes) = (graph.input().size(), input.lanes());
        out.push(compare(INPUT, &analytic, settings, &mut probe, |probe, at, by| {
            let (image, value) = (at / size, at % size);
            let place = (image / lanes * size + value) * lanes + image % lanes;
            let old = probe.trace.input_mut().values()[place];
            probe.trace.input_mut().values_mut()[place] = old + by;
            let result = probe.loss(params);
            probe.trace.input_mut().values_mut()[place] = old;
            result
        })?);
    }
    Ok(out)
}

/// Compares drawn numbers of one array; `loss_at(probe, place, by)` is the loss with that number moved.
fn compare(
    name: &str,
    analytic: &[f64],
    settings: Settings,
    probe: &mut Probe<'_>,
    mut loss_at: impl FnMut(&mut Probe<'_>, usize, f64) -> Result<(f64, Vec<u64>)>,
) -> Result<Checked> {
    let mut places = Stream::new(settings.seed, Purpose::Demo, key(name), 0).order(analytic.len());
    places.truncate(settings.samples);
    let largest = analytic.iter().fold(0.0f64, |m, g| m.max(g.abs()));
    let mut out =
        Checked { name: name.into(), compared: 0, kinks: 0, kink_layers: Vec::new(), error: 0.0, largest };
    for place in places {
        let at = place as usize;
        let (high, above) = loss_at(probe, at, settings.step)?;
        let (low, below) = loss_at(probe, at, -settings.step)?;
        let changed = (0..above.len()).filter(|&i| above[i] != below[i]);
        let layers: Vec<&str> = changed.map(|i| probe.graph.nodes()[i].name.as_str()).collect();
        if !layers.is_empty() {
            out.kinks += 1;
            for layer in layers {
                if !out.kink_layers.iter().any(|l| l == layer) {
                    out.kink_layers.push(layer.into());
                }
            }
            continue;
        }
        let numeric = (high - low) / (2.0 * settings.step);
        out.compared += 1;
        out.error = out.error.max((numeric - analytic[at]).abs() / largest.max(1e-6));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Init, models};
    use ndarray::Array4;

    #[test]
    fn a_right_gradient_passes_and_a_kink_is_named() {
        let graph = models::named("gap-small").unwrap().adapted([1, 12, 12], None).unwrap();
        let params = graph.init::<f64>(Init::He, 1);
        let mut stream = Stream::new(1, Purpose::Demo, 0, 0);
        let images = Array4::from_shape_simple_fn((2, 1, 12, 12), || stream.normal());
        let input = Blocked::from_array4(images.view(), 1);
        let settings = Settings { samples: 10, ..Settings::default() };
        let checked = check(&graph, &params, &input, &[3, 1], Mode::Eval, settings).unwrap();
        assert_eq!(checked.len(), 9);
        assert!(checked.iter().all(|c| c.error < 1e-6 && c.compared + c.kinks == 10), "{checked:?}");
        // a step as large as the values themselves crosses kinks
        let wide = Settings { step: 1.0, samples: 10, seed: 1 };
        let checked = check(&graph, &params, &input, &[3, 1], Mode::Eval, wide).unwrap();
        assert!(
            checked.iter().any(|c| c.kinks > 0 && c.kink_layers.contains(&"relu1".to_string())),
            "{checked:?}"
        );
    }
}
