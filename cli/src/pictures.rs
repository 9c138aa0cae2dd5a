//! Figures on disk: the scene of a run or of a net, drawn and written.

use crate::error::{Error, Result};
use crate::run::diagnosis;
use crate::run::images::{self, Shown};
use crate::run::snapshots::Kept;
use crate::run::{dump, log};
use crate::say::{self, Way};
use glassbox_engine::data::{Augment, Dataset, Loader, shapes};
use glassbox_engine::io::atomic;
use glassbox_engine::train::Evaluation;
use glassbox_engine::{Blocked, Graph, Params};
use glassbox_viz::figures::{Confusion, FIGURES, Figure, Images, Needs, Scene};
use glassbox_viz::methods::Settings;
use ndarray::{Array2, Array4};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The confusion matrix as a PNG.
pub fn confusion(result: &Evaluation, classes: &[String], title: &str) -> Result<Vec<u8>> {
    let c = confusion_of(result, classes, title);
    Ok(glassbox_viz::confusion::confusion(&c.title, &c.classes, c.counts.view())?.png()?)
}

/// Counts for a figure.
pub fn confusion_of(result: &Evaluation, classes: &[String], title: &str) -> Confusion {
    let count = result.confusion.len();
    let counts = Array2::from_shape_fn((count, count), |(t, p)| u64::from(result.confusion[t][p]));
    let name = |k: usize| classes.get(k).cloned().unwrap_or_else(|| k.to_string());
    Confusion { title: title.into(), classes: (0..count).map(name).collect(), counts }
}

/// One image of each class of a data set (its first), up to ten, as the net sees them.
pub fn examples(graph: &Graph, data: &Arc<Dataset>) -> Result<Images> {
    images::check(graph, data)?;
    let mut places: Vec<u32> = Vec::new();
    for class in 0..data.classes.len().min(10) {
        places.extend(data.labels.iter().position(|&l| l as usize == class).map(|p| p as u32));
    }
    let pixels = graph.pixels();
    let mut loader = Loader::new(data.clone(), &pixels.mean, &pixels.std, Augment::default(), 0)?;
    let mut labels = vec![0; places.len()];
    let mut batch = Blocked::zeros(graph.input(), places.len(), glassbox_engine::LANES);
    loader.fill(0, &places, &mut batch, &mut labels);
    let known: Vec<usize> = places.iter().map(|&p| p as usize).collect();
    let boxes = shapes::boxes(data, &known);
    Ok(Images {
        input: batch.to_array4(),
        labels: labels.into_iter().map(|l| l as usize).collect(),
        names: places.iter().map(|p| format!("test image {p}")).collect(),
        boxes: boxes.unwrap_or_default(),
    })
}

/// Images from files, called after them.
pub fn given(input: Array4<f32>, files: &[PathBuf]) -> Images {
    let count = input.dim().0;
    let names = (0..count).map(|i| match files.get(i) {
        Some(file) if files.len() == count => file.file_name().unwrap_or_default().to_string_lossy().into(),
        _ => format!("image {i}"),
    });
    Images { names: names.collect(), labels: Vec::new(), boxes: Vec::new(), input }
}

/// Draws every figure that a finished run can have, and tells `way` how many are done; returns the number of files.
pub fn of_run(
    run: &Path,
    graph: &Graph,
    params: &Params<f32>,
    test: &Arc<Dataset>,
    last: Option<&Evaluation>,
    way: Option<&Way>,
) -> Result<usize> {
    let title =
        |cost: &Evaluation| format!("{} on {} test images of {}", graph.name(), cost.cost.images, test.name);
    let shown = Shown::new(graph, test, "test")?;
    let kept = Kept::of(run, graph)?;
    let scene = Scene {
        images: if test.is_empty() { None } else { Some(examples(graph, test)?) },
        history: Some(log::history(run)?),
        confusion: last.map(|l| confusion_of(l, &test.classes, &title(l))),
        dumps: dump::over_time(run)?,
        diagnosis: diagnosis::read(run)?,
        data: Some(&shown),
        snapshots: Some(&kept),
        ..Scene::new(graph, params)
    };
    let mut count = 0;
    let wanted = FIGURES.iter().filter(|f| f.needs != Needs::ImagesAndTime && f.drawable(&scene));
    let figures: Vec<_> = wanted.collect();
    for (i, figure) in figures.iter().enumerate() {
        if let Some(way) = way {
            way.at(i, figures.len());
        }
        match write(figure, &scene, &figure.settings::<&str>(&[])?, &run.join("figures")) {
            Ok(files) => count += files,
            // a net of another build may not suit every figure; the run itself is done
            Err(Error::Viz(e)) => say::note(format!("note: figure \"{}\" is left out: {e}", figure.name)),
            Err(other) => return Err(other),
        }
    }
    if let Some(way) = way {
        way.end();
    }
    Ok(count)
}

/// Draws one figure into a folder; returns the number of files.
pub fn write(figure: &Figure, scene: &Scene<'_>, settings: &Settings, folder: &Path) -> Result<usize> {
    let files = figure.files(scene, settings)?;
    for file in &files {
        let path = folder.join(&file.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, "create the folder", e))?;
        }
        atomic::write(&path, &file.bytes)?;
    }
    Ok(files.len())
}
