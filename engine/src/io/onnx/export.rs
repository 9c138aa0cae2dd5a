//! A net as an ONNX file: one ONNX node for a layer wherever there is one, under the layer's name.
//!
//! Four kinds need more: `silu` is x Sigmoid(x); `adaptive_avgpool` with cells of unlike size is two products with
//! matrices of means; `lrn` with an even window is written out as squares, their sums over channels by a 1x1 convolution,
//! a power and a quotient, because readers know odd windows only; and a pool whose last window would begin in the end padding is written with less padding,
//! because readers disagree whether `ceil_mode` drops it. GELU raises the operator set from 17 to 20.

use super::proto::{
    Attribute, Dim, Dims, Entry, Graph as GraphProto, Model, Node as NodeProto, OperatorSet, Size, Tensor,
    TensorKind, ValueInfo, ValueKind, dtype,
};
use super::{CLASSES_KEY, MEAN_KEY, STD_KEY};
use crate::array::Shape;
use crate::error::{Error, Result};
use crate::graph::{Graph, Node};
use crate::layers::{
    AdaptiveAvgPool, AvgPool, BatchNorm, Conv, ConvTranspose, Dropout, Elu, LeakyRelu, Lrn, MaxPool,
};
use crate::params::Params;
use crate::window::Window;
use std::any::Any;

/// The model of a net.
pub(super) fn model(graph: &Graph, params: &Params<f32>) -> Result<Model> {
    let mut out = Out { graph: GraphProto { name: graph.name().into(), ..GraphProto::default() } };
    out.graph.input.push(value_info(&graph.names()[0], graph.input()));
    for node in graph.nodes() {
        out.layer(graph, node)?;
        for spec in graph.layout().specs().iter().filter(|s| owner(&s.name) == node.name) {
            // what a layer's ONNX node does not read is not written: batch-norm's count
            if out.graph.node.iter().rev().any(|n| n.input.contains(&spec.name)) {
                let values = params.get(&spec.name)?.iter().copied().collect();
                out.graph.initializer.push(floats(&spec.name, &spec.decl.dims, values));
            }
        }
    }
    let last = graph.nodes().len();
    out.graph.output.push(value_info(&graph.names()[last], graph.output()));
    let gelu = graph.nodes().iter().any(|n| n.layer.kind().name == "gelu");
    let (version, ir_version) = if gelu { (20, 9) } else { (17, 8) };
    Ok(Model {
        ir_version,
        producer_name: "glassbox".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        graph: Some(out.graph),
        opset_import: vec![OperatorSet { domain: String::new(), version }],
        metadata: metadata(graph),
    })
}

/// The layer's part of a parameter's name.
fn owner(parameter: &str) -> &str {
    parameter.rsplit_once('.').map_or("", |(layer, _)| layer)
}

/// What ONNX has no place for.
fn metadata(graph: &Graph) -> Vec<Entry> {
    let entry = |key: &str, value: String| Entry { key: key.into(), value };
    let pixels = graph.pixels();
    let mut out = Vec::new();
    for (key, list) in [(MEAN_KEY, &pixels.mean), (STD_KEY, &pixels.std)] {
        if !list.is_empty() {
            out.push(entry(key, serde_json::json!(list).to_string()));
        }
    }
    if !graph.classes().is_empty() {
        out.push(entry(CLASSES_KEY, serde_json::json!(graph.classes()).to_string()));
    }
    out
}

/// A value's name and shape; the batch may have any size.
fn value_info(name: &str, shape: Shape) -> ValueInfo {
    let sizes = shape.exported(1).into_iter().skip(1).map(|n| Size::Known(n as i64));
    let dim = std::iter::once(Size::Named("N".into())).chain(sizes).map(|size| Dim { size: Some(size) });
    let shape = Some(Dims { dim: dim.collect() });
    let tensor = Some(TensorKind { dtype: dtype::FLOAT, shape });
    ValueInfo { name: name.into(), kind: Some(ValueKind { tensor }) }
}

fn floats(name: &str, dims: &[usize], values: Vec<f32>) -> Tensor {
    Tensor {
        dims: dims.iter().map(|&d| d as i64).collect(),
        dtype: dtype::FLOAT,
        name: name.into(),
        raw: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ..Tensor::default()
    }
}

