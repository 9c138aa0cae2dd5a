//! `glassbox bench`: how many images a second a net trains on and infers, and where the time goes.

use crate::error::{Error, Result};
use crate::{net, say, threads};
use glassbox_engine::forward::{at, forward_into};
use glassbox_engine::graph::{Init, Node};
use glassbox_engine::kernels::Isa;
use glassbox_engine::layers::{Forward, Sight};
use glassbox_engine::rng::{self, Purpose, Stream};
use glassbox_engine::train::{Recipe, Trainer};
use glassbox_engine::{Blocked, Graph, Keep, LANES, Mode, Params, Plan, Trace};
use std::io::BufRead;
use std::time::Instant;

/// Measure images per second in training and inference, and the time of each layer, on random images
///
/// A training step is forward, loss, backward and SGD with momentum, with every activation kept. Figures are medians
/// over steps. GFLOP/s count multiply-adds that happen (padded taps left out) as two; the peak that they are compared
/// with is measured in the same run, on the same threads.
///
/// Example: glassbox bench --model cifar-quick --batch 64 --threads 2
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Built-in model or model.toml
    #[arg(long, value_name = "NAME|FILE", default_value = "lenet")]
    model: String,
    /// Images per step
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Threads (0: one per processor)
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Instruction set: portable, or one that this machine has (left out: the fastest)
    #[arg(long, value_name = "NAME")]
    isa: Option<String>,
    /// Keep to the direct convolution kernels, without Winograd's transforms; GFLOP/s count what direct ones would do
    #[arg(long)]
    exact: bool,
    /// What a training step keeps
    #[arg(long, value_enum, default_value_t = Kept::Everything)]
    keep: Kept,
    /// Seconds spent on each figure
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    /// Measure on request: each line `train N` or `infer N` on standard input is answered with the seconds of N steps
    #[arg(long, conflicts_with = "json")]
    serve: bool,
}

/// What a training step keeps.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Kept {
    /// Every activation
    Everything,
    /// Only what the backward pass reads
    ForWalk,
}

pub fn run(args: Args) -> Result<()> {
    if args.batch == 0 || !(args.seconds > 0.0 && args.seconds.is_finite()) {
        return Err(Error::request("batch and seconds must be above zero", "leave them out for the defaults"));
    }
    let graph = net::model(&args.model)?;
    let isa = args.isa.as_deref().map_or(Ok(Isa::detect()), Isa::named)?;
    threads::with(args.threads, move || {
        let mut bench = Bench::new(graph, isa, &args)?;
        if args.serve { bench.serve() } else { bench.report(&args) }
    })
}

/// A net with all that its steps need.
struct Bench {
    graph: Graph,
    params: Params<f32>,
    trainer: Trainer,
    /// For inference: nothing kept.
    trace: Trace<f32>,
    batch: usize,
    exact: bool,
}

impl Bench {
    fn new(graph: Graph, isa: Isa, args: &Args) -> Result<Self> {
        let (n, lanes) = (args.batch, if args.batch == 1 { 1 } else { LANES });
        let params = graph.init(Init::default(), 1);
        let keep = match args.keep {
            Kept::Everything => Keep::Everything,
            Kept::ForWalk => Keep::ForWalk,
        };
        let recipe = Recipe { batch: n, keep, isa, exact: args.exact, ..Recipe::default() };
        let mut trainer = Trainer::new(graph.clone(), params.clone(), recipe)?;
        let mut trace = Plan::with(&graph, n, lanes, isa, Keep::Nothing).exact(args.exact).trace(&graph);
        let (images, classes) = trainer.batch_mut(n);
        let mut stream = Stream::new(1, Purpose::Demo, 0, 0);
        images.values_mut().iter_mut().for_each(|v| *v = stream.normal() as f32);
        images.clear_padding();
        classes.iter_mut().for_each(|k| *k = stream.below(graph.output().size()) as u32);
        trace.input_mut().values_mut().copy_from_slice(images.values());
        Ok(Self { graph, params, trainer, trace, batch: n, exact: args.exact })
    }

    /// One training step; the rate is too low to spoil the numbers over thousands of steps.
    fn train(&mut self) -> Result<()> {
        self.trainer.learn(1e-4)?;
        Ok(())
    }

