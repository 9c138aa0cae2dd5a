//! cam: the class's own weights over the maps that a global mean feeds to them.
//!
//! For a net that ends in maps -> global mean -> one dense layer: `M_c = sum_k w_k^c A_k`, signed, [N, h, w] at the
//! maps' own size. The mean of the map plus the class's bias is the logit, exactly: `S_c = mean(M_c) + b_c`.
//!
//! Reference: Zhou, Khosla, Lapedriza, Oliva, Torralba 2016 (arXiv 1512.04150), equation 2; the paper sums where
//! this net averages. It cuts nothing; `relu=true` does.
//!
//! Facts: the sum identity. Limits: only nets of that form; grad-cam is the same map for others.

use super::answer::{Answer, Facts, Residual};
use super::cams::{Maps, SIGNED, site};
use super::pass::{Pass, each_sample, value, values};
use super::{Aim, Ask, Error, Method, Result, Settings, Space};
use glassbox_engine::graph::Keep;
use glassbox_engine::{Graph, Real};

pub(super) static METHOD: Method = Method {
    name: "cam",
    summary: "the class's own weights over the maps behind a global mean",
    keys: &[SIGNED],
    space: Space::Layer,
    aim: Aim::Layer,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("cam.rs"),
};

const MEANING: &str = "the mean over the map plus the class's bias, minus the logit";

/// The slot of the maps under global mean and dense layer, if the net ends so.
fn maps_below(graph: &Graph) -> Option<usize> {
    let kind = |slot: usize| graph.nodes()[slot - 1].layer.kind().name;
    let mut slot = graph.logits();
    if slot == 0 || kind(slot) != "dense" {
        return None;
    }
    slot = graph.nodes()[slot - 1].inputs[0];
    while slot > 0 && matches!(kind(slot), "flatten" | "dropout") {
        slot = graph.nodes()[slot - 1].inputs[0];
    }
    let averages = |slot: usize| {
        let shape = graph.shape(slot);
        matches!(kind(slot), "global_avgpool" | "adaptive_avgpool") && shape.plane() == 1
    };
    (slot > 0 && averages(slot)).then(|| graph.nodes()[slot - 1].inputs[0])
}

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let (graph, relu) = (ask.graph, settings.flag("relu")?);
    let slot = maps_below(graph).filter(|&slot| slot > 0).ok_or_else(|| {
        Error::request(
            format!("model \"{}\" does not end in maps, global_avgpool and one dense layer", graph.name()),
            "use grad-cam, which is the same map for nets of that form and defined for all others",
        )
    })?;
    let name = &graph.names()[slot];
    if let Some(layer) = ask.layer.filter(|layer| layer != name) {
        return Err(Error::request(
            format!(
                "cam weighs the maps that the global mean reads, and those are of \"{name}\", not \"{layer}\""
            ),
            format!("leave out --layer, or use grad-cam at \"{layer}\""),
        ));
    }
    let site = site(&Ask { layer: Some(name), ..ask.clone() })?;
    let plane = site.shape.plane();
    let dense = ask.params.of_layer(graph.logits() - 1);
    let (weights, bias) = (dense.get(0), dense.named("bias"));
    let mut pass = Pass::new(ask, ask.samples(), Keep::Everything);
    let mut out = Maps::new(ask, &site);
    each_sample(ask, &mut pass, |pass, batch| {
        for (i, &(sample, _)) in batch.iter().enumerate() {
            let class = ask.class(sample, pass.logits()?, i);
            let mut map = vec![R::zero(); plane];
            for (at, a) in values(pass.at(slot)?, i).enumerate() {
                map[at % plane] += weights[class * site.shape.c + at / plane] * a;
            }
            let logit = value(pass.logits()?, i, class).wide();
            let mean = map.iter().map(|v| v.wide()).sum::<f64>() / plane as f64;
            let value = mean + bias.map_or(0.0, |b| b[class].wide()) - logit;
            let residual = Residual { name: "sum identity", value, scale: logit.abs(), meaning: MEANING };
            let facts = Facts {
                class: Some(class),
                score: Some(logit),
                residual: Some(residual),
                ..Facts::default()
            };
            out.push(map, facts, relu);
        }
        Ok(())
    })?;
    out.finish(ask)
}
