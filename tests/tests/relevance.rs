//! Relevance propagation and DeepLIFT against oracles in double precision that know a layer only as a matrix, found
//! by showing the layer one unit vector after the other; pools and rectifiers are written out again.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use glassbox_engine::graph::Init;
use glassbox_engine::layers::{AvgPool, Conv, Dense, Flatten, MaxPool, Relu};
use glassbox_engine::trace::Mode;
use glassbox_engine::{Blocked, Graph, Params, forward};
use glassbox_fixtures::{arrays, graph};
use glassbox_viz::methods::{Answer, Ask, Settings, Targets, named};
use ndarray::{Array4, Axis};

/// y = matrix x + bias.
#[derive(Clone)]
struct Linear {
    matrix: Vec<Vec<f64>>,
    bias: Vec<f64>,
}

impl Linear {
    /// What layer `i` does, found by probing it alone.
    fn probe(graph: &Graph, params: &Params<f64>, i: usize) -> Self {
        let node = &graph.nodes()[i];
        let shape = graph.shape(node.inputs[0]);
        let builder = Graph::builder("one", [shape.c, shape.h, shape.w]);
        let builder = if shape.flat {
            builder.layer("flat", Flatten).shared(&node.name, node.layer.clone(), &["flat"])
        } else {
            builder.shared(&node.name, node.layer.clone(), &["input"])
        };
        let one = builder.build().unwrap();
        let mut values = Params::zeros(one.layout().clone());
        for spec in one.layout().specs() {
            values.set(&spec.name, params.get(&spec.name).unwrap()).unwrap();
        }
        // image 0 is zero, image k + 1 the k-th unit vector
        let mut x = Array4::<f64>::zeros((shape.size() + 1, shape.c, shape.h, shape.w));
        for (k, mut image) in x.axis_iter_mut(Axis(0)).skip(1).enumerate() {
            *image.iter_mut().nth(k).unwrap() = 1.0;
        }
        let y = forward(&one, &values, &Blocked::from_array4(x.view(), 1), Mode::Eval).unwrap();
        let y = y.output().to_array4();
        let bias: Vec<f64> = y.index_axis(Axis(0), 0).iter().copied().collect();
        let mut matrix = vec![vec![0.0; shape.size()]; bias.len()];
        for (k, column) in y.axis_iter(Axis(0)).skip(1).enumerate() {
            for (j, v) in column.iter().enumerate() {
                matrix[j][k] = v - bias[j];
            }
        }
        Self { matrix, bias }
    }

    fn apply(&self, x: &[f64]) -> Vec<f64> {
        let row = |(row, b): (&Vec<f64>, &f64)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b;
        self.matrix.iter().zip(&self.bias).map(row).collect()
    }

    fn transposed(&self, y: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.matrix[0].len()];
        for (row, y) in self.matrix.iter().zip(y) {
            out.iter_mut().zip(row).for_each(|(o, w)| *o += w * y);
        }
        out
    }
}

/// A net as matrices, and the values of one image in it.
struct Oracle<'a> {
    graph: &'a Graph,
    linear: Vec<Option<Linear>>,
    x: Vec<f64>,
}

impl<'a> Oracle<'a> {
    fn new(graph: &'a Graph, params: &Params<f64>, x: &[f64]) -> Self {
        let linear = graph.nodes().iter().enumerate().map(|(i, node)| {
            let linear = ["avgpool", "batchnorm", "conv", "dense", "global_avgpool"];
            linear.contains(&node.layer.kind().name).then(|| Linear::probe(graph, params, i))
        });
        Self { graph, linear: linear.collect(), x: x.to_vec() }
    }

    /// The winner of each output of max-pool layer `i`: 3x3 or 2x2 windows, the first maximum.
    fn winners(&self, i: usize, x: &[f64]) -> Vec<usize> {
        let node = &self.graph.nodes()[i];
        let (input, output) = (self.graph.shape(node.inputs[0]), node.facts.output);
        let layer: &dyn std::any::Any = &*node.layer;
        let w = layer.downcast_ref::<MaxPool>().unwrap().window;
        let mut out = Vec::new();
        for at in 0..output.size() {
            let (c, y, col) = (at / output.plane(), at % output.plane() / output.w, at % output.w);
            let mut best: Option<usize> = None;
            for row in y * w.stride[0]..y * w.stride[0] + w.kernel[0] {
                for column in col * w.stride[1]..col * w.stride[1] + w.kernel[1] {
                    let (row, column) = (row.wrapping_sub(w.pad[0]), column.wrapping_sub(w.pad[1]));
                    if row < input.h && column < input.w {
                        let cell = c * input.plane() + row * input.w + column;
                        if best.is_none_or(|b| x[cell] > x[b]) {
                            best = Some(cell);
                        }
                    }
                }
            }
            out.push(best.unwrap());
        }
        out
    }

