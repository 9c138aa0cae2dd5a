//! cnnvis: the net as a graph of clusters of units, over a data set (Liu et al. 2017).
//!
//! Files: overview.svg; overview.json with groups, clusters, edges, bundles, packing and the most exciting images;
//! <layer>-classes.npy, [units, classes], mean activations; <from>-to-<to>.npy, [units of to, units of from], strengths.

use super::explanation::{picture_name, pixels};
use super::{Figure, File, Needs, Scene};
use crate::cnnvis::draw::{Drawing, Patches, draw as drawn, pack};
use crate::cnnvis::{Cluster, Edges, Layer, Options, Overview, Pooling, Strength, bundles, overview};
use crate::error::Result;
use crate::methods::{Key, Settings};
use crate::set::{First, ImageSet};
use crate::studies::top_images::{Ranking, crop, cut, rank};
use glassbox_engine::graph::field;
use ndarray::Axis;
use serde_json::{Map, Value, json};

pub(super) static FIGURE: Figure = Figure {
    name: "cnnvis",
    summary: "the whole net as clusters of units: what excites them, what they say of each class, how they connect",
    needs: Needs::Data,
    keys: &[
        Key { name: "images", default: "1000", help: "images looked at, from the start of the set" },
        Key { name: "clusters", default: "8", help: "most clusters of a layer, up to 24" },
        Key {
            name: "edges",
            default: "0.2",
            help: "share of the edges between two layers that is drawn, up to 0.5",
        },
        Key {
            name: "strength",
            default: "sum",
            help: "an edge's strength: sum of the weights, absolute sum, or data, what was given over them",
        },
        Key { name: "pool", default: "mean", help: "what a map counts as: its mean, or max" },
    ],
    draw,
};

/// What an edge's strength can be.
const STRENGTHS: [(&str, Strength); 3] =
    [("absolute", Strength::Absolute), ("data", Strength::Data), ("sum", Strength::Sum)];

/// Patches of a unit.
const PATCHES: usize = 4;

fn draw(scene: &Scene<'_>, settings: &Settings) -> Result<Vec<File>> {
    let options = Options {
        clusters: settings.number("clusters", 1.0..=bundles::MOST as f64)? as usize,
        share: settings.number("edges", 0.0..=0.5)?,
        strength: settings.choice("strength", &STRENGTHS)?,
        pooling: settings.choice("pool", &[("max", Pooling::Max), ("mean", Pooling::Mean)])?,
    };
    let set = First::new(scene.data()?, settings.count("images", 1)?);
    let net = overview(scene.graph, scene.params, &set, options, scene.progress)?;
    let slots: Vec<usize> = net.layers.iter().map(|l| l.slot).collect();
    let top = rank(scene.graph, scene.params, &set, &slots, PATCHES, scene.progress)?;
    let classes: Vec<String> = (0..net.images.len()).map(|k| scene.graph.class_name(k)).collect();
    let title = format!("{}: {} on {} images", scene.graph.name(), "clusters of units", set.len());
    let drawing = Drawing {
        title,
        notes: notes(&set, options),
        overview: &net,
        classes,
        patches: patches(scene, &set, &net, &top)?,
    };
    let mut files = vec![
        File::new("cnnvis/overview.svg", drawn(&drawing)?),
        File::json("cnnvis/overview.json", &report(scene, &set, settings, &net, &top)),
    ];
    for layer in &net.layers {
        let path = format!("cnnvis/{}-classes.npy", picture_name(&layer.name));
        files.push(File::npy(path, layer.profiles.classes.view().into_dyn())?);
    }
    for edges in &net.edges {
        files.push(File::npy(link_file(&net, edges), edges.link.units.view().into_dyn())?);
    }
    Ok(files)
}

fn link_file(net: &Overview, edges: &Edges) -> String {
    let name = |l: usize| picture_name(&net.layers[l].name);
    format!("cnnvis/{}-to-{}.npy", name(edges.link.from), name(edges.link.to))
}

fn notes(set: &First<'_>, options: Options) -> Vec<String> {
    let map = if options.pooling == Pooling::Mean { "mean" } else { "largest value" };
    let edge = match options.strength {
        Strength::Sum => "the sum of the weights",
        Strength::Absolute => "the sum of the weights' sizes",
        Strength::Data => "what one gave the other over all places, in the mean of the images,",
    };
    vec![
        format!(
            "A box is a cluster of units (channels of maps, or numbers of a vector) with similar mean activations on the \
             classes, over the first {} of {}.",
            set.len(),
            set.name()
        ),
        "Left in a box: what excites its units most, cut out at the receptive field; the area goes with the mean largest \
         activation."
            .into(),
        format!(
            "Right: a row for each unit, a column for each class; the colour is the mean activation, a map counting as \
             its {map}."
        ),
        format!(
            "Lines: {edge} between two clusters, mean over their units; the strongest {} of each pair of layers.",
            crate::number::percent(options.share)
        ),
    ]
}

