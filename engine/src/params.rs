//! What a net learned: every parameter in one slab, under PyTorch's names.
//!
//! The learnable ones lie in front, running statistics behind them, each at a 64-byte boundary. Gradients and optimiser
//! moments use the same layout, so an optimiser is one loop over slices.

use crate::array::Aligned;
use crate::error::{Error, Result};
use crate::real::Real;
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use std::collections::HashMap;
use std::sync::Arc;

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamRole {
    /// Weights of a convolution or dense layer.
    Weight,
    /// Biases.
    Bias,
    /// A scale that starts at one (batch-norm).
    Scale,
    /// A running mean; not learned by gradient.
    RunningMean,
    /// A running variance; not learned by gradient.
    RunningVar,
    /// A count; not learned, saved as a 64-bit integer without axes.
    Count,
}

impl ParamRole {
    /// Whether an optimiser changes it.
    pub fn learnable(self) -> bool {
        matches!(self, Self::Weight | Self::Bias | Self::Scale)
    }
}

/// A parameter as a layer declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamDecl {
    /// Name after the layer's own: "weight".
    pub name: &'static str,
    /// Sizes, in PyTorch's order.
    pub dims: Vec<usize>,
    /// What it is for.
    pub role: ParamRole,
    /// Inputs that meet in one output, for initialisers.
    pub fan_in: usize,
    /// Outputs that one input reaches, for initialisers.
    pub fan_out: usize,
}

/// A parameter in the slab.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Full name: "conv1.weight".
    pub name: String,
    /// As its layer declared it.
    pub decl: ParamDecl,
    /// First value in the slab.
    pub offset: usize,
    /// Number of values.
    pub len: usize,
}

/// Where each parameter lies in the slab.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    specs: Vec<ParamSpec>,
    places: Vec<std::ops::Range<usize>>,
    by_name: HashMap<String, usize>,
    learnable: usize,
    total: usize,
}

impl Layout {
    /// A layout of the layers' parameters, `(layer name, declarations)` in node order.
    pub fn new<'a>(layers: impl IntoIterator<Item = (&'a str, &'a [ParamDecl])>) -> Self {
        let mut specs = Vec::new();
        let mut places = Vec::new();
        for (layer, decls) in layers {
            let first = specs.len();
            specs.extend(decls.iter().map(|decl| ParamSpec {
                name: format!("{layer}.{}", decl.name),
                decl: decl.clone(),
                offset: 0,
                len: decl.dims.iter().product(),
            }));
            places.push(first..specs.len());
        }
        let mut offset = 0;
        let mut learnable = 0;
        for pass in [true, false] {
            for spec in specs.iter_mut().filter(|s| s.decl.role.learnable() == pass) {
                spec.offset = offset;
                offset += spec.len.next_multiple_of(16);
            }
            if pass {
                learnable = offset;
            }
        }
        let by_name = specs.iter().enumerate().map(|(i, s)| (s.name.clone(), i)).collect();
        Self { specs, places, by_name, learnable, total: offset }
    }

    /// All parameters, in node order.
    pub fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// The parameters of layer `index`.
    pub fn of_layer(&self, index: usize) -> &[ParamSpec] {
        &self.specs[self.places[index].clone()]
    }

    /// The parameter of that name.
    pub fn find(&self, name: &str) -> Option<&ParamSpec> {
        self.by_name.get(name).map(|&i| &self.specs[i])
    }

    /// Values in the learnable part of the slab, alignment gaps included.
    pub fn learnable_len(&self) -> usize {
        self.learnable
    }

    /// Values in the slab, alignment gaps included.
    pub fn total_len(&self) -> usize {
        self.total
    }

    /// Learnable numbers, gaps not counted.
    pub fn count(&self) -> usize {
        self.specs.iter().filter(|s| s.decl.role.learnable()).map(|s| s.len).sum()
    }
}

