//! `glassbox train`: from a configuration to a run folder with everything in it.

use crate::error::{Error, Result};
use crate::run::config::{ClassWeights, Config};
use crate::run::dump::Images;
use crate::run::lock::Lock;
use crate::run::progress::Manner;
use crate::run::seeds::{self, Done, Seeds};
use crate::run::session::{self, Session};
use crate::run::stop::Stop;
use crate::run::{data, dump, record, usual};
use crate::{net, say, threads};
use glassbox_engine::data::{Augment, Dataset, Splits};
use glassbox_engine::graph::models::MODELS;
use glassbox_engine::io::{atomic, folder, weights};
use glassbox_engine::train::Evaluation;
use glassbox_engine::{Graph, Params};
use std::path::{Path, PathBuf};

/// Train a net; with no argument, a small one on the bundled digits, in well under a minute
///
/// Everything lands in a new folder runs/<model>-<n>: logs, checkpoints, dumps as training goes, figures.
///
/// Example: glassbox train --model mnist-example --data mnist --data-dir ~/mnist --epochs 5
///
/// Example: glassbox train --overfit 32
///
/// Example: glassbox train --seeds 5 --epochs 3 --schedule warmup:1+cosine --class-weights balanced --plateau 3
///
/// Example: glassbox train --dump maps,kernels,grad-cam --dump-every 1 --dump-images 0,3 --tensorboard
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Configuration; options given here override it
    #[arg(value_name = "RUN.toml")]
    config: Option<PathBuf>,
    /// Built-in model (glassbox models lists them) or model.toml [default: lenet]
    #[arg(long, value_name = "NAME|FILE")]
    model: Option<String>,
    /// Data set by name (glassbox datasets lists them) or folder [default: digits]
    #[arg(long, value_name = "NAME|FOLDER")]
    data: Option<String>,
    /// Folder in which named data sets are looked for
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Use at most so many images of each half
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Weights to start from
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// How fresh parameters start: pytorch, he, glorot [default: pytorch; he for colour images]
    #[arg(long, value_name = "NAME")]
    init: Option<String>,
    /// Passes over the training set [default: 15]
    #[arg(long, value_name = "N")]
    epochs: Option<u64>,
    /// Images per step [default: 64; 16 for fewer than 10,000 colour images]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// sgd, adam, adamw, rmsprop [default: sgd; adamw for colour images]
    #[arg(long, value_name = "NAME")]
    optimizer: Option<String>,
    /// Base learning rate [default: 0.05 for sgd, 0.001 for the others, 1/sqrt(parameters) for colour
    /// images; 0.01 and 0.0003 for nets of more than five learned layers in a row without batch-norm]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    lr: Option<f64>,
    /// Share of the last move that sgd keeps [default: 0.9]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    momentum: Option<f64>,
    /// Let sgd look ahead along the momentum
    #[arg(long)]
    nesterov: bool,
    /// Weight decay [default: 0.0005]
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    weight_decay: Option<f64>,
    /// constant, step, cosine, one-cycle, warmup; several with their epochs, as in warmup:2+cosine [default: one-cycle]
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// Lower the learning rate to a tenth (plateau_factor) after more than so many epochs without a better test loss
    #[arg(long, value_name = "EPOCHS")]
    plateau: Option<u64>,
    /// Largest norm of all gradients together
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    clip: Option<f64>,
    /// cross-entropy, mse [default: cross-entropy]
    #[arg(long, value_name = "NAME")]
    loss: Option<String>,
    /// Share of the target spread evenly over all classes
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    label_smoothing: Option<f64>,
    /// How much each class counts: balanced, or a number for each, as in 1,1,2.5
    #[arg(long, value_name = "WEIGHTS")]
    class_weights: Option<ClassWeights>,
    /// Check that the net can learn N training images by heart: trains and tests on them only, by default with adam for
    /// at most 200 epochs at a constant rate without augmentation, and fails if one is wrong in the end
    #[arg(long, value_name = "N")]
    overfit: Option<usize>,
    /// Augmentation steps, as in crop=4,flip, or none [default: shift=2 for digits; flip,turn,shift=2 for shapes;
    /// none for others]
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    augment: Option<Vec<String>>,
    /// Seed of first parameters, order, augmentation and dropout [default: 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Keep to the direct convolution kernels, without Winograd's transforms, which are faster and round otherwise
    #[arg(long)]
    exact: bool,
    /// Train several runs that differ in their seed alone, and tell mean and deviation: N runs with the seeds from --seed
    /// on, or a list, as in 3,14,15
    #[arg(long, value_name = "N|LIST")]
    seeds: Option<Seeds>,
    /// Threads (0: one per processor); results do not depend on it
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Stop after so many epochs without a better test accuracy
    #[arg(long, value_name = "EPOCHS")]
    early_stop: Option<u64>,
    /// Write a checkpoint every so many steps, beside those at the end of epochs
    #[arg(long, value_name = "STEPS")]
    checkpoint_every_steps: Option<u64>,
    /// Write TensorBoard's event files into the run's folder tensorboard
    #[arg(long)]
    tensorboard: bool,
    /// What is dumped as training goes: deconvnet, grad-cam, gradients, histograms, kernels, maps, saliency, switches,
    /// all [default: maps,kernels]
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    dump: Option<Vec<String>>,
    /// Dump after the first epoch, every so many, and the last; 0 for never [default: about ten times over the run]
    #[arg(long, value_name = "EPOCHS")]
    dump_every: Option<u64>,
    /// Dump every so many steps as well
    #[arg(long, value_name = "STEPS")]
    dump_every_steps: Option<u64>,
    /// Layers that are dumped [default: all that have pictures of their own]
    #[arg(long, value_name = "LAYERS", value_delimiter = ',')]
    dump_layers: Option<Vec<String>>,
    /// Test images that are dumped, by their places in the test set, as in 0,3 [default: the first]
    #[arg(long, value_name = "PLACES", value_delimiter = ',')]
    dump_images: Option<Vec<usize>>,
    /// Read activations, gradients and updates as training goes, into diagnosis.jsonl and a figure
    #[arg(long)]
    diagnose: bool,
    /// Where to put the run: a folder that does not exist yet; with --seeds, the folder that holds seed-1, seed-2, ...
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Folder that holds the runs
    #[arg(long, value_name = "FOLDER", default_value = "runs")]
    runs: PathBuf,
    /// Make no figures at the end
    #[arg(long)]
    no_figures: bool,
    /// Print the configuration with every default filled in, check everything, and train nothing
    #[arg(long)]
    dry_run: bool,
    /// Say nothing but errors
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// Tell progress and the result as JSON lines
    #[arg(long)]
    json: bool,
}

