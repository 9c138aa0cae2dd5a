//! Random graphs with forks, sums and concatenations: gradients against differences, texts, and the same bits whatever
//! is kept.

use crate::property;
use glassbox_engine::graph::{Graph, GraphBuilder, Init, Keep};
use glassbox_engine::kernels::Isa;
use glassbox_engine::layers::{
    Add, AvgPool, BatchNorm, Concat, Conv, Dense, Elu, Flatten, Layer, MaxPool, Relu, Tanh,
};
use glassbox_engine::trace::Mode;
use glassbox_engine::{Params, RuleSet, Shape};
use glassbox_tests::compare::{bits, blocked, shuffled, wide};
use glassbox_tests::nets::Net;
use glassbox_tests::single::TRAIN;
use ndarray::{ArrayD, Axis, Slice};
use proptest::prelude::*;
use std::sync::Arc;

/// A layer to add: what, from where, with which number.
pub type Wish = (u8, usize, usize);

pub fn wishes() -> impl Strategy<Value = (Vec<Wish>, [usize; 3])> {
    let wish = (0..9u8, any::<usize>(), 0..12usize);
    (prop::collection::vec(wish, 2..9), [1..=3usize, 5..=9usize, 4..=8usize])
}

/// The slots that are there, with their shapes; what does not fit is left out.
struct Growing {
    builder: GraphBuilder,
    slots: Vec<(String, Shape)>,
}

impl Growing {
    fn add(&mut self, layer: impl Layer, from: &[usize]) {
        let shapes: Vec<Shape> = from.iter().map(|&i| self.slots[i].1).collect();
        let Ok(facts) = layer.infer(&shapes) else { return };
        let name = format!("l{}", self.slots.len());
        let from: Vec<&str> = from.iter().map(|&i| self.slots[i].0.as_str()).collect();
        let builder = std::mem::replace(&mut self.builder, Graph::builder("", [1; 3]));
        self.builder = builder.shared(&name, Arc::new(layer), &from);
        self.slots.push((name, facts.output));
    }

    fn wish(&mut self, (what, from, number): Wish) {
        // mostly the last slot, sometimes any
        let last = self.slots.len() - 1;
        let from = if from % 3 == 0 { from / 3 % (last + 1) } else { last };
        let mate = |fits: &dyn Fn(Shape) -> bool| {
            let fitting: Vec<usize> = (0..=last).filter(|&i| fits(self.slots[i].1)).collect();
            fitting[number % fitting.len()]
        };
        let shape = self.slots[from].1;
        match what {
            0 | 1 => {
                let mut conv = Conv::new(1 + number % 4, 1 + number % 3).pad(number % 2);
                conv.window.stride = [1 + number % 2, 1 + number / 2 % 2];
                self.add(conv, &[from]);
            }
            2 => self.add(Relu, &[from]),
            3 if number % 2 == 0 => self.add(Tanh, &[from]),
            3 => self.add(Elu::default(), &[from]),
            4 if number % 2 == 0 => self.add(MaxPool::new(2), &[from]),
            4 => self.add(MaxPool::new(3).stride(2).pad(1), &[from]),
            5 if number % 2 == 0 => self.add(AvgPool::new(2).stride(1), &[from]),
            5 => self.add(BatchNorm::default(), &[from]),
            6 => {
                let other = mate(&|s| s == shape);
                self.add(Add, &[from, other]);
            }
            7 => {
                let groups = [1, 2, 3][number % 3];
                self.add(Conv::new(groups * (1 + number / 3 % 2), 3).pad(1).groups(groups), &[from]);
            }
            _ => {
                let other = mate(&|s| s.spatial() == shape.spatial());
                self.add(Concat, &[other, from]);
            }
        }
    }
}

/// The graph of some wishes, under a dense layer of three outputs.
pub fn grow(wishes: &[Wish], input: [usize; 3]) -> Graph {
    let [c, h, w] = input;
    let mut growing = Growing {
        builder: Graph::builder("random", input),
        slots: vec![("input".into(), Shape::maps(c, h, w))],
    };
    wishes.iter().for_each(|&wish| growing.wish(wish));
    growing.add(Flatten, &[growing.slots.len() - 1]);
    growing.add(Dense::new(3), &[growing.slots.len() - 1]);
    growing.builder.build().unwrap()
}

/// The sum of the output, each value times a fixed weight, and that weight.
fn score(net: &Net<f64>, x: &ArrayD<f64>, mode: Mode) -> f64 {
    let y = wide(net.forward(x, mode).output());
    (&y * &shuffled(y.shape(), 2)).sum()
}

fn nudge(params: &Params<f64>, direction: &[f64], step: f64) -> Params<f64> {
    let mut moved = params.clone();
    moved.learnable_mut().iter_mut().zip(direction).for_each(|(p, d)| *p += step * d);
    moved
}

