//! gradient-x-input: the gradient of the class score times the input, pixel by pixel.

use super::explanation::of_method;
use super::{Figure, File, Needs, Scene};
use crate::error::Result;
use crate::methods::Settings;

pub(super) static FIGURE: Figure = Figure {
    name: "gradient-x-input",
    summary: "the gradient of the class score times the input",
    needs: Needs::Images,
    keys: &[],
    draw,
};

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    of_method(
        scene,
        "gradient-x-input",
        "Gradient x input: what each pixel adds to the class score, to first order",
    )
}
