//! grad-cam: where a layer's maps speak for the class.

use super::explanation::of_method;
use super::{Figure, File, Needs, Scene};
use crate::error::Result;
use crate::methods::Settings;

pub(super) static FIGURE: Figure = Figure {
    name: "grad-cam",
    summary: "where the last convolution's maps speak for the class",
    needs: Needs::Images,
    keys: &[],
    draw,
};

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    of_method(
        scene,
        "grad-cam",
        "Grad-CAM: where the layer's maps speak for the class (Selvaraju et al. 2017)",
    )
}
