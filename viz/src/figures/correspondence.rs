//! correspondence: does hiding the same part of several images of a class change a layer's activations alike, more than
//! hiding places at random does?

use super::{Figure, File, Needs, Scene, layers};
use crate::curves::{Chart, Series, draw as charts};
use crate::error::{Error, Result};
use crate::methods::baseline::{BASELINE, Baseline};
use crate::methods::{Ask, Key, Settings, Targets};
use crate::studies::correspondence::{Change, Part, Region, grid, random, study};
use serde_json::{Value, json};

pub(super) static FIGURE: Figure = Figure {
    name: "correspondence",
    summary: "whether hiding the same part of several images changes a layer alike, against places at random",
    needs: Needs::Data,
    keys: &[
        Key { name: "class", default: "0", help: "index of the class whose images are compared" },
        Key { name: "count", default: "5", help: "images compared: the first of that class" },
        Key { name: "images", default: "first", help: "first, or indices in the set, as in 3,17,40" },
        Key {
            name: "parts",
            default: "grid=2",
            help: "grid=N: the cells of an N x N grid; or JSON {\"left eye\": [[row, column, height, width], ..], ..}, a \
                   place per image",
        },
        Key { name: "draws", default: "10", help: "draws of places at random" },
        Key { name: "seed", default: "0", help: "seed of the draws" },
        BASELINE,
    ],
    draw,
};

fn draw(scene: &Scene<'_>, settings: &Settings) -> Result<Vec<File>> {
    let (set, graph) = (scene.data()?, scene.graph);
    crate::set::check(graph, set)?;
    let which = which(scene, settings)?;
    let input = set.images(&which);
    let size = graph.input().spatial();
    let mut parts = parts(settings, size, which.len())?;
    let named = parts.len();
    let (draws, seed) = (settings.count("draws", 1)?, settings.seed()?);
    for draw in 0..draws {
        let like = parts[draw % named].clone();
        parts.push(random(&like, size, seed, draw as u64));
    }
    let slots = match scene.layer {
        Some(_) => layers::of_maps(scene),
        None => layers::rectified(scene),
    };
    let mut ask = Ask::new(graph, scene.params, &input).targets(Targets::Top);
    ask.progress = scene.progress;
    let found = study(&ask, &slots, &parts, &Baseline::of(settings, graph)?)?;
    let at_random: Vec<Change> = (0..slots.len()).map(|s| pooled(&found[named..], s)).collect();
    let mut lines: Vec<(String, Vec<Change>)> =
        parts[..named].iter().zip(&found).map(|(part, found)| (part.name.clone(), found.clone())).collect();
    lines.push((format!("at random ({draws} draws)"), at_random));
    let names: Vec<&str> = slots.iter().map(|&s| graph.names()[s].as_str()).collect();
    let report = json!({
        "model": graph.name(), "data": set.name(), "images": which, "layers": names,
        "parts": lines.iter().map(|(name, changes)| json!({
            "part": name,
            "mean": changes.iter().map(|c| c.mean).collect::<Vec<_>>(),
            "deviation": changes.iter().map(|c| c.deviation).collect::<Vec<_>>(),
            "sum": changes.iter().map(|c| c.sum).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    });
    let svg = picture(scene, &names, &lines, which.len());
    Ok(vec![File::new("correspondence.svg", svg), File::json("correspondence.json", &report)])
}

/// The images that are compared.
fn which(scene: &Scene<'_>, settings: &Settings) -> Result<Vec<usize>> {
    let set = scene.data()?;
    if settings.text("images") != "first" {
        let list: Option<Vec<usize>> =
            settings.text("images").split(',').map(|n| n.trim().parse().ok()).collect();
        return match list {
            Some(list) if list.iter().all(|&i| i < set.len()) => Ok(list),
            _ => settings.wrong("images", &format!("indices below {}, as in 3,17,40", set.len())),
        };
    }
    let (class, count) = (settings.count("class", 0)?, settings.count("count", 2)?);
    let list: Vec<usize> = (0..set.len()).filter(|&i| set.label(i) == class).take(count).collect();
    if list.len() == count {
        return Ok(list);
    }
    let problem = format!("{} hold {} images of class {class}, not {count}", set.name(), list.len());
    Err(Error::request(problem, "choose another class or a smaller count"))
}

fn parts(settings: &Settings, size: [usize; 2], images: usize) -> Result<Vec<Part>> {
    let text = settings.text("parts");
    let wrong = || {
        let want =
            "grid=N, or JSON {\"left eye\": [[row, column, height, width], ..]} with a place per image";
        settings.wrong("parts", want)
    };
    if let Some(side) = text.strip_prefix("grid=") {
        return match side.parse::<usize>() {
            Ok(side) if side > 0 && side <= size[0].min(size[1]) => Ok(grid(side, size, images)),
            _ => wrong(),
        };
    }
    let Ok(Value::Object(named)) = serde_json::from_str(text) else { return wrong() };
    let place = |v: &Value| -> Option<Region> {
        let numbers: Vec<usize> =
            v.as_array()?.iter().map(|n| n.as_u64().map(|n| n as usize)).collect::<Option<_>>()?;
        let [row, column, height, width] = numbers[..] else { return None };
        Some([row..row.checked_add(height)?, column..column.checked_add(width)?])
    };
    let part = |(name, list): (&String, &Value)| {
        let regions = list.as_array()?.iter().map(place).collect::<Option<_>>()?;
        Some(Part { name: name.clone(), regions })
    };
    match named.iter().map(part).collect::<Option<Vec<_>>>() {
        Some(parts) if !parts.is_empty() => Ok(parts),
        _ => wrong(),
    }
}

/// Mean over draws, and the deviation of single pairs over all draws.
fn pooled(draws: &[Vec<Change>], slot: usize) -> Change {
    let count = draws.len() as f64;
    let mean = draws.iter().map(|d| d[slot].mean).sum::<f64>() / count;
    let square = draws.iter().map(|d| d[slot].deviation.powi(2) + (d[slot].mean - mean).powi(2)).sum::<f64>();
    let sum = draws.iter().map(|d| d[slot].sum).sum::<u64>() / draws.len() as u64;
    Change { mean, deviation: (square / count).sqrt(), sum }
}

fn picture(scene: &Scene<'_>, layers: &[&str], lines: &[(String, Vec<Change>)], images: usize) -> String {
    let series = lines.iter().map(|(name, changes)| Series {
        name: name.clone(),
        points: changes.iter().enumerate().map(|(i, c)| ((i + 1) as f64, c.mean)).collect(),
        thin: false,
    });
    let chart = Chart {
        title: format!("{images} images, the same part hidden in each"),
        x_label: format!("layer: {}", numbered(layers)),
        y_label: "units whose signs of change differ".into(),
        series: series.collect(),
        mark: None,
        share: true,
    };
    charts(&format!("Does {} treat a part alike in all images?", scene.graph.name()), &[chart])
}

/// "1 relu1, 2 relu2"; the ends alone where there are many.
fn numbered(layers: &[&str]) -> String {
    let one = |i: usize| format!("{} {}", i + 1, layers[i]);
    match layers.len() {
        0 => String::new(),
        n if n <= 5 => (0..n).map(one).collect::<Vec<_>>().join(", "),
        n => format!("{} to {}", one(0), one(n - 1)),
    }
}