impl Args {
    fn config(&self) -> Result<Config> {
        let mut c = match &self.config {
            Some(file) => Config::read(file)?,
            None if self.overfit.is_some() => Config::by_heart(),
            None => Config::default(),
        };
        macro_rules! take {
            ($($own:ident => $key:expr),* $(,)?) => { $(if let Some(v) = self.$own.clone() { $key = v.into(); })* };
        }
        take! {
            model => c.model, data => c.data, epochs => c.epochs,
            momentum => c.momentum, weight_decay => c.weight_decay,
            schedule => c.schedule, loss => c.loss, label_smoothing => c.label_smoothing,
            seed => c.seed, threads => c.threads, dump => c.dump.what, dump_layers => c.dump.layers,
            dump_every_steps => c.dump.every_steps, checkpoint_every_steps => c.checkpoint.every_steps,
        }
        c.nesterov |= self.nesterov;
        c.exact |= self.exact;
        c.diagnose |= self.diagnose;
        c.tensorboard |= self.tensorboard;
        c.plateau = self.plateau.or(c.plateau);
        c.class_weights = self.class_weights.clone().or(c.class_weights);
        c.overfit = self.overfit.or(c.overfit);
        if let Some(steps) = &self.augment {
            c.augment = Some(steps.iter().filter(|s| *s != "none").cloned().collect());
        }
        c.data_dir = self.data_dir.clone().or(c.data_dir);
        c.limit = self.limit.or(c.limit);
        c.weights = self.weights.clone().or(c.weights);
        c.batch = self.batch.or(c.batch);
        c.clip = self.clip.or(c.clip);
        c.init = self.init.clone().or(c.init);
        c.optimizer = self.optimizer.clone().or(c.optimizer);
        c.lr = self.lr.or(c.lr);
        c.dump.every = self.dump_every.or(c.dump.every);
        c.dump.images = self.dump_images.clone().map_or(c.dump.images, Images::These);
        c.early_stop = self.early_stop.or(c.early_stop);
        Ok(c)
    }

    fn manner(&self) -> Manner {
        match (self.quiet, self.json) {
            (true, _) => Manner::Quiet,
            (_, true) => Manner::Json,
            _ => Manner::Plain,
        }
    }
}

pub fn run(args: Args) -> Result<()> {
    let config = args.config()?;
    let Some(seeds) = &args.seeds else {
        let job = Job::new(&args, config)?;
        if args.dry_run {
            let (config, graph) = (job.config.to_toml()?, job.graph.to_toml());
            say::line(format!("{config}\n# model.toml\n{graph}").trim_end());
            return Ok(());
        }
        job.train(&args, args.out.as_deref(), &Stop::listen()?)?;
        return Ok(());
    };
    let seeds = seeds.of(config.seed);
    // everything is checked before the first run begins
    let checked = Job::new(&args, config.clone())?;
    if args.dry_run {
        let list: Vec<String> = seeds.iter().map(u64::to_string).collect();
        let text = checked.config.to_toml()?;
        say::line(format!("{text}\n# {} runs, with the seeds {}", seeds.len(), list.join(", ")));
        return Ok(());
    }
    let stop = Stop::listen()?;
    let mut done = Vec::new();
    for seed in seeds {
        let job = Job::new(&args, Config { seed, ..config.clone() })?;
        let out = args.out.as_ref().map(|out| out.join(format!("seed-{seed}")));
        let (run, result) = job.train(&args, out.as_deref(), &stop)?;
        done.push(Done { seed, run, result });
    }
    seeds::tell(&done, args.manner());
    Ok(())
}