    /// The values of every slot.
    fn values(&self, x: &[f64]) -> Vec<Vec<f64>> {
        let mut slots = vec![x.to_vec()];
        for (i, node) in self.graph.nodes().iter().enumerate() {
            let from = &slots[node.inputs[0]];
            let value = match (node.layer.kind().name, &self.linear[i]) {
                (_, Some(linear)) => linear.apply(from),
                ("relu", _) => from.iter().map(|v| v.max(0.0)).collect(),
                ("flatten", _) => from.clone(),
                ("maxpool", _) => self.winners(i, from).iter().map(|&cell| from[cell]).collect(),
                ("add", _) => {
                    let other = &slots[node.inputs[1]];
                    from.iter().zip(other).map(|(a, b)| a + b).collect()
                }
                ("concat", _) => node.inputs.iter().flat_map(|&s| slots[s].clone()).collect(),
                (other, _) => panic!("the oracle knows no {other}"),
            };
            slots.push(value);
        }
        slots
    }

    /// Pulls a start at the class down; `pull(layer, signal)` gives the signal at each of its inputs.
    fn down(&self, class: usize, start: f64, pull: impl Fn(usize, &[f64]) -> Vec<Vec<f64>>) -> Vec<f64> {
        let slots = self.graph.nodes().len() + 1;
        let mut signals: Vec<Vec<f64>> = (0..slots).map(|s| vec![0.0; self.graph.shape(s).size()]).collect();
        signals[slots - 1][class] = start;
        for i in (0..slots - 1).rev() {
            let parts = pull(i, &signals[i + 1]);
            for (&slot, part) in self.graph.nodes()[i].inputs.iter().zip(parts) {
                signals[slot].iter_mut().zip(part).for_each(|(s, p)| *s += p);
            }
        }
        signals.swap_remove(0)
    }

    fn split(&self, i: usize, signal: &[f64]) -> Vec<Vec<f64>> {
        let mut left = signal;
        let inputs = self.graph.nodes()[i].inputs.iter();
        inputs
            .map(|&slot| {
                let (part, rest) = left.split_at(self.graph.shape(slot).size());
                left = rest;
                part.to_vec()
            })
            .collect()
    }

    /// Relevance of the input.
    fn relevance(&self, class: usize, rule: &dyn Fn(&str, bool) -> Rule) -> Vec<f64> {
        let slots = self.values(&self.x);
        let start = slots[slots.len() - 1][class];
        self.down(class, start, |i, relevance| {
            let node = &self.graph.nodes()[i];
            let x = &slots[node.inputs[0]];
            match node.layer.kind().name {
                "relu" | "flatten" => vec![relevance.to_vec()],
                // folded into the layer before it, which takes both
                "batchnorm" => vec![relevance.to_vec()],
                "concat" => self.split(i, relevance),
                "maxpool" => {
                    let mut out = vec![0.0; x.len()];
                    self.winners(i, x).iter().zip(relevance).for_each(|(&cell, r)| out[cell] += r);
                    vec![out]
                }
                "add" => {
                    let inputs: Vec<&Vec<f64>> = node.inputs.iter().map(|&s| &slots[s]).collect();
                    let share = |own: &Vec<f64>| {
                        let parts = own.iter().zip(&slots[i + 1]).zip(relevance);
                        parts.map(|((a, z), r)| a * ratio(*r, *z)).collect()
                    };
                    inputs.into_iter().map(share).collect()
                }
                kind => {
                    let mut linear = self.linear[i].clone().unwrap();
                    let rule = if kind == "conv" || kind == "dense" {
                        rule(kind, node.inputs[0] == 0)
                    } else {
                        Rule::Epsilon
                    };
                    if let [(reader, _)] = self.graph.readers(i + 1)
                        && self.graph.nodes()[*reader].layer.kind().name == "batchnorm"
                    {
                        linear = then(&linear, self.linear[*reader].as_ref().unwrap());
                    }
                    vec![share_out(&linear, x, relevance, rule)]
                }
            }
        })
    }

