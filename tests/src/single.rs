//! One layer on its own, outside a graph, every buffer filled with NaN before each call: what a layer forgets to write,
//! or reads before writing, shows.

use crate::compare::{blocked, wide};
use glassbox_engine::kernels::Isa;
use glassbox_engine::layers::{At, Batch, Compute, Facts, Forward, Layer};
use glassbox_engine::params::Layout;
use glassbox_engine::trace::{Inputs, Mode, Saved};
use glassbox_engine::{Blocked, Params, Real};
use ndarray::ArrayD;
use std::sync::Arc;

/// How a layer is run.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Images per block.
    pub lanes: usize,
    /// Training or evaluation.
    pub mode: Mode,
    /// Instruction set.
    pub isa: Isa,
    /// What the padding images of the inputs hold.
    pub padding: f64,
}

impl Setting {
    /// Evaluation on the fastest instruction set, zeros in the padding.
    pub fn eval(lanes: usize) -> Self {
        Self { lanes, mode: Mode::Eval, isa: Isa::detect(), padding: 0.0 }
    }

    /// Training on the fastest instruction set, zeros in the padding.
    pub fn train(lanes: usize) -> Self {
        Self { mode: Mode::Train { seed: 5, step: 3 }, ..Self::eval(lanes) }
    }
}

/// Both numbers of lanes on every instruction set that this machine has.
pub fn settings(mode: Mode) -> Vec<Setting> {
    let isas = Isa::ALL.iter().copied().filter(|isa| isa.available());
    isas.flat_map(|isa| [1, 16].map(|lanes| Setting { lanes, mode, isa, padding: 0.0 })).collect()
}

/// Mode of a training step.
pub const TRAIN: Mode = Mode::Train { seed: 5, step: 3 };

/// A layer that has run.
#[derive(Debug)]
pub struct Single<R: Real> {
    layer: Arc<dyn Layer>,
    which: Vec<usize>,
    inputs: Vec<Blocked<R>>,
    setting: Setting,
    scratch: usize,
    /// What it does to shapes.
    pub facts: Facts,
    /// Its parameters, under `layer.<name>`.
    pub params: Params<R>,
    /// Its output.
    pub output: Blocked<R>,
    /// What it saved.
    pub saved: Vec<Saved<R>>,
}

/// Parameters for a layer, `value(name, sizes)` each.
pub fn params<R: Real>(facts: &Facts, value: impl Fn(&str, &[usize]) -> ArrayD<f64>) -> Params<R> {
    let layout = Layout::new([("layer", &facts.params[..])]);
    let mut params = Params::zeros(Arc::new(layout));
    for decl in &facts.params {
        let value = value(decl.name, &decl.dims).mapv(R::of);
        params.set(&format!("layer.{}", decl.name), value.view()).unwrap_or_else(|e| panic!("{e}"));
    }
    params
}

/// Small parameters that differ from one another; scales and variances are positive.
pub fn some_params<R: Real>(facts: &Facts) -> Params<R> {
    params(facts, |name, dims| {
        let values = crate::compare::shuffled(dims, name.len());
        if name == "running_var" { values.mapv(|v| v + 1.5) } else { values.mapv(|v| 0.6 * v + 0.1) }
    })
}

/// Sets the padding images of the last block.
pub fn fill_padding<R: Real>(array: &mut Blocked<R>, value: f64) {
    let (n, lanes, size) = (array.batch(), array.lanes(), array.shape().size());
    let real = n % lanes;
    if real > 0 {
        let last = &mut array.values_mut()[n / lanes * size * lanes..];
        last.chunks_exact_mut(lanes).for_each(|group| group[real..].fill(R::of(value)));
    }
}