fn int(name: &str, i: usize) -> Attribute {
    Attribute { name: name.into(), i: i as i64, kind: 2, ..Attribute::default() }
}

fn float(name: &str, f: f64) -> Attribute {
    Attribute { name: name.into(), f: f as f32, kind: 1, ..Attribute::default() }
}

fn ints(name: &str, ints: impl IntoIterator<Item = usize>) -> Attribute {
    let ints = ints.into_iter().map(|i| i as i64).collect();
    Attribute { name: name.into(), ints, kind: 7, ..Attribute::default() }
}

/// The attributes that all windows share.
fn window(w: &Window) -> Vec<Attribute> {
    vec![
        ints("kernel_shape", w.kernel),
        ints("strides", w.stride),
        ints("pads", w.pad.into_iter().chain(w.pad_end)),
    ]
}

/// A pool's attributes, `ceil_mode` only where all readers agree on its meaning.
fn pool(w: &Window, input: [usize; 2]) -> Vec<Attribute> {
    let mut exact = Window { ceil: false, ..*w };
    let out = w.output(input).unwrap_or([0; 2]);
    let dropped =
        |a: usize| (input[a] + w.pad[a] + w.pad_end[a] - w.span(a)).div_ceil(w.stride[a]) + 1 > out[a];
    if w.ceil && !dropped(0) && !dropped(1) {
        return [window(w), vec![int("ceil_mode", 1)]].concat();
    }
    for a in 0..2 {
        if w.ceil {
            let reach = (out[a] - 1) * w.stride[a] + w.span(a);
            exact.pad_end[a] = reach.saturating_sub(input[a] + w.pad[a]);
        }
    }
    window(&exact)
}

/// The file's graph in the making.
struct Out {
    graph: GraphProto,
}

impl Out {
    fn node(&mut self, name: &str, op: &str, input: &[&str], attribute: Vec<Attribute>) {
        self.graph.node.push(NodeProto {
            input: input.iter().map(|s| s.to_string()).collect(),
            output: vec![name.into()],
            name: name.into(),
            op: op.into(),
            attribute,
            domain: String::new(),
        });
    }