    fn infer(&mut self) -> Result<()> {
        forward_into(&self.graph, &self.params, Mode::Eval, &mut self.trace);
        Ok(())
    }

    /// Median seconds of a step, within a budget of seconds, after a first one that does not count.
    fn median(&mut self, budget: f64, step: fn(&mut Self) -> Result<()>) -> Result<f64> {
        step(self)?;
        let (start, mut seconds) = (Instant::now(), Vec::new());
        while seconds.len() < 3 || start.elapsed().as_secs_f64() < budget {
            let once = Instant::now();
            step(self)?;
            seconds.push(once.elapsed().as_secs_f64());
        }
        Ok(median(&mut seconds))
    }

    /// Answers requests until standard input ends.
    fn serve(&mut self) -> Result<()> {
        self.train()?;
        self.infer()?;
        say::line(format!("ready {} batch {} threads {}", self.graph.name(), self.batch, rayon::current_num_threads()));
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|e| Error::io("standard input", "read", e))?;
            let mut words = line.split_whitespace();
            let (what, count) = (words.next(), words.next().map_or(Some(1), |n| n.parse::<usize>().ok()));
            let (step, count): (fn(&mut Self) -> Result<()>, usize) = match (what, count) {
                (None, _) => continue,
                (Some("train"), Some(count)) => (Self::train, count),
                (Some("infer"), Some(count)) => (Self::infer, count),
                _ => return Err(Error::request(format!("\"{line}\" is no request"), "write `train N` or `infer N`")),
            };
            let start = Instant::now();
            (0..count).try_for_each(|_| step(self))?;
            say::line(format!("{:.9}", start.elapsed().as_secs_f64()));
        }
        Ok(())
    }

    fn report(&mut self, args: &Args) -> Result<()> {
        let (train, infer) =
            (self.median(args.seconds, Self::train)?, self.median(args.seconds, Self::infer)?);
        let [train, infer] = [train, infer].map(|seconds| self.batch as f64 / seconds);
        let peak = peak(self.trace.isa());
        let rows = self.layers(args.seconds)?;
        let threads = rayon::current_num_threads();
        if args.json {
            let layers: Vec<_> = rows.iter().map(|row| row.json(peak)).collect();
            say::line(format!(
                "{:#}",
                serde_json::json!({
                    "model": self.graph.name(), "batch": self.batch, "threads": threads,
                    "train_images_per_s": train, "infer_images_per_s": infer, "layers": layers,
                })
            ));
            return Ok(());
        }
        say::line(format!(
            "{}: batch {}, {threads} thread{}, {}; multiply-add peak {}",
            self.graph.name(),
            self.batch,
            if threads == 1 { "" } else { "s" },
            self.trace.isa().name(),
            peak.map_or("unknown".into(), |p| format!("{p:.0} GFLOP/s"))
        ));
        let rate = |images: f64| format!("{} images/s ({:.3} ms a step)", say::count(images as u64), 1e3 * self.batch as f64 / images);
        say::line(format!("training   {}\ninference  {}\n", rate(train), rate(infer)));
        let cells: Vec<_> = rows.iter().map(|row| row.cells(peak)).collect();
        let header = ["layer", "kind", "forward ms", "GFLOP/s", "% of peak", "backward ms", "GFLOP/s", "% of peak"];
        say::line(say::table(&header, &cells, &[false, false, true, true, true, true, true, true]));
        Ok(())
    }

    /// Times layer by layer, forward through the trace of the last training step and backward through its signals.
    fn layers(&mut self, budget: f64) -> Result<Vec<Row>> {
        // the trace may keep only what backward reads, so this takes one of its own
        let recipe = Recipe { batch: self.batch, isa: self.trace.isa(), exact: self.exact, ..Recipe::default() };
        let mut whole = Trainer::new(self.graph.clone(), self.params.clone(), recipe)?;
        let (images, classes) = whole.batch_mut(self.batch);
        images.values_mut().copy_from_slice(self.trainer.trace().slot(0)?.values());
        classes.iter_mut().enumerate().for_each(|(i, k)| *k = (i % self.graph.output().size()) as u32);
        whole.learn(1e-4)?;
        let graph = &self.graph;
        let mut rooms: Vec<_> = (0..graph.nodes().len()).map(|i| Room::new(graph, whole.trace(), self.exact, i)).collect();
        let mut gradients = Params::zeros(graph.layout().clone());
        let mut times = vec![[Vec::new(), Vec::new()]; graph.nodes().len()];
        let start = Instant::now();
        while times[0][0].len() < 3 || start.elapsed().as_secs_f64() < budget {
            for (i, room) in rooms.iter_mut().enumerate() {
                let once = Instant::now();
                room.forward(graph, &self.params, whole.trace(), i);
                times[i][0].push(once.elapsed().as_secs_f64());
            }
            for (i, room) in rooms.iter_mut().enumerate().rev() {
                let once = Instant::now();
                room.backward(graph, &self.params, &whole, &mut gradients, i);
                times[i][1].push(once.elapsed().as_secs_f64());
            }
        }
        let rows = graph.nodes().iter().zip(&mut times).map(|(node, times)| {
            let flops = flops(graph, node) * self.batch as f64;
            let passes = if node.inputs == [0] { 1.0 } else { 2.0 };
            Row {
                name: node.name.clone(),
                kind: node.layer.kind().name,
                seconds: [median(&mut times[0]), median(&mut times[1])],
                flops: [flops, passes * flops],
            }
        });
        Ok(rows.collect())
    }
}

