//! `glassbox figure`: one composed figure.

use crate::error::{Error, Result};
use crate::net::{self, Net, NetArgs};
use crate::pictures;
use crate::run::data::DataArgs;
use crate::run::diagnosis;
use crate::run::images::Shown;
use crate::run::snapshots::Kept;
use crate::run::{dump, log};
use crate::{say, threads};
use glassbox_engine::loss::CrossEntropy;
use glassbox_engine::train::evaluate;
use glassbox_viz::figures::{self, FIGURES, Needs, Scene, Snapshots};
use glassbox_viz::methods::Key;
use glassbox_viz::set::ImageSet;
use std::path::PathBuf;
use std::sync::Arc;

/// Draw a composed figure of a run or a net; without a name, list the figures
///
/// Example: glassbox figure feature-maps runs/lenet-1 --input digit.png --out maps
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Which figure (left out: list them)
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    net: NetArgs,
    #[command(flatten)]
    data: DataArgs,
    /// Images: a .npy of shape [N,C,H,W] as the net sees it, or image files [default: one test image of each class]
    #[arg(long, num_args = 1.., value_name = "FILE")]
    input: Vec<PathBuf>,
    /// Draw this layer only, where a figure draws layers
    #[arg(long, value_name = "LAYER")]
    layer: Option<String>,
    /// An option of the figure, as in count=9; may be given several times (glassbox figure NAME --options lists them)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// List the figure's options
    #[arg(long)]
    options: bool,
    /// Look at the training images instead of the test images
    #[arg(long)]
    train_set: bool,
    /// Folder to write to
    #[arg(long, value_name = "FOLDER", default_value = "figures")]
    out: PathBuf,
    /// Threads (0: one per processor)
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

pub fn run(args: Args) -> Result<()> {
    let Some(name) = &args.name else {
        let rows: Vec<_> = FIGURES.iter().map(|f| vec![f.name.to_string(), f.summary.to_string()]).collect();
        say::line(say::table(&["figure", "what it shows"], &rows, &[false; 2]));
        return Ok(());
    };
    let figure = figures::named(name)?;
    if args.options {
        let row = |k: &Key| vec![k.name.to_string(), k.default.to_string(), k.help.to_string()];
        let rows: Vec<_> = figure.keys.iter().map(row).collect();
        say::line(say::table(&["option", "default", "what it means"], &rows, &[false; 3]));
        return Ok(());
    }
    let settings = figure.settings(&args.set)?;
    let net = args.net.load()?;
    threads::with(args.threads, || {
        let shown = match figure.needs {
            Needs::Data | Needs::Snapshots => Some(shown(&args, &net)?),
            _ => None,
        };
        let kept = match (figure.needs, &net.run) {
            (Needs::Snapshots, Some(run)) => Some(Kept::of(run, &net.graph)?),
            _ => None,
        };
        let way = say::Way::new("steps");
        let progress = |done: usize, total: usize| way.at(done, total);
        let mut scene = scene(&args, &net, figure.needs)?;
        scene.data = shown.as_ref().map(|s| s as &dyn ImageSet);
        scene.snapshots = kept.as_ref().map(|k| k as &dyn Snapshots);
        scene.progress = Some(&progress);
        let count = pictures::write(figure, &scene, &settings, &args.out)?;
        way.end();
        if count == 0 {
            return Err(Error::request(
                format!("figure \"{name}\" found nothing to draw in model \"{}\"", net.graph.name()),
                "leave --layer out, or name another layer",
            ));
        }
        say::line(format!("{count} files in {}", args.out.display()));
        Ok(())
    })
}

/// What the figure needs, and no more.
fn scene<'a>(args: &Args, net: &'a Net, needs: Needs) -> Result<Scene<'a>> {
    let run = net.run.as_deref();
    let images = match needs {
        Needs::Images | Needs::ImagesAndTime if args.input.is_empty() => {
            Some(pictures::examples(&net.graph, &Arc::new(args.data.load(run)?.test))?)
        }
        Needs::Images | Needs::ImagesAndTime => {
            Some(pictures::given(net::input(&net.graph, &args.input)?, &args.input))
        }
        _ => None,
    };
    let confusion = match needs {
        Needs::Confusion => {
            let test = Arc::new(args.data.load(run)?.test);
            let result = evaluate(&net.graph, &net.params, &test, &CrossEntropy::default())?;
            let title = format!("{} on {} test images of {}", net.graph.name(), result.cost.images, test.name);
            Some(pictures::confusion_of(&result, &test.classes, &title))
        }
        _ => None,
    };
    let history = match (needs, run) {
        (Needs::History, Some(run)) => Some(log::history(run)?),
        _ => None,
    };
    let diagnosis = match (needs, run) {
        (Needs::Diagnosis, Some(run)) => diagnosis::read(run)?,
        _ => None,
    };
    let dumps = match (needs, run) {
        (Needs::Dumps, Some(run)) => dump::over_time(run)?,
        _ => None,
    };
    Ok(Scene { images, history, confusion, diagnosis, dumps, layer: args.layer.clone(), ..Scene::new(&net.graph, &net.params) })
}

/// The half of the data set that figures look at.
fn shown(args: &Args, net: &Net) -> Result<Shown> {
    let splits = args.data.load(net.run.as_deref())?;
    let (half, data) = if args.train_set { ("training", splits.train) } else { ("test", splits.test) };
    Shown::new(&net.graph, &Arc::new(data), half)
}
