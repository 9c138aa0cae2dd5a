//! projection: a data set as points in the plane, by pixels and by what a layer makes of them, coloured by class, with
//! how far the picture can be believed.
//!
//! Files: <method>.svg; <method>.json with labels and everything measured; <layer>-<method>.npy, [N, 2], the places.

use super::explanation::picture_name;
use super::{Figure, File, Needs, Scene};
use crate::cnnvis::groups;
use crate::error::Result;
use crate::methods::{Key, Settings};
use crate::number::{percent, significant};
use crate::projection::{
    Cloud, Init, Options, Pooling, chance, neighbour_agreement, pca, points, scatter, trustworthiness, tsne,
};
use crate::set::{First, ImageSet};
use ndarray::{Array2, ArrayView2};
use serde_json::{Map, Value, json};

pub(super) static FIGURE: Figure = Figure {
    name: "projection",
    summary: "a data set in the plane (t-SNE or PCA), by pixels and by what the net makes of them, coloured by class",
    needs: Needs::Data,
    keys: &[
        Key { name: "images", default: "500", help: "images looked at, from the start of the set" },
        Key { name: "method", default: "tsne", help: "tsne or pca" },
        Key {
            name: "pool",
            default: "flatten",
            help: "a map counts place by place (flatten), or by its mean",
        },
        Key {
            name: "perplexity",
            default: "auto",
            help: "about how many neighbours count (tsne); auto: 30, or a third",
        },
        Key { name: "steps", default: "1000", help: "steps of gradient descent (tsne)" },
        Key { name: "init", default: "pca", help: "where the layout starts (tsne): pca or random" },
        Key { name: "seed", default: "0", help: "seed of init=random" },
        Key { name: "neighbours", default: "10", help: "neighbours of a point in what is printed" },
    ],
    draw,
};

#[derive(Clone, Copy, PartialEq)]
enum Method {
    Pca,
    Tsne,
}

fn draw(scene: &Scene<'_>, settings: &Settings) -> Result<Vec<File>> {
    let set = First::new(scene.data()?, settings.count("images", 4)?);
    let method = settings.choice("method", &[("pca", Method::Pca), ("tsne", Method::Tsne)])?;
    let pooling = settings.choice("pool", &[("flatten", Pooling::Flatten), ("mean", Pooling::Mean)])?;
    let labels: Vec<usize> = (0..set.len()).map(|i| set.label(i)).collect();
    let slots = slots(scene)?;
    let all = points(scene.graph, scene.params, &set, &slots, pooling, scene.progress)?;
    let (mut clouds, mut reports, mut files) = (Vec::new(), Vec::new(), Vec::new());
    for (points, &slot) in all.iter().zip(&slots) {
        let (cloud, report) = one(scene, settings, method, slot, points.view(), &labels)?;
        let name = picture_name(&scene.graph.names()[slot]);
        let path = format!("projection/{name}-{}.npy", settings.text("method"));
        files.push(File::npy(path, cloud.places.mapv(|v| v as f32).view().into_dyn())?);
        clouds.push(cloud);
        reports.push(report);
    }
    let count = scene.graph.output().size().max(labels.iter().max().map_or(0, |l| l + 1));
    let classes: Vec<String> = (0..count).map(|k| scene.graph.class_name(k)).collect();
    let title = format!("The first {} of {}, seen by {}", set.len(), set.name(), scene.graph.name());
    let svg = scatter(&title, &notes(settings, method, set.len())?, &clouds, &labels, &classes)?;
    let options: Map<String, Value> = settings.all().map(|(k, v)| (k.into(), v.into())).collect();
    let report = json!({
        "model": scene.graph.name(), "data": set.name(), "images": set.len(), "classes": classes,
        "labels": labels, "options": options, "chance_agreement": chance(&labels), "layers": reports,
    });
    let base = format!("projection/{}", settings.text("method"));
    files.push(File::new(format!("{base}.svg"), svg));
    files.push(File::json(format!("{base}.json"), &report));
    Ok(files)
}