/// What one layer writes when it runs on its own.
struct Room {
    output: Blocked<f32>,
    saved: Vec<glassbox_engine::trace::Saved<f32>>,
    signals: Vec<Blocked<f32>>,
    scratch: Vec<f32>,
}

impl Room {
    fn new(graph: &Graph, trace: &Trace<f32>, exact: bool, i: usize) -> Self {
        let (node, n, lanes) = (&graph.nodes()[i], trace.batch(), trace.lanes());
        let batch = glassbox_engine::layers::Batch { n, lanes, isa: trace.isa(), exact };
        let shapes: Vec<_> = node.inputs.iter().map(|&slot| graph.shape(slot)).collect();
        Self {
            output: Blocked::zeros(node.facts.output, n, lanes),
            saved: node.facts.saved.iter().map(|s| glassbox_engine::trace::Saved::new(s.kind, n, lanes)).collect(),
            signals: shapes.iter().map(|&shape| Blocked::zeros(shape, n, lanes)).collect(),
            scratch: vec![0.0; node.layer.f32().scratch(&shapes, batch)],
        }
    }

    fn forward(&mut self, graph: &Graph, params: &Params<f32>, trace: &Trace<f32>, i: usize) {
        let at = at(graph, params, trace, i);
        at.layer.forward(Forward {
            inputs: at.inputs,
            output: &mut self.output,
            saved: &mut self.saved,
            params: at.params,
            mode: at.mode,
            key: rng::key(at.name),
            first: 0,
            kernels: at.kernels,
            scratch: &mut self.scratch,
            then: None,
        });
    }

    /// What a training step does: gradients of the parameters, and the signal unless only the input would get it.
    fn backward(&mut self, graph: &Graph, params: &Params<f32>, whole: &Trainer, gradients: &mut Params<f32>, i: usize) {
        let at = at(graph, params, whole.trace(), i);
        let Some(signal) = whole.signals().slot(i + 1) else { return };
        at.layer.pull_params(&at, signal.view(), gradients.of_layer_mut(i), &mut self.scratch);
        if graph.nodes()[i].inputs.iter().any(|&slot| slot != 0) {
            at.layer.pull(&at, signal.view(), &mut self.signals, &mut self.scratch);
        }
    }
}

/// A layer's line: forward and backward.
struct Row {
    name: String,
    kind: &'static str,
    seconds: [f64; 2],
    flops: [f64; 2],
}

impl Row {
    /// GFLOP/s of a pass, for layers that multiply and add.
    fn rate(&self, pass: usize) -> Option<f64> {
        (self.flops[pass] > 0.0).then(|| self.flops[pass] / self.seconds[pass] / 1e9)
    }

