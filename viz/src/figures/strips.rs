//! strips: the same units on the same image over the dumps of a run, as strips and as animations.

use super::explanation::picture_name;
use super::{Figure, File, Needs, Scene};
use crate::error::{Error, Result};
use crate::evolution::Evolution;
use crate::methods::Settings;

pub(super) static FIGURE: Figure = Figure {
    name: "strips",
    summary: "the strongest units of every layer on one image, over the dumps of a run",
    needs: Needs::Dumps,
    keys: &[],
    draw,
};

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    let dumps = scene.dumps.as_ref().ok_or_else(|| Error::request("there are no dumps", "name a run"))?;
    let mut files = Vec::new();
    for (layer, maps) in dumps.layers.iter().filter(|(layer, _)| scene.wants(layer)) {
        let evolution = Evolution {
            title: format!("{layer} over the run: {}", dumps.image),
            moments: dumps.moments.clone(),
            maps: maps.clone(),
        };
        let name = picture_name(layer);
        files.push(File { path: format!("strips/{name}.png"), bytes: evolution.strip()?.png()? });
        files.push(File { path: format!("strips/{name}-animated.png"), bytes: evolution.animated()? });
    }
    Ok(files)
}
