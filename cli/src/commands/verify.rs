//! `glassbox verify`: whether to believe methods' maps.

use super::explain::targets;
use crate::error::{Error, Result};
use crate::net::{self, Net, NetArgs};
use crate::run::data::DataArgs;
use crate::{pictures, say, threads};
use glassbox_engine::io::atomic;
use glassbox_viz::belief::{self, Better, Jury, MEASURES, Measure, Region, Table};
use glassbox_viz::figures::Images;
use glassbox_viz::figures::belief::METHODS;
use glassbox_viz::methods::{self, Ask, Method, Settings};
use std::path::PathBuf;
use std::sync::Arc;

/// Judge methods' maps: do they change with the weights, find what the class hangs on, know one class from another?
///
/// A table of means over the images, with a random map for comparison; every number of every image in --out or
/// --json. `glassbox verify --list` lists the measures; `glassbox figure belief` draws maps and numbers side by side.
///
/// Example: glassbox verify runs/lenet-1 --method grad-cam lrp-epsilon-plus --set deletion.step=0.05 --out trust.json
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    net: NetArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Images: a .npy of shape [N,C,H,W] as the net sees it, or image files [default: one test image of each class]
    #[arg(long, num_args = 1.., value_name = "FILE")]
    input: Vec<PathBuf>,
    /// Methods to judge (glassbox methods lists them) [default: nine that differ]
    #[arg(long, num_args = 1.., value_name = "NAME")]
    method: Vec<String>,
    /// Measures to judge by [default: all]
    #[arg(long, num_args = 1.., value_name = "NAME")]
    measure: Vec<String>,
    /// The layer, for methods that look at one
    #[arg(long, value_name = "LAYER")]
    layer: Option<String>,
    /// The class: an index, a class name, or `top`, each image's own top class; several, by commas, one per image
    #[arg(long, default_value = "top", value_name = "CLASS")]
    class: String,
    /// An option of a method or measure, as in deletion.step=0.05; may be given several times
    #[arg(long = "set", value_name = "NAME.KEY=VALUE")]
    set: Vec<String>,
    /// Where the thing is, for the pointing game: first row, first column, last row, last column; one box per image,
    /// in order [default: known for the generated shapes]
    #[arg(long = "box", num_args = 1.., value_name = "T,L,B,R")]
    boxes: Vec<String>,
    /// Seed of the random map in the last row
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write every number to this JSON file
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    /// Print every number as JSON instead of the table
    #[arg(long)]
    json: bool,
    /// Threads (0: one per processor)
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// List the measures; with --measure, print their manual pages
    #[arg(long)]
    list: bool,
}

pub fn run(args: Args) -> Result<()> {
    let measures = match &args.measure[..] {
        [] => MEASURES.to_vec(),
        names => names.iter().map(|n| belief::named(n)).collect::<Result<_, _>>()?,
    };
    if args.list {
        list(&args, &measures);
        return Ok(());
    }
    let methods: Vec<&'static Method> = match &args.method[..] {
        [] => METHODS.iter().map(|n| methods::named(n)).collect::<Result<_, _>>()?,
        names => names.iter().map(|n| methods::named(n)).collect::<Result<_, _>>()?,
    };
    let jury = jury(&args, methods, measures)?;
    let net = args.net.load()?;
    let images = images(&args, &net)?;
    let targets = targets(&net, &args.class)?;
    let boxes = (!images.boxes.is_empty()).then_some(&images.boxes[..]);
    let table = threads::with(args.threads, || {
        let way = say::Way::new("judgements");
        let progress = |done: usize, total: usize| way.at(done, total);
        let mut ask = Ask::new(&net.graph, &net.params, &images.input).targets(targets);
        ask.layer = args.layer.as_deref();
        ask.progress = Some(&progress);
        let table = jury.judge(&ask, boxes)?;
        way.end();
        Ok(table)
    })?;
    let mut report = table.report();
    if let Some(map) = report.as_object_mut() {
        map.insert("model".into(), net.graph.name().into());
        map.insert("images".into(), images.names.clone().into());
    }
    if let Some(out) = &args.out {
        atomic::write(out, format!("{report}\n").as_bytes())?;
    }
    if args.json {
        say::line(format!("{report:#}"));
    } else {
        tell(&table);
    }
    Ok(())
}