    fn share(&self, pass: usize, peak: Option<f64>) -> Option<f64> {
        Some(100.0 * self.rate(pass)? / peak?)
    }

    fn json(&self, peak: Option<f64>) -> serde_json::Value {
        serde_json::json!({
            "name": self.name, "kind": self.kind,
            "forward_ms": 1e3 * self.seconds[0], "backward_ms": 1e3 * self.seconds[1],
            "forward_gflops": self.rate(0), "backward_gflops": self.rate(1),
            "forward_percent_of_peak": self.share(0, peak), "backward_percent_of_peak": self.share(1, peak),
        })
    }

    fn cells(&self, peak: Option<f64>) -> Vec<String> {
        let number = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.0}"));
        let pass = |p: usize| {
            [format!("{:.3}", 1e3 * self.seconds[p]), number(self.rate(p)), number(self.share(p, peak))]
        };
        [self.name.clone(), self.kind.to_string()].into_iter().chain(pass(0)).chain(pass(1)).collect()
    }
}

/// Floating-point operations of a forward pass of one image, padded taps left out.
fn flops(graph: &Graph, node: &Node) -> f64 {
    let (input, output) = (graph.shape(node.inputs[0]).spatial(), node.facts.output.spatial());
    let real = match node.facts.sight {
        Sight::Window(window) => (0..2)
            .map(|axis| {
                let taps: usize = (0..output[axis]).map(|o| window.taps(axis, o, input[axis]).len()).sum();
                taps as f64 / (output[axis] * window.kernel[axis]) as f64
            })
            .product(),
        _ => 1.0,
    };
    2.0 * node.facts.macs as f64 * real
}

/// Multiply-add peak of all threads of this pool together in GFLOP/s, each thread's best of many tries, so that others
/// at work on the machine lower it little; `None` where there is no kernel to measure it.
fn peak(isa: Isa) -> Option<f64> {
    const ROUNDS: usize = 50_000;
    let isa = if isa == Isa::Portable { Isa::detect() } else { isa };
    let once = || -> Option<f64> {
        let start = Instant::now();
        let operations = isa.multiply_adds(ROUNDS)?;
        Some(operations as f64 / start.elapsed().as_secs_f64() / 1e9)
    };
    let best = || (0..40).map(|_| once()).try_fold(0.0, |best, rate| Some(rate?.max(best)));
    rayon::broadcast(|_| best()).into_iter().sum()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padded_taps_are_not_counted() {
        let graph = net::model("cifar-quick").unwrap();
        let counted = |name: &str| {
            let node = graph.nodes().iter().find(|n| n.name == name).unwrap();
            (flops(&graph, node), 2.0 * node.facts.macs as f64)
        };
        // 5 taps per row of 8 pixels padded by 2: 3 4 5 5 5 5 4 3 = 34 of 40, and so down the columns
        let (real, nominal) = counted("conv3");
        assert!((real / nominal - 0.85 * 0.85).abs() < 1e-12, "{real} of {nominal}");
        assert_eq!((counted("fc1").0, counted("relu1").0), (2.0 * 64.0 * 1024.0, 0.0));
    }

    #[test]
    fn layers_are_timed_forward_and_backward() {
        let args = Args {
            model: "lenet".into(),
            batch: 3,
            threads: 1,
            isa: None,
            exact: false,
            keep: Kept::ForWalk,
            seconds: 1e-6,
            json: true,
            serve: false,
        };
        let mut bench = Bench::new(net::model("lenet").unwrap(), Isa::Portable, &args).unwrap();
        bench.train().unwrap();
        bench.infer().unwrap();
        let rows = bench.layers(args.seconds).unwrap();
        assert_eq!(rows.len(), bench.graph.nodes().len());
        let row = rows[3].json(Some(100.0));
        assert_eq!(row["name"], "conv2");
        assert!(row["forward_ms"].as_f64().unwrap() > 0.0 && row["backward_gflops"].as_f64().unwrap() > 0.0);
        assert!(rows[1].json(None)["forward_percent_of_peak"].is_null());
        assert_eq!((median(&mut [3.0, 1.0, 2.0]), median(&mut [4.0, 1.0, 2.0, 3.0])), (2.0, 2.5));
    }
}
