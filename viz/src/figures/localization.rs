//! localization: the object found from saliency alone: seeds, a graph cut by colour, the largest piece, its box.

use super::explanation::{caption, panel, pixels};
use super::{Figure, File, Needs, Scene};
use crate::belief::Region;
use crate::color::{KINDS, WHITE};
use crate::error::{Error, Result};
use crate::gallery::{Content, Gallery, Panel, Row};
use crate::methods::{self, Ask, Key, Settings};
use crate::number::percent;
use crate::studies::localization::{Cut, Found, Side, localize, overlap};
use ndarray::{Array3, ArrayView3, Axis, Ix2};
use serde_json::{Value, json};

pub(super) static FIGURE: Figure = Figure {
    name: "localization",
    summary: "the object found from saliency alone: seeds, graph cut, largest piece, box",
    needs: Needs::Images,
    keys: &[
        Key {
            name: "object",
            default: "0.95",
            help: "quantile of saliency above which pixels are taken for the object",
        },
        Key {
            name: "background",
            default: "0.3",
            help: "quantile below which they are taken for the background",
        },
        Key { name: "smoothness", default: "50", help: "weight of borders between pixels of like colour" },
    ],
    draw,
};

/// Images shown, each a row.
const MOST: usize = 6;

fn draw(scene: &Scene<'_>, settings: &Settings) -> Result<Vec<File>> {
    let images = scene.images()?;
    let count = images.input.dim().0.min(MOST);
    let input = images.input.slice_axis(Axis(0), (0..count).into()).to_owned();
    let cut = Cut {
        object: settings.number("object", 0.0..=1.0)?,
        background: settings.number("background", 0.0..=1.0)?,
        smoothness: settings.number("smoothness", 0.0..=1e6)?,
    };
    let method = methods::named("saliency")?;
    let answer = method.run(&Ask::new(scene.graph, scene.params, &input), &Settings::defaults(method))?;
    let (mut rows, mut list, mut boxes) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..count {
        let image = pixels(scene.graph, input.index_axis(Axis(0), n))?;
        let map = answer.map.index_axis(Axis(0), n).to_owned().into_dimensionality::<Ix2>();
        let map = map.map_err(|e| Error::shape("saliency", e.to_string(), "report this"))?;
        let found = localize(image.view(), map.view(), cut);
        let mut text = caption(scene.graph, images.name(n), images.label(n), Some(&answer.facts[n]));
        let mut panels = vec![panel("saliency", method, &answer, n)];
        match &found {
            Ok(found) => {
                let [rows, columns] = &found.region;
                text += &format!(
                    "; found in rows {} to {}, columns {} to {}",
                    rows.start,
                    rows.end - 1,
                    columns.start,
                    columns.end - 1
                );
                if let Some(truth) = images.boxes.get(n) {
                    let share = overlap(&found.region, truth);
                    text +=
                        &format!("; {} of the found and the true box together are shared", percent(share));
                    boxes.push((found.region.clone(), truth.clone()));
                }
                panels.extend([seeds(found), sides(found), boxed(image.view(), found)]);
            }
            // a map that points at nothing is a finding, too
            Err(Error::Request { problem, .. }) => text += &format!("; {problem}"),
            Err(_) => return found.map(|_| Vec::new()),
        }
        let truth = images.boxes.get(n);
        list.push(entry(images.name(n), answer.facts[n].class, found.ok().as_ref(), truth));
        rows.push(Row { image, panels, caption: text });
    }
    let mut gallery =
        Gallery::new(format!("Where is it? Found from the saliency of {}", scene.graph.name()), rows);
    gallery.notes.push(format!(
        "Seeds: the {:.0} % of pixels that move the class most are taken for the object, the {:.0} % that move it least for \
         the ground behind it. A graph cut by colour decides where they leave it unsure (Simonyan et al. 2013); the box \
         is that of the largest piece, the object.",
        100.0 * (1.0 - cut.object),
        100.0 * cut.background
    ));
    let judged = judged(&boxes);
    if let Some((own, others)) = judged {
        gallery.notes.push(format!(
            "The boxes that are known: found and true box share {} of what either covers, in the mean; the boxes found in \
             the other images {}.",
            percent(own),
            percent(others)
        ));
    }
    let report = json!({
        "overlap": judged.map(|j| j.0), "overlap_of_other_images": judged.map(|j| j.1),
        "model": scene.graph.name(), "object": cut.object, "background": cut.background,
        "smoothness": cut.smoothness, "images": list,
    });
    Ok(vec![File::new("localization.png", gallery.draw()?.png()?), File::json("localization.json", &report)])
}