    fn layer(&mut self, graph: &Graph, node: &Node) -> Result<()> {
        let name = node.name.as_str();
        let inputs: Vec<&str> = node.inputs.iter().map(|&s| graph.names()[s].as_str()).collect();
        let x = inputs[0];
        let shape = graph.shape(node.inputs[0]);
        let weights: Vec<String> = std::iter::once(x.to_string())
            .chain(node.facts.params.iter().map(|p| format!("{name}.{}", p.name)))
            .collect();
        let weights: Vec<&str> = weights.iter().map(String::as_str).collect();
        let layer: &dyn Any = &*node.layer;
        let kind = node.layer.kind().name;
        let missing =
            || Error::layer(name, format!("kind \"{kind}\" cannot be written as ONNX"), "replace it");
        match kind {
            "conv" => {
                let l: &Conv = layer.downcast_ref().ok_or_else(missing)?;
                let more = vec![ints("dilations", l.window.dilation), int("group", l.groups)];
                self.node(name, "Conv", &weights, [window(&l.window), more].concat());
            }
            "conv_transpose" => {
                let l: &ConvTranspose = layer.downcast_ref().ok_or_else(missing)?;
                let more = vec![
                    ints("output_padding", l.output_pad),
                    ints("dilations", l.window.dilation),
                    int("group", l.groups),
                ];
                self.node(name, "ConvTranspose", &weights, [window(&l.window), more].concat());
            }
            "dense" => self.node(name, "Gemm", &weights, vec![int("transB", 1)]),
            "maxpool" => {
                let l: &MaxPool = layer.downcast_ref().ok_or_else(missing)?;
                self.node(name, "MaxPool", &[x], pool(&l.window, shape.spatial()));
            }
            "avgpool" => {
                let l: &AvgPool = layer.downcast_ref().ok_or_else(missing)?;
                let more = vec![int("count_include_pad", l.count_include_pad.into())];
                self.node(name, "AveragePool", &[x], [pool(&l.window, shape.spatial()), more].concat());
            }
            "adaptive_avgpool" => {
                let l: &AdaptiveAvgPool = layer.downcast_ref().ok_or_else(missing)?;
                self.adaptive(name, x, shape.spatial(), l.out);
            }
            "global_avgpool" => self.node(name, "GlobalAveragePool", &[x], vec![]),
            "batchnorm" => {
                let l: &BatchNorm = layer.downcast_ref().ok_or_else(missing)?;
                // ONNX's momentum is the share of the old statistics
                let attributes = vec![float("epsilon", l.eps), float("momentum", 1.0 - l.momentum)];
                self.node(name, "BatchNormalization", &weights[..5], attributes);
            }
            "lrn" => {
                let l: &Lrn = layer.downcast_ref().ok_or_else(missing)?;
                self.lrn(name, x, shape.c, l);
            }
            "dropout" => {
                let l: &Dropout = layer.downcast_ref().ok_or_else(missing)?;
                let ratio = format!("{name}/ratio");
                self.graph.initializer.push(floats(&ratio, &[], vec![l.p as f32]));
                self.node(name, "Dropout", &[x, &ratio], vec![]);
            }
            "elu" => {
                let l: &Elu = layer.downcast_ref().ok_or_else(missing)?;
                self.node(name, "Elu", &[x], vec![float("alpha", l.alpha)]);
            }
            "leaky_relu" => {
                let l: &LeakyRelu = layer.downcast_ref().ok_or_else(missing)?;
                self.node(name, "LeakyRelu", &[x], vec![float("alpha", l.slope)]);
            }
            "silu" => {
                let gate = format!("{name}/sigmoid");
                self.node(&gate, "Sigmoid", &[x], vec![]);
                self.node(name, "Mul", &[x, &gate], vec![]);
            }
            "add" => self.node(name, "Sum", &inputs, vec![]),
            "concat" => self.node(name, "Concat", &inputs, vec![int("axis", 1)]),
            "flatten" => self.node(name, "Flatten", &[x], vec![int("axis", 1)]),
            "softmax" => self.node(name, "Softmax", &[x], vec![int("axis", 1)]),
            "log_softmax" => self.node(name, "LogSoftmax", &[x], vec![int("axis", 1)]),
            _ => {
                let op = POINTWISE.iter().find(|(k, _)| *k == kind).ok_or_else(missing)?.1;
                self.node(name, op, &[x], vec![]);
            }
        }
        Ok(())
    }

    /// Means over a grid: an average pool where all cells are alike.
    fn adaptive(&mut self, name: &str, x: &str, input: [usize; 2], out: [usize; 2]) {
        if (0..2).all(|a| input[a].is_multiple_of(out[a])) {
            let kernel = [input[0] / out[0], input[1] / out[1]];
            return self.node(
                name,
                "AveragePool",
                &[x],
                window(&Window { stride: kernel, ..Window::new(kernel) }),
            );
        }
        let (rows, columns, half) =
            (format!("{name}/rows"), format!("{name}/columns"), format!("{name}/half"));
        let by_rows = means(input[0], out[0]);
        let by_columns = means(input[1], out[1]);
        let turned = (0..input[1] * out[1]).map(|i| by_columns[i % out[1] * input[1] + i / out[1]]).collect();
        self.graph.initializer.push(floats(&rows, &[out[0], input[0]], by_rows));
        self.graph.initializer.push(floats(&columns, &[input[1], out[1]], turned));
        self.node(&half, "MatMul", &[&rows, x], vec![]);
        self.node(name, "MatMul", &[&half, &columns], vec![]);
    }

    fn lrn(&mut self, name: &str, x: &str, channels: usize, l: &Lrn) {
        let attributes =
            vec![int("size", l.size), float("alpha", l.alpha), float("beta", l.beta), float("bias", l.k)];
        if l.size % 2 == 1 {
            return self.node(name, "LRN", &[x], attributes);
        }
        let [square, scale, power, weight, bias, beta] =
            ["square", "scale", "power", "weight", "bias", "beta"].map(|part| format!("{name}/{part}"));
        let mut band = vec![0.0; channels * channels];
        for c in 0..channels {
            let (first, end) = (c.saturating_sub(l.size / 2), (c + l.size / 2).min(channels));
            band[c * channels..][first..end].fill((l.alpha / l.size as f64) as f32);
        }
        self.graph.initializer.push(floats(&weight, &[channels, channels, 1, 1], band));
        self.graph.initializer.push(floats(&bias, &[channels], vec![l.k as f32; channels]));
        self.graph.initializer.push(floats(&beta, &[], vec![l.beta as f32]));
        self.node(&square, "Mul", &[x, x], vec![]);
        self.node(&scale, "Conv", &[&square, &weight, &bias], window(&Window::new([1; 2])));
        self.node(&power, "Pow", &[&scale, &beta], vec![]);
        self.node(name, "Div", &[x, &power], vec![]);
    }
}

