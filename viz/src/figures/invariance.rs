//! invariance: how far a lower and an upper layer move, and what the class becomes, as images are shifted, scaled, turned.

use super::{Figure, File, Needs, Scene, layers};
use crate::curves::{Chart, Series, draw as charts};
use crate::error::Result;
use crate::methods::{Ask, Settings, Targets};
use crate::studies::invariance::{Curves, Transform, study};
use ndarray::Axis;
use serde_json::json;

pub(super) static FIGURE: Figure = Figure {
    name: "invariance",
    summary: "how layers and class probabilities change as images are shifted, scaled and turned",
    needs: Needs::Images,
    keys: &[],
    draw,
};

/// Images shown, each a line.
const MOST: usize = 5;

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    let images = scene.images()?;
    let count = images.input.dim().0.min(MOST);
    let input = images.input.slice_axis(Axis(0), (0..count).into()).to_owned();
    let slots = layers::lower_and_upper(scene);
    let mut ask = Ask::new(scene.graph, scene.params, &input);
    ask.progress = scene.progress;
    if images.labels.len() >= count {
        ask.targets = Targets::Each(images.labels[..count].to_vec());
    }
    let mut files = Vec::new();
    let mut report = serde_json::Map::new();
    for transform in Transform::ALL {
        let curves = study(&ask, &slots, transform)?;
        files
            .push(File::new(format!("invariance-{}.svg", transform.name()), picture(scene, &slots, &curves)));
        let layers = slots.iter().zip(&curves.distance).zip(&curves.norm).map(|((&slot, distance), norm)| {
            json!({ "layer": scene.graph.names()[slot], "norm": norm, "distance": distance })
        });
        report.insert(
            transform.name().into(),
            json!({
                "unit": transform.label(), "parameters": curves.parameters, "classes": curves.classes,
                "probability": curves.probability, "layers": layers.collect::<Vec<_>>(),
            }),
        );
    }
    report.insert("images".into(), (0..count).map(|n| images.name(n)).collect());
    files.push(File::json("invariance.json", &report.into()));
    Ok(files)
}

fn picture(scene: &Scene<'_>, slots: &[usize], curves: &Curves) -> String {
    let line = |n: usize, values: &[f64]| Series {
        name: format!("image {}, \"{}\"", n + 1, scene.graph.class_name(curves.classes[n])),
        points: curves.parameters.iter().copied().zip(values.iter().copied()).collect(),
        thin: false,
    };
    let x_label = format!("{} ({})", curves.transform.name(), curves.transform.label());
    let mut list: Vec<Chart> = Vec::new();
    for ((&slot, distance), norm) in slots.iter().zip(&curves.distance).zip(&curves.norm) {
        let relative = |n: usize| -> Vec<f64> {
            distance[n].iter().map(|d| if norm[n] > 0.0 { d / norm[n] } else { 0.0 }).collect()
        };
        list.push(Chart {
            title: format!("Layer {}", scene.graph.names()[slot]),
            x_label: x_label.clone(),
            y_label: "distance / norm of the activations".into(),
            series: (0..distance.len()).map(|n| line(n, &relative(n))).collect(),
            mark: None,
            share: false,
        });
    }
    list.push(Chart {
        title: "Class".into(),
        x_label,
        y_label: "probability of the class".into(),
        series: curves.probability.iter().enumerate().map(|(n, p)| line(n, p)).collect(),
        mark: None,
        share: true,
    });
    let title = format!("What {} of the image does to {}", curves.transform.name(), scene.graph.name());
    charts(&title, &list)
}
