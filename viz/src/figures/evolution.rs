//! evolution: channels at several moments of training, each shown by the image of a data set that excites it most then,
//! projected to pixels by DeconvNet. A sudden jump means that another image took the lead.
//!
//! Reference: Zeiler and Fergus 2014 (arXiv 1311.2901), section 4 and figure 4.

use super::explanation::{picture_name, pixels};
use super::{Figure, File, Needs, Scene, layers};
use crate::error::Result;
use crate::methods::{self, Key, Settings};
use crate::mosaic::{Grid, Group, Mosaic, Tile, signed_bar};
use crate::number::short;
use crate::studies::top_images::{Excited, Patches, project, rank};
use ndarray::{Array4, Array5, Axis};
use serde_json::json;

pub(super) static FIGURE: Figure = Figure {
    name: "evolution",
    summary: "channels over the epochs: the image that excites each most, projected by DeconvNet",
    needs: Needs::Snapshots,
    keys: &[Key { default: "8", ..layers::CHANNELS }, methods::OVERLAP],
    draw,
};

/// A channel at one moment; nothing where it fired in no image.
type Moment = Option<(Excited, Patches)>;

fn draw(scene: &Scene<'_>, settings: &Settings) -> Result<Vec<File>> {
    let chosen = layers::Channels::of(settings)?;
    let slots = layers::of_maps(scene);
    slots.iter().try_for_each(|&slot| chosen.check(scene.graph, slot))?;
    let deconvnet = methods::named("deconvnet")?;
    let deconvnet = Settings::parse(deconvnet, &[format!("overlap={}", settings.text("overlap"))])?;
    let (snapshots, set) = (scene.snapshots()?, scene.data()?);
    let mut channels: Vec<Vec<usize>> = Vec::new();
    // [slot][channel shown][moment]
    let mut shown: Vec<Vec<Vec<Moment>>> = Vec::new();
    // from the last moment, which decides the channels, to the first
    for moment in (0..snapshots.len()).rev() {
        let params = snapshots.params(moment)?;
        let rankings = rank(scene.graph, &params, set, &slots, 1, scene.progress)?;
        let strength = |slot: usize| -> Vec<f32> {
            rankings[slot].iter().map(|r| r.top.first().map_or(0.0, |t| t.activation)).collect()
        };
        if channels.is_empty() {
            channels = (0..slots.len()).map(|s| chosen.pick(&strength(s))).collect();
            shown = channels.iter().map(|list| vec![Vec::new(); list.len()]).collect();
        }
        for (s, &slot) in slots.iter().enumerate() {
            for (moments, &channel) in shown[s].iter_mut().zip(&channels[s]) {
                let top = &rankings[s][channel].top;
                let seen = match top.first() {
                    Some(&first) => {
                        Some((first, project(scene.graph, &params, set, (slot, channel), top, &deconvnet)?))
                    }
                    None => None,
                };
                moments.insert(0, seen);
            }
        }
    }
    let mut files = Vec::new();
    for ((&slot, channels), shown) in slots.iter().zip(&channels).zip(&shown) {
        files.extend(layer(scene, slot, channels, shown)?);
    }
    Ok(files)
}

/// The picture of one layer, with its numbers.
fn layer(scene: &Scene<'_>, slot: usize, channels: &[usize], shown: &[Vec<Moment>]) -> Result<Vec<File>> {
    let (name, set, snapshots) = (&scene.graph.names()[slot], scene.data()?, scene.snapshots()?);
    let base = format!("evolution/{}", picture_name(name));
    let labels: Vec<String> = (0..snapshots.len()).map(|i| snapshots.label(i)).collect();
    let moment = |(label, m): (&String, &Moment)| match m {
        Some((e, _)) => json!({
            "at": label, "image": e.image, "label": set.label(e.image), "activation": e.activation, "unit": e.at,
        }),
        None => json!({ "at": label, "image": null }),
    };
    let entries = channels.iter().zip(shown).map(|(channel, moments)| {
        json!({ "channel": channel, "moments": labels.iter().zip(moments).map(moment).collect::<Vec<_>>() })
    });
    let report = json!({
        "model": scene.graph.name(), "layer": name, "data": set.name(), "channels": entries.collect::<Vec<_>>(),
    });
    let mut files = vec![File::json(format!("{base}.json"), &report)];
    let Some(one) = shown.iter().flatten().flatten().next() else { return Ok(files) };
    let (_, c, h, w) = one.1.projections.dim();
    // [channels shown, moments, C, h, w], zero where a channel fired in no image
    let mut array = Array5::zeros((shown.len(), labels.len(), c, h, w));
    for (mut place, moments) in array.axis_iter_mut(Axis(0)).zip(shown) {
        for (mut place, (_, patches)) in
            place.axis_iter_mut(Axis(0)).zip(moments).filter_map(|(place, m)| Some((place, m.as_ref()?)))
        {
            place.assign(&patches.projections.index_axis(Axis(0), 0));
        }
    }
    files.push(File::npy(format!("{base}-projections.npy"), array.view().into_dyn())?);
    let blank = Array4::zeros((1, c, h, w));
    let groups = channels.iter().zip(shown).map(|(&k, moments)| group(scene, k, moments, &labels, &blank));
    let mosaic = Mosaic {
        title: format!("How channels of {name} of {} came to be", scene.graph.name()),
        notes: vec![
            format!(
                "Above: the strongest activation in any of {}, projected to pixels by DeconvNet (Zeiler and Fergus \
                 2014), with the moment of training. Below: the same place of the image, with the activation. A jump \
                 means that another image took the lead. One scale for all moments of a channel.",
                set.name()
            ),
            format!("{} of {} channels are shown", channels.len(), scene.graph.shape(slot).c),
        ],
        groups: groups.collect::<Result<_>>()?,
        tile: 84,
    };
    files.push(File::new(format!("{base}.png"), mosaic.draw()?.png()?));
    Ok(files)
}

fn group(
    scene: &Scene<'_>,
    channel: usize,
    moments: &[Moment],
    labels: &[String],
    blank: &Array4<f32>,
) -> Result<Group> {
    let projection = |m: &Moment| m.as_ref().map_or_else(|| blank.clone(), |(_, p)| p.projections.clone());
    let all: Vec<Array4<f32>> = moments.iter().map(projection).collect();
    let (style, range) = signed_bar(scene.graph.input().c, all.iter().map(|p| p.index_axis(Axis(0), 0)));
    let mut tiles: Vec<Tile> = all
        .iter()
        .zip(labels)
        .map(|(p, label)| Tile::signed(p.index_axis(Axis(0), 0), &range, label.clone()))
        .collect();
    for m in moments {
        let image = m.as_ref().map_or(blank, |(_, patches)| &patches.images);
        let label = m.as_ref().map_or("silent".into(), |(e, _)| short(e.activation.into()));
        tiles.push(Tile::image(pixels(scene.graph, image.index_axis(Axis(0), 0))?.view(), label)?);
    }
    let grid = Grid { tiles, columns: moments.len(), bar: Some((style, range)) };
    Ok(Group { title: format!("channel {channel}"), grids: vec![grid] })
}