/// Kinds that are one ONNX operator of one input without attributes.
const POINTWISE: &[(&str, &str)] = &[
    ("gelu", "Gelu"),
    ("relu", "Relu"),
    ("selu", "Selu"),
    ("sigmoid", "Sigmoid"),
    ("softplus", "Softplus"),
    ("softsign", "Softsign"),
    ("tanh", "Tanh"),
];

/// The matrix [out, input] whose rows take the means of adaptive pooling.
pub(super) fn means(input: usize, out: usize) -> Vec<f32> {
    let mut matrix = vec![0.0; input * out];
    for o in 0..out {
        let (first, end) = (o * input / out, ((o + 1) * input).div_ceil(out));
        matrix[o * input..][first..end].fill(1.0 / (end - first) as f32);
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Init, models};
    use crate::layers::KINDS;

    #[test]
    fn every_kind_can_be_written_and_nothing_is_read_before_it_is_there() {
        for kind in KINDS {
            for (layer, shapes) in (kind.examples)() {
                let Shape { c, h, w, .. } = shapes[0];
                let mut builder = Graph::builder("one", [c, h, w]);
                let mut names = vec!["input".to_string()];
                if shapes[0].flat {
                    builder = builder.layer("flat", crate::layers::Flatten);
                    names[0] = "flat".into();
                }
                for (i, s) in shapes.iter().enumerate().skip(1) {
                    let (name, below) = (format!("branch{i}"), names[0].clone());
                    builder = match s.flat {
                        true => builder.layer_from(&name, crate::layers::Dense::new(s.c), &[&below]),
                        false => builder.layer_from(&name, Conv::new(s.c, 1), &[&below]),
                    };
                    names.push(name);
                }
                let from: Vec<&str> = names.iter().map(String::as_str).collect();
                let graph = builder.shared("it", layer, &from).build().unwrap();
                let file = model(&graph, &graph.init(Init::He, 1)).unwrap().graph.unwrap();
                let mut known: Vec<&str> = file.initializer.iter().map(|t| t.name.as_str()).collect();
                known.push("input");
                for node in &file.node {
                    assert!(node.input.iter().all(|i| known.contains(&i.as_str())), "{node:?}");
                    known.extend(node.output.iter().map(String::as_str));
                }
                assert_eq!(file.node.last().unwrap().output, ["it"]);
            }
        }
    }

    #[test]
    fn weights_keep_their_names_and_pixels_ride_along() {
        let graph = models::named("resnet-small").unwrap();
        let file = model(&graph, &graph.init(Init::He, 1)).unwrap();
        let names: Vec<_> = file.graph.unwrap().initializer.into_iter().map(|t| t.name).collect();
        assert!(names.contains(&"bn_skip.running_var".to_string()));
        assert!(!names.iter().any(|n| n.ends_with("num_batches_tracked")));
        assert_eq!(file.metadata[0], Entry { key: MEAN_KEY.into(), value: "[0.4914,0.4822,0.4465]".into() });
    }

    #[test]
    fn ceil_mode_is_written_only_where_its_meaning_is_plain() {
        let w = |kernel, stride, pad| Window {
            stride: [stride; 2],
            pad: [pad; 2],
            pad_end: [pad; 2],
            ceil: true,
            ..Window::new([kernel; 2])
        };
        assert!(pool(&w(3, 2, 0), [6, 6]).contains(&int("ceil_mode", 1)));
        // the last window would begin in the padding: the end padding shrinks to what the others need
        let attributes = pool(&w(2, 2, 1), [5, 5]);
        assert!(!attributes.contains(&int("ceil_mode", 1)));
        assert_eq!(attributes[2], ints("pads", [1, 1, 0, 0]));
    }

    #[test]
    fn means_are_those_of_adaptive_pooling() {
        assert_eq!(
            means(5, 2),
            [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0, 0.0, 0.0, 0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]
        );
    }
}