fn gradients_are_slopes(graph: &Graph, lanes: usize, mode: Mode) {
    let net = Net::new(graph.clone(), graph.init(Init::PyTorch, 3), lanes);
    let shape = graph.input().exported(3);
    // an even grid would average to exact zeros, where ReLUs have a kink
    let x = shuffled(&shape, 7).mapv(|v| v + 0.3 * (50.0 * v).sin());
    let trace = net.forward(&x, mode);
    let weight = shuffled(&[3, 3], 2);
    let (signals, grads) = net.walk(&trace, net.top(), &RuleSet::gradient(), |seed| {
        *seed = blocked(&weight, lanes);
    });
    // a net may end in a layer that does not depend on its input, and then no signal comes there
    let dx = signals.at("input").map_or_else(|_| ArrayD::zeros(shape.clone()), wide);
    for draw in 1..4 {
        let across = x.mapv(|v| (v * 31.0 * draw as f64).sin());
        let along: Vec<f64> =
            (0..net.params.learnable().len()).map(|i| ((i * draw + 1) as f64).cos()).collect();
        let step = 1e-6;
        let at = |step: f64| {
            let moved = Net { params: nudge(&net.params, &along, step), ..net.clone() };
            score(&moved, &(&x + &(&across * step)), mode)
        };
        let slope = (at(step) - at(-step)) / (2.0 * step);
        let parts: Vec<f64> = grads.learnable().iter().zip(&along).map(|(g, d)| g * d).collect();
        let walked = (&dx * &across).sum() + parts.iter().sum::<f64>();
        let scale = 1.0 + (&dx * &across).mapv(f64::abs).sum() + parts.iter().map(|p| p.abs()).sum::<f64>();
        assert!((slope - walked).abs() <= 1e-6 * scale, "{slope} {walked}\n{}", graph.to_toml());
    }
}

#[test]
fn gradients_of_random_graphs_are_slopes() {
    property(64, wishes(), |(wishes, input)| {
        let graph = grow(&wishes, input);
        gradients_are_slopes(&graph, 1, Mode::Eval);
        gradients_are_slopes(&graph, 16, TRAIN);
        Ok(())
    });
}

#[test]
fn random_graphs_survive_their_text_and_any_way_of_keeping() {
    property(96, wishes(), |(wishes, input)| {
        let graph = grow(&wishes, input);
        let text = graph.to_toml();
        let again = Graph::from_toml(&text, "again").unwrap();
        assert_eq!(again.to_toml(), text);
        let params = graph.init::<f32>(Init::He, 1);
        let x = shuffled(&graph.input().exported(5), 7);
        let run = |graph: &Graph, keep| {
            let net = Net { keep, ..Net::new(graph.clone(), params.clone(), 16) };
            let trace = net.forward(&x, TRAIN);
            (bits(trace.output().values()), net, trace)
        };
        let (want, everything, trace) = run(&graph, Keep::Everything);
        assert_eq!(want, run(&again, Keep::Everything).0, "{text}");
        assert_eq!(want, run(&graph, Keep::Nothing).0, "{text}");
        let (output, for_walk, lean) = run(&graph, Keep::ForWalk);
        assert_eq!(want, output, "{text}");
        let weight = blocked::<f32>(&shuffled(&[5, 3], 2), 16);
        let walk = |net: &Net<f32>, trace| {
            let (signals, grads) =
                net.walk(trace, net.top(), &RuleSet::gradient(), |seed| *seed = weight.clone());
            (bits(grads.learnable()), signals.at("input").ok().map(|x| bits(x.values())))
        };
        assert_eq!(walk(&everything, &trace), walk(&for_walk, &lean), "{text}");
        Ok(())
    });
}

#[test]
fn random_graphs_store_the_same_bits_together_and_layer_by_layer() {
    property(96, wishes(), |(wishes, input)| {
        let graph = grow(&wishes, input);
        let x = shuffled(&graph.input().exported(5), 7);
        for &isa in Isa::ALL.iter().filter(|isa| isa.available()) {
            for keep in [Keep::Everything, Keep::ForWalk] {
                let params = graph.init::<f32>(Init::He, 1);
                let net = Net { keep, isa, ..Net::new(graph.clone(), params, 16) };
                net.check_together(&x, TRAIN, &RuleSet::gradient());
            }
        }
        Ok(())
    });
}

#[test]
fn images_have_the_same_bits_alone_and_among_others() {
    property(64, wishes(), |(wishes, input)| {
        let graph = grow(&wishes, input);
        let params = graph.init::<f32>(Init::He, 1);
        let x = shuffled(&graph.input().exported(3), 7);
        let weight = shuffled(&[3, 3], 2);
        for &isa in Isa::ALL.iter().filter(|isa| isa.available()) {
            let run = |lanes, images: Slice| {
                let net = Net { isa, ..Net::new(graph.clone(), params.clone(), lanes) };
                let trace = net.forward(&x.slice_axis(Axis(0), images).to_owned(), Mode::Eval);
                let (signals, _) = net.walk(&trace, net.top(), &RuleSet::gradient(), |seed| {
                    *seed = blocked(&weight.slice_axis(Axis(0), images).to_owned(), lanes);
                });
                let slots = 0..signals.names().len();
                let of_slot = |slot| (wide(trace.slot(slot).unwrap()), signals.slot(slot).map(wide));
                slots.map(of_slot).collect::<Vec<_>>()
            };
            let all = run(16, Slice::from(..));
            for i in 0..3 {
                let alone = run(1, Slice::from(i..i + 1));
                for (slot, (all, alone)) in all.iter().zip(&alone).enumerate() {
                    let image = |a: &ArrayD<f64>| a.slice_axis(Axis(0), Slice::from(i..i + 1)).to_owned();
                    let all = (image(&all.0), all.1.as_ref().map(image));
                    assert!(all == *alone, "slot {slot} on {}\n{}", isa.name(), graph.to_toml());
                }
            }
        }
        Ok(())
    });
}
