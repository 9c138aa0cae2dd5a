//! report.html: what a run came to, in one plain file that opens from disk and asks no network.
//!
//! The page is template.html with its places filled in; all pictures are those that the run folder holds, as data
//! URIs. Where dumps of many epochs would make the file too large, epochs are left out evenly, first and last kept.

mod page;

use crate::error::{Error, Result};
use crate::run::dump::{Index, Moment};
use crate::run::log;
use glassbox_engine::Graph;
use glassbox_engine::data::Dataset;
use glassbox_engine::io::atomic;
use glassbox_engine::train::Evaluation;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage};
use page::{Page, escape, picture};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Most bytes of pictures from dumps, before they become text (which adds a third).
const DUMPS: usize = 5_000_000;
/// Most bytes of strips over the run.
const EVOLUTION: u64 = 800_000;
/// Pictures of dumps that the page shows.
const KINDS: [&str; 2] = ["kernels", "maps"];
/// Most images shown that the net gets wrong.
const WRONG: usize = 36;

/// Figures of attributions, in the order of the page.
const ATTRIBUTIONS: &[&str] =
    &["methods", "saliency", "gradient-x-input", "guided-backprop", "deconvnet", "grad-cam"];

/// Writes the report of a run from what its folder holds and how the net does on the test images; its path.
pub fn write(run: &Path, graph: &Graph, test: &Dataset, result: Option<&Evaluation>) -> Result<PathBuf> {
    let history = log::history(run)?;
    let mut page = Page::new(format!("{} on {}", graph.name(), test.name));
    page.fact("run", &run.file_name().unwrap_or(run.as_os_str()).to_string_lossy());
    page.fact("parameters", &crate::say::count(graph.layout().count() as u64));
    page.fact("epochs", &history.epochs.len().to_string());
    if let Some(result) = result {
        page.fact("test accuracy", &format!("{:.2} %", 100.0 * result.cost.accuracy()));
        page.fact("test loss", &format!("{:.4}", result.cost.mean()));
    }
    let figures = run.join("figures");
    let figure = |name: &str, words: &str| -> Result<String> {
        let files = ["svg", "png"].map(|ending| figures.join(format!("{name}.{ending}")));
        let Some(file) = files.iter().find(|f| f.is_file()) else { return Ok(String::new()) };
        picture(file, words)
    };
    page.section(
        "Curves",
        figure("curves", "Loss and accuracy over the epochs, on training and test images")?,
    );
    page.section(
        "Confusion",
        figure("confusion", "True classes in rows, predicted ones in columns, counted on the test images")?,
    );
    if let Some(result) = result {
        page.section("Misclassified images", misclassified(test, result)?);
    }
    page.section("Architecture", figure("architecture", "The net's layers and the shapes between them")?);
    page.section("Layers over the epochs", layers(run)?);
    page.section("Evolution", evolution(&figures.join("strips"))?);
    let mut matrix = String::new();
    for name in ATTRIBUTIONS {
        matrix += &figure(name, &format!("{name}: what in each image the net's answer rests on"))?;
    }
    page.section("Attributions", matrix);
    page.section("Configuration and command lines", configuration(run)?);
    let file = run.join("report.html");
    atomic::write(&file, page.finish().as_bytes())?;
    Ok(file)
}

/// The first images that the net gets wrong.
fn misclassified(test: &Dataset, result: &Evaluation) -> Result<String> {
    let wrong: Vec<usize> = (0..test.len()).filter(|&i| result.predictions[i] != test.labels[i]).collect();
    if wrong.is_empty() {
        return Ok("<p>None: every test image is right.</p>".into());
    }
    let class = |k: u32| test.classes.get(k as usize).cloned().unwrap_or_else(|| k.to_string());
    let mut html = format!(
        "<p class=\"note\">{} of {} test images are wrong; the first {}:</p><ul class=\"wrong\">",
        wrong.len(),
        test.len(),
        wrong.len().min(WRONG)
    );
    for &i in wrong.iter().take(WRONG) {
        let words = format!(
            "test image {i}: {}, taken for {}",
            escape(&class(test.labels[i])),
            escape(&class(result.predictions[i]))
        );
        let png = page::data_uri("image/png", &pixels(test, i)?);
        html += &format!("<li><img src=\"{png}\" alt=\"{words}\"><span>{words}</span></li>");
    }
    Ok(html + "</ul>")
}

/// One image as it is in the set: PNG bytes.
fn pixels(data: &Dataset, i: usize) -> Result<Vec<u8>> {
    let [channels, h, w] = data.shape();
    let at = |c: usize, y: u32, x: u32| data.pixels[[i, c.min(channels - 1), y as usize, x as usize]];
    let color = |x: u32, y: u32| Rgb([at(0, y, x), at(1, y, x), at(2, y, x)]);
    encoded(&RgbImage::from_fn(w as u32, h as u32, color), &format!("test image {i}"))
}