/// Mean overlap of (found, true) boxes, and of each true box with what was found in the other images, which is chance;
/// nothing of fewer than two images.
fn judged(boxes: &[(Region, Region)]) -> Option<(f64, f64)> {
    let mean = |same: bool| {
        let pairs = (0..boxes.len()).flat_map(|i| (0..boxes.len()).map(move |j| (i, j)));
        let shares: Vec<f64> =
            pairs.filter(|(i, j)| (i == j) == same).map(|(i, j)| overlap(&boxes[i].0, &boxes[j].1)).collect();
        shares.iter().sum::<f64>() / shares.len() as f64
    };
    (boxes.len() > 1).then(|| (mean(true), mean(false)))
}

fn entry(name: &str, class: Option<usize>, found: Option<&Found>, truth: Option<&Region>) -> Value {
    let place = |[rows, columns]: &Region| json!({ "rows": [rows.start, rows.end], "columns": [columns.start, columns.end] });
    let region = found.map(|f| place(&f.region));
    let share_of_truth = found.zip(truth).map(|(f, truth)| overlap(&f.region, truth));
    let share =
        |f: &Found| f.sides.iter().filter(|s| **s == Side::Object).count() as f64 / f.sides.len() as f64;
    json!({
        "image": name, "class": class, "box": region, "share": found.map(share),
        "true_box": truth.map(place), "overlap": share_of_truth,
    })
}

fn seeds(found: &Found) -> Panel {
    let legend = vec![
        ("unsure".to_string(), WHITE),
        ("ground".to_string(), KINDS[1]),
        ("object".to_string(), KINDS[2]),
    ];
    let map = found.seeds.mapv(|seed| match seed {
        None => 0,
        Some(Side::Background) => 1,
        Some(_) => 2,
    });
    Panel { title: "seeds".into(), content: Content::Kinds { map, legend } }
}

fn sides(found: &Found) -> Panel {
    let legend = vec![
        ("ground".to_string(), KINDS[1]),
        ("pieces".to_string(), KINDS[3]),
        ("object".to_string(), KINDS[2]),
    ];
    let map = found.sides.mapv(|side| match side {
        Side::Background => 0,
        Side::Piece => 1,
        Side::Object => 2,
    });
    Panel { title: "after the cut".into(), content: Content::Kinds { map, legend } }
}

/// The image with the box around the object, in a colour that no grey has.
fn boxed(image: ArrayView3<'_, f32>, found: &Found) -> Panel {
    let (channels, h, w) = image.dim();
    let [rows, columns] = &found.region;
    let edge = |y: usize, x: usize| {
        let inside = rows.contains(&y) && columns.contains(&x);
        inside && (y == rows.start || y + 1 == rows.end || x == columns.start || x + 1 == columns.end)
    };
    let orange = [0.9, 0.4, 0.0];
    let value = |(c, y, x): (usize, usize, usize)| match edge(y, x) {
        true => orange[c],
        false => image[[c.min(channels - 1), y, x]],
    };
    Panel { title: "box".into(), content: Content::Image(Array3::from_shape_fn((3, h, w), value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_are_judged_against_those_of_the_other_images() {
        let (left, right): (Region, Region) = ([0..2, 0..2], [0..2, 2..4]);
        let good = judged(&[(left.clone(), left.clone()), (right.clone(), right.clone())]);
        assert_eq!(good, Some((1.0, 0.0)));
        assert_eq!(judged(&[(left.clone(), right.clone()), (right.clone(), left.clone())]), Some((0.0, 1.0)));
        assert_eq!(judged(&[(left.clone(), left)]), None);
    }
}
