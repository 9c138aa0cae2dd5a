//! feature-maps: what every layer makes of a few images, all its channels as tiles.

use super::explanation::picture_name;
use super::{Figure, File, Needs, Scene};
use crate::error::Result;
use crate::methods::Settings;
use crate::tiles::FeatureMaps;
use glassbox_engine::{Blocked, Mode, forward};
use ndarray::Axis;

pub(super) static FIGURE: Figure = Figure {
    name: "feature-maps",
    summary: "what every layer makes of up to three images, all channels as tiles",
    needs: Needs::Images,
    keys: &[],
    draw,
};

/// Images shown: every layer of every image is a file.
const MOST: usize = 3;

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    let images = scene.images()?;
    let mut files = Vec::new();
    for (n, name) in images.names.iter().enumerate().take(MOST) {
        let one = images.input.index_axis(Axis(0), n).insert_axis(Axis(0));
        let trace = forward(scene.graph, scene.params, &Blocked::from_array4(one, 1), Mode::Eval)?;
        let folder = picture_name(name);
        for (slot, layer) in scene.graph.names().iter().enumerate().filter(|(_, l)| scene.wants(l)) {
            let label = images.label(n).map(|k| format!(", a \"{}\"", scene.graph.class_name(k)));
            let kind = slot.checked_sub(1).map(|node| scene.graph.nodes()[node].layer.kind().name);
            let kind = kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
            let title = format!("{layer}{kind}: {name}{}", label.unwrap_or_default());
            let canvas = FeatureMaps::new(title, trace.slot(slot)?.image(0)).draw()?;
            files.push(File { path: format!("maps/{folder}/{layer}.png"), bytes: canvas.png()? });
        }
    }
    Ok(files)
}
