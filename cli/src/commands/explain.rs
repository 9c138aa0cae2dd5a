//! `glassbox explain`: one method on some images.

use crate::error::{Error, Result};
use crate::net::{self, Net, NetArgs};
use crate::{say, threads};
use glassbox_engine::io::{atomic, npy};
use glassbox_viz::gallery::{Gallery, Row};
use glassbox_viz::number::{short, significant};
use glassbox_viz::methods::{self, Answer, Ask, Method, Settings, Space, Targets, Unit};
use glassbox_viz::figures::explanation;
use ndarray::{Array4, Axis};
use std::path::PathBuf;
use std::time::Instant;

/// Explain what a net made of images, by one method: raw signed numbers, and a figure with its scale
///
/// Example: glassbox explain runs/lenet-1 --input digit.png --method grad-cam --png map.png
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    net: NetArgs,
    /// A .npy of shape [N,C,H,W] as the net sees it, or image files
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    input: Vec<PathBuf>,
    /// Which method (glassbox methods lists them)
    #[arg(long, value_name = "NAME")]
    method: String,
    /// The layer, for methods that look at one
    #[arg(long, value_name = "LAYER")]
    layer: Option<String>,
    /// The class: an index, a class name, or `top`, each image's own top class; several, by commas, one per image
    #[arg(long, default_value = "top", value_name = "CLASS")]
    class: String,
    /// The unit of the layer: a channel K (its strongest activation), one unit K,Y,X, or all
    #[arg(long, value_name = "K[,Y,X]")]
    unit: Option<String>,
    /// Enlarge a layer's map to the input's size (half-pixel bilinear)
    #[arg(long)]
    upsample: bool,
    /// An option of the method, as in steps=50; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Write the raw signed map to this .npy
    #[arg(long, value_name = "FILE.npy")]
    out: Option<PathBuf>,
    /// Draw the map to this PNG
    #[arg(long, value_name = "FILE.png")]
    png: Option<PathBuf>,
    /// Threads (0: one per processor)
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
    /// Run so many times more, and say how many seconds each run of the method took
    #[arg(long, value_name = "RUNS", default_value_t = 0)]
    time: usize,
}

pub fn run(args: Args) -> Result<()> {
    let method = methods::named(&args.method)?;
    let settings = Settings::parse(method, &args.set)?;
    let net = args.net.load()?;
    let input = net::input(&net.graph, &args.input)?;
    let unit = args.unit.as_deref().map(unit).transpose()?;
    let targets = targets(&net, &args.class)?;
    if args.class != "top" && (!method.sees_class() || unit.is_some()) {
        let why = match unit {
            Some(_) => "--unit starts at a unit of a layer, not at a class".to_string(),
            None => format!("method \"{}\" looks at no class", method.name),
        };
        return Err(Error::request(format!("{why}, so --class {} says nothing", args.class), "leave out --class"));
    }
    let (answer, seconds) = threads::with(args.threads, || {
        let way = say::Way::new("runs");
        let progress = |done: usize, total: usize| way.at(done, total);
        let mut ask = Ask::new(&net.graph, &net.params, &input).targets(targets);
        ask.layer = args.layer.as_deref();
        ask.unit = unit;
        ask.upsample = args.upsample;
        ask.progress = Some(&progress);
        let answer = method.run(&ask, &settings)?;
        way.end();
        ask.progress = None;
        let again = |_| -> Result<f64> {
            let start = Instant::now();
            method.run(&ask, &settings)?;
            Ok(start.elapsed().as_secs_f64())
        };
        Ok((answer, (0..args.time).map(again).collect::<Result<Vec<f64>>>()?))
    })?;
    if let Some(out) = &args.out {
        npy::write(out, answer.map.view())?;
        // the facts stand beside the array, where a reader of the array finds them
        let facts = report(&net, method, &settings, &answer);
        atomic::write(out.with_extension("json"), format!("{facts:#}\n").as_bytes())?;
    }
    if let Some(png) = &args.png {
        atomic::write(png, &figure(&args, &net, method, &input, &answer)?)?;
    }
    if args.json {
        let mut report = report(&net, method, &settings, &answer);
        if let Some(report) = report.as_object_mut().filter(|_| args.time > 0) {
            report.insert("seconds".into(), seconds.into());
        }
        say::line(format!("{report:#}"));
    } else {
        tell(&net, &answer);
        for seconds in seconds {
            let rate = input.dim().0 as f64 / seconds;
            say::line(format!("{} took {seconds:.3} s: {rate:.1} images/s", method.name));
        }
    }
    Ok(())
}

