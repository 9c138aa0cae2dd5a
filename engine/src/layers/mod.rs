//! Layer kinds: hyper-parameters and arithmetic, no state. One file per kind, and one line in [`KINDS`].

pub mod options;
mod pointwise;

mod adaptive_avgpool;
mod add;
mod avgpool;
mod batchnorm;
mod concat;
mod conv;
mod conv_transpose;
mod dense;
mod dropout;
mod elu;
mod flatten;
mod gelu;
mod global_avgpool;
mod leaky_relu;
mod log_softmax;
mod lrn;
mod maxpool;
mod relu;
mod selu;
mod sigmoid;
mod silu;
mod softmax;
mod softplus;
mod softsign;
mod tanh;

pub use adaptive_avgpool::AdaptiveAvgPool;
pub use add::Add;
pub use avgpool::AvgPool;
pub use batchnorm::BatchNorm;
pub use concat::Concat;
pub use conv::Conv;
pub use conv_transpose::ConvTranspose;
pub use dense::Dense;
pub use dropout::Dropout;
pub use elu::Elu;
pub use flatten::Flatten;
pub use gelu::Gelu;
pub use global_avgpool::GlobalAvgPool;
pub use leaky_relu::LeakyRelu;
pub use log_softmax::LogSoftmax;
pub use lrn::Lrn;
pub use maxpool::{MaxPool, Overlap, unpool};
pub use relu::Relu;
pub use selu::Selu;
pub use sigmoid::Sigmoid;
pub use silu::Silu;
pub use softmax::Softmax;
pub use softplus::Softplus;
pub use softsign::Softsign;
pub use tanh::Tanh;

use crate::array::{Blocked, Shape, View};
use crate::kernels::planes::{Chain, Step, Then};
use crate::kernels::{Isa, Kernels};
use crate::params::{ParamDecl, ParamViews, ParamViewsMut};
use crate::real::Real;
use crate::trace::{Inputs, Mode, Saved, SavedDecl};
use crate::window::Window;
use options::{OptionError, Options, Value};
use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

/// Every kind, by name.
pub const KINDS: &[&Kind] = &[
    &adaptive_avgpool::KIND,
    &add::KIND,
    &avgpool::KIND,
    &batchnorm::KIND,
    &concat::KIND,
    &conv::KIND,
    &conv_transpose::KIND,
    &dense::KIND,
    &dropout::KIND,
    &elu::KIND,
    &flatten::KIND,
    &gelu::KIND,
    &global_avgpool::KIND,
    &leaky_relu::KIND,
    &log_softmax::KIND,
    &lrn::KIND,
    &maxpool::KIND,
    &relu::KIND,
    &selu::KIND,
    &sigmoid::KIND,
    &silu::KIND,
    &softmax::KIND,
    &softplus::KIND,
    &softsign::KIND,
    &tanh::KIND,
];

/// A layer with shapes of inputs that fit it.
pub type Example = (Arc<dyn Layer>, Vec<Shape>);

/// What is known of a layer kind without building one.
#[derive(Debug)]
pub struct Kind {
    /// Its name in model texts.
    pub name: &'static str,
    /// One line: what it does.
    pub summary: &'static str,
    /// Its keys in model texts.
    pub keys: &'static [Key],
    /// Whether it takes two inputs or more (named by `from`), instead of one.
    pub joins: bool,
    /// Reads the keys.
    pub make: fn(&mut Options) -> Result<Arc<dyn Layer>, OptionError>,
    /// Small instances with the shapes of their inputs; every suite that runs over all kinds uses them.
    pub examples: fn() -> Vec<Example>,
}

/// A key of a layer kind.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its default as written, or "" where it must be given.
    pub default: &'static str,
    /// What it means.
    pub help: &'static str,
}

