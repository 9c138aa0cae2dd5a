//! occlusion-sensitivity: what a grey square does to the strongest map and to the class as it hides each part of an image.

use super::explanation::{caption, panel, pixels};
use super::{Figure, File, Needs, Scene, layers};
use crate::color::{KINDS, OTHER_KIND, Rgb};
use crate::error::Result;
use crate::gallery::{Content, Gallery, Panel, Row};
use crate::methods::baseline::{BASELINE, Baseline};
use crate::methods::{self, Ask, Facts, Key, Settings, Targets, Unit};
use crate::number::short;
use crate::scale::{Facts as Values, Style};
use crate::studies::occlusion_sensitivity::{Sensitivity, Square, study};
use ndarray::{Array2, Array3, Axis};
use serde_json::json;

pub(super) static FIGURE: Figure = Figure {
    name: "occlusion-sensitivity",
    summary: "what a grey square does to the strongest map and to the class, wherever it hides the image",
    needs: Needs::Images,
    keys: &[
        Key {
            name: "window",
            default: "auto",
            help: "side of the square in pixels; auto: about a sixth of the image",
        },
        Key {
            name: "stride",
            default: "auto",
            help: "pixels from one place to the next; auto: 28 places along a side",
        },
        BASELINE,
    ],
    draw,
};

/// Images shown, each a row.
const MOST: usize = 6;

fn draw(scene: &Scene<'_>, settings: &Settings) -> Result<Vec<File>> {
    let images = scene.images()?;
    let count = images.input.dim().0.min(MOST);
    let input = images.input.slice_axis(Axis(0), (0..count).into()).to_owned();
    let square = square(scene, settings)?;
    let slot = layers::last_of_maps(scene)?;
    let layer = &scene.graph.names()[slot];
    let mut ask = Ask::new(scene.graph, scene.params, &input);
    ask.progress = scene.progress;
    if images.labels.len() >= count {
        ask.targets = Targets::Each(images.labels[..count].to_vec());
    }
    let found = study(&ask, slot, square, &Baseline::of(settings, scene.graph)?)?;
    let legend = legend(scene, &found);
    let mut rows = Vec::new();
    for (n, seen) in found.iter().enumerate() {
        let facts = Facts { class: Some(seen.class), ..Facts::default() };
        let text = caption(scene.graph, images.name(n), images.label(n), Some(&facts));
        rows.push(Row {
            image: pixels(scene.graph, input.index_axis(Axis(0), n))?,
            panels: panels(
                scene,
                &input.slice_axis(Axis(0), (n..n + 1).into()).to_owned(),
                layer,
                seen,
                &legend,
            )?,
            caption: format!(
                "{text}; on the whole image: probability {}, channel {} sums up to {}",
                short(seen.whole_probability),
                seen.channel,
                short(seen.whole_activation)
            ),
        });
    }
    let title = format!("What {} makes of images in which a square is hidden", scene.graph.name());
    let mut gallery = Gallery::new(title, rows);
    gallery.notes.push(format!(
        "The square of {0}x{0} pixels is centred at the place whose colour tells what the net says then (Zeiler and \
         Fergus 2014). Channels are those of {layer}.",
        square.side
    ));
    let mut files = vec![File::new("occlusion-sensitivity.png", gallery.draw()?.png()?)];
    files.extend(numbers(scene, layer, square, &found)?);
    Ok(files)
}

fn square(scene: &Scene<'_>, settings: &Settings) -> Result<Square> {
    let side = scene.graph.input().h.min(scene.graph.input().w);
    let number = |key: &'static str, auto: usize| match settings.text(key) {
        "auto" => Ok(auto.max(1)),
        _ => settings.count(key, 1),
    };
    Ok(Square {
        side: number("window", (0.18 * side as f64).round() as usize)?,
        stride: number("stride", side / 28)?,
    })
}

fn panels(
    scene: &Scene<'_>,
    one: &ndarray::Array4<f32>,
    layer: &str,
    seen: &Sensitivity,
    legend: &[(usize, String, Rgb)],
) -> Result<Vec<Panel>> {
    let deconvnet = methods::named("deconvnet")?;
    let ask = Ask::new(scene.graph, scene.params, one).layer(layer).unit(Unit::Channel(seen.channel));
    let projection = deconvnet.run(&ask, &Settings::defaults(deconvnet))?;
    let style = Style::auto(&Values::of(&seen.activation));
    let place = |class: &usize| legend.iter().position(|(k, _, _)| k == class).unwrap_or(0);
    let kinds = legend.iter().map(|(_, name, color)| (name.clone(), *color)).collect();
    Ok(vec![
        Panel::map(format!("channel {}, total activation", seen.channel), seen.activation.clone(), style),
        panel(&format!("channel {}, projected to pixels", seen.channel), deconvnet, &projection, 0),
        Panel::map(
            format!("probability of \"{}\"", scene.graph.class_name(seen.class)),
            seen.probability.clone(),
            Style::unsigned(),
        ),
        Panel {
            title: "most probable class".into(),
            content: Content::Kinds { map: seen.top.map(place), legend: kinds },
        },
    ])
}

/// The classes that occur, the most frequent first, with their names and colours.
fn legend(scene: &Scene<'_>, found: &[Sensitivity]) -> Vec<(usize, String, Rgb)> {
    let mut counts = std::collections::BTreeMap::<usize, usize>::new();
    found.iter().flat_map(|f| &f.top).for_each(|&class| *counts.entry(class).or_default() += 1);
    let mut order: Vec<(usize, usize)> = counts.into_iter().collect();
    order.sort_by_key(|&(class, count)| (std::cmp::Reverse(count), class));
    let color = |i: usize| KINDS.get(i).copied().unwrap_or(OTHER_KIND);
    order
        .iter()
        .enumerate()
        .map(|(i, &(class, _))| (class, scene.graph.class_name(class), color(i)))
        .collect()
}

/// The numbers: facts as JSON, maps [N, h, w] as arrays.
fn numbers(scene: &Scene<'_>, layer: &str, square: Square, found: &[Sensitivity]) -> Result<Vec<File>> {
    let image = |(n, f): (usize, &Sensitivity)| {
        json!({
            "image": scene.images.as_ref().map(|i| i.name(n)), "class": f.class, "probability": f.whole_probability,
            "channel": f.channel, "activation": f.whole_activation,
        })
    };
    let report = json!({
        "model": scene.graph.name(), "layer": layer, "window": square.side, "stride": square.stride,
        "images": found.iter().enumerate().map(image).collect::<Vec<_>>(),
    });
    let stack = |pick: &dyn Fn(&Sensitivity) -> Array2<f32>| {
        let (h, w) = found[0].probability.dim();
        let mut all = Array3::zeros((found.len(), h, w));
        for (mut place, f) in all.axis_iter_mut(Axis(0)).zip(found) {
            place.assign(&pick(f));
        }
        all.into_dyn()
    };
    let file = |name: &str, pick: &dyn Fn(&Sensitivity) -> Array2<f32>| {
        File::npy(format!("occlusion-sensitivity-{name}.npy"), stack(pick).view())
    };
    Ok(vec![
        File::json("occlusion-sensitivity.json", &report),
        file("activation", &|f| f.activation.clone())?,
        file("probability", &|f| f.probability.clone())?,
        file("class", &|f| f.top.mapv(|class| class as f32))?,
    ])
}
