//! deconvnet: the class score projected to pixels by DeconvNet.

use super::explanation::of_method;
use super::{Figure, File, Needs, Scene};
use crate::error::Result;
use crate::methods::Settings;

pub(super) static FIGURE: Figure = Figure {
    name: "deconvnet",
    summary: "the class score projected to pixels by DeconvNet",
    needs: Needs::Images,
    keys: &[],
    draw,
};

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    of_method(scene, "deconvnet", "DeconvNet projection of the class score (Zeiler and Fergus 2014)")
}