fn list(args: &Args, measures: &[&'static Measure]) {
    if args.measure.is_empty() {
        let keys = |m: &Measure| m.keys.iter().map(|k| k.name).collect::<Vec<_>>().join(" ");
        let rows = measures.iter().map(|m| vec![m.name.into(), good(m).into(), m.summary.into(), keys(m)]);
        let header = ["measure", "good", "what it asks", "--set"];
        return say::line(say::table(&header, &rows.collect::<Vec<_>>(), &[false; 4]));
    }
    for measure in measures {
        say::line(measure.manual());
        let rows = measure.keys.iter().map(|k| [k.name, k.default, k.help].map(str::to_string).to_vec());
        say::line(say::table(&["--set", "default", ""], &rows.collect::<Vec<_>>(), &[false; 3]) + "\n");
    }
}

fn good(measure: &Measure) -> &'static str {
    if measure.better == Better::High { "high" } else { "low" }
}

/// Methods and measures with their options from --set.
fn jury(args: &Args, methods: Vec<&'static Method>, measures: Vec<&'static Measure>) -> Result<Jury> {
    let names = || methods.iter().map(|m| m.name).chain(measures.iter().map(|m| m.name));
    for pair in &args.set {
        let owner = pair.split_once('=').and_then(|(key, _)| key.split_once('.')).map(|(owner, _)| owner);
        let Some(owner) = owner else {
            let problem = format!("`--set {pair}` does not say whose option it is");
            return Err(Error::request(problem, "write --set NAME.key=value, as in deletion.step=0.05"));
        };
        if !names().any(|name| name == owner) {
            return Err(glassbox_engine::Error::unknown("method or measure in --set", owner, names()).into());
        }
    }
    let of = |name: &str| -> Vec<&str> {
        let own = |pair: &String| pair.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        args.set.iter().filter(|pair| own(pair)).map(|pair| &pair[name.len() + 1..]).collect()
    };
    let methods = methods.iter().map(|m| Ok((*m, Settings::parse(m, &of(m.name))?)));
    let measures = measures.iter().map(|m| Ok((*m, m.settings(&of(m.name))?)));
    Ok(Jury {
        methods: methods.collect::<Result<_>>()?,
        measures: measures.collect::<Result<_>>()?,
        random: Some(args.seed),
    })
}

fn images(args: &Args, net: &Net) -> Result<Images> {
    let mut images = if args.input.is_empty() {
        pictures::examples(&net.graph, &Arc::new(args.data.load(net.run.as_deref())?.test))?
    } else {
        pictures::given(net::input(&net.graph, &args.input)?, &args.input)
    };
    if !args.boxes.is_empty() {
        images.boxes = args.boxes.iter().map(|text| region(text)).collect::<Result<_>>()?;
    }
    Ok(images)
}

/// --box: first row, first column, last row, last column.
fn region(text: &str) -> Result<Region> {
    let numbers: Vec<usize> = text.split(',').filter_map(|n| n.trim().parse().ok()).collect();
    match numbers[..] {
        [top, left, bottom, right] if top <= bottom && left <= right => Ok([top..bottom + 1, left..right + 1]),
        _ => Err(Error::request(
            format!("--box {text} is no box"),
            "write first row, first column, last row, last column, as in 4,6,20,18",
        )),
    }
}

/// Methods down, measures across: means over the images.
fn tell(table: &Table) {
    let mut header = vec!["method".to_string()];
    header.extend(table.measures.iter().map(|(m, _)| format!("{} ({})", m.name, good(m))));
    let rows: Vec<Vec<String>> = table
        .verdicts
        .iter()
        .enumerate()
        .map(|(r, verdict)| {
            let mean = |(i, scores): (usize, &Vec<belief::Score>)| match belief::mean(scores) {
                Some((mean, _)) if table.best(i) == Some(r) => format!("{mean:.3} *"),
                Some((mean, _)) => format!("{mean:.3}  "),
                None => "-  ".into(),
            };
            let cells = verdict.scores.iter().enumerate().map(mean);
            std::iter::once(verdict.name().to_string()).chain(cells).collect()
        })
        .collect();
    let mut right = vec![true; header.len()];
    right[0] = false;
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    say::line(say::table(&header, &rows, &right));
    say::note(format!("note: means over {} images; (high), (low): which way is good; * the best method", table.classes.len()));
    for (i, (measure, _)) in table.measures.iter().enumerate() {
        let scores = table.verdicts.iter().filter(|v| v.method.is_some()).flat_map(|v| &v.scores[i]);
        if let Some(reason) = scores.filter_map(|s| s.reason.as_ref()).next() {
            say::note(format!("note: {}: some images have no number: {reason}", measure.name));
        }
    }
}
