//! units: for every layer of maps, its strongest channels on an image, each projected to pixels by DeconvNet from its
//! single strongest activation, with the switches of that image (Zeiler and Fergus 2014, section 2.1).

use super::explanation::{caption, panel, picture_name, pixels};
use super::{Figure, File, Needs, Scene, layers};
use crate::error::Result;
use crate::gallery::{Gallery, Row};
use crate::methods::{self, Ask, Settings, Unit};
use glassbox_engine::{Blocked, Mode, forward};
use ndarray::{Array3, Axis};

pub(super) static FIGURE: Figure = Figure {
    name: "units",
    summary: "the strongest channels of every layer, projected to pixels by DeconvNet",
    needs: Needs::Images,
    keys: &[],
    draw,
};

/// Images shown, each a row.
const IMAGES: usize = 4;
/// Channels shown, each a panel.
const CHANNELS: usize = 6;

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    let graph = scene.graph;
    let mut files = Vec::new();
    for slot in layers::of_maps(scene) {
        let name = &graph.names()[slot];
        let title = format!("DeconvNet: the {CHANNELS} strongest channels of {name}, projected to pixels");
        let mut gallery = Gallery::new(title, rows(scene, slot)?);
        gallery
            .notes
            .push("Each panel starts at the channel's single strongest activation in that image.".into());
        files.push(File { path: format!("units/{}.png", picture_name(name)), bytes: gallery.draw()?.png()? });
    }
    Ok(files)
}

fn rows(scene: &Scene<'_>, slot: usize) -> Result<Vec<Row>> {
    let images = scene.images()?;
    let method = methods::named("deconvnet")?;
    let settings = Settings::defaults(method);
    let name = &scene.graph.names()[slot];
    let count = images.input.dim().0.min(IMAGES);
    let mut rows = Vec::new();
    for n in 0..count {
        let one = images.input.index_axis(Axis(0), n).insert_axis(Axis(0)).to_owned();
        let trace = forward(scene.graph, scene.params, &Blocked::from_array4(one.view(), 1), Mode::Eval)?;
        let strongest = strongest(&trace.slot(slot)?.image(0).to_owned());
        let mut panels = Vec::new();
        for &(channel, value) in &strongest {
            let ask = Ask::new(scene.graph, scene.params, &one).layer(name).unit(Unit::Channel(channel));
            let answer = method.run(&ask, &settings)?;
            let title = format!("channel {channel}, {}", crate::number::short(f64::from(value)));
            panels.push(panel(&title, method, &answer, 0));
        }
        let caption = format!(
            "{}; channels by their strongest activation, which stands beside the number",
            caption(scene.graph, images.name(n), images.label(n), None)
        );
        rows.push(Row { image: pixels(scene.graph, one.index_axis(Axis(0), 0))?, panels, caption });
    }
    Ok(rows)
}

/// The channels of the largest values, with these; the lower channel first where they are equal.
fn strongest(maps: &Array3<f32>) -> Vec<(usize, f32)> {
    let peak = |map: ndarray::ArrayView2<'_, f32>| map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut all: Vec<(usize, f32)> = maps.axis_iter(Axis(0)).map(peak).enumerate().collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(CHANNELS);
    all
}
