//! Transposed convolution: the adjoint of a convolution used as a map, plus bias.
//!
//! Output size (i-1) s - 2p + d(k-1) + 1 + output_pad. Weights `[in, out / groups, kh, kw]`, biases `[out]`, as in PyTorch. Its arithmetic
//! is that of the convolution whose input is this layer's output.

use super::conv::{self, params};
use super::options::{OptionError, Value, pad_value};
use super::{
    Affine, At, Batch, Compute, Facts, Forward, Key, Kind, Layer, Needs, Role, ShapeError, Sight,
    in_both_types, maps, product,
};
use crate::array::{Blocked, Shape, View};
use crate::kernels::{ConvGeometry, Isa, conv as kernel, par};
use crate::params::ParamViewsMut;
use crate::real::Real;
use crate::window::Window;
use std::sync::Arc;

/// Transposed convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvTranspose {
    /// Output channels.
    pub out: usize,
    /// The window of the convolution that it transposes.
    pub window: Window,
    /// Rows and columns added at the end of the output, where the size would be ambiguous.
    pub output_pad: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Whether it adds a bias per output channel.
    pub bias: bool,
}

impl ConvTranspose {
    fn geometry(&self, input: Shape, batch: Batch) -> ConvGeometry {
        ConvGeometry {
            blocks: batch.blocks(),
            lanes: batch.lanes,
            c_in: self.out,
            c_out: input.c,
            groups: self.groups,
            input: self.window.transposed_output(input.spatial(), self.output_pad).unwrap_or([0; 2]),
            output: input.spatial(),
            window: self.window,
        }
    }

    fn geometry_of<R: Real>(&self, x: View<'_, R>) -> ConvGeometry {
        self.geometry(x.shape, Batch { n: x.n, lanes: x.lanes, isa: Isa::Portable, exact: true })
    }
}

pub(super) static KIND: Kind = Kind {
    name: "conv_transpose",
    summary: "transposed convolution: spreads each input over a window",
    keys: &[
        Key { name: "out", default: "", help: "output channels" },
        Key { name: "kernel", default: "", help: "rows and columns of a kernel: a number or [h, w]" },
        Key { name: "stride", default: "1", help: "step between windows in the output: a number or [h, w]" },
        Key { name: "pad", default: "0", help: "rows and columns cut off around the output" },
        Key { name: "output_pad", default: "0", help: "rows and columns added at the end of the output" },
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
        let output_pad = o.pair_or("output_pad", 0, [0; 2])?;
        let dilation = o.pair_or("dilation", 1, [1; 2])?;
        let groups = o.size_or("groups", 1)?;
        let bias = o.bool_or("bias", true)?;
        if !out.is_multiple_of(groups) {
            let problem = format!("out = {out} does not divide into {groups} groups");
            return Err(OptionError::new("groups", problem, "make out a multiple of groups"));
        }
        if (0..2).any(|a| output_pad[a] >= stride[a].max(1) && output_pad[a] > 0) {
            let problem = format!("output_pad {output_pad:?} is not below stride {stride:?}");
            return Err(OptionError::new("output_pad", problem, "lower output_pad or raise stride"));
        }
        let window = Window { stride, pad, pad_end, dilation, ..Window::new(kernel) };
        Ok(Arc::new(ConvTranspose { out, window, output_pad, groups, bias }))
    },
    examples: || {
        let window = Window { stride: [2, 1], pad: [1, 0], pad_end: [1, 0], ..Window::new([3, 2]) };
        let layer = ConvTranspose { out: 3, window, output_pad: [1, 0], groups: 1, bias: true };
        let wide = Window { dilation: [2, 3], ..window };
        let grouped = ConvTranspose { out: 6, window: wide, groups: 2, bias: false, ..layer };
        vec![
            (Arc::new(layer) as Arc<dyn Layer>, vec![Shape::maps(4, 5, 6)]),
            (Arc::new(grouped), vec![Shape::maps(4, 3, 4)]),
        ]
    },
};

impl Layer for ConvTranspose {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn options(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("out", Value::Int(self.out as i64)),
            ("kernel", Value::pair(self.window.kernel)),
            ("stride", Value::pair(self.window.stride)),
            ("pad", pad_value(&self.window)),
            ("output_pad", Value::pair(self.output_pad)),
            ("dilation", Value::pair(self.window.dilation)),
            ("groups", Value::Int(self.groups as i64)),
            ("bias", Value::Bool(self.bias)),
        ]
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        let shape = maps(inputs)?;
        conv::divides(shape.c, self.out, self.groups)?;
        let output = self.window.transposed_output(shape.spatial(), self.output_pad);
        let [h, w] = output.ok_or_else(|| {
            let problem = format!(
                "pad {:?} cuts away its whole output (input {}x{})",
                self.window.pad, shape.h, shape.w
            );
            ShapeError::new(problem, "lower pad or raise the kernel")
        })?;
        let ([kh, kw], per_group) = (self.window.kernel, self.out / self.groups);
        Ok(Facts {
            params: params(
                vec![shape.c, per_group, kh, kw],
                self.bias.then_some(self.out),
                product(&[per_group, kh, kw]),
                product(&[shape.c / self.groups, kh, kw]),
            ),
            macs: product(&[shape.size(), per_group, kh, kw]) as u64,
            sight: Sight::Transposed(self.window),
            ..Facts::plain(Shape::maps(self.out, h, w), Needs::INPUTS)
        })
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for ConvTranspose {
    fn forward(&self, io: Forward<'_, R>) {
        let x = io.inputs.get(0);
        (io.kernels.conv_pull)(
            &self.geometry_of(x),
            x.data,
            io.params.get(0),
            io.output.values_mut(),
            io.scratch,
        );
        add_bias(io.params.find(1), io.output);
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
        (at.kernels.conv_pull_weight)(&self.geometry_of(x), signal.data, x.data, dweight, None, scratch);
        if let Some(dbias) = dbias {
            kernel::bias(signal.data, signal.blocks(), signal.shape.plane() * signal.lanes, dbias);
        }
    }

    fn scratch(&self, inputs: &[Shape], batch: Batch) -> usize {
        (batch.kernels::<R>().conv_scratch)(&self.geometry(inputs[0], batch))
    }

    fn role(&self) -> Role<'_, R> {
        Role::Affine(self)
    }
}

impl<R: Real> Affine<R> for ConvTranspose {
    fn map(
        &self,
        at: &At<'_, R>,
        x: View<'_, R>,
        weight: &[R],
        bias: Option<&[R]>,
        out: &mut Blocked<R>,
        scratch: &mut [R],
    ) {
        (at.kernels.conv_pull)(&self.geometry_of(x), x.data, weight, out.values_mut(), scratch);
        add_bias(bias, out);
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
        (at.kernels.conv_forward)(&g, y.data, weight, None, out.values_mut(), scratch, None);
    }
}

fn add_bias<R: Real>(bias: Option<&[R]>, out: &mut Blocked<R>) {
    let Some(bias) = bias else { return };
    let plane = out.shape().plane() * out.lanes();
    par::chunks(out.values_mut(), plane, |job, y| {
        let bias = bias[job % bias.len()];
        y.iter_mut().for_each(|y| *y += bias);
    });
}