/// The layer that was asked for; else the input, and what the logits are made of.
fn slots(scene: &Scene<'_>) -> Result<Vec<usize>> {
    if let Some(layer) = &scene.layer {
        return Ok(vec![scene.graph.slot(layer)?]);
    }
    let groups = groups(scene.graph);
    let last = groups.len().checked_sub(2).map(|i| groups[i].slot);
    Ok(std::iter::once(0).chain(last).collect())
}

fn one(
    scene: &Scene<'_>,
    settings: &Settings,
    method: Method,
    slot: usize,
    points: ArrayView2<'_, f64>,
    labels: &[usize],
) -> Result<(Cloud, Value)> {
    let k = settings.count("neighbours", 1)?;
    let mut report = json!({"layer": scene.graph.names()[slot], "dimensions": points.ncols()});
    let (places, axes, fact) = match method {
        Method::Pca => {
            let found = pca(points, points.ncols().min(10))?;
            let share = |i: usize| found.share.get(i).copied().unwrap_or(0.0);
            report["explained_share"] = found.share.clone().into();
            let axis =
                |i: usize, name: &str| format!("{name} component, {} of the variance", percent(share(i)));
            let places = Array2::from_shape_fn((points.nrows(), 2), |(i, j)| {
                found.scores.get((i, j)).copied().unwrap_or(0.0)
            });
            (
                places,
                [axis(0, "first"), axis(1, "second")],
                format!("{} of the variance shown", percent(share(0) + share(1))),
            )
        }
        Method::Tsne => {
            let init =
                settings.choice("init", &[("pca", Init::Pca), ("random", Init::Random(settings.seed()?))])?;
            let perplexity = perplexity(settings, points.nrows())?;
            let options = Options { perplexity, steps: settings.count("steps", 1)?, init };
            report["perplexity"] = perplexity.into();
            let layout = tsne(points, options, scene.progress)?;
            report["kl_divergence"] = layout.divergence.into();
            report["steps"] = layout.steps.into();
            let fact =
                format!("KL divergence {} after {} steps", significant(layout.divergence, 3), layout.steps);
            (layout.places, [String::new(), String::new()], fact)
        }
    };
    let (before, after) =
        (neighbour_agreement(points, labels, k), neighbour_agreement(places.view(), labels, k));
    let trust = trustworthiness(points, places.view(), k);
    report["neighbours"] = k.into();
    report["agreement_there"] = before.into();
    report["agreement_here"] = after.into();
    report["trustworthiness"] = trust.into();
    let name = &scene.graph.names()[slot];
    let title = if slot == 0 { "pixels".to_string() } else { format!("what {name} makes of them") };
    let facts = vec![
        format!("{} dimensions; {fact}", points.ncols()),
        format!("{k} nearest of the same class: {} there, {} here", percent(before), percent(after)),
        match trust {
            Some(t) => format!("trustworthiness of the {k} nearest: {}", significant(t, 3)),
            None => "too few points for trustworthiness".into(),
        },
    ];
    Ok((Cloud { title, facts, axes, places }, report))
}

/// The perplexity that was asked for; else 30, or a third of the points where they are few.
fn perplexity(settings: &Settings, points: usize) -> Result<f64> {
    match settings.text("perplexity") {
        "auto" => Ok(30f64.min((points as f64 - 1.0) / 3.0)),
        _ => settings.number("perplexity", 1.0..=1000.0),
    }
}

fn notes(settings: &Settings, method: Method, points: usize) -> Result<Vec<String>> {
    let how = match method {
        Method::Pca => "Principal components: a projection; far apart here is far apart there, but not the other way round.".into(),
        Method::Tsne => format!(
            "t-SNE, perplexity {}, start {}: neighbours mean something; distances between groups, their sizes and the axes do not.",
            significant(perplexity(settings, points)?, 3),
            settings.text("init")
        ),
    };
    Ok(vec![
        how,
        "\"There\": among all dimensions; \"here\": in the picture. Trustworthiness is 1 where all neighbours here are neighbours there."
            .into(),
    ])
}