/// What a layer does to shapes, and what it needs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Shape of its output.
    pub output: Shape,
    /// Its parameters.
    pub params: Vec<ParamDecl>,
    /// Arrays that it saves.
    pub saved: Vec<SavedDecl>,
    /// Multiply-adds per image, padding counted.
    pub macs: u64,
    /// How far a unit sees.
    pub sight: Sight,
    /// What its pull-back reads.
    pub needs: Needs,
    /// What it does to one plane, where it looks at one at a time and no more is to be known than a kernel can be told:
    /// such layers in a row go plane by plane through all of them.
    pub plane: Option<Step>,
    /// Whether it runs [`Forward::then`], which only such a layer is given.
    pub feeds: bool,
    /// Whether the images of a batch see each other in training; what they do not share, blocks of them can do apart.
    pub mixes: bool,
}

impl Facts {
    /// Facts of a layer without parameters that looks at one place at a time.
    pub fn plain(output: Shape, needs: Needs) -> Self {
        Self {
            output,
            params: Vec::new(),
            saved: Vec::new(),
            macs: 0,
            sight: Sight::Point,
            needs,
            plane: None,
            feeds: false,
            mixes: false,
        }
    }
}

/// How far a unit of a layer sees in its input plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Its own place.
    Point,
    /// A window.
    Window(Window),
    /// What a transposed window reaches.
    Transposed(Window),
    /// Everything.
    Whole,
}

/// What the pull-back of a layer reads of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Its inputs.
    pub inputs: bool,
    /// Its output.
    pub output: bool,
}

impl Needs {
    /// Neither.
    pub const NOTHING: Self = Self { inputs: false, output: false };
    /// Its inputs only.
    pub const INPUTS: Self = Self { inputs: true, output: false };
    /// Its output only.
    pub const OUTPUT: Self = Self { inputs: false, output: true };
}

/// Shapes that do not fit a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError {
    /// What does not fit, with the numbers.
    pub problem: String,
    /// What to change.
    pub cure: String,
}

impl ShapeError {
    /// A problem and its cure.
    pub fn new(problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { problem: problem.into(), cure: cure.into() }
    }
}

/// A layer: hyper-parameters, and no state.
pub trait Layer: Debug + Send + Sync + Any {
    /// Its kind.
    fn kind(&self) -> &'static Kind;

    /// Its keys with their values, as in a model text.
    fn options(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// What it does to shapes. Errors: shapes that do not fit; everything that could fail later is checked here.
    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError>;

    /// Its arithmetic in single precision.
    fn f32(&self) -> &dyn Compute<f32>;

    /// Its arithmetic in double precision.
    fn f64(&self) -> &dyn Compute<f64>;
}

/// A layer's arithmetic in one number type. Nothing here can fail: [`Layer::infer`] has checked the shapes.
pub trait Compute<R: Real>: Layer {
    /// Writes the output and the saved arrays.
    fn forward(&self, io: Forward<'_, R>);

    /// Pulls a signal at the output back to the inputs, J^T signal at the trace; overwrites `out`, one per input.
    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], scratch: &mut [R]);

    /// Writes the gradients of its parameters.
    fn pull_params(&self, _: &At<'_, R>, _: View<'_, R>, _: ParamViewsMut<'_, R>, _: &mut [R]) {}

    /// Moves running statistics by what the forward pass saved; called by the trainer, never by a forward pass.
    fn fold_statistics(&self, _: Inputs<'_, R>, _: &[Saved<R>], _: ParamViewsMut<'_, R>) {}

    /// Scratch values that forward, pull or pull_params need at most.
    fn scratch(&self, _: &[Shape], _: Batch) -> usize {
        0
    }

    /// What rules may know about this layer.
    fn role(&self) -> Role<'_, R>;
}

/// The size of a batch as kernels see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Images.
    pub n: usize,
    /// Images per block.
    pub lanes: usize,
    /// Instruction set.
    pub isa: Isa,
    /// Whether convolutions keep to the direct kernels.
    pub exact: bool,
}

impl Batch {
    /// Blocks of images.
    pub fn blocks(&self) -> usize {
        self.n.div_ceil(self.lanes)
    }

