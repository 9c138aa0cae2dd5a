//! `glassbox gradcheck`: numeric against analytic gradients.

use crate::error::{Error, Result};
use crate::net::NetArgs;
use crate::say;
use glassbox_engine::gradcheck::{Settings, check};
use glassbox_engine::rng::{Purpose, Stream};
use glassbox_engine::{Blocked, Mode};
use ndarray::Array4;

/// Compare the gradients of a net with numeric ones, in double precision, on random inputs
///
/// Numbers where a rectifier or a max-pool switch flips within the step are counted as kinks and left out.
///
/// Example: glassbox gradcheck --model lenet
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    net: NetArgs,
    /// Numbers checked per parameter, and of the input
    #[arg(long, default_value_t = 40)]
    samples: usize,
    /// Images in the batch
    #[arg(long, default_value_t = 2)]
    batch: usize,
    /// Step of the difference
    #[arg(long, default_value_t = 1e-5)]
    step: f64,
    /// Largest relative error that passes
    #[arg(long, default_value_t = 1e-6)]
    tolerance: f64,
    /// Seed of the inputs and of the draw
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run as in training: dropout draws, batch-norm uses the batch
    #[arg(long)]
    train_mode: bool,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

pub fn run(args: Args) -> Result<()> {
    if args.batch == 0 || args.samples == 0 || args.step <= 0.0 || !args.step.is_finite() {
        return Err(Error::request("batch, samples and step must be above zero", "leave them out for the defaults"));
    }
    let net = args.net.load()?;
    let shape = net.graph.input();
    let mut stream = Stream::new(args.seed, Purpose::Demo, 1, 0);
    let images = Array4::from_shape_simple_fn((args.batch, shape.c, shape.h, shape.w), || stream.normal());
    let classes = net.graph.shape(net.graph.logits()).size();
    let targets: Vec<u32> = (0..args.batch).map(|_| stream.below(classes) as u32).collect();
    let mode = if args.train_mode { Mode::Train { seed: args.seed, step: 0 } } else { Mode::Eval };
    let settings = Settings { step: args.step, samples: args.samples, seed: args.seed };
    let input = Blocked::from_array4(images.view(), 1);
    let checked = check(&net.graph, &net.params.cast(), &input, &targets, mode, settings)?;
    if args.json {
        let rows = checked.iter().map(|c| {
            serde_json::json!({"name": c.name, "compared": c.compared, "kinks": c.kinks,
                "kink_layers": c.kink_layers, "error": c.error, "largest": c.largest})
        });
        say::line(format!("{:#}", serde_json::json!({"gradients": rows.collect::<Vec<_>>(), "tolerance": args.tolerance})));
    } else {
        let row = |c: &glassbox_engine::gradcheck::Checked| {
            let kinks = if c.kinks == 0 { "0".into() } else { format!("{} ({})", c.kinks, c.kink_layers.join(", ")) };
            vec![c.name.clone(), c.compared.to_string(), kinks, format!("{:.2e}", c.largest), format!("{:.1e}", c.error)]
        };
        let rows: Vec<_> = checked.iter().map(row).collect();
        let header = ["gradient of the loss by", "compared", "kinks (at)", "largest", "relative error"];
        say::line(say::table(&header, &rows, &[false, true, false, true, true]));
    }
    let worst = checked.iter().max_by(|a, b| a.error.total_cmp(&b.error));
    match worst {
        Some(c) if c.error > args.tolerance => Err(Error::Failed(format!(
            "the gradient of \"{}\" is off by {:.1e}, above {:.1e}; look at the layer that holds it, or raise --tolerance \
             where the step crosses a steep place",
            c.name, c.error, args.tolerance
        ))),
        _ => Ok(()),
    }
}