/// Each layer's maps and kernels, moment by moment under one slider.
fn layers(run: &Path) -> Result<String> {
    let Some(index) = Index::read(&run.join("dumps"))? else { return Ok(String::new()) };
    let all = index.moments();
    let Some(&last) = all.last() else { return Ok(String::new()) };
    let mut pictures = pictures_of(&index, &[last])?;
    let size: usize = pictures.iter().map(|p| p.png.len()).sum();
    let moments = evenly(&all, (DUMPS / size.max(1)).max(1));
    let others: Vec<&Moment> = moments.iter().copied().filter(|m| *m != last).collect();
    pictures.extend(pictures_of(&index, &others)?);
    let list: Vec<String> = moments.iter().map(|m| m.words()).collect();
    let mut html = format!(
        "<div class=\"slider\"><label for=\"epoch\">Moment</label><input id=\"epoch\" type=\"range\" min=\"0\" \
         max=\"{0}\" value=\"{0}\" data-epochs=\"{1}\"><output id=\"epoch-name\" for=\"epoch\">{2}</output></div>",
        moments.len() - 1,
        list.join(","),
        last.words()
    );
    if moments.len() < all.len() {
        html += &format!(
            "<p class=\"note\">{} of {} dumps, to keep this file small; the others are in the folder dumps.</p>",
            moments.len(),
            all.len()
        );
    }
    let mut links = String::new();
    let mut parts = String::new();
    for layer in index.layers() {
        let mut own = String::new();
        for kind in KINDS {
            let of_kind = pictures.iter().filter(|p| p.layer == layer && p.kind == kind);
            let images: String = of_kind.map(|p| p.html(last)).collect();
            if !images.is_empty() {
                own += &format!(
                    "<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"{kind} of {}\">{images}</div>",
                    escape(layer)
                );
            }
        }
        if !own.is_empty() {
            let name = escape(layer);
            links += &format!("<a href=\"#layer-{name}\">{name}</a>");
            parts += &format!("<details open id=\"layer-{name}\"><summary>{name}</summary>{own}</details>");
        }
    }
    Ok(format!("{html}<nav aria-label=\"Layers\">{links}</nav>{parts}"))
}

/// A picture of a dump.
struct Picture<'a> {
    layer: &'a str,
    kind: &'static str,
    moment: &'a Moment,
    png: Vec<u8>,
}

impl Picture<'_> {
    fn html(&self, last: &Moment) -> String {
        let when = self.moment.words();
        let hidden = if self.moment == last { "" } else { " hidden" };
        format!(
            "<img data-epoch=\"{when}\" src=\"{}\" alt=\"{} of {} after {when}\"{hidden}>",
            page::data_uri("image/png", &self.png),
            self.kind,
            escape(self.layer)
        )
    }
}

/// The pictures of these moments, made smaller: dumps are written fast, and a report once.
fn pictures_of<'a>(index: &'a Index, moments: &[&Moment]) -> Result<Vec<Picture<'a>>> {
    let entries: Vec<_> = index.entries().iter().filter(|e| moments.contains(&&e.moment)).collect();
    let pictures = entries.par_iter().flat_map_iter(|entry| {
        KINDS.iter().filter_map(|&kind| {
            let file = entry.files.iter().find(|f| f.ends_with(&format!("/{kind}.png")))?;
            let png = atomic::read(index.folder.join(file))
                .map_err(Error::from)
                .and_then(|png| smaller(file, &png));
            Some(png.map(|png| Picture { layer: &entry.layer, kind, moment: &entry.moment, png }))
        })
    });
    pictures.collect()
}

/// The same PNG picture in fewer bytes.
fn smaller(file: &str, png: &[u8]) -> Result<Vec<u8>> {
    let read = image::load_from_memory_with_format(png, ImageFormat::Png);
    let picture = read.map_err(|e| {
        let problem = format!("it is no PNG picture: {e}");
        glassbox_engine::Error::corrupt(
            file,
            "picture",
            problem,
            "remove it from the folder dumps and its index",
        )
    })?;
    encoded(&picture.to_rgb8(), file)
}

fn encoded(picture: &RgbImage, what: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    PngEncoder::new_with_quality(&mut out, CompressionType::Default, FilterType::Adaptive)
        .write_image(picture, picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .map_err(|e| Error::Failed(format!("{what} cannot be drawn: {e}")))?;
    Ok(out)
}

/// The figure of strips, as far as they fit.
fn evolution(folder: &Path) -> Result<String> {
    let Ok(list) = std::fs::read_dir(folder) else { return Ok(String::new()) };
    let mut files: Vec<PathBuf> = list.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let (mut html, mut room) = (String::new(), EVOLUTION);
    for file in files {
        let layer = file.file_stem().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        let size = file.metadata().map_or(u64::MAX, |m| m.len());
        if layer.ends_with("-animated") || size > room {
            continue;
        }
        room -= size;
        html += &picture(&file, &format!("{layer}: its strongest units on one test image, over the run"))?;
    }
    Ok(html)
}

/// At most `most` of the items, evenly, first and last among them.
fn evenly<T: Copy>(items: &[T], most: usize) -> Vec<T> {
    if items.len() <= most {
        return items.to_vec();
    }
    let steps = (most.max(2) - 1) as f64;
    let at = |i: usize| items[(i as f64 * (items.len() - 1) as f64 / steps).round() as usize];
    (0..most.max(2)).map(at).collect()
}

fn configuration(run: &Path) -> Result<String> {
    let config = atomic::read_text(run.join("run.toml"))?;
    let model = atomic::read_text(run.join("model.toml"))?;
    let name = escape(&run.display().to_string());
    let method = "--method grad-cam --upsample --png map.png";
    Ok(format!(
        "<h3>Go on from here</h3><pre>glassbox resume {name} --epochs N\nglassbox eval {name}\n\
         glassbox explain {name} --input IMAGE {method}\nglassbox export {name} --to safetensors</pre>\
         <h3>run.toml</h3><pre tabindex=\"0\">{}</pre><h3>model.toml</h3><pre tabindex=\"0\">{}</pre>",
        escape(&config),
        escape(&model)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_are_left_out_evenly() {
        let all: Vec<u64> = (1..=100).collect();
        assert_eq!(evenly(&all, 5), [1, 26, 51, 75, 100]);
        assert_eq!(evenly(&all, 1), [1, 100]);
        assert_eq!(evenly(&[3], 1), [3]);
    }
}
