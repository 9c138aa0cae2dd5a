//! grad-cam: where a layer's maps speak for the class.

use super::explanation::gallery_of;
use super::{Figure, File, Needs, Scene};
use crate::error::Result;
use crate::gallery::Content;
use crate::methods::{Key, Settings};
use crate::resize::Resize;

pub(super) static FIGURE: Figure = Figure {
    name: "grad-cam",
    summary: "where the last convolution's maps speak for the class",
    needs: Needs::Images,
    keys: &[Key {
        name: "resize",
        default: "blocks",
        help: "how the map is laid over the image: blocks, which show its true resolution, or bilinear",
    }],
    draw,
};

fn draw(scene: &Scene<'_>, settings: &Settings) -> Result<Vec<File>> {
    let words = [("bilinear", Resize::Bilinear), ("blocks", Resize::Blocks)];
    let how = settings.choice("resize", &words)?;
    let title = "Grad-CAM: where the layer's maps speak for the class (Selvaraju et al. 2017)";
    let mut gallery = gallery_of(scene, "grad-cam", title)?;
    for panel in gallery.rows.iter_mut().flat_map(|row| &mut row.panels) {
        if let Content::Overlay { resize, .. } = &mut panel.content {
            *resize = how;
        }
    }
    gallery.notes.push(format!(
        "enlarged in {}",
        if how == Resize::Blocks { "blocks" } else { "a smooth way (bilinear)" }
    ));
    Ok(vec![File::new("grad-cam.png", gallery.draw()?.png()?)])
}