/// One value for each parameter of a layout: parameters, their gradients, or an optimiser's moments.
#[derive(Clone, Debug)]
pub struct Params<R = f32> {
    layout: Arc<Layout>,
    slab: Aligned<R>,
}

impl<R: Real> Params<R> {
    /// All zeros.
    pub fn zeros(layout: Arc<Layout>) -> Self {
        let slab = Aligned::zeros(layout.total_len());
        Self { layout, slab }
    }

    /// Where each parameter lies.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// The whole slab.
    pub fn slab(&self) -> &[R] {
        &self.slab
    }

    /// The whole slab.
    pub fn slab_mut(&mut self) -> &mut [R] {
        &mut self.slab
    }

    /// The learnable part of the slab.
    pub fn learnable(&self) -> &[R] {
        &self.slab[..self.layout.learnable]
    }

    /// The learnable part of the slab.
    pub fn learnable_mut(&mut self) -> &mut [R] {
        let learnable = self.layout.learnable;
        &mut self.slab[..learnable]
    }

    /// A parameter by name, in its own shape. Errors: an unknown name.
    pub fn get(&self, name: &str) -> Result<ArrayViewD<'_, R>> {
        let spec = self.spec(name)?;
        let values = &self.slab[spec.offset..spec.offset + spec.len];
        Ok(ArrayViewD::from_shape(IxDyn(&spec.decl.dims), values)
            .unwrap_or_else(|e| unreachable!("a parameter's length is the product of its sizes: {e}")))
    }

    /// Sets a parameter by name. Errors: an unknown name, another shape.
    pub fn set(&mut self, name: &str, value: ArrayViewD<'_, R>) -> Result<()> {
        let spec = self.spec(name)?;
        if value.shape() != spec.decl.dims {
            return Err(Error::request(
                format!("parameter \"{name}\" has shape {:?}, not {:?}", spec.decl.dims, value.shape()),
                "use weights of the same model, or the model of these weights",
            ));
        }
        let range = spec.offset..spec.offset + spec.len;
        for (place, &v) in self.slab[range].iter_mut().zip(value.iter()) {
            *place = v;
        }
        Ok(())
    }

    /// All parameters with their names, in node order.
    pub fn iter(&self) -> impl Iterator<Item = (&ParamSpec, ArrayViewD<'_, R>)> {
        self.layout.specs.iter().map(|spec| {
            let values = &self.slab[spec.offset..spec.offset + spec.len];
            let view = ArrayViewD::from_shape(IxDyn(&spec.decl.dims), values)
                .unwrap_or_else(|e| unreachable!("a parameter's length is the product of its sizes: {e}"));
            (spec, view)
        })
    }

    /// The same numbers in another type.
    pub fn cast<S: Real>(&self) -> Params<S> {
        let mut out = Params::<S>::zeros(self.layout.clone());
        for (place, value) in out.slab.iter_mut().zip(self.slab.iter()) {
            *place = S::of(value.wide());
        }
        out
    }

    /// The parameters of layer `index`, for its kernels.
    pub fn of_layer(&self, index: usize) -> ParamViews<'_, R> {
        ParamViews { slab: &self.slab, specs: self.layout.of_layer(index) }
    }

    /// The parameters of layer `index`, to be written.
    pub fn of_layer_mut(&mut self, index: usize) -> ParamViewsMut<'_, R> {
        ParamViewsMut { slab: &mut self.slab, specs: self.layout.of_layer(index) }
    }

    /// One array of the layout's shape for the parameter, as an owned copy. Errors: an unknown name.
    pub fn copy(&self, name: &str) -> Result<ArrayD<R>> {
        Ok(self.get(name)?.to_owned())
    }

    fn spec(&self, name: &str) -> Result<&ParamSpec> {
        let known = || self.layout.specs.iter().map(|s| s.name.as_str());
        self.layout.find(name).ok_or_else(|| Error::unknown("parameter", name, known()))
    }
}

