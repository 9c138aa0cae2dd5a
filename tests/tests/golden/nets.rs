//! Two whole nets, one that others trained and one with forks, groups and overlapping pools: every activation, switch
//! and parameter gradient, and what walks with three rule sets bring down to the pixels.

use glassbox_engine::loss::{CrossEntropy, Loss, Targets};
use glassbox_engine::trace::Mode;
use glassbox_engine::{Blocked, Real, RuleSet, Trace};
use glassbox_fixtures::{Arrays, arrays, graph};
use glassbox_tests::compare::{close, wide};
use glassbox_tests::nets::{Net, put};
use ndarray::{Array4, ArrayD, Axis, Ix4};

/// Relative to the largest value; the golden values are single precision.
const LIMIT: f64 = 1e-5;

struct Case<R: Real> {
    name: &'static str,
    golden: Arrays,
    net: Net<R>,
    trace: Trace<R>,
    target: Vec<u32>,
}

impl<R: Real> Case<R> {
    fn open(name: &'static str, lanes: usize) -> Self {
        let graph = graph(name);
        let params = arrays(&format!("{name}.weights")).params(&graph, "");
        let golden = arrays(&format!("{name}.methods"));
        let net = Net::new(graph, params, lanes);
        let trace = net.forward(golden.get("x"), Mode::Eval);
        let target = golden.classes("target");
        Self { name, golden, net, trace, target }
    }

    fn close(&self, what: &str, got: &ArrayD<f64>) {
        let label = format!("{} {what} {} lanes {}", self.name, R::NAME, self.net.lanes);
        close(&label, got, self.golden.get(what), LIMIT);
    }

    /// The signal at the pixels of a walk from the target's logit, one of each image.
    fn class_map(&self, rules: &RuleSet<R>) -> Array4<f64> {
        let (signals, _) = self.net.walk(&self.trace, self.net.top(), rules, |seed| {
            self.target.iter().enumerate().for_each(|(i, &k)| put(seed, i, k as usize, 0, 1.0));
        });
        wide(signals.at("input").unwrap()).into_dimensionality::<Ix4>().unwrap()
    }

    /// The strongest activation of a channel, at its own place (the first of several), pulled down to the pixels.
    fn project(&self, layer: &str, channel: usize, rules: &RuleSet<R>) -> ArrayD<f64> {
        let slot = self.trace.slot_of(layer).unwrap();
        let maps = wide(self.trace.activation(layer).unwrap());
        let (signals, _) = self.net.walk(&self.trace, slot, rules, |seed| {
            for (i, image) in maps.axis_iter(Axis(0)).enumerate() {
                let plane = image.index_axis(Axis(0), channel);
                let best = plane.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let place = plane.iter().position(|&v| v == best).unwrap();
                put(seed, i, channel, place, best);
            }
        });
        wide(signals.at("input").unwrap())
    }

    /// max(sum_c mean(gradient of c) activation of c, 0).
    fn grad_cam(&self, layer: &str) -> ArrayD<f64> {
        let (signals, _) = self.net.walk(&self.trace, self.net.top(), &RuleSet::gradient(), |seed| {
            self.target.iter().enumerate().for_each(|(i, &k)| put(seed, i, k as usize, 0, 1.0));
        });
        let gradient = wide(signals.at(layer).unwrap());
        let maps = wide(self.trace.activation(layer).unwrap());
        let weights = gradient.mean_axis(Axis(3)).unwrap().mean_axis(Axis(2)).unwrap();
        let weights = weights.insert_axis(Axis(2)).insert_axis(Axis(3));
        (weights * maps).sum_axis(Axis(1)).mapv(|v| v.max(0.0))
    }
}

