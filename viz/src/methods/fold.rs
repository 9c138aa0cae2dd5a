//! Batch-norm folded into the linear layer before it: `W' = W s`, `b' = b s + t` with `s = weight / sqrt(var + eps)`
//! and `t = bias - mean s`. The folded net computes the same, and relevance is shared out over real inputs.

use super::Result;
use glassbox_engine::layers::{BatchNorm, Conv, Dense, Layer};
use glassbox_engine::{Graph, Params, Real};
use std::any::Any;
use std::sync::Arc;

/// The same net without batch-norm behind convolutions and dense layers. Other batch-norm layers stay.
pub(super) fn folded<R: Real>(graph: &Graph, params: &Params<R>) -> Result<(Graph, Params<R>)> {
    let shape = graph.input();
    let mut builder = Graph::builder(graph.name(), [shape.c, shape.h, shape.w]);
    // per slot, the name under which its values are found in the folded net
    let mut names: Vec<String> = graph.names().to_vec();
    let partners: Vec<Option<usize>> = (0..graph.nodes().len()).map(|i| partner(graph, i)).collect();
    for (i, node) in graph.nodes().iter().enumerate() {
        if partners.contains(&Some(i)) {
            names[i + 1] = names[node.inputs[0]].clone();
            continue;
        }
        let from: Vec<&str> = node.inputs.iter().map(|&s| names[s].as_str()).collect();
        let layer = if partners[i].is_some() { with_bias(&*node.layer) } else { None };
        builder = builder.shared(&node.name, layer.unwrap_or_else(|| node.layer.clone()), &from);
    }
    let pixels = graph.pixels().clone();
    let out = builder.build()?.with_pixels(pixels.mean, pixels.std).with_classes(graph.classes().to_vec());
    let mut values = Params::zeros(out.layout().clone());
    for spec in graph.layout().specs() {
        if out.layout().find(&spec.name).is_some() {
            values.set(&spec.name, params.get(&spec.name)?)?;
        }
    }
    for (i, partner) in partners.iter().enumerate() {
        if let Some(norm) = partner {
            fold(graph, params, i, *norm, &mut values)?;
        }
    }
    Ok((out, values))
}

/// The batch-norm layer that reads layer `i` and nothing else does, if `i` is a linear layer that can take it in.
fn partner(graph: &Graph, i: usize) -> Option<usize> {
    let [(reader, _)] = graph.readers(i + 1) else { return None };
    let norm = graph.nodes()[*reader].layer.kind().name == "batchnorm";
    (norm && with_bias(&*graph.nodes()[i].layer).is_some()).then_some(*reader)
}

/// The same layer, with biases; `None` for layers that cannot take batch-norm in.
fn with_bias(layer: &dyn Layer) -> Option<Arc<dyn Layer>> {
    let any: &dyn Any = layer;
    if let Some(conv) = any.downcast_ref::<Conv>() {
        return Some(Arc::new(Conv { bias: true, ..*conv }));
    }
    any.downcast_ref::<Dense>().map(|dense| Arc::new(Dense { bias: true, ..*dense }) as Arc<dyn Layer>)
}

fn fold<R: Real>(
    graph: &Graph,
    params: &Params<R>,
    linear: usize,
    norm: usize,
    out: &mut Params<R>,
) -> Result<()> {
    let any: &dyn Any = &*graph.nodes()[norm].layer;
    let eps = any.downcast_ref::<BatchNorm>().map_or(0.0, |norm| norm.eps);
    let of = params.of_layer(norm);
    let (gain, offset, mean, var) = (of.get(0), of.get(1), of.get(2), of.get(3));
    let name = &graph.nodes()[linear].name;
    let mut weight = out.copy(&format!("{name}.weight"))?;
    let mut bias = out.copy(&format!("{name}.bias"))?;
    for (k, (mut row, bias)) in weight.outer_iter_mut().zip(bias.iter_mut()).enumerate() {
        let scale = gain[k] / (var[k] + R::of(eps)).sqrt();
        row.mapv_inplace(|w| w * scale);
        *bias = (*bias - mean[k]) * scale + offset[k];
    }
    out.set(&format!("{name}.weight"), weight.view())?;
    out.set(&format!("{name}.bias"), bias.view())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use glassbox_engine::graph::Init;
    use glassbox_engine::layers::{Add, Relu};
    use glassbox_engine::trace::Mode;
    use glassbox_engine::{Blocked, forward};
    use ndarray::Array4;

    #[test]
    fn the_folded_net_computes_the_same_with_fewer_layers() {
        let graph = Graph::builder("n", [2, 5, 4])
            .layer("conv", Conv::new(3, 3).pad(1).without_bias())
            .layer("bn", BatchNorm::default())
            .layer("relu", Relu)
            .layer("conv2", Conv::new(3, 3).pad(1))
            .layer_from("sum", Add, &["conv2", "bn"])
            .layer("bn2", BatchNorm::default())
            .build()
            .unwrap();
        let mut params: Params<f64> = graph.init(Init::He, 1);
        for (i, v) in params.slab_mut().iter_mut().enumerate() {
            *v = v.abs() + 0.1 * ((i * 7 % 11) as f64);
        }
        let (less, folded) = folded(&graph, &params).unwrap();
        assert_eq!(less.names()[..], ["input", "conv", "relu", "conv2", "sum", "bn2"]);
        let x =
            Array4::from_shape_fn((2, 2, 5, 4), |(n, c, h, w)| ((n + 3 * c + 5 * h + 7 * w) as f64).sin());
        let x = Blocked::from_array4(x.view(), 1);
        let a = forward(&graph, &params, &x, Mode::Eval).unwrap().output().to_array4();
        let b = forward(&less, &folded, &x, Mode::Eval).unwrap().output().to_array4();
        assert!((&a - &b).iter().all(|d| d.abs() < 1e-12), "{a} {b}");
    }
}
