//! Nets as the command line names them: a built-in model, a model text, a weights or ONNX file, or a run folder.

use crate::error::{Error, Result};
use glassbox_engine::array::LANES;
use glassbox_engine::data::picture;
use glassbox_engine::graph::{Init, models};
use glassbox_engine::io::{atomic, npy, onnx, weights};
use glassbox_engine::{Blocked, Graph, Params};
use ndarray::Array4;
use std::path::{Path, PathBuf};

/// Which net, as options say it.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct NetArgs {
    /// Run folder, built-in model, model.toml or net.onnx; a weights file that holds its model will do too
    #[arg(value_name = "RUN|MODEL")]
    pub place: Option<String>,
    /// Built-in model, model.toml or net.onnx (weights included); left out, the one inside the weights file
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// Weights (safetensors with PyTorch's names)
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Seed of fresh parameters, where no weights are given
    #[arg(long, default_value_t = 1)]
    pub init_seed: u64,
}

/// A net ready to run.
#[derive(Debug)]
pub struct Net {
    /// What it is.
    pub graph: Graph,
    /// What it learned.
    pub params: Params<f32>,
    /// Whether its parameters were learned, or are fresh.
    pub trained: bool,
    /// The run folder that it came from.
    pub run: Option<PathBuf>,
}

/// A model by built-in name or file.
pub fn model(name: &str) -> Result<Graph> {
    let path = Path::new(name);
    if name.ends_with(".onnx") {
        return Ok(onnx::read(path)?.0);
    }
    if name.ends_with(".toml") || path.is_file() {
        let text = atomic::read_text(path)?;
        return Ok(Graph::from_toml(&text, name)?);
    }
    Ok(models::named(name)?)
}

impl NetArgs {
    /// The net. Errors: nothing named, files that are missing or corrupt, weights that do not fit.
    pub fn load(&self) -> Result<Net> {
        let run = self.place.as_ref().map(PathBuf::from).filter(|p| p.is_dir());
        if let Some(run) = run {
            return load_run(&run, self.weights.as_deref());
        }
        let named = self.model.as_ref().or(self.place.as_ref());
        // files that hold model and weights
        let whole = match named.filter(|_| self.weights.is_none()) {
            Some(file) if file.ends_with(".safetensors") => Some(weights::load(file, None)?),
            Some(file) if file.ends_with(".onnx") => Some(onnx::read(file)?),
            _ => None,
        };
        if let Some((graph, params)) = whole {
            return Ok(Net { graph, params, trained: true, run: None });
        }
        let graph = named.map(|name| model(name)).transpose()?;
        match (&self.weights, graph) {
            (Some(file), graph) => {
                let (graph, params) = weights::load(file, graph)?;
                Ok(Net { graph, params, trained: true, run: None })
            }
            (None, Some(graph)) => {
                let params = graph.init(Init::default(), self.init_seed);
                Ok(Net { graph, params, trained: false, run: None })
            }
            (None, None) => Err(Error::request(
                "no net is named",
                "give a run folder, --weights FILE, or --model NAME (glassbox models lists them)",
            )),
        }
    }
}

/// The net of a run folder: its best checkpoint, or the weights given.
fn load_run(run: &Path, file: Option<&Path>) -> Result<Net> {
    let text = atomic::read_text(run.join("model.toml"))?;
    let graph = Graph::from_toml(&text, &run.join("model.toml").display().to_string())?;
    let checkpoints = run.join("checkpoints");
    let file = match file {
        Some(file) => file.to_path_buf(),
        None => ["best.safetensors", "latest.safetensors"]
            .map(|name| checkpoints.join(name))
            .into_iter()
            .find(|path| path.is_file())
            .ok_or_else(|| {
                let problem =
                    format!("{} holds no best.safetensors or latest.safetensors", checkpoints.display());
                Error::request(problem, "let the run finish an epoch, or name weights with --weights")
            })?,
    };
    let (graph, params) = weights::load(file, Some(graph))?;
    Ok(Net { graph, params, trained: true, run: Some(run.to_path_buf()) })
}

/// Images as the net sees them, [N, C, H, W], from a .npy or image files; notes say what was converted.
pub fn input(graph: &Graph, files: &[PathBuf]) -> Result<Array4<f32>> {
    let shape = graph.input();
    if let [file] = files
        && file.extension().is_some_and(|e| e == "npy")
    {
        return array(graph, file);
    }
    let (mut images, notes) = picture::load(files, shape.c, shape.h, shape.w)?;
    notes.iter().for_each(crate::say::note);
    let pixels = graph.pixels();
    for (c, mut channel) in images.axis_iter_mut(ndarray::Axis(1)).enumerate() {
        let mean = pixels.mean.get(c).copied().unwrap_or(0.0) as f32;
        let std = pixels.std.get(c).copied().unwrap_or(1.0) as f32;
        channel.mapv_inplace(|v| (v - mean) / std);
    }
    Ok(images)
}

/// A .npy of shape [N, C, H, W], or [C, H, W] for one image.
fn array(graph: &Graph, file: &Path) -> Result<Array4<f32>> {
    let shape = graph.input();
    let cure = || format!("give an array of shape [N, {}, {}, {}]", shape.c, shape.h, shape.w);
    let array = npy::read(file)?;
    let sizes = array.shape().to_vec();
    let array = if array.ndim() == 3 { array.insert_axis(ndarray::Axis(0)) } else { array };
    let array: Array4<f32> = array.into_dimensionality().map_err(|_| {
        Error::request(format!("{}: shape {sizes:?} is no batch of images", file.display()), cure())
    })?;
    let (n, c, h, w) = array.dim();
    if [c, h, w] != [shape.c, shape.h, shape.w] || n == 0 {
        let problem = format!("{}: shape {sizes:?} does not fit model \"{}\"", file.display(), graph.name());
        return Err(Error::request(problem, cure()));
    }
    Ok(array.as_standard_layout().into_owned())
}

/// A batch in the engine's layout: single images plain, more in blocks.
pub fn blocked(images: &Array4<f32>) -> Blocked<f32> {
    let lanes = if images.dim().0 == 1 { 1 } else { LANES };
    Blocked::from_array4(images.view(), lanes)
}