/// A run that is checked, but of which nothing is written yet.
struct Job {
    config: Config,
    graph: Graph,
    params: Params<f32>,
    splits: Splits,
}

impl Job {
    fn new(args: &Args, config: Config) -> Result<Self> {
        config.recipe()?; // names and numbers are checked before anything is loaded
        let splits = data::of_run(&config)?;
        let graph = fit(&config.model, &splits.train, args.manner())?;
        let config = usual::fill(config, &graph, splits.train.len());
        let mut recipe = config.recipe()?;
        let augment = Augment::parse(config.augment.as_deref().unwrap_or_default())?;
        if let Some(weights) = &config.class_weights {
            recipe.class_weights = weights.of(&splits.train)?;
        }
        recipe.check(&graph)?;
        dump::check(&config.dump, &graph, &splits.test)?;
        let (graph, params) = match &config.weights {
            Some(file) => weights::load(file, Some(graph))?,
            None => {
                let params = graph.init(config.initialiser()?, config.seed);
                (graph, params)
            }
        };
        let config = Config { augment: Some(augment.texts()), ..config };
        Ok(Self { config, graph, params, splits })
    }

    /// Trains into `out`, or a new folder among the runs; the folder, and what came out.
    fn train(self, args: &Args, out: Option<&Path>, stop: &Stop) -> Result<(PathBuf, Option<Evaluation>)> {
        let Self { config, graph, params, splits } = self;
        let run = match out {
            Some(out) => {
                folder::create_fresh(out)?;
                out.to_path_buf()
            }
            None => folder::create_new(&args.runs, graph.name())?,
        };
        let lock = Lock::take(&run)?;
        write_head(&run, &config, &graph, &splits)?;
        let (manner, figures, from, stop) = (args.manner(), !args.no_figures, None, stop.clone());
        let result = threads::with(config.threads, || {
            let run = run.clone();
            session::train(Session { run, lock, config, graph, params, splits, from, manner, figures, stop })
        })?;
        Ok((run, result))
    }
}

/// The model for a data set. A built-in one is fitted to the images and classes; a model of the user's must fit.
fn fit(name: &str, data: &Dataset, manner: Manner) -> Result<Graph> {
    let graph = net::model(name)?;
    let ([c, h, w], classes) = (data.shape(), data.classes.len());
    let (input, outputs) = (graph.input(), graph.output().size());
    let fits = [c, h, w] == [input.c, input.h, input.w] && outputs == classes;
    let builtin = MODELS.iter().any(|m| m.name == name);
    let graph = match (fits, builtin) {
        (true, _) => graph,
        (false, true) => {
            if manner == Manner::Plain {
                say::note(format!(
                    "note: model {name} ({input}, {outputs} classes) is fitted to {} ({c}x{h}x{w}, {classes} classes)",
                    data.name
                ));
            }
            graph.adapted([c, h, w], Some(classes)).map_err(|e| {
                Error::request(
                    format!("model {name}, made for {input}, does not fit images of {c}x{h}x{w}: {e}"),
                    "or take a smaller model: alexnet-cifar, cifar-quick, resnet-small, lenet, mnist-example",
                )
            })?
        }
        (false, false) => {
            return Err(Error::request(
                format!(
                    "model {name} takes {input} and has {outputs} outputs, data set \"{}\" has images of {c}x{h}x{w} in \
                     {classes} classes",
                    data.name
                ),
                format!("write input = [{c}, {h}, {w}] and let the last layer have out = {classes}"),
            ));
        }
    };
    let graph = if builtin || graph.pixels().mean.is_empty() {
        let round = |list: Vec<f64>| list.into_iter().map(|v| (v * 1e4).round() / 1e4).collect();
        let (mean, std) = data.mean_std();
        graph.with_pixels(round(mean), round(std))
    } else {
        graph
    };
    Ok(if graph.classes().is_empty() { graph.with_classes(data.classes.clone()) } else { graph })
}

/// Writes what decides the run, before the first step.
fn write_head(run: &Path, config: &Config, graph: &Graph, splits: &Splits) -> Result<()> {
    let text = format!("{}\n{}", config.to_toml()?, record::of_run(splits)?);
    atomic::write(run.join("run.toml"), text.as_bytes())?;
    Ok(atomic::write(run.join("model.toml"), graph.to_toml().as_bytes())?)
}
