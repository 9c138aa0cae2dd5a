//! curves: loss and accuracy over the epochs of a run.

use super::{Figure, File, Needs, Scene};
use crate::curves::curves;
use crate::error::Result;
use crate::methods::Settings;

pub(super) static FIGURE: Figure = Figure {
    name: "curves",
    summary: "loss and accuracy over the epochs of a run",
    needs: Needs::History,
    keys: &[],
    draw,
};

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    let Some(history) = &scene.history else { return Ok(Vec::new()) };
    let svg = curves(&format!("Training of {}", scene.graph.name()), &history.epochs, &history.steps);
    Ok(vec![File { path: "curves.svg".into(), bytes: svg.into_bytes() }])
}