/// --unit: K, K,Y,X or all.
pub(super) fn unit(text: &str) -> Result<Unit> {
    let wrong = || Error::request(format!("--unit {text} names no unit"), "write a channel K, one unit K,Y,X, or all");
    if text == "all" {
        return Ok(Unit::All);
    }
    let numbers: Result<Vec<usize>> = text.split(',').map(|n| n.trim().parse().map_err(|_| wrong())).collect();
    match numbers?[..] {
        [k] => Ok(Unit::Channel(k)),
        [k, y, x] => Ok(Unit::At(k, y, x)),
        _ => Err(wrong()),
    }
}

/// --class: top, an index, a class name, or several by commas.
pub fn targets(net: &Net, text: &str) -> Result<Targets> {
    if text == "top" {
        return Ok(Targets::Top);
    }
    let one = |name: &str| -> Result<usize> {
        let named = net.graph.classes().iter().position(|c| c == name);
        if let Some(k) = named.or_else(|| name.parse().ok()) {
            return Ok(k);
        }
        let known = net.graph.classes().iter().map(String::as_str).chain(["top"]);
        Err(glassbox_engine::Error::unknown("class", name, known).into())
    };
    let whole = net.graph.classes().iter().any(|c| c == text);
    if text.contains(',') && !whole {
        return Ok(Targets::Each(text.split(',').map(|t| one(t.trim())).collect::<Result<_>>()?));
    }
    Ok(Targets::Same(one(text)?))
}

fn report(net: &Net, method: &Method, settings: &Settings, answer: &Answer) -> serde_json::Value {
    let mut report = answer.report();
    if let Some(map) = report.as_object_mut() {
        map.insert("method".into(), method.name.into());
        map.insert("model".into(), net.graph.name().into());
        map.insert("shape".into(), answer.map.shape().to_vec().into());
        let settings: serde_json::Map<_, _> = settings.all().map(|(k, v)| (k.to_string(), v.into())).collect();
        map.insert("settings".into(), settings.into());
    }
    report
}

/// A line per image: class, score, range, and how far the map can be trusted.
fn tell(net: &Net, answer: &Answer) {
    for (i, facts) in answer.facts.iter().enumerate() {
        let mut text = format!("image {i}");
        if let Some(class) = facts.class {
            text += &format!(", class {}", net.graph.class_name(class));
        }
        if let Some([k, y, x]) = facts.unit {
            text += &format!(", unit {k},{y},{x}");
        }
        if let Some(score) = facts.score {
            let what = if facts.class.is_some() { "logit" } else if facts.unit.is_some() { "activation" } else { "value reached" };
            text += &format!(", {what} {}", significant(score, 6));
        }
        text += &format!(": from {} to {}", short(facts.min), short(facts.max));
        if let Some(reason) = &facts.reason {
            text += &format!("; {reason}");
        }
        if let Some(r) = &facts.residual {
            text += &format!("; check: {} ({})", r.text(), r.meaning);
        }
        if let Some(why) = facts.unchecked {
            text += &format!("; no check: {why}");
        }
        say::line(text);
    }
    answer.notes.iter().for_each(|note| say::note(format!("note: {note}")));
}

/// The images with their maps.
fn figure(args: &Args, net: &Net, method: &Method, input: &Array4<f32>, answer: &Answer) -> Result<Vec<u8>> {
    let mut title = format!("{}: {}", method.name, method.summary);
    if let Some(layer) = &args.layer {
        title += &format!(", layer {layer}");
    }
    if method.space == Space::Layer {
        title += if args.upsample { ", enlarged bilinearly" } else { ", at the layer's own size" };
    }
    let rows = (0..input.dim().0.min(20)).map(|n| {
        let facts = &answer.facts[n];
        let name = args.input.get(n).filter(|_| args.input.len() == input.dim().0);
        let name = name.and_then(|f| f.file_name()).map_or_else(|| format!("image {n}"), |f| f.to_string_lossy().into());
        let caption = explanation::caption(&net.graph, &name, None, Some(facts)) + &explanation::trust(facts);
        let image = explanation::pixels(&net.graph, input.index_axis(Axis(0), n))?;
        Ok(Row { image, panels: vec![explanation::panel_of(&net.graph, method, method.name, answer, n)?], caption })
    });
    let mut gallery = Gallery::new(title, rows.collect::<Result<Vec<Row>>>()?);
    gallery.notes.clone_from(&answer.notes);
    if method.space == Space::Layer {
        gallery.notes.push(explanation::OVERLAID.into());
    }
    Ok(gallery.draw()?.png()?)
}
