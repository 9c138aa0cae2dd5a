//! What the figures of single methods share: a row per image, a panel per method, and captions that say which image,
//! which class, how sure the net was, and how far the map can be trusted.

use super::{File, Scene};
use crate::error::Result;
use crate::gallery::{Content, Gallery, Panel, Row};
use crate::methods::{self, Answer, Ask, Facts, Method, Settings, Space};
use crate::number::short;
use crate::overlay::denormalise;
use crate::resize::Resize;
use crate::scale::{Mode, Range, Style};
use glassbox_engine::Graph;
use ndarray::{Array2, Array3, ArrayD, ArrayView3, Axis, Ix2, Ix3};

/// Images shown at the most.
const MOST: usize = 10;

/// A figure of one method for each image of the scene.
pub(super) fn of_method(scene: &Scene<'_>, name: &str, title: &str) -> Result<Vec<File>> {
    Ok(vec![File::new(format!("{name}.png"), gallery_of(scene, name, title)?.draw()?.png()?)])
}

/// The gallery of one method.
pub(super) fn gallery_of(scene: &Scene<'_>, name: &str, title: &str) -> Result<Gallery> {
    gallery(scene, &[name], title, MOST)
}

/// A gallery: images down, methods across.
pub(super) fn gallery(scene: &Scene<'_>, names: &[&str], title: &str, most: usize) -> Result<Gallery> {
    let images = scene.images()?;
    let count = images.input.dim().0.min(most);
    let input = images.input.slice_axis(Axis(0), (0..count).into()).to_owned();
    let mut answers = Vec::new();
    for name in names {
        let method = methods::named(name)?;
        let mut ask = Ask::new(scene.graph, scene.params, &input);
        if let (Some(layer), methods::Aim::Layer) = (&scene.layer, method.aim) {
            ask = ask.layer(layer);
        }
        answers.push((method, method.run(&ask, &Settings::defaults(method))?));
    }
    let rows = (0..count).map(|n| {
        let panels = answers
            .iter()
            .map(|(method, answer)| panel_of(scene.graph, method, method.name, answer, n))
            .collect::<Result<_>>()?;
        let facts = answers.first().map(|(_, a)| &a.facts[n]);
        let mut caption = caption(scene.graph, images.name(n), images.label(n), facts);
        if let [(_, answer)] = &answers[..] {
            caption += &trust(&answer.facts[n]);
        }
        Ok(Row { image: pixels(scene.graph, images.input.index_axis(Axis(0), n))?, panels, caption })
    });
    let rows = rows.collect::<Result<Vec<Row>>>()?;
    let mut gallery = Gallery::new(title, rows);
    for (method, answer) in &answers {
        let whose = if answers.len() == 1 { String::new() } else { format!("{}: ", method.name) };
        gallery.notes.extend(answer.notes.iter().map(|note| format!("{whose}{note}")));
    }
    Ok(gallery)
}

/// One map of an answer as a panel: signed maps in diverging colours, layers' maps over the image.
pub fn panel(title: &str, space: Space, answer: &Answer, n: usize) -> Panel {
    let map = answer.map.index_axis(Axis(0), n).to_owned();
    let facts = &answer.facts[n];
    let style = if facts.min < 0.0 { Style::signed() } else { Style::unsigned() };
    match (space, plane(&map)) {
        (Space::Layer, Some(map)) => Panel::overlay(title, map, style),
        (_, Some(map)) => Panel::map(title, map, style),
        (_, None) => match map.into_dimensionality::<Ix3>() {
            Ok(colour) if colour.dim().0 == 3 => {
                Panel { title: title.into(), content: Content::SignedImage(colour) }
            }
            Ok(other) => {
                Panel::map(format!("{title}, channels summed"), other.sum_axis(Axis(0)), Style::signed())
            }
            Err(_) => Panel {
                title: format!("{title}: no picture"),
                content: Content::Map { map: Array2::zeros((1, 1)), style, resize: Resize::Blocks },
            },
        },
    }
}

