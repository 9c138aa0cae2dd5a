//! diagnosis: what a run's layers did, epoch by epoch: how far weights moved, gradients, activations, dead and saturated
//! units, histograms.

use super::{Figure, File, Needs, Scene};
use crate::diagnosis::{histograms, panels};
use crate::error::Result;
use crate::methods::Settings;

pub(super) static FIGURE: Figure = Figure {
    name: "diagnosis",
    summary: "how far weights moved, gradients, activations, dead and saturated units, layer by layer over the epochs",
    needs: Needs::Diagnosis,
    keys: &[],
    draw,
};

fn draw(scene: &Scene<'_>, _: &Settings) -> Result<Vec<File>> {
    let Some(run) = &scene.diagnosis else { return Ok(Vec::new()) };
    let mut run = run.clone();
    run.layers.retain(|track| scene.wants(&track.name));
    let name = scene.graph.name();
    Ok(vec![
        File::new("diagnosis/layers.svg", panels(&format!("Training of {name}, layer by layer"), &run)?),
        File::new(
            "diagnosis/histograms.svg",
            histograms(&format!("What flowed through {name} in training"), &run)?,
        ),
    ])
}
