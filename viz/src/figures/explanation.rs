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

/// What a reader of maps over images has to know.
pub const OVERLAID: &str = "laid over the image, which shows through where the map is near 0";

/// The share of its largest value that the smallest of a map has to pass for its colours to start there.
const HIGH: f64 = 0.3;

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
        ask.progress = scene.progress;
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
        let over = (method.space == Space::Layer).then_some(OVERLAID);
        gallery.notes.extend(over.filter(|_| answers.len() == 1).map(str::to_string));
        let whose = if answers.len() == 1 { String::new() } else { format!("{}: ", method.name) };
        gallery.notes.extend(answer.notes.iter().map(|note| format!("{whose}{note}")));
    }
    Ok(gallery)
}

/// One map of an answer as a panel: diverging colours where any map of the answer is signed, so that all images of a
/// column are read alike; layers' maps over the image. Of several channels, shares of the logit and what has no sign
/// are summed; signed values that are no shares, as a gradient's, stay colours around grey.
pub fn panel(title: &str, method: &Method, answer: &Answer, n: usize) -> Panel {
    let map = answer.map.index_axis(Axis(0), n).to_owned();
    let signed = answer.facts.iter().any(|f| f.min < 0.0);
    // counted from zero, a map high above it would be one colour
    let high = answer.facts.iter().all(|f| f.min > HIGH * f.max);
    let style = match (signed, high) {
        (true, _) => Style::signed(),
        (false, true) => Style { mode: Mode::MinMax, ..Style::unsigned() },
        (false, false) => Style::unsigned(),
    };
    if let Some(map) = plane(&map) {
        return match method.space {
            Space::Layer => Panel::overlay(title, map, style),
            _ => Panel::map(title, map, style),
        };
    }
    match map.into_dimensionality::<Ix3>() {
        Ok(colour) if colour.dim().0 == 3 && signed && !method.shares() => {
            Panel { title: format!("{title}, grey is 0"), content: Content::SignedImage(colour) }
        }
        Ok(other) => Panel::map(format!("{title}, channels summed"), other.sum_axis(Axis(0)), style),
        Err(_) => Panel {
            title: format!("{title}: no picture"),
            content: Content::Map { map: Array2::zeros((1, 1)), style, resize: Resize::Blocks },
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
        _ => Ok(panel(title, method, answer, n)),
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

/// A map of one channel, or of several that say the same.
fn plane(map: &ArrayD<f32>) -> Option<Array2<f32>> {
    match map.shape() {
        [_, _] => map.clone().into_dimensionality::<Ix2>().ok(),
        [_, _, _] if map.outer_iter().all(|channel| channel == map.index_axis(Axis(0), 0)) => {
            map.index_axis(Axis(0), 0).to_owned().into_dimensionality::<Ix2>().ok()
        }
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
        Some((None, Some(score))) => {
            let what = if facts.is_some_and(|f| f.class.is_some()) { "logit" } else { "value reached" };
            text += &format!(", {what} {}", short(score));
        }
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
        text += &format!("; check: {}", residual.text());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::color::VIRIDIS;
    use ndarray::Array4;

    fn answer(map: Array4<f32>) -> Answer {
        let facts = map.outer_iter().map(|map| {
            let (min, max) = map.iter().fold((f32::MAX, f32::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            Facts { min: min.into(), max: max.into(), ..Facts::default() }
        });
        Answer { facts: facts.collect(), map: map.into_dyn(), notes: Vec::new() }
    }

    fn drawn(name: &str, answer: &Answer, n: usize) -> (Array2<f32>, Style, String) {
        let panel = panel(name, methods::named(name).unwrap(), answer, n);
        match panel.content {
            Content::Map { map, style, .. } => (map, style, panel.title),
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn colour_channels_are_one_map_where_they_add_up_or_say_the_same() {
        let same = answer(Array4::from_shape_fn((1, 3, 2, 2), |(_, _, y, x)| y as f32 - x as f32));
        let (map, style, title) = drawn("occlusion", &same, 0);
        assert_eq!((map[[0, 1]], style, title.as_str()), (-1.0, Style::signed(), "occlusion"));
        let own = answer(Array4::from_shape_fn((1, 3, 1, 2), |(_, c, _, x)| c as f32 - 3.0 * x as f32));
        let (map, style, title) = drawn("deeplift", &own, 0);
        assert_eq!((map[[0, 0]], map[[0, 1]], style), (3.0, -6.0, Style::signed()));
        assert!(title.contains("summed"));
        let gradient = panel("gradient", methods::named("gradient").unwrap(), &own, 0);
        assert!(matches!(gradient.content, Content::SignedImage(_)));
        let squares = answer(own.map.mapv(|v| v * v).into_dimensionality().unwrap());
        assert_eq!(drawn("vargrad", &squares, 0).1, Style::unsigned());
    }

    #[test]
    fn images_of_an_answer_share_a_kind_of_scale() {
        let two = |a: [f32; 2], b: [f32; 2]| {
            answer(Array4::from_shape_fn((2, 1, 1, 2), |(n, _, _, x)| [a, b][n][x]))
        };
        // one image's map is signed: zero is white in both
        let signed = two([0.5, 1.0], [-1.0, 1.0]);
        assert!((0..2).all(|n| drawn("occlusion", &signed, n).1 == Style::signed()));
        // both lie high above zero: the colours are spent on what differs
        let high = two([0.9, 1.0], [0.5, 0.6]);
        assert_eq!(drawn("rise", &high, 0).1, Style { map: &VIRIDIS, mode: Mode::MinMax });
        assert_eq!(drawn("rise", &two([0.9, 1.0], [0.0, 0.6]), 0).1, Style::unsigned());
    }

    #[test]
    fn captions_call_a_number_what_it_is() {
        let graph = Graph::builder("one", [1, 2, 2]).layer("relu", glassbox_engine::layers::Relu).build();
        let graph = graph.unwrap();
        let facts = Facts { score: Some(2.5), ..Facts::default() };
        let text = |facts: &Facts| caption(&graph, "a.png", None, Some(facts));
        assert_eq!(
            text(&Facts { class: Some(0), ..facts.clone() }),
            "a.png; explained: class \"0\", logit 2.5"
        );
        assert_eq!(text(&facts), "a.png, value reached 2.5");
        let unit = Facts { unit: Some([1, 2, 3]), ..facts };
        assert!(text(&unit).ends_with("channel 1, row 2, column 3, activation 2.5"));
    }
}
