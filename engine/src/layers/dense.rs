//! Dense layer: y = W x + b. Weights `[out, in]`, biases `[out]`, as in PyTorch.

use super::conv::params;
use super::options::Value;
use super::{
    Affine, At, Batch, Compute, Facts, Forward, Key, Kind, Layer, Needs, Role, ShapeError, Sight,
    in_both_types, product, single,
};
use crate::array::{Blocked, Shape, View};
use crate::kernels::DenseGeometry;
use crate::params::ParamViewsMut;
use crate::real::Real;
use std::sync::Arc;

/// Dense layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dense {
    /// Length of its output.
    pub out: usize,
    /// Whether it adds a bias per output.
    pub bias: bool,
}

impl Dense {
    /// `out` outputs, with bias.
    pub fn new(out: usize) -> Self {
        Self { out, bias: true }
    }

    fn geometry<R: Real>(&self, x: View<'_, R>) -> DenseGeometry {
        DenseGeometry { blocks: x.blocks(), lanes: x.lanes, inputs: x.shape.c, outputs: self.out }
    }
}

pub(super) static KIND: Kind = Kind {
    name: "dense",
    summary: "every output is a weighted sum of every input",
    keys: &[
        Key { name: "out", default: "", help: "number of outputs" },
        Key { name: "bias", default: "true", help: "add a bias per output" },
    ],
    joins: false,
    make: |o| Ok(Arc::new(Dense { out: o.size("out")?, bias: o.bool_or("bias", true)? })),
    examples: || {
        vec![
            (Arc::new(Dense::new(7)) as Arc<dyn Layer>, vec![Shape::vector(11)]),
            (Arc::new(Dense { out: 3, bias: false }), vec![Shape::vector(70)]),
        ]
    },
};

impl Layer for Dense {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn options(&self) -> Vec<(&'static str, Value)> {
        vec![("out", Value::Int(self.out as i64)), ("bias", Value::Bool(self.bias))]
    }

    fn infer(&self, inputs: &[Shape]) -> Result<Facts, ShapeError> {
        let shape = single(inputs)?;
        if !shape.flat {
            let problem = format!("it needs a vector, but its input is {shape}");
            return Err(ShapeError::new(problem, "put a flatten layer before it"));
        }
        Ok(Facts {
            params: params(vec![self.out, shape.c], self.bias.then_some(self.out), shape.c, self.out),
            macs: product(&[self.out, shape.c]) as u64,
            sight: Sight::Whole,
            ..Facts::plain(Shape::vector(self.out), Needs::INPUTS)
        })
    }

    in_both_types!();
}

impl<R: Real> Compute<R> for Dense {
    fn forward(&self, io: Forward<'_, R>) {
        let x = io.inputs.get(0);
        let (weight, bias, out) = (io.params.get(0), io.params.find(1), io.output.values_mut());
        (io.kernels.dense_forward)(&self.geometry(x), x.data, weight, bias, out, io.scratch);
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
        (at.kernels.dense_pull_weight)(&self.geometry(x), x.data, signal.data, dweight, dbias, scratch);
    }

    fn scratch(&self, inputs: &[Shape], batch: Batch) -> usize {
        let (blocks, lanes, inputs) = (batch.blocks(), batch.lanes, inputs[0].c);
        (batch.kernels::<R>().dense_scratch)(&DenseGeometry { blocks, lanes, inputs, outputs: self.out })
    }

    fn role(&self) -> Role<'_, R> {
        Role::Affine(self)
    }
}

impl<R: Real> Affine<R> for Dense {
    fn map(
        &self,
        at: &At<'_, R>,
        x: View<'_, R>,
        weight: &[R],
        bias: Option<&[R]>,
        out: &mut Blocked<R>,
        scratch: &mut [R],
    ) {
        (at.kernels.dense_forward)(&self.geometry(x), x.data, weight, bias, out.values_mut(), scratch);
    }

    fn transpose(
        &self,
        at: &At<'_, R>,
        y: View<'_, R>,
        weight: &[R],
        out: &mut Blocked<R>,
        scratch: &mut [R],
    ) {
        let g = self.geometry(out.view());
        (at.kernels.dense_pull)(&g, y.data, weight, out.values_mut(), scratch);
    }
}