impl<R: Real> Single<R> {
    /// Runs a layer on inputs as exported.
    pub fn run(layer: &Arc<dyn Layer>, inputs: &[ArrayD<f64>], params: &Params<R>, setting: Setting) -> Self {
        let mut inputs: Vec<Blocked<R>> = inputs.iter().map(|x| blocked(x, setting.lanes)).collect();
        inputs.iter_mut().for_each(|x| fill_padding(x, setting.padding));
        let shapes: Vec<_> = inputs.iter().map(Blocked::shape).collect();
        let facts = layer.infer(&shapes).unwrap_or_else(|e| panic!("{layer:?}: {e:?}"));
        let batch = Batch { n: inputs[0].batch(), lanes: setting.lanes, isa: setting.isa, exact: true };
        let mut output = Blocked::zeros(facts.output, batch.n, batch.lanes);
        output.fill(R::nan());
        let saved = facts.saved.iter().map(|s| poisoned(Saved::new(s.kind, batch.n, batch.lanes))).collect();
        let scratch = R::compute(&**layer).scratch(&shapes, batch);
        let which = (0..inputs.len()).collect();
        let params = params.clone();
        let mut single =
            Self { layer: layer.clone(), which, inputs, setting, scratch, facts, params, output, saved };
        single.forward();
        single
    }

    fn forward(&mut self) {
        R::compute(&*self.layer).forward(Forward {
            inputs: Inputs::new(&self.inputs, &self.which),
            output: &mut self.output,
            saved: &mut self.saved,
            params: self.params.of_layer(0),
            mode: self.setting.mode,
            key: 77,
            first: 0,
            kernels: R::kernels(self.setting.isa, true),
            scratch: &mut vec![R::nan(); self.scratch],
            then: None,
        });
    }

    /// The layer's arithmetic.
    pub fn compute(&self) -> &dyn Compute<R> {
        R::compute(&*self.layer)
    }

    /// Its place, for pull-backs and rules.
    pub fn at(&self) -> At<'_, R> {
        At {
            name: "layer",
            layer: self.compute(),
            inputs: Inputs::new(&self.inputs, &self.which),
            output: self.output.view(),
            saved: &self.saved,
            params: self.params.of_layer(0),
            mode: self.setting.mode,
            kernels: R::kernels(self.setting.isa, true),
        }
    }

    /// The output, as exported.
    pub fn y(&self) -> ArrayD<f64> {
        wide(&self.output)
    }

    /// The pull-back of a signal at the output, padding images included.
    pub fn pull_blocked(&self, signal: &Blocked<R>) -> Vec<Blocked<R>> {
        let mut out: Vec<Blocked<R>> = self.inputs.clone();
        out.iter_mut().for_each(|x| x.fill(R::nan()));
        self.compute().pull(&self.at(), signal.view(), &mut out, &mut vec![R::nan(); self.scratch]);
        out
    }

    /// The pull-back of a signal at the output, as exported, one array per input.
    pub fn pull(&self, signal: &ArrayD<f64>) -> Vec<ArrayD<f64>> {
        self.pull_blocked(&blocked(signal, self.setting.lanes)).iter().map(wide).collect()
    }

    /// Gradients of the learnable parameters; NaN where the layer writes none.
    pub fn pull_params(&self, signal: &ArrayD<f64>) -> Params<R> {
        let mut grads = self.params.clone();
        grads.slab_mut().fill(R::nan());
        let signal = blocked(signal, self.setting.lanes);
        let mut scratch = vec![R::nan(); self.scratch];
        self.compute().pull_params(&self.at(), signal.view(), grads.of_layer_mut(0), &mut scratch);
        grads
    }

    /// The parameters after running statistics have moved.
    pub fn folded(&self) -> Params<R> {
        let mut params = self.params.clone();
        let inputs = Inputs::new(&self.inputs, &self.which);
        self.compute().fold_statistics(inputs, &self.saved, params.of_layer_mut(0));
        params
    }
}

fn poisoned<R: Real>(mut saved: Saved<R>) -> Saved<R> {
    match &mut saved {
        Saved::Switches(a) => a.fill(u32::MAX),
        Saved::Mask(a) => a.fill(u8::MAX),
        Saved::Values(a) => a.fill(R::nan()),
        Saved::Channels(a) => a.fill(R::nan()),
    }
    saved
}

/// A parameter or its gradient in double precision, by its short name.
pub fn param<R: Real>(params: &Params<R>, name: &str) -> ArrayD<f64> {
    params.copy(&format!("layer.{name}")).unwrap_or_else(|e| panic!("{e}")).mapv(Real::wide)
}
