//! What one dump holds: one forward pass of the probe images, one walk back if gradients are wanted, and the pictures
//! and arrays that are drawn from them. Blocks of one image lie as [N, C, H, W], so arrays go to disk, and maps to
//! pictures, out of the trace itself.

use super::super::tensorboard::Board;
use super::files::Files;
use super::index::{Index, Moment};
use super::methods;
use super::probe::Probe;
use super::what::What;
use crate::error::{Error, Result};
use glassbox_engine::forward::forward_into;
use glassbox_engine::kernels::Isa;
use glassbox_engine::loss::{Loss, Targets};
use glassbox_engine::trace::Saved;
use glassbox_engine::walk::{Walk, walk};
use glassbox_engine::{Blocked, Graph, Keep, Mode, Params, Plan, RuleSet, Signals, Trace};
use glassbox_viz::histogram::{self, Histogram};
use glassbox_viz::tiles::FeatureMaps;
use glassbox_viz::weights::Kernels;
use ndarray::{Array3, ArrayViewD, Axis};

/// Layers whose output is their input, which already has its pictures.
const COPIES: [&str; 2] = ["dropout", "flatten"];
/// Bins of a histogram.
const BINS: usize = 40;

/// Draws dumps. All buffers are made once.
#[derive(Debug)]
pub struct Draftsman {
    graph: Graph,
    probe: Probe,
    what: What,
    layers: Vec<String>,
    loss: Box<dyn Loss<f32>>,
    index: Index,
    board: Option<Board>,
    trace: Trace<f32>,
    signals: Signals<f32>,
    gradients: Params<f32>,
}

impl Draftsman {
    /// For these images; `layers` empty for all that have pictures of their own.
    pub fn new(
        graph: &Graph,
        probe: Probe,
        what: What,
        layers: &[String],
        loss: Box<dyn Loss<f32>>,
        (index, board): (Index, Option<Board>),
    ) -> Self {
        let plan = Plan::with(graph, probe.len(), 1, Isa::detect(), Keep::Everything);
        let (mut trace, signals) = (plan.trace(graph), plan.signals(graph));
        for (i, image) in probe.input.axis_iter(Axis(0)).enumerate() {
            trace.input_mut().set_image(i, image);
        }
        let gradients = Params::zeros(graph.layout().clone());
        let (graph, layers) = (graph.clone(), layers.to_vec());
        Self { graph, probe, what, layers, loss, index, board, trace, signals, gradients }
    }

    /// Makes the dump of a moment, with the parameters of that moment.
    pub fn dump(&mut self, moment: &Moment, params: &Params<f32>) -> Result<()> {
        self.look(params)?;
        let mut files = Files::begin(&self.index.folder, moment, self.board.as_ref())?;
        let when = moment.words();
        files.layer("input", "input");
        methods::at_input(&mut files, self.what, &self.graph, params, &self.probe, &when)?;
        for (i, node) in self.graph.nodes().iter().enumerate() {
            let kind = node.layer.kind().name;
            let wanted = if self.layers.is_empty() {
                !COPIES.contains(&kind)
            } else {
                self.layers.contains(&node.name)
            };
            if !wanted {
                continue;
            }
            files.layer(&node.name, kind);
            let page = Page { from: self, params, slot: i + 1, name: &node.name, when: &when };
            page.maps(&mut files)?;
            page.kernels(&mut files)?;
            page.switches(&mut files)?;
            page.histograms(&mut files)?;
            let asked = !self.layers.is_empty();
            methods::at_layer(
                &mut files,
                self.what,
                &self.graph,
                params,
                &self.probe,
                (i + 1, asked),
                &when,
            )?;
        }
        files.finish(&mut self.index)
    }

    /// Runs the images through the net, and the loss's gradient back.
    fn look(&mut self, params: &Params<f32>) -> Result<()> {
        let graph = &self.graph;
        forward_into(graph, params, Mode::Eval, &mut self.trace);
        if !self.what.has("gradients") {
            return Ok(());
        }
        let from = graph.nodes().len();
        let seed = self.signals.seed_mut(graph, &self.trace, from);
        self.loss.cost(self.trace.output().view(), Targets::Classes(&self.probe.labels), Some(seed))?;
        let (rules, gradients) = (RuleSet::gradient(), Some(&mut self.gradients));
        let how = Walk { from, rules: &rules, gradients, to_input: true, through_softmax: true };
        Ok(walk(graph, params, &self.trace, &mut self.signals, how)?)
    }
}

/// One layer of a dump.
struct Page<'a> {
    from: &'a Draftsman,
    params: &'a Params<f32>,
    slot: usize,
    name: &'a str,
    when: &'a str,
}

