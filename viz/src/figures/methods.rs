//! methods: images down, methods across, so that maps of one image can be compared.

use super::explanation::gallery;
use super::{Figure, File, Needs, Scene};
use crate::error::Result;
use crate::methods::Settings;

pub(super) static FIGURE: Figure =
    Figure { name: "methods", summary: "images down, methods across", needs: Needs::Images, keys: &[], draw };

/// Images shown.
const MOST: usize = 5;

/// Methods shown.
const METHODS: [&str; 5] = ["saliency", "gradient-x-input", "deconvnet", "guided-backprop", "grad-cam"];

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    let title = format!("Why did {} say so? Five methods on the same images", scene.graph.name());
    let mut gallery = gallery(scene, &METHODS, &title, MOST)?;
    gallery.notes.push(
        "Each panel has a scale of its own, printed beneath it; red adds to the score, blue takes away."
            .into(),
    );
    Ok(vec![File { path: "methods.png".into(), bytes: gallery.draw()?.png()? }])
}