    /// Contributions of the differences from a reference.
    fn differences(&self, class: usize, base: &[f64]) -> Vec<f64> {
        let (a, b) = (self.values(&self.x), self.values(base));
        let multipliers = self.down(class, 1.0, |i, m| {
            let node = &self.graph.nodes()[i];
            let (x, x0, y, y0) = (&a[node.inputs[0]], &b[node.inputs[0]], &a[i + 1], &b[i + 1]);
            match (node.layer.kind().name, &self.linear[i]) {
                (_, Some(linear)) => vec![linear.transposed(m)],
                ("relu", _) => {
                    let slope = |k: usize| {
                        if (x[k] - x0[k]).abs() > 1e-10 {
                            (y[k] - y0[k]) / (x[k] - x0[k])
                        } else {
                            f64::from(u8::from(x[k] > 0.0))
                        }
                    };
                    vec![(0..x.len()).map(|k| m[k] * slope(k)).collect()]
                }
                ("flatten", _) => vec![m.to_vec()],
                ("concat", _) => self.split(i, m),
                ("add", _) => node.inputs.iter().map(|_| m.to_vec()).collect(),
                _ => {
                    let mut given = vec![0.0; x.len()];
                    for (k, (cell, cell0)) in
                        self.winners(i, x).into_iter().zip(self.winners(i, x0)).enumerate()
                    {
                        let top = y[k].max(y0[k]);
                        given[cell] += m[k] * (top - y0[k]);
                        given[cell0] += m[k] * (y[k] - top);
                    }
                    let over = |k: usize| {
                        if (x[k] - x0[k]).abs() > 1e-10 { given[k] / (x[k] - x0[k]) } else { 0.0 }
                    };
                    vec![(0..x.len()).map(over).collect()]
                }
            }
        });
        multipliers.iter().zip(&self.x).zip(base).map(|((m, x), x0)| m * (x - x0)).collect()
    }
}

#[derive(Clone)]
enum Rule {
    Epsilon,
    Plus,
    Gamma,
    Box(f64, f64),
}

const EPSILON: f64 = 1e-6;

fn ratio(relevance: f64, z: f64) -> f64 {
    if z < 0.0 { relevance / (z - EPSILON) } else { relevance / (z + EPSILON) }
}

/// First `a`, then `b`, whose matrix is square.
fn then(a: &Linear, b: &Linear) -> Linear {
    let scale = |j: usize| b.matrix[j][j];
    let matrix = a.matrix.iter().enumerate().map(|(j, row)| row.iter().map(|w| w * scale(j)).collect());
    Linear { matrix: matrix.collect(), bias: b.apply(&a.bias) }
}

fn share_out(linear: &Linear, x: &[f64], relevance: &[f64], rule: Rule) -> Vec<f64> {
    let z = linear.apply(x);
    let mut out = vec![0.0; x.len()];
    for (j, row) in linear.matrix.iter().enumerate() {
        let up = z[j] >= 0.0;
        let own = |c: f64| if up { c.max(0.0) } else { c.min(0.0) };
        let part = |i: usize| match rule {
            Rule::Epsilon => row[i] * x[i],
            Rule::Plus => (row[i] * x[i]).max(0.0),
            Rule::Gamma => row[i] * x[i] + 0.25 * own(row[i] * x[i]),
            Rule::Box(low, high) => row[i] * x[i] - row[i].max(0.0) * low - row[i].min(0.0) * high,
        };
        let b = linear.bias[j];
        let bias = match rule {
            Rule::Epsilon => b,
            Rule::Plus => b.max(0.0),
            Rule::Gamma => b + 0.25 * own(b),
            Rule::Box(..) => 0.0,
        };
        let sum = (0..x.len()).map(part).sum::<f64>() + bias;
        let share = ratio(relevance[j], sum);
        (0..x.len()).for_each(|i| out[i] += part(i) * share);
    }
    out
}

/// A net without skips: padding, overlapping max-pool, average pool, biases.
fn chain() -> (Graph, Params<f64>, Array4<f64>) {
    let graph = Graph::builder("chain", [2, 10, 9])
        .layer("conv1", Conv::new(4, 3).pad(1))
        .layer("relu1", Relu)
        .layer("pool1", MaxPool::new(3).stride(2))
        .layer("conv2", Conv::new(5, 3).stride(1))
        .layer("relu2", Relu)
        .layer("pool2", AvgPool::new(2))
        .layer("flatten", Flatten)
        .layer("fc1", Dense::new(6))
        .layer("relu3", Relu)
        .layer("fc2", Dense::new(3))
        .build()
        .unwrap();
    let params = graph.init(Init::PyTorch, 5);
    let x = Array4::from_shape_fn((3, 2, 10, 9), |(n, c, h, w)| {
        ((7 * n + 31 * c + 11 * h + 5 * w) as f64 * 0.77).sin()
    });
    (graph, params, x)
}