    /// The kernels that it runs on.
    pub fn kernels<R: Real>(&self) -> &'static Kernels<R> {
        R::kernels(self.isa, self.exact)
    }
}

/// What a layer is given to run forward.
#[derive(Debug)]
pub struct Forward<'a, R: Real> {
    /// Its inputs.
    pub inputs: Inputs<'a, R>,
    /// Its output, to be overwritten.
    pub output: &'a mut Blocked<R>,
    /// Its saved arrays, to be overwritten, in declared order.
    pub saved: &'a mut [Saved<R>],
    /// Its parameters, in declared order.
    pub params: ParamViews<'a, R>,
    /// How the net runs.
    pub mode: Mode,
    /// Key of the layer's own random streams.
    pub key: u64,
    /// Place of the first image in the batch that the net runs on, of which this may be a part.
    pub first: usize,
    /// The kernels to use.
    pub kernels: &'static Kernels<R>,
    /// Scratch, at least as large as [`Compute::scratch`] says.
    pub scratch: &'a mut [R],
    /// The layers above that go on with each plane of the output as soon as it is written.
    pub then: Option<Then<'a, R>>,
}

/// A layer's place in a trace: everything that a pull-back or a rule may read.
#[derive(Clone, Copy, Debug)]
pub struct At<'a, R: Real> {
    /// Its name.
    pub name: &'a str,
    /// The layer.
    pub layer: &'a dyn Compute<R>,
    /// Its inputs.
    pub inputs: Inputs<'a, R>,
    /// Its output.
    pub output: View<'a, R>,
    /// Its saved arrays, in declared order.
    pub saved: &'a [Saved<R>],
    /// Its parameters, in declared order.
    pub params: ParamViews<'a, R>,
    /// How the net ran.
    pub mode: Mode,
    /// The kernels to use.
    pub kernels: &'static Kernels<R>,
}

/// The vocabulary between layers and rules; closed and small.
#[derive(Debug)]
pub enum Role<'a, R: Real> {
    /// A linear map plus bias: convolution, dense, transposed convolution.
    Affine(&'a dyn Affine<R>),
    /// max(x, 0).
    Rectifier,
    /// Another function of each value.
    Pointwise(&'a dyn Pointwise<R>),
    /// Each output is one of the inputs, named by switches.
    Select,
    /// Each output is a mean of inputs.
    Average,
    /// A scale and a shift per channel (batch-norm).
    Rescale,
    /// Divides by a local norm (local response normalisation).
    Normalize,
    /// Values move, unchanged: flatten, dropout in evaluation.
    Wire,
    /// Sums its inputs.
    Sum,
    /// Lays its inputs side by side.
    Concat,
    /// Probabilities, or their logarithms, over channels.
    Softmax,
}

/// A linear layer with parameters that a rule may substitute.
pub trait Affine<R: Real>: Debug {
    /// out = map of `x` with these weights and biases.
    fn map(
        &self,
        at: &At<'_, R>,
        x: View<'_, R>,
        weight: &[R],
        bias: Option<&[R]>,
        out: &mut Blocked<R>,
        scratch: &mut [R],
    );

    /// out = the transposed map, without biases, of `y`.
    fn transpose(
        &self,
        at: &At<'_, R>,
        y: View<'_, R>,
        weight: &[R],
        out: &mut Blocked<R>,
        scratch: &mut [R],
    );
}

/// A function of single values.
pub trait Pointwise<R: Real>: Debug {
    /// f(x).
    fn value(&self, x: R) -> R;
    /// f'(x), given x and f(x).
    fn slope(&self, x: R, y: R) -> R;
}

/// Implements the two type-erased accessors of [`Layer`] for a layer that computes in both types.
macro_rules! in_both_types {
    () => {
        fn f32(&self) -> &dyn $crate::layers::Compute<f32> {
            self
        }
        fn f64(&self) -> &dyn $crate::layers::Compute<f64> {
            self
        }
    };
}
pub(crate) use in_both_types;

/// The switches, where they are all that a layer saves.
pub(crate) fn switches<R: Real>(saved: &[Saved<R>]) -> Option<&[u32]> {
    match saved {
        [Saved::Switches(switches)] => Some(switches.values()),
        _ => None,
    }
}

/// The switches, to be written, where they are all that a layer saves.
pub(crate) fn switches_mut<R: Real>(saved: &mut [Saved<R>]) -> Option<&mut [u32]> {
    match saved {
        [Saved::Switches(switches)] => Some(switches.values_mut()),
        _ => None,
    }
}

/// Runs a layer that is one plane-by-plane step.
fn forward_planes<R: Real>(step: Step, io: Forward<'_, R>) {
    let x = io.inputs.get(0);
    let chain = Chain::new(x.blocks() * x.shape.c, x.lanes);
    let chain = chain.forward(step, io.output.values_mut(), switches_mut(io.saved));
    chain.run_forward(&io.kernels.planes, x.data);
}

/// The pull-back of such a layer.
fn pull_planes<R: Real>(step: Step, at: &At<'_, R>, signal: View<'_, R>, out: &mut Blocked<R>) {
    let chain = Chain::new(signal.blocks() * out.shape().c, signal.lanes);
    let chain = chain.pull(step, at.output.data, switches(at.saved), out.values_mut());
    chain.run_pull(&at.kernels.planes, signal.data);
}

/// The kind of that name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.name == name)
}