/// The parameters of one layer, in declared order.
#[derive(Clone, Copy, Debug)]
pub struct ParamViews<'a, R> {
    slab: &'a [R],
    specs: &'a [ParamSpec],
}

impl<'a, R> ParamViews<'a, R> {
    /// Parameter `i`; panics where the layer declared fewer.
    pub fn get(&self, i: usize) -> &'a [R] {
        let spec = &self.specs[i];
        &self.slab[spec.offset..spec.offset + spec.len]
    }

    /// Parameter `i`, if the layer declared so many.
    pub fn find(&self, i: usize) -> Option<&'a [R]> {
        (i < self.specs.len()).then(|| self.get(i))
    }

    /// The parameter of that short name ("weight").
    pub fn named(&self, name: &str) -> Option<&'a [R]> {
        self.specs.iter().position(|s| s.decl.name == name).map(|i| self.get(i))
    }
}

/// The parameters of one layer, to be written.
#[derive(Debug)]
pub struct ParamViewsMut<'a, R> {
    slab: &'a mut [R],
    specs: &'a [ParamSpec],
}

impl<R> ParamViewsMut<'_, R> {
    /// Parameter `i`; panics where the layer declared fewer.
    pub fn get(&mut self, i: usize) -> &mut [R] {
        let spec = &self.specs[i];
        &mut self.slab[spec.offset..spec.offset + spec.len]
    }

    /// Sets every parameter of the layer to a value.
    pub fn fill(&mut self, value: R)
    where
        R: Copy,
    {
        for spec in self.specs {
            self.slab[spec.offset..spec.offset + spec.len].fill(value);
        }
    }

    /// Parameter 0, and parameter 1 where there is one.
    pub fn first_two(&mut self) -> (&mut [R], Option<&mut [R]>) {
        let first = &self.specs[0];
        match self.specs.get(1) {
            Some(second) => {
                let (front, back) = self.slab.split_at_mut(second.offset);
                (&mut front[first.offset..first.offset + first.len], Some(&mut back[..second.len]))
            }
            None => (self.get(0), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decl(name: &'static str, dims: &[usize], role: ParamRole) -> ParamDecl {
        ParamDecl { name, dims: dims.to_vec(), role, fan_in: 1, fan_out: 1 }
    }

    #[test]
    fn learnable_parameters_lie_in_front_and_aligned() {
        let bn = [
            decl("weight", &[3], ParamRole::Scale),
            decl("running_mean", &[3], ParamRole::RunningMean),
            decl("num_batches_tracked", &[], ParamRole::Count),
        ];
        let fc = [decl("weight", &[2, 3], ParamRole::Weight), decl("bias", &[2], ParamRole::Bias)];
        let layout = Layout::new([("bn", &bn[..]), ("fc", &fc[..])]);
        let offsets: Vec<_> = layout.specs().iter().map(|s| (s.name.as_str(), s.offset)).collect();
        let want = [
            ("bn.weight", 0),
            ("bn.running_mean", 48),
            ("bn.num_batches_tracked", 64),
            ("fc.weight", 16),
            ("fc.bias", 32),
        ];
        assert_eq!(offsets, want);
        assert_eq!((layout.learnable_len(), layout.total_len(), layout.count()), (48, 80, 11));
    }

    #[test]
    fn wrong_names_and_shapes_say_what_would_fit() {
        let fc = [decl("weight", &[2, 3], ParamRole::Weight)];
        let mut p = Params::<f32>::zeros(Arc::new(Layout::new([("fc", &fc[..])])));
        let text = p.get("fc.wieght").unwrap_err().to_string();
        assert!(text.contains("did you mean \"fc.weight\"?"), "{text}");
        let text = p.set("fc.weight", ArrayD::zeros(vec![3, 2]).view()).unwrap_err().to_string();
        assert!(text.contains("[2, 3]") && text.contains("[3, 2]"), "{text}");
    }
}
