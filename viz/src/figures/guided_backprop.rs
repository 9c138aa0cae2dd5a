//! guided-backprop: guided backpropagation from the class score.

use super::explanation::of_method;
use super::{Figure, File, Needs, Scene};
use crate::error::Result;
use crate::methods::Settings;

pub(super) static FIGURE: Figure = Figure {
    name: "guided-backprop",
    summary: "guided backpropagation from the class score",
    needs: Needs::Images,
    keys: &[],
    draw,
};

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    of_method(
        scene,
        "guided-backprop",
        "Guided backpropagation from the class score (Springenberg et al. 2014)",
    )
}