/// Exactly one input, or an error that says so.
fn single(inputs: &[Shape]) -> Result<Shape, ShapeError> {
    match inputs {
        [one] => Ok(*one),
        _ => Err(ShapeError::new(
            format!("it takes one input, not {}", inputs.len()),
            "name one layer in `from`, or join them with an add or concat layer first",
        )),
    }
}

/// Maps, not a vector, or an error that says so.
fn maps(inputs: &[Shape]) -> Result<Shape, ShapeError> {
    let shape = single(inputs)?;
    if shape.flat {
        let problem =
            format!("it needs maps (channels x height x width), but its input is a vector of {}", shape.c);
        return Err(ShapeError::new(problem, "move it above the flatten layer"));
    }
    Ok(shape)
}

/// The product, or the largest number where it is too large: shapes are checked after they are worked out.
fn product(factors: &[usize]) -> usize {
    factors.iter().fold(1, |product, &factor| product.saturating_mul(factor))
}

/// The window's output on this input, or an error with the numbers.
fn slide(window: &Window, input: Shape) -> Result<[usize; 2], ShapeError> {
    window.output(input.spatial()).ok_or_else(|| {
        let [kh, kw] = [window.span(0), window.span(1)];
        let pad = if window.pad[0] == window.pad[1] {
            window.pad[0].to_string()
        } else {
            format!("{}x{}", window.pad[0], window.pad[1])
        };
        ShapeError::new(
            format!("kernel {kh}x{kw} does not fit its input {}x{} (pad {pad})", input.h, input.w),
            "lower the kernel or add pad",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_alphabetical_and_every_file_is_listed() {
        let names: Vec<_> = KINDS.iter().map(|k| k.name).collect();
        assert!(names.is_sorted(), "{names:?}");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/layers");
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let stem = name.trim_end_matches(".rs");
            assert!(
                ["mod", "options", "pointwise"].contains(&stem) || names.contains(&stem),
                "{stem} is not listed"
            );
        }
    }

    #[test]
    fn every_kind_has_examples_that_fit() {
        for kind in KINDS {
            let examples = (kind.examples)();
            assert!(!examples.is_empty(), "{}", kind.name);
            for (layer, inputs) in examples {
                assert_eq!(layer.kind().name, kind.name);
                assert!(layer.infer(&inputs).is_ok(), "{layer:?} {inputs:?}");
            }
        }
    }
}