/// One answer of a method as a panel: images that were made as images, maps as [`panel`] draws them.
///
/// # Errors
/// As [`pixels`].
pub fn panel_of(graph: &Graph, method: &Method, title: &str, answer: &Answer, n: usize) -> Result<Panel> {
    let map = answer.map.index_axis(Axis(0), n).to_owned().into_dimensionality::<Ix3>();
    match (method.space, map) {
        (Space::Made, Ok(image)) => made(graph, title, image.view()),
        _ => Ok(panel(title, method.space, answer, n)),
    }
}

/// An image in the net's own units as pixels; where it leaves black to white, its own ends become black and white.
fn made(graph: &Graph, title: &str, image: ArrayView3<'_, f32>) -> Result<Panel> {
    let p = graph.pixels();
    let of = |list: &[f64], c: usize, or: f64| list.get(c).copied().unwrap_or(or) as f32;
    let mut raw = image.to_owned();
    for (c, mut channel) in raw.axis_iter_mut(Axis(0)).enumerate() {
        channel.mapv_inplace(|v| v * of(&p.std, c, 1.0) + of(&p.mean, c, 0.0));
    }
    let range = Range::of(&raw, Mode::MinMax);
    let inside = range.lo >= -1e-4 && range.hi <= 1.0 + 1e-4;
    let (black, white) = if inside { (0.0, 1.0) } else { (range.lo, range.hi.max(range.lo + 1e-6)) };
    raw.mapv_inplace(|v| ((v - black) / (white - black)).clamp(0.0, 1.0));
    if ![1, 3].contains(&raw.dim().0) {
        raw = (raw.sum_axis(Axis(0)) / image.dim().0 as f32).insert_axis(Axis(0));
    }
    let title = format!("{title}: black is {}, white {}", short(black.into()), short(white.into()));
    Ok(Panel { title, content: Content::Image(raw) })
}

/// A map of one channel.
fn plane(map: &ArrayD<f32>) -> Option<Array2<f32>> {
    match map.shape() {
        [_, _] => map.clone().into_dimensionality::<Ix2>().ok(),
        [1, _, _] => map.index_axis(Axis(0), 0).to_owned().into_dimensionality::<Ix2>().ok(),
        _ => None,
    }
}

/// An image as the net sees it, taken back to [0, 1], grey or colour; other numbers of channels as their mean.
///
/// Errors: as many means as channels is what the graph has made sure of.
pub fn pixels(graph: &Graph, image: ArrayView3<'_, f32>) -> Result<Array3<f32>> {
    let p = graph.pixels();
    let narrow = |list: &[f64]| list.iter().map(|&v| v as f32).collect::<Vec<f32>>();
    let image = denormalise(image, &narrow(&p.mean), &narrow(&p.std))?;
    match image.dim().0 {
        1 | 3 => Ok(image),
        channels => Ok((image.sum_axis(Axis(0)) / channels as f32).insert_axis(Axis(0))),
    }
}

/// Which image, what it is, and which class is explained.
pub fn caption(graph: &Graph, name: &str, label: Option<usize>, facts: Option<&Facts>) -> String {
    let mut text = name.to_string();
    if let Some(label) = label {
        text += &format!(", a \"{}\"", graph.class_name(label));
    }
    if let Some(class) = facts.and_then(|f| f.class) {
        text += &format!("; explained: class \"{}\"", graph.class_name(class));
    }
    match facts.map(|f| (f.unit, f.score)) {
        Some((Some([k, y, x]), Some(score))) => {
            text += &format!("; channel {k}, row {y}, column {x}, activation {}", short(score));
        }
        Some((None, Some(score))) => text += &format!(", logit {}", short(score)),
        _ => {}
    }
    text
}

/// How far a map can be trusted: why it is empty, or the residual of its theory.
pub fn trust(facts: &Facts) -> String {
    let mut text = String::new();
    if let Some(reason) = &facts.reason {
        text += &format!("; {reason}");
    }
    if let Some(residual) = &facts.residual {
        text += &format!(
            "; check: {} off by {} of {}",
            residual.name,
            short(residual.value),
            short(residual.scale)
        );
    }
    if let Some(why) = facts.unchecked {
        text += &format!("; no check: {why}");
    }
    text
}

/// A name that can be a folder's.
pub(super) fn picture_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    name.chars().map(plain).collect()
}
