//! `glassbox export`: a net as a file of another program.

use crate::error::{Error, Result};
use crate::net::{Net, NetArgs};
use crate::say;
use glassbox_engine::io::{onnx, weights};
use std::path::{Path, PathBuf};

/// Write a net for other programs: ONNX, or safetensors with PyTorch's names
///
/// Example: glassbox export runs/lenet-1 --to onnx --out lenet.onnx
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    net: NetArgs,
    /// The format
    #[arg(long, value_enum)]
    to: Format,
    /// The file; left out, the model's name in this folder, which must be free
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What a net can be written as: a name, and the writer.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Format {
    /// Graph and weights; inputs [N,C,H,W] with mean and std already applied
    Onnx,
    /// Weights that load_state_dict takes, the model text in the metadata
    Safetensors,
}

impl Format {
    /// The end of a file's name.
    fn ending(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::Safetensors => "safetensors",
        }
    }

    fn write(self, path: &Path, net: &Net) -> Result<()> {
        let written = match self {
            Self::Onnx => onnx::write(path, &net.graph, &net.params),
            Self::Safetensors => weights::save(path, &net.graph, &net.params),
        };
        written.map_err(Error::from)
    }
}

pub fn run(args: Args) -> Result<()> {
    let net = args.net.load()?;
    let path = match args.out {
        Some(path) => path,
        None => free(net.graph.name(), args.to.ending())?,
    };
    args.to.write(&path, &net)?;
    if !net.trained {
        say::note("note: no weights were given, so these are fresh parameters");
    }
    let bytes = std::fs::metadata(&path).map_err(|e| Error::io(&path, "look at the file", e))?.len();
    say::line(format!("{} ({})", path.display(), say::bytes(bytes as usize)));
    Ok(())
}

/// The model's name as a file of this folder. Errors: the file exists.
fn free(model: &str, ending: &str) -> Result<PathBuf> {
    let plain = |c: char| if c.is_alphanumeric() || "_.-".contains(c) { c } else { '_' };
    let path = PathBuf::from(format!("{}.{ending}", model.chars().map(plain).collect::<String>()));
    match path.exists() {
        false => Ok(path),
        true => Err(Error::request(format!("{} exists", path.display()), "name the file with --out, to replace it")),
    }
}
