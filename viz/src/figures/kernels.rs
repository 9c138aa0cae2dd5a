//! kernels: the weights of every convolution as tiles.

use super::{Figure, File, Needs, Scene};
use crate::error::Result;
use crate::methods::Settings;
use crate::weights::Kernels;

pub(super) static FIGURE: Figure = Figure {
    name: "kernels",
    summary: "the weights of every convolution as tiles",
    needs: Needs::Net,
    keys: &[],
    draw,
};

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for node in scene.graph.nodes().iter().filter(|n| scene.wants(&n.name)) {
        let Ok(weights) = scene.params.get(&format!("{}.weight", node.name)) else { continue };
        let Ok(weights) = weights.into_dimensionality() else { continue };
        let title = format!("Kernels of {} ({})", node.name, scene.graph.name());
        let bytes = Kernels::new(title, weights).draw()?.png()?;
        files.push(File { path: format!("kernels/{}.png", node.name), bytes });
    }
    Ok(files)
}