/// (p - onehot)/N as single precision has it: this net is so sure that p - 1 of its class is -1e-12 in truth, but 0 in
/// the golden run; the engine's own loss, which works in double precision, would be right and differ.
fn single_precision_seed<R: Real>(case: &Case<R>, seed: &mut Blocked<R>) {
    let logits = wide(case.trace.output()).mapv(|v| v as f32);
    for (i, row) in logits.axis_iter(Axis(0)).enumerate() {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let log_sum = row.iter().map(|v| (v - max).exp()).sum::<f32>().ln();
        for (k, v) in row.iter().enumerate() {
            let target = if k == case.target[i] as usize { 1.0 } else { 0.0 };
            let value = (v - max - log_sum).exp() - target;
            put(seed, i, k, 0, f64::from(value) / case.target.len() as f64);
        }
    }
}

fn everything<R: Real>(name: &'static str, lanes: usize) {
    let case = Case::<R>::open(name, lanes);
    let mut counts = [0; 5];
    for (layer, _) in case.golden.under("activation/") {
        case.close(&format!("activation/{layer}"), &wide(case.trace.activation(layer).unwrap()));
        counts[0] += 1;
    }
    assert_eq!(counts[0], case.net.graph.nodes().len(), "every activation has a golden value");
    for (layer, want) in case.golden.under("switches/") {
        let got = case.trace.saved(layer, "switches").unwrap().switches();
        assert_eq!(&got.to_array4().mapv(f64::from).into_dyn(), want, "switches of {layer}");
        counts[1] += 1;
    }
    let (_, grads) = case.net.walk(&case.trace, case.net.top(), &RuleSet::gradient(), |seed| {
        if name == "tiny_dag" {
            let targets = Targets::Classes(&case.target);
            CrossEntropy::default().cost(case.trace.output().view(), targets, Some(seed)).unwrap();
        } else {
            single_precision_seed(&case, seed);
        }
    });
    for (param, _) in case.golden.under("grad/") {
        case.close(&format!("grad/{param}"), &grads.copy(param).unwrap().mapv(Real::wide));
        counts[2] += 1;
    }
    for (path, _) in case.golden.under("project/") {
        let parts: Vec<&str> = path.split('/').collect();
        let channel = parts[2].trim_start_matches("channel").parse().unwrap();
        let rules = match parts[1] {
            "deconv" => RuleSet::deconvnet(),
            "guided" => RuleSet::guided(),
            _ => RuleSet::gradient(),
        };
        case.close(&format!("project/{path}"), &case.project(parts[0], channel, &rules));
        counts[3] += 1;
    }
    for (path, _) in case.golden.under("cam/").filter(|(path, _)| path.ends_with("/grad-cam")) {
        let layer = path.trim_end_matches("/grad-cam");
        case.close(&format!("cam/{path}"), &case.grad_cam(layer));
        counts[4] += 1;
    }
    assert_eq!(counts[1..], [2, if name == "tiny_dag" { 14 } else { 8 }, 24, 2]);
    let gradient = case.class_map(&RuleSet::gradient());
    let x = case.golden.get("x");
    case.close(
        "input/saliency",
        &gradient.mapv(f64::abs).fold_axis(Axis(1), 0.0_f64, |m, v| m.max(*v)).into_dyn(),
    );
    case.close("input/gradient-x-input", &(&gradient.clone().into_dyn() * x));
    case.close("input/gradient", &gradient.into_dyn());
    case.close("input/guided-backprop", &case.class_map(&RuleSet::guided()).into_dyn());
    case.close("input/deconvnet-class", &case.class_map(&RuleSet::deconvnet()).into_dyn());
}

#[test]
fn a_net_that_others_trained() {
    everything::<f32>("mnist_cnn", 16);
    everything::<f32>("mnist_cnn", 1);
    everything::<f64>("mnist_cnn", 16);
}

#[test]
fn a_net_with_forks_groups_and_overlapping_pools() {
    for lanes in [1, 16] {
        everything::<f32>("tiny_dag", lanes);
        everything::<f64>("tiny_dag", lanes);
    }
}