impl Page<'_> {
    fn title(&self, what: &str, n: usize) -> String {
        format!("{what} after {}: {}", self.when, self.from.probe.name(n))
    }

    /// Activations, and the gradient by each.
    fn maps(&self, files: &mut Files<'_>) -> Result<()> {
        let what = self.from.what;
        if what.has("maps") {
            self.tiles(
                files,
                "maps",
                self.from.trace.slot(self.slot)?,
                &format!("{}, activations,", self.name),
            )?;
        }
        if let (true, Some(signal)) = (what.has("gradients"), self.from.signals.slot(self.slot)) {
            self.tiles(files, "gradients", signal, &format!("gradient of the loss by {}", self.name))?;
        }
        Ok(())
    }

    /// One picture an image, and one array of all.
    fn tiles(&self, files: &mut Files<'_>, name: &str, array: &Blocked<f32>, title: &str) -> Result<()> {
        for n in 0..self.from.probe.len() {
            let canvas = FeatureMaps::new(self.title(title, n), array.image(n)).draw()?;
            files.png(&self.numbered(name, n), &canvas)?;
        }
        files.npy(name, plain(array)?)
    }

    /// The first image's file has the plain name, others their place in the test set behind it.
    fn numbered(&self, name: &str, n: usize) -> String {
        if n == 0 { name.into() } else { format!("{name}-{}", self.from.probe.places[n]) }
    }

    /// Weights of convolutions, and the gradient by each.
    fn kernels(&self, files: &mut Files<'_>) -> Result<()> {
        let what = self.from.what;
        for (wanted, params, file, words) in [
            (what.has("kernels"), self.params, "kernels", "kernels"),
            (
                what.has("gradients"),
                &self.from.gradients,
                "kernel-gradients",
                "gradient of the loss by the kernels",
            ),
        ] {
            let weight =
                params.get(&format!("{}.weight", self.name)).ok().filter(|w| w.ndim() == 4 && wanted);
            let Some(weight) = weight else { continue };
            files.npy(file, weight.view())?;
            if let Ok(weight) = weight.into_dimensionality() {
                let title = format!("{words} of {} after {}", self.name, self.when);
                files.png(file, &Kernels::new(title, weight).draw()?)?;
            }
        }
        Ok(())
    }

    /// For a pool of maxima: how many windows took each cell of its input.
    fn switches(&self, files: &mut Files<'_>) -> Result<()> {
        let Ok(Saved::Switches(switches)) = self.from.trace.saved(self.name, "switches") else {
            return Ok(());
        };
        if !self.from.what.has("switches") {
            return Ok(());
        }
        let below = self.from.graph.shape(self.from.graph.nodes()[self.slot - 1].inputs[0]);
        for n in 0..self.from.probe.len() {
            let mut taken = Array3::<f32>::zeros((below.c, below.h, below.w));
            for ((c, _, _), &flat) in switches.image(n).indexed_iter() {
                taken[[c, flat as usize / below.w, flat as usize % below.w]] += 1.0;
            }
            let title = self.title(&format!("{}: how many windows took each cell,", self.name), n);
            files.png(&self.numbered("switches", n), &FeatureMaps::new(title, taken.view()).draw()?)?;
        }
        files.npy("switches", switches.to_exported().mapv(|v| v as f32).view())
    }

    /// Distributions of weights, activations and gradients; the array holds, for each, rows of (from, to, count).
    fn histograms(&self, files: &mut Files<'_>) -> Result<()> {
        if !self.from.what.has("histograms") {
            return Ok(());
        }
        let mut sets: Vec<(&str, ArrayViewD<'_, f32>)> =
            vec![("activations", plain(self.from.trace.slot(self.slot)?)?)];
        sets.extend(self.params.get(&format!("{}.weight", self.name)).ok().map(|w| ("weights", w)));
        if self.from.what.has("gradients") {
            let signal = self.from.signals.slot(self.slot).map(plain).transpose()?;
            sets.extend(signal.map(|s| ("gradient by the activations", s)));
            let weight = self.from.gradients.get(&format!("{}.weight", self.name)).ok();
            sets.extend(weight.map(|w| ("gradient by the weights", w)));
        }
        let all = sets.iter().map(|(title, values)| Ok(Histogram::of(*title, values, BINS, ends(values))?));
        let all = all.collect::<Result<Vec<Histogram>>>()?;
        let title = format!("{} after {}", self.name, self.when);
        files.put("histograms.svg", histogram::draw(&title, "value", &all).as_bytes())?;
        let array = Array3::from_shape_fn((all.len(), BINS, 3), |(set, bin, part)| match part {
            2 => all[set].counts[bin] as f32,
            edge => all[set].edges[bin + edge] as f32,
        });
        files.npy("histograms", array.into_dyn().view())
    }
}

/// The ends of the values, apart from each other.
fn ends(values: &ArrayViewD<'_, f32>) -> (f64, f64) {
    let facts = glassbox_viz::scale::Facts::of(values);
    let (low, high) = (f64::from(facts.min), f64::from(facts.max));
    if low < high { (low, high) } else { (low - 0.5, high + 0.5) }
}

/// A batch in blocks of one image as it is exported, without a copy.
fn plain(array: &Blocked<f32>) -> Result<ArrayViewD<'_, f32>> {
    let shape = array.shape().exported(array.batch());
    ArrayViewD::from_shape(shape, array.values())
        .map_err(|e| Error::Failed(format!("an array of {} does not lie image by image: {e}", array.shape())))
}