/// A net with a residual sum, a concatenation, groups, batch-norm and overlapping pools.
fn dag() -> (Graph, Params<f64>, Array4<f64>) {
    let graph = graph("tiny_dag");
    let params = arrays("tiny_dag.weights").params(&graph, "");
    let x = arrays("tiny_dag.methods").get("x").clone().into_dimensionality::<ndarray::Ix4>().unwrap();
    (graph, params, x.select(Axis(0), &[2]))
}

fn close(what: &str, answer: &Answer<f64>, sample: usize, want: &[f64]) {
    let got = answer.map.index_axis(Axis(0), sample);
    let largest = want.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let gap = got.iter().zip(want).map(|(g, w)| (g - w).abs()).fold(0.0, f64::max);
    assert!(largest > 0.0 && gap <= 1e-9 * largest, "{what}, sample {sample}: off by {gap:e} of {largest:e}");
}

#[test]
fn relevance_rules_are_those_of_matrices() {
    for (graph, params, x) in [chain(), dag()] {
        for (method, rule) in [
            ("lrp-epsilon", &(|_: &str, _: bool| Rule::Epsilon) as &dyn Fn(&str, bool) -> Rule),
            ("lrp-epsilon-plus", &|kind, _| if kind == "conv" { Rule::Plus } else { Rule::Epsilon }),
            ("lrp-gamma-box", &|kind, first| match (kind, first) {
                (_, true) => Rule::Box(-3.0, 3.5),
                ("conv", _) => Rule::Gamma,
                _ => Rule::Epsilon,
            }),
        ] {
            let set: &[&str] = if method == "lrp-gamma-box" { &["low=-3", "high=3.5"] } else { &[] };
            let method = named(method).unwrap();
            let ask = Ask::new(&graph, &params, &x).targets(Targets::Same(1));
            let answer = method.run64(&ask, &Settings::parse(method, set).unwrap()).unwrap();
            for (n, image) in x.outer_iter().enumerate() {
                let image: Vec<f64> = image.iter().copied().collect();
                let want = Oracle::new(&graph, &params, &image).relevance(1, rule);
                close(&format!("{} {}", graph.name(), method.name), &answer, n, &want);
            }
        }
    }
}

#[test]
fn deeplift_is_that_of_matrices_and_complete_for_any_reference() {
    for (graph, params, x) in [chain(), dag()] {
        for (baseline, value) in [("zero", 0.0), ("0.4", 0.4)] {
            let method = named("deeplift").unwrap();
            let ask = Ask::new(&graph, &params, &x).targets(Targets::Same(2));
            let set = [format!("baseline={baseline}")];
            let answer = method.run64(&ask, &Settings::parse(method, &set).unwrap()).unwrap();
            for (n, image) in x.outer_iter().enumerate() {
                let image: Vec<f64> = image.iter().copied().collect();
                let base = vec![value; image.len()];
                let want = Oracle::new(&graph, &params, &image).differences(2, &base);
                close(&format!("{} deeplift {baseline}", graph.name()), &answer, n, &want);
                let residual = answer.facts[n].residual.as_ref().unwrap();
                assert!(residual.relative() < 1e-9, "{} {residual:?}", graph.name());
            }
        }
    }
}

#[test]
fn without_biases_relevance_is_kept_and_is_gradient_times_input() {
    let (graph, mut params, x) = chain();
    for name in ["conv1.bias", "conv2.bias", "fc1.bias", "fc2.bias"] {
        let zeros = params.get(name).unwrap().mapv(|_| 0.0);
        params.set(name, zeros.view()).unwrap();
    }
    let ask = Ask::new(&graph, &params, &x);
    let run = |name: &str, set: &[&str]| {
        let method = named(name).unwrap();
        method.run64(&ask, &Settings::parse(method, set).unwrap()).unwrap()
    };
    let product = run("gradient-x-input", &[]);
    let relevance = run("lrp-epsilon", &["epsilon=0"]);
    for n in 0..x.dim().0 {
        let want: Vec<f64> = product.map.index_axis(Axis(0), n).iter().copied().collect();
        close("epsilon=0", &relevance, n, &want);
    }
    for (method, set) in [
        ("lrp-epsilon", &["epsilon=0"][..]),
        ("lrp-epsilon-plus", &["epsilon=1e-12"]),
        ("lrp-gamma-box", &["epsilon=1e-12", "low=-1", "high=1"]),
    ] {
        for facts in run(method, set).facts {
            let score = facts.score.unwrap();
            assert!(facts.layers.iter().any(|l| l.layer == "conv1") && facts.layers[0].layer == "fc2");
            // the image has negative values, which the z+ rule of the first layer takes for what they are
            for layer in &facts.layers {
                assert!((layer.sum - score).abs() < 1e-6 * score.abs(), "{method} {layer:?} {score}");
            }
        }
    }
}
