//! A net on a data set: loss, accuracy, predictions, confusion.

use crate::data::{Augment, Dataset, Loader};
use crate::error::{Error, Result};
use crate::forward::forward_into;
use crate::graph::{Graph, Keep, Plan};
use crate::loss::{Cost, Loss, Targets, top_class};
use crate::params::Params;
use crate::trace::Mode;
use std::sync::Arc;

/// What a net made of a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Loss and accuracy.
    pub cost: Cost,
    /// The class of the largest logit of each image.
    pub predictions: Vec<u32>,
    /// Counts, `[true class][predicted class]`.
    pub confusion: Vec<Vec<u32>>,
}

/// Images per batch.
const BATCH: usize = 64;

/// Runs the net over the whole set, in order, without augmentation. Errors: images or classes that do not fit the net.
pub fn evaluate(
    graph: &Graph,
    params: &Params<f32>,
    data: &Arc<Dataset>,
    loss: &dyn Loss<f32>,
) -> Result<Evaluation> {
    let [c, h, w] = data.shape();
    let input = graph.input();
    if [c, h, w] != [input.c, input.h, input.w] {
        return Err(Error::request(
            format!(
                "data set \"{}\" has images of {c}x{h}x{w}, model \"{}\" takes {input}",
                data.name,
                graph.name()
            ),
            "choose another model, or change its input",
        ));
    }
    let pixels = graph.pixels();
    let mut loader = Loader::new(data.clone(), &pixels.mean, &pixels.std, Augment::default(), 0)?;
    let mut trace = Plan::new(graph, BATCH.min(data.len().max(2)), Keep::Nothing).trace(graph);
    let classes = graph.output().size();
    let mut out = Evaluation {
        cost: Cost::default(),
        predictions: Vec::with_capacity(data.len()),
        confusion: vec![vec![0; classes]; classes],
    };
    let order: Vec<u32> = (0..data.len() as u32).collect();
    let mut targets = vec![0; BATCH];
    for indices in order.chunks(BATCH) {
        trace.set_batch(indices.len());
        let targets = &mut targets[..indices.len()];
        loader.fill(0, indices, trace.input_mut(), targets);
        forward_into(graph, params, Mode::Eval, &mut trace);
        let logits = trace.output().view();
        out.cost.add(loss.cost(logits, Targets::Classes(targets), None)?);
        for (i, &target) in targets.iter().enumerate() {
            let top = top_class(logits, i);
            out.predictions.push(top as u32);
            out.confusion[target as usize][top] += 1;
        }
    }
    Ok(out)
}
