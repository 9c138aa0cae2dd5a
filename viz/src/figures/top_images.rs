//! top-images: for every layer of maps, the images of a data set that excite a channel most, cut out at the receptive
//! field, beside the DeconvNet projection of the activation that they caused.

use super::explanation::{picture_name, pixels};
use super::{Figure, File, Needs, Scene, layers};
use crate::error::Result;
use crate::methods::{self, Key, Settings};
use crate::mosaic::{Grid, Group, Mosaic, Tile, signed_bar};
use crate::number::{percent, short};
use crate::studies::top_images::{Excited, Patches, Ranking, project, rank};
use ndarray::{Array5, Axis};
use serde_json::{Value, json};

pub(super) static FIGURE: Figure = Figure {
    name: "top-images",
    summary: "the images of a data set that excite each channel most, beside their DeconvNet projections",
    needs: Needs::Data,
    keys: &[
        Key { name: "count", default: "9", help: "images per channel" },
        layers::CHANNELS,
        methods::OVERLAP,
    ],
    draw,
};

fn draw(scene: &Scene<'_>, settings: &Settings) -> Result<Vec<File>> {
    let count = settings.count("count", 1)?;
    let chosen = layers::Channels::of(settings)?;
    let slots = layers::of_maps(scene);
    slots.iter().try_for_each(|&slot| chosen.check(scene.graph, slot))?;
    let all = rank(scene.graph, scene.params, scene.data()?, &slots, count, scene.progress)?;
    let mut files = Vec::new();
    for (rankings, slot) in all.iter().zip(slots) {
        let strongest: Vec<f32> =
            rankings.iter().map(|r| r.top.first().map_or(0.0, |t| t.activation)).collect();
        files.extend(layer(scene, settings, slot, rankings, &chosen.pick(&strongest))?);
    }
    Ok(files)
}

/// The picture of one layer, with its numbers: the JSON of all channels, the arrays of those shown.
fn layer(
    scene: &Scene<'_>,
    settings: &Settings,
    slot: usize,
    rankings: &[Ranking],
    channels: &[usize],
) -> Result<Vec<File>> {
    let name = &scene.graph.names()[slot];
    let set = scene.data()?;
    let base = format!("top-images/{}", picture_name(name));
    let deconvnet = methods::named("deconvnet")?;
    let deconvnet = Settings::parse(deconvnet, &[format!("overlap={}", settings.text("overlap"))])?;
    let mut report = report(scene, name, rankings)?;
    let mut groups = Vec::new();
    let mut shown: Vec<(usize, Patches)> = Vec::new();
    for &channel in channels.iter().filter(|&&k| rankings[k].fired > 0) {
        let ranking = &rankings[channel];
        let patches = project(scene.graph, scene.params, set, (slot, channel), &ranking.top, &deconvnet)?;
        groups.push(group(scene, channel, ranking, &patches)?);
        shown.push((channel, patches));
    }
    report["projected"] = shown.iter().map(|(channel, _)| *channel).collect();
    let mut files = vec![File::json(format!("{base}.json"), &report)];
    let Some((_, first)) = shown.first() else { return Ok(files) };
    let most = shown.iter().map(|(_, p)| p.fields.len()).max().unwrap_or(0);
    let (_, c, h, w) = first.images.dim();
    for (what, pick) in [("projections", 0), ("images", 1)] {
        // [channels shown, images, C, h, w], zero where a channel fired in fewer images
        let mut array = Array5::zeros((shown.len(), most, c, h, w));
        for (mut place, (_, patches)) in array.axis_iter_mut(Axis(0)).zip(&shown) {
            let from = if pick == 0 { &patches.projections } else { &patches.images };
            place.slice_axis_mut(Axis(0), (0..from.dim().0).into()).assign(from);
        }
        files.push(File::npy(format!("{base}-{what}.npy"), array.view().into_dyn())?);
    }
    let mosaic = Mosaic {
        title: format!("What excites {name} of {} most", scene.graph.name()),
        notes: notes(scene, rankings, shown.len())?,
        groups,
        tile: 56,
    };
    files.push(File::new(format!("{base}.png"), mosaic.draw()?.png()?));
    Ok(files)
}

fn notes(scene: &Scene<'_>, rankings: &[Ranking], shown: usize) -> Result<Vec<String>> {
    let dead = rankings.iter().filter(|r| r.fired == 0).count();
    let set = scene.data()?;
    let mut notes = vec![
        format!(
            "Left: the single strongest activation in each image, projected to pixels by DeconvNet with the switches of \
             that image (Zeiler and Fergus 2014). Right: the same places of the images, with the mean colour beyond their \
             edge. Strongest first, out of {} in {}.",
            set.len(),
            set.name()
        ),
        "The bar gives the range of a channel's projections; zero is the middle colour.".into(),
    ];
    if shown < rankings.len() {
        notes.push(format!("{shown} of {} channels are shown", rankings.len()));
    }
    if dead > 0 {
        notes.push(format!("{dead} channels fired in no image"));
    }
    Ok(notes)
}

fn group(scene: &Scene<'_>, channel: usize, ranking: &Ranking, patches: &Patches) -> Result<Group> {
    let side = (patches.fields.len() as f64).sqrt().ceil() as usize;
    let (style, range) = signed_bar(scene.graph.input().c, patches.projections.axis_iter(Axis(0)));
    let projections = patches.projections.axis_iter(Axis(0)).map(|p| Tile::signed(p, &range, "")).collect();
    let images =
        patches.images.axis_iter(Axis(0)).map(|image| Tile::image(pixels(scene.graph, image)?.view(), ""));
    let strength = |t: Option<&Excited>| short(t.map_or(0.0, |t| t.activation.into()));
    let title = format!(
        "channel {channel}: {} to {}, fires in {}",
        strength(ranking.top.first()),
        strength(ranking.top.last()),
        percent(ranking.fired as f64 / scene.data()?.len() as f64)
    );
    let grids = vec![
        Grid { tiles: projections, columns: side, bar: Some((style, range)) },
        Grid { tiles: images.collect::<Result<_>>()?, columns: side, bar: None },
    ];
    Ok(Group { title, grids })
}

fn report(scene: &Scene<'_>, layer: &str, rankings: &[Ranking]) -> Result<Value> {
    let set = scene.data()?;
    let slot = scene.graph.slot(layer)?;
    let image = |t: &Excited| {
        let [rows, columns] = crate::studies::top_images::cut(scene.graph, slot, t.at);
        json!({
            "image": t.image, "label": set.label(t.image), "activation": t.activation, "at": t.at,
            "rows": [rows.start, rows.end], "columns": [columns.start, columns.end],
        })
    };
    let channels = rankings.iter().enumerate().map(|(k, r)| {
        json!({ "channel": k, "fired": r.fired, "top": r.top.iter().map(image).collect::<Vec<_>>() })
    });
    Ok(json!({
        "model": scene.graph.name(), "layer": layer, "data": set.name(), "images": set.len(),
        "channels": channels.collect::<Vec<_>>(),
    }))
}
