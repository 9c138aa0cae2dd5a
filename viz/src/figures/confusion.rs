//! confusion: counts of true against predicted classes.

use super::{Figure, File, Needs, Scene};
use crate::confusion::confusion;
use crate::error::Result;
use crate::methods::Settings;

pub(super) static FIGURE: Figure = Figure {
    name: "confusion",
    summary: "true against predicted classes, counted on the test set",
    needs: Needs::Confusion,
    keys: &[],
    draw,
};

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    let Some(c) = &scene.confusion else { return Ok(Vec::new()) };
    let canvas = confusion(&c.title, &c.classes, c.counts.view())?;
    Ok(vec![File { path: "confusion.png".into(), bytes: canvas.png()? }])
}