/// What excites every unit most, cut out of the images.
fn patches(
    scene: &Scene<'_>,
    set: &First<'_>,
    net: &Overview,
    top: &[Vec<Ranking>],
) -> Result<Vec<Vec<Patches>>> {
    let of_unit = |layer: &Layer, ranking: &Ranking| -> Result<Patches> {
        let mut out = Patches::new();
        for excited in &ranking.top {
            let image = set.images(&[excited.image]);
            let image = pixels(scene.graph, image.index_axis(Axis(0), 0))?;
            out.push(crop(image.view(), &cut(scene.graph, layer.slot, excited.at)));
        }
        Ok(out)
    };
    let mut all = Vec::new();
    for (layer, rankings) in net.layers.iter().zip(top) {
        let mut shown = vec![Patches::new(); rankings.len()];
        for cluster in layer.clusters.iter().filter(|c| !c.dead) {
            for packed in pack(cluster, &layer.profiles.strength) {
                shown[packed.unit] = of_unit(layer, &rankings[packed.unit])?;
            }
        }
        all.push(shown);
    }
    Ok(all)
}

fn report(
    scene: &Scene<'_>,
    set: &First<'_>,
    settings: &Settings,
    net: &Overview,
    top: &[Vec<Ranking>],
) -> Value {
    let layers: Vec<Value> = net.layers.iter().zip(top).map(|(l, top)| of_layer(scene, l, top)).collect();
    let edges: Vec<Value> = net.edges.iter().map(|e| of_edges(net, e)).collect();
    let classes: Vec<String> = (0..net.images.len()).map(|k| scene.graph.class_name(k)).collect();
    let options: Map<String, Value> = settings.all().map(|(k, v)| (k.into(), v.into())).collect();
    json!({
        "model": scene.graph.name(), "data": set.name(), "images": set.len(), "classes": classes,
        "images_per_class": net.images, "options": options,
        "layers": layers, "edges": edges,
    })
}

fn of_layer(scene: &Scene<'_>, layer: &Layer, top: &[Ranking]) -> Value {
    let field = field::of_slot(scene.graph, layer.slot);
    let cluster = |c: &Cluster| {
        let packing = pack(c, &layer.profiles.strength);
        let packing = packing.iter().map(|p| {
            let r = p.room;
            json!({"unit": p.unit, "x": r.x, "y": r.y, "width": r.w, "height": r.h})
        });
        json!({
            "units": c.units, "dead": c.dead, "mean": c.mean.to_vec(), "favourite_class": c.favourite(),
            "packing": packing.collect::<Vec<_>>(),
        })
    };
    let units = top.iter().enumerate().map(|(k, ranking)| {
        let images =
            ranking.top.iter().map(|t| json!({"image": t.image, "activation": t.activation, "at": t.at}));
        json!({
            "unit": k, "mean_largest": layer.profiles.strength[k], "fired": ranking.fired,
            "top": images.collect::<Vec<_>>(),
        })
    });
    json!({
        "layer": layer.name, "group": layer.group, "column": layer.column,
        "receptive_field": field.size, "order": if layer.optimal { "optimal leaf order" } else { "tree" },
        "means": format!("{}-classes.npy", picture_name(&layer.name)),
        "clusters": layer.clusters.iter().map(cluster).collect::<Vec<_>>(), "units": units.collect::<Vec<_>>(),
    })
}

fn of_edges(net: &Overview, edges: &Edges) -> Value {
    let weight = |&(p, q): &(usize, usize)| json!({"from": p, "to": q, "weight": edges.clusters[[q, p]]});
    let bundle = |b: &bundles::Bundle| json!({"positive": b.positive, "from": b.from, "to": b.to});
    json!({
        "from": net.layers[edges.link.from].name, "to": net.layers[edges.link.to].name,
        "through": edges.link.through, "skip": edges.skip, "units": link_file(net, edges),
        "clusters": edges.clusters.outer_iter().map(|row| row.to_vec()).collect::<Vec<_>>(),
        "threshold": edges.kept.threshold, "kept": edges.kept.edges.iter().map(weight).collect::<Vec<_>>(),
        "bundles": edges.kept.bundles.iter().map(bundle).collect::<Vec<_>>(),
        "single": edges.kept.single.iter().map(weight).collect::<Vec<_>>(),
    })
}
