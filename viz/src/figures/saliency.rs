//! saliency: which pixels move the class score most, whatever the sign.

use super::explanation::of_method;
use super::{Figure, File, Needs, Scene};
use crate::error::Result;
use crate::methods::Settings;

pub(super) static FIGURE: Figure = Figure {
    name: "saliency",
    summary: "which pixels move the class score most",
    needs: Needs::Images,
    keys: &[],
    draw,
};

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    of_method(
        scene,
        "saliency",
        "Saliency: size of the gradient of the class score, largest over channels (Simonyan et al. 2013)",
    )
}
