//! A net in the making while an ONNX file is read: layers with shapes worked out, weights that may still change.

use crate::array::Shape;
use crate::error::{Error, Result};
use crate::graph::{Graph, GraphBuilder};
use crate::layers::{BatchNorm, Conv, ConvTranspose, Dense, Layer};
use crate::params::Params;
use std::collections::HashSet;
use std::sync::Arc;

/// The largest array per image, as for model texts.
const MAX_VALUES: usize = 1 << 28;

/// A layer whose options may still change, or one that is as it is.
#[derive(Clone, Debug)]
pub(super) enum Form {
    Conv(Conv),
    ConvTranspose(ConvTranspose),
    Dense(Dense),
    /// A scale and a shift per channel: batch normalisation whose statistics do nothing.
    Affine,
    Other(Arc<dyn Layer>),
}

impl Form {
    /// A layer that is as it is.
    pub fn other(layer: impl Layer) -> Self {
        Self::Other(Arc::new(layer))
    }

    fn layer(&self) -> Arc<dyn Layer> {
        match self {
            Self::Conv(l) => Arc::new(*l),
            Self::ConvTranspose(l) => Arc::new(*l),
            Self::Dense(l) => Arc::new(*l),
            Self::Affine => Arc::new(BatchNorm { eps: 0.0, momentum: 0.1 }),
            Self::Other(l) => l.clone(),
        }
    }

    /// Whether it adds biases, if it is a layer that may.
    fn bias(&mut self) -> Option<&mut bool> {
        match self {
            Self::Conv(l) => Some(&mut l.bias),
            Self::ConvTranspose(l) => Some(&mut l.bias),
            Self::Dense(l) => Some(&mut l.bias),
            Self::Affine | Self::Other(_) => None,
        }
    }
}

/// A layer with its weights, in declared order; those that it does not name stay zero.
#[derive(Clone, Debug)]
struct Made {
    name: String,
    form: Form,
    from: Vec<usize>,
    weights: Vec<Vec<f32>>,
    output: Shape,
}

/// The layers so far. Slot 0 is the input, slot i + 1 the output of layer i.
#[derive(Debug)]
pub(super) struct Net {
    input: Shape,
    made: Vec<Made>,
    taken: HashSet<String>,
    /// Numbers that weights may still take: a small file must not ask for a large net.
    budget: usize,
}

/// Multiplies each of as many equal parts of `row` as there are scales.
fn multiply(row: &mut [f32], scale: &[f32]) {
    let run = row.len() / scale.len();
    for (part, &scale) in row.chunks_exact_mut(run).zip(scale) {
        part.iter_mut().for_each(|w| *w *= scale);
    }
}

impl Net {
    /// No layers yet; their weights may take `budget` numbers.
    pub fn new(input: Shape, budget: usize) -> Self {
        Self { input, made: Vec::new(), taken: HashSet::from(["input".to_string()]), budget }
    }

    /// Shape of a slot.
    pub fn shape(&self, slot: usize) -> Shape {
        if slot == 0 { self.input } else { self.made[slot - 1].output }
    }

