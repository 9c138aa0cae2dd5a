//! `glassbox trace`: everything that happened in one forward pass, as a file.

use crate::error::Result;
use crate::net::{self, NetArgs};
use crate::say;
use glassbox_engine::io::{Metadata, Tensor, Tensors, safetensors};
use glassbox_engine::trace::Saved;
use glassbox_engine::{Mode, Trace, forward};
use ndarray::ArrayD;
use std::path::PathBuf;

/// Write every activation and every saved array (switches, masks, statistics) of a forward pass to one file
///
/// Activations stand under their layer's name, saved arrays under <layer>:<array>, as in pool1:switches.
///
/// Example: glassbox trace runs/lenet-1 --input digit.png --out trace.safetensors
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    net: NetArgs,
    /// A .npy of shape [N,C,H,W] as the net sees it, or image files
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    input: Vec<PathBuf>,
    /// Where to write
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
}

pub fn run(args: Args) -> Result<()> {
    let net = args.net.load()?;
    let images = net::input(&net.graph, &args.input)?;
    let trace = forward(&net.graph, &net.params, &net::blocked(&images), Mode::Eval)?;
    let tensors = tensors(&trace)?;
    safetensors::write(&args.out, &tensors, &Metadata::new())?;
    say::line(format!("{} arrays of {} images in {}", tensors.len(), images.dim().0, args.out.display()));
    Ok(())
}

/// Everything in a trace, by name.
fn tensors(trace: &Trace<f32>) -> Result<Tensors> {
    let mut out = Tensors::new();
    for name in trace.names() {
        out.insert(name.clone(), Tensor::F32(trace.export(name)?));
    }
    for (layer, array, saved) in trace.all_saved() {
        let tensor = match saved {
            Saved::Switches(a) => Tensor::I64(a.to_exported().mapv(i64::from)),
            Saved::Mask(a) => Tensor::U8(a.to_exported()),
            Saved::Values(a) => Tensor::F32(a.to_exported()),
            Saved::Channels(a) => Tensor::F32(ArrayD::from_shape_fn(vec![a.len()], |i| a[i[0]])),
        };
        out.insert(format!("{layer}:{array}"), tensor);
    }
    Ok(out)
}
