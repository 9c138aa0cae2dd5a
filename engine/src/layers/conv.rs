//! Convolution (cross-correlation): y[o,i,j] = b[o] + sum_{c,u,v} W[o,c,u,v] x[c, i s - p + u d, j s - p + v d].
//!
//! Output size floor((H + 2p - d(k-1) - 1)/s) + 1. Weights `[out, in/groups, kh, kw]`, biases `[out]`, as in PyTorch.

use super::options::{OptionError, Value, pad_value};
use super::{
    Affine, At, Batch, Compute, Facts, Forward, Key, Kind, Layer, Needs, Role, ShapeError, Sight,
    in_both_types, maps, product, slide,
};
use crate::array::{Blocked, Shape, View};
use crate::kernels::ConvGeometry;
use crate::params::{ParamDecl, ParamRole, ParamViewsMut};
use crate::real::Real;
use crate::window::Window;
use std::sync::Arc;

/// Convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conv {
    /// Output channels.
    pub out: usize,
    /// The sliding window.
    pub window: Window,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Whether it adds a bias per output channel.
    pub bias: bool,
}

impl Conv {
    /// `out` channels, a square kernel, stride 1, no padding, with bias.
    pub fn new(out: usize, kernel: usize) -> Self {
        Self { out, window: Window::new([kernel; 2]), groups: 1, bias: true }
    }

    /// With padding on all sides.
    pub fn pad(mut self, pad: usize) -> Self {
        (self.window.pad, self.window.pad_end) = ([pad; 2], [pad; 2]);
        self
    }

    /// With a stride.
    pub fn stride(mut self, stride: usize) -> Self {
        self.window.stride = [stride; 2];
        self
    }

    /// In groups of channels.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Without biases.
    pub fn without_bias(mut self) -> Self {
        self.bias = false;
        self
    }

    fn geometry(&self, input: Shape, batch: Batch) -> ConvGeometry {
        ConvGeometry {
            blocks: batch.blocks(),
            lanes: batch.lanes,
            c_in: input.c,
            c_out: self.out,
            groups: self.groups,
            input: input.spatial(),
            output: self.window.output(input.spatial()).unwrap_or([0; 2]),
            window: self.window,
        }
    }

    fn geometry_of<R: Real>(&self, x: View<'_, R>) -> ConvGeometry {
        self.geometry(
            x.shape,
            Batch { n: x.n, lanes: x.lanes, isa: crate::kernels::Isa::Portable, exact: true },
        )
    }
}

pub(super) static KIND: Kind = Kind {
    name: "conv",
    summary: "convolution with kernels that slide over the maps",
    keys: &[
        Key { name: "out", default: "", help: "output channels" },
        Key { name: "kernel", default: "", help: "rows and columns of a kernel: a number or [h, w]" },
        Key { name: "stride", default: "1", help: "step between outputs: a number or [h, w]" },
        Key {
            name: "pad",
            default: "0",
            help: "zeros around the input: a number, [h, w] or [top, left, bottom, right]",
        },
        Key { name: "dilation", default: "1", help: "distance between taps: a number or [h, w]" },
        Key { name: "groups", default: "1", help: "groups of channels that do not see each other" },
        Key { name: "bias", default: "true", help: "add a bias per output channel" },
    ],
    joins: false,
    make: |o| {
        let out = o.size("out")?;
        let kernel = o.pair("kernel", 1)?;
        let stride = o.pair_or("stride", 1, [1; 2])?;
        let (pad, pad_end) = o.pad()?;
        let dilation = o.pair_or("dilation", 1, [1; 2])?;
        let groups = o.size_or("groups", 1)?;
        let bias = o.bool_or("bias", true)?;
        if !out.is_multiple_of(groups) {
            let problem = format!("out = {out} does not divide into {groups} groups");
            return Err(OptionError::new("groups", problem, "make out a multiple of groups"));
        }
        let window = Window { kernel, stride, pad, pad_end, dilation, ceil: false };
        Ok(Arc::new(Conv { out, window, groups, bias }))
    },
    examples: || {
        let odd = Window {
            kernel: [3, 2],
            stride: [2, 1],
            pad: [1, 0],
            pad_end: [1, 0],
            dilation: [1, 2],
            ceil: false,
        };
        vec![
            (Arc::new(Conv::new(5, 3).pad(1)) as Arc<dyn Layer>, vec![Shape::maps(3, 6, 5)]),
            (Arc::new(Conv { out: 4, window: odd, groups: 2, bias: false }), vec![Shape::maps(2, 7, 6)]),
        ]
    },
};