    /// The kind of the layer that writes a slot; "" for the input.
    pub fn kind(&self, slot: usize) -> &'static str {
        if slot == 0 { "" } else { self.made[slot - 1].form.layer().kind().name }
    }

    /// Whether `slot` is written by a layer of this kind that reads `from`.
    pub fn reads(&self, slot: usize, from: usize, kind: &str) -> bool {
        self.kind(slot) == kind && self.made[slot - 1].from == [from]
    }

    /// The slot that `slot` is a multiple of, and the factor, where it is one.
    pub fn scaling(&self, slot: usize) -> Option<(usize, f32)> {
        let made = self.made.get(slot.checked_sub(1)?)?;
        let (Form::Affine, [scale, shift, ..], [from]) = (&made.form, &made.weights[..], &made.from[..])
        else {
            return None;
        };
        let first = *scale.first()?;
        (scale.iter().all(|s| *s == first) && shift.iter().all(|s| *s == 0.0)).then_some((*from, first))
    }

    /// Takes `n` numbers from what weights may use. Errors: no more are left.
    pub fn spend(&mut self, name: &str, n: usize) -> Result<()> {
        self.budget = self.budget.checked_sub(n).ok_or_else(|| {
            let problem = format!("its {n} weights are more than the file can hold");
            Error::layer(name, problem, "store weights once for each layer that uses them")
        })?;
        Ok(())
    }

    /// Adds a layer that reads these slots, and returns its own. Errors: shapes that do not fit.
    pub fn push(
        &mut self,
        wish: &str,
        form: Form,
        from: Vec<usize>,
        weights: Vec<Vec<f32>>,
    ) -> Result<usize> {
        let name = self.free_name(wish);
        let shapes: Vec<Shape> = from.iter().map(|&s| self.shape(s)).collect();
        let facts =
            form.layer().infer(&shapes).map_err(|e| Error::layer(name.as_str(), e.problem, e.cure))?;
        let out = facts.output;
        let size = out.c.checked_mul(out.h).and_then(|v| v.checked_mul(out.w));
        if size.is_none_or(|v| v > MAX_VALUES) {
            let problem = format!("its output {out} is larger than {MAX_VALUES} numbers");
            return Err(Error::layer(name, problem, "pool before it"));
        }
        for (decl, given) in facts.params.iter().zip(&weights) {
            if decl.dims.iter().product::<usize>() != given.len() {
                let problem = format!("{} has {} numbers for sizes {:?}", decl.name, given.len(), decl.dims);
                return Err(Error::layer(name, problem, "save the model again"));
            }
        }
        self.spend(&name, weights.iter().map(Vec::len).sum())?;
        self.made.push(Made { name, form, from, weights, output: out });
        Ok(self.made.len())
    }

    /// Multiplies each channel of a slot by `scale` and adds `shift`, in the weights of the layer that writes it. False
    /// where that layer has no such weights.
    pub fn fold(&mut self, slot: usize, scale: &[f32], shift: &[f32]) -> bool {
        let Some(made) = slot.checked_sub(1).map(|i| &mut self.made[i]) else { return false };
        if let (Form::Affine, [scales, shifts, ..]) = (&made.form, &mut made.weights[..]) {
            for i in 0..scale.len() {
                (scales[i], shifts[i]) = (scales[i] * scale[i], shifts[i] * scale[i] + shift[i]);
            }
            return true;
        }
        let Some(bias) = made.form.bias() else { return false };
        if !*bias {
            *bias = true;
            made.weights.push(vec![0.0; scale.len()]);
        }
        let [weight, biases] = &mut made.weights[..] else { return false };
        match &made.form {
            // [in, out / groups, h, w]: the rows of a group hold its part of the outputs
            Form::ConvTranspose(l) => {
                let (taps, per) = (l.window.kernel[0] * l.window.kernel[1], scale.len() / l.groups);
                let rows = weight.len() / (taps * per);
                for (i, row) in weight.chunks_exact_mut(taps * per).enumerate() {
                    let scale = &scale[i / (rows / l.groups) * per..][..per];
                    multiply(row, scale);
                }
            }
            // [out, ...]
            _ => multiply(weight, scale),
        }
        for ((bias, scale), shift) in biases.iter_mut().zip(scale).zip(shift) {
            *bias = *bias * scale + shift;
        }
        true
    }

    /// Adds y = scale x + shift per channel.
    pub fn affine(&mut self, wish: &str, from: usize, scale: Vec<f32>, shift: Vec<f32>) -> Result<usize> {
        let channels = scale.len();
        let weights = vec![scale, shift, vec![0.0; channels], vec![1.0; channels]];
        self.push(wish, Form::Affine, vec![from], weights)
    }

    /// The nearest name that is not taken.
    fn free_name(&mut self, wish: &str) -> String {
        let clean = clean(wish);
        let mut name = clean.clone();
        for n in 2.. {
            if self.taken.insert(name.clone()) {
                break;
            }
            name = format!("{clean}-{n}");
        }
        name
    }

    /// The net whose output is `slot`, without layers that it does not need. Errors: nothing is left.
    pub fn finish(
        self,
        slot: usize,
        name: &str,
        facts: impl FnOnce(GraphBuilder) -> GraphBuilder,
    ) -> Result<(Graph, Params<f32>)> {
        let mut needed = vec![false; self.made.len() + 1];
        needed[slot] = true;
        for (i, made) in self.made.iter().enumerate().rev() {
            if needed[i + 1] {
                made.from.iter().for_each(|&s| needed[s] = true);
            }
        }
        let kept: Vec<&Made> =
            self.made.iter().zip(&needed[1..]).filter(|(_, n)| **n).map(|(m, _)| m).collect();
        let slot_name = |s: usize| if s == 0 { "input" } else { self.made[s - 1].name.as_str() };
        let mut builder = Graph::builder(name, [self.input.c, self.input.h, self.input.w]);
        for made in &kept {
            let from: Vec<&str> = made.from.iter().map(|&s| slot_name(s)).collect();
            builder = builder.shared(&made.name, made.form.layer(), &from);
        }
        let graph = facts(builder).build()?;
        let mut params = Params::zeros(graph.layout().clone());
        for (i, made) in kept.iter().enumerate() {
            let specs = graph.layout().of_layer(i);
            for (spec, values) in specs.iter().zip(&made.weights) {
                params.slab_mut()[spec.offset..spec.offset + spec.len].copy_from_slice(values);
            }
        }
        Ok((graph, params))
    }
}

/// A name of letters, digits, '_', '.' and '-'. Module paths like "/layer1/layer1.0/conv1/Conv" become "layer1.0.conv1.Conv".
fn clean(wish: &str) -> String {
    let mut path = String::new();
    for part in wish.split('/').filter(|p| !p.is_empty()) {
        // exporters repeat the outer module's name at the front of the inner one's
        if path.is_empty() || part.strip_prefix(path.as_str()).is_some_and(|rest| rest.starts_with('.')) {
            path = part.to_string();
        } else {
            path = format!("{path}.{part}");
        }
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '_' };
    let name: String = path.chars().map(plain).take(120).collect();
    if name.is_empty() { "layer".into() } else { name }
}