impl Layer for Conv {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn options(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("out", Value::Int(self.out as i64)),
            ("kernel", Value::pair(self.window.kernel)),
            ("stride", Value::pair(self.window.stride)),
            ("pad", pad_value(&self.window)),
            ("dilation", Value::pair(self.window.dilation)),
            ("groups", Value::Int(self.groups as i64)),
            ("bias", Value::Bool(self.bias)),
        ]
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        let shape = maps(inputs)?;
        divides(shape.c, self.out, self.groups)?;
        let [h, w] = slide(&self.window, shape)?;
        let [kh, kw] = self.window.kernel;
        let ci = shape.c / self.groups;
        Ok(Facts {
            params: params(
                vec![self.out, ci, kh, kw],
                self.bias.then_some(self.out),
                product(&[ci, kh, kw]),
                product(&[self.out / self.groups, kh, kw]),
            ),
            macs: product(&[self.out, h, w, ci, kh, kw]) as u64,
            sight: Sight::Window(self.window),
            feeds: true,
            ..Facts::plain(Shape::maps(self.out, h, w), Needs::INPUTS)
        })
    }

    in_both_types!();
}

/// Refuses channels that do not divide into groups.
pub(super) fn divides(inputs: usize, outputs: usize, groups: usize) -> Result<(), ShapeError> {
    if groups > 0 && inputs.is_multiple_of(groups) && outputs.is_multiple_of(groups) {
        return Ok(());
    }
    let problem = format!("{inputs} input and {outputs} output channels do not divide into {groups} groups");
    Err(ShapeError::new(problem, "make both multiples of groups"))
}

/// The declarations of weights and biases.
pub(super) fn params(dims: Vec<usize>, bias: Option<usize>, fan_in: usize, fan_out: usize) -> Vec<ParamDecl> {
    let mut decls = vec![ParamDecl { name: "weight", dims, role: ParamRole::Weight, fan_in, fan_out }];
    decls.extend(bias.map(|out| ParamDecl {
        name: "bias",
        dims: vec![out],
        role: ParamRole::Bias,
        fan_in,
        fan_out,
    }));
    decls
}

impl<R: Real> Compute<R> for Conv {
    fn forward(&self, io: Forward<'_, R>) {
        let x = io.inputs.get(0);
        let g = self.geometry_of(x);
        let out = io.output.values_mut();
        let (weight, bias) = (io.params.get(0), io.params.find(1));
        (io.kernels.conv_forward)(&g, x.data, weight, bias, out, io.scratch, io.then);
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], scratch: &mut [R]) {
        self.transpose(at, signal, at.params.get(0), &mut out[0], scratch);
    }

    fn pull_params(
        &self,
        at: &At<'_, R>,
        signal: View<'_, R>,
        mut grads: ParamViewsMut<'_, R>,
        scratch: &mut [R],
    ) {
        let x = at.inputs.get(0);
        let (dweight, dbias) = grads.first_two();
        (at.kernels.conv_pull_weight)(&self.geometry_of(x), x.data, signal.data, dweight, dbias, scratch);
    }

    fn scratch(&self, inputs: &[Shape], batch: Batch) -> usize {
        (batch.kernels::<R>().conv_scratch)(&self.geometry(inputs[0], batch))
    }

    fn role(&self) -> Role<'_, R> {
        Role::Affine(self)
    }
}

impl<R: Real> Affine<R> for Conv {
    fn map(
        &self,
        at: &At<'_, R>,
        x: View<'_, R>,
        weight: &[R],
        bias: Option<&[R]>,
        out: &mut Blocked<R>,
        scratch: &mut [R],
    ) {
        (at.kernels.conv_forward)(
            &self.geometry_of(x),
            x.data,
            weight,
            bias,
            out.values_mut(),
            scratch,
            None,
        );
    }

    fn transpose(
        &self,
        at: &At<'_, R>,
        y: View<'_, R>,
        weight: &[R],
        out: &mut Blocked<R>,
        scratch: &mut [R],
    ) {
        let g = self.geometry_of(out.view());
        (at.kernels.conv_pull)(&g, y.data, weight, out.values_mut(), scratch);
    }
}
