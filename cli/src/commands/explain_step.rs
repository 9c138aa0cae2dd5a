//! `glassbox explain-step`: one number of a net, worked out term by term.

use super::explain::{targets, unit};
use crate::error::{Error, Result};
use crate::net::{self, Net, NetArgs};
use crate::say;
use glassbox_engine::io::atomic;
use glassbox_engine::loss::top_class;
use glassbox_engine::{Blocked, Mode, forward};
use glassbox_viz::methods::{Targets, Unit as Choice};
use glassbox_viz::steps::{Of, Unit, Workings, example};
use ndarray::{Array3, Axis};
use std::path::PathBuf;

/// Work out one number term by term: the sum behind an output, the paths of a gradient, a pool's window, unpooling
///
/// Without a net it takes one that can be checked by pencil and paper, and without a layer it goes through it from the
/// picture to the gradients. The sums are made in double precision from the stored parameters and activations, and
/// stand beside what the engine stored.
///
/// Example: glassbox explain-step
///
/// Example: glassbox explain-step runs/lenet-1 --input digit.png --layer pool1 --unit 3,5,6 --svg window.svg
///
/// Example: glassbox explain-step runs/lenet-1 --input digit.png --layer conv1 --show gradient --weight 0,0,2,2
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    net: NetArgs,
    /// A .npy of shape [N,C,H,W] as the net sees it, or image files
    #[arg(long, num_args = 1.., value_name = "FILE")]
    input: Vec<PathBuf>,
    /// Which of the images, from 0
    #[arg(long, default_value_t = 0, value_name = "N")]
    image: usize,
    /// The layer, or `input`
    #[arg(long, value_name = "LAYER")]
    layer: Option<String>,
    /// Channel, row and column, or a channel (its largest value); left out, the layer's largest value
    #[arg(long, value_name = "K[,Y,X]")]
    unit: Option<String>,
    /// What to work out
    #[arg(long, value_enum, default_value_t)]
    show: Show,
    /// With --show gradient: of this weight of the layer, by its indices
    #[arg(long, value_name = "I,J,..", conflicts_with_all = ["unit", "bias"])]
    weight: Option<String>,
    /// With --show gradient: of this bias of the layer
    #[arg(long, value_name = "I", conflicts_with = "unit")]
    bias: Option<String>,
    /// What gradients are of: the cross-entropy loss of the class, or its score
    #[arg(long, value_enum, default_value_t)]
    of: What,
    /// The class: an index, a class name, or `top`
    #[arg(long, default_value = "top", value_name = "CLASS")]
    class: String,
    /// Terms that are printed, the largest
    #[arg(long, default_value_t = 40, value_name = "N")]
    terms: usize,
    /// Draw it to this file
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
    /// Print JSON, with every term
    #[arg(long)]
    json: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq)]
enum Show {
    /// The terms that made an output; of a max-pool the candidates, the switch and ties
    #[default]
    Value,
    /// The paths by which a gradient comes to a unit, or the places that feed the gradient of a parameter
    Gradient,
    /// Where a max-pool's gradient goes back to, one channel
    Unpool,
    /// Where a max-pool's own values go when it is undone, one channel
    UnpoolValues,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
enum What {
    #[default]
    Loss,
    Score,
}

/// A step in all its forms.
struct Told {
    text: String,
    json: serde_json::Value,
    svg: String,
}

pub fn run(args: Args) -> Result<()> {
    let bundled = args.net.place.is_none() && args.net.model.is_none() && args.net.weights.is_none();
    let (net, image) = if bundled { pencil(&args)? } else { given(&args)? };
    let of = start(&args, &net, &image)?;
    let workings = Workings::new(&net.graph, &net.params, image.view(), of)?;
    let Some(layer) = &args.layer else {
        if bundled && args.svg.is_none() {
            return tour(&args, &workings, &image);
        }
        let names = net.graph.names().join(", ");
        return Err(Error::request("no layer is named", format!("add --layer with one of: {names}")));
    };
    let told = work_out(&args, &workings, layer)?;
    if let Some(svg) = &args.svg {
        atomic::write(svg, told.svg.as_bytes())?;
    }
    say::line(if args.json { format!("{:#}", told.json) } else { told.text });
    if !net.trained {
        say::note("note: no weights were given, so this looks at fresh parameters");
    }
    Ok(())
}

/// The net that is named, and one image.
fn given(args: &Args) -> Result<(Net, Array3<f32>)> {
    let net = args.net.load()?;
    if args.input.is_empty() {
        return Err(Error::request("no image is named", "add --input with an image file or a .npy"));
    }
    let images = net::input(&net.graph, &args.input)?;
    if args.image >= images.dim().0 {
        let problem = format!("there is no image {} among {}", args.image, images.dim().0);
        return Err(Error::request(problem, "count images from 0"));
    }
    let image = images.index_axis(Axis(0), args.image).to_owned();
    Ok((net, image))
}

/// The bundled net with its picture, or another one.
fn pencil(args: &Args) -> Result<(Net, Array3<f32>)> {
    let (graph, params, mut image) = example::net()?;
    if !args.input.is_empty() {
        image = net::input(&graph, &args.input)?.index_axis(Axis(0), 0).to_owned();
    }
    Ok((Net { graph, params, trained: true, run: None }, image))
}

/// The class, and whether its loss or its score is pulled back.
fn start(args: &Args, net: &Net, image: &Array3<f32>) -> Result<Of> {
    let class = match targets(net, &args.class)? {
        Targets::Same(class) => class,
        Targets::Top => {
            let input = Blocked::from_array4(image.view().insert_axis(Axis(0)), 1);
            let trace = forward(&net.graph, &net.params, &input, Mode::Eval)?;
            top_class(trace.slot(net.graph.logits())?.view(), 0)
        }
        Targets::Each(_) => return Err(Error::request("several classes are named", "name one with --class")),
    };
    Ok(match args.of {
        What::Loss => Of::Loss(class),
        What::Score => Of::Score(class),
    })
}

fn work_out(args: &Args, workings: &Workings<'_>, layer: &str) -> Result<Told> {
    let parameter = args.weight.as_ref().map(|at| ("weight", at)).or(args.bias.as_ref().map(|at| ("bias", at)));
    if let Some((name, at)) = parameter {
        if args.show != Show::Gradient {
            let cure = format!("add --show gradient, or leave --{name} out");
            return Err(Error::request(format!("--{name} asks for a gradient"), cure));
        }
        return Ok(told(args, &workings.parameter_gradient(layer, name, &indices(name, at)?)?));
    }
    let unit = chosen(args, workings, layer)?;
    match args.show {
        Show::Value => Ok(told(args, &workings.value(layer, unit)?)),
        Show::Gradient => Ok(told(args, &workings.gradient(layer, unit)?)),
        Show::Unpool | Show::UnpoolValues => {
            let back = workings.unpooling(layer, unit[0], args.show == Show::UnpoolValues)?;
            Ok(Told { text: back.text(args.terms), json: back.json(), svg: back.svg() })
        }
    }
}

fn told(args: &Args, step: &glassbox_viz::steps::Step) -> Told {
    Told { text: step.text(args.terms), json: step.json(), svg: step.svg() }
}

/// --weight and --bias.
fn indices(name: &str, text: &str) -> Result<Vec<usize>> {
    let number = |t: &str| {
        t.trim().parse().map_err(|_| {
            Error::request(format!("--{name} {text} is no place"), "write indices by commas, as in 0,0,2,2")
        })
    };
    text.split(',').map(number).collect()
}

/// --unit: one unit, or the largest value of a channel or of the layer.
fn chosen(args: &Args, workings: &Workings<'_>, layer: &str) -> Result<Unit> {
    let channel = match args.unit.as_deref().map(unit).transpose()? {
        Some(Choice::At(k, y, x)) => return Ok([k, y, x]),
        Some(Choice::Channel(k)) => Some(k),
        Some(Choice::All) => {
            return Err(Error::request("--unit all is more than one number", "name one unit K,Y,X, or a channel K"));
        }
        None => None,
    };
    Ok(workings.largest(layer, channel)?)
}

/// The whole worked example, from the picture to the gradients.
fn tour(args: &Args, w: &Workings<'_>, image: &Array3<f32>) -> Result<()> {
    let steps = [
        ("One output of the convolution", w.value("conv", [0, 0, 1])?),
        ("ReLU", w.value("relu", [0, 0, 1])?),
        ("A pool window with a tie", w.value("pool", [0, 0, 0])?),
        ("A pool window without", w.value("pool", [0, 1, 0])?),
        ("The score of class 0", w.value("dense", [0, 0, 0])?),
        ("The score of class 1", w.value("dense", [1, 0, 0])?),
        ("Where the gradient starts", w.gradient("dense", [0, 0, 0])?),
        ("The gradient of a pooled value", w.gradient("pool", [0, 0, 0])?),
        ("The gradient at a cell that two windows share: it adds", w.gradient("relu", [0, 0, 1])?),
        ("The gradient of one kernel weight", w.parameter_gradient("conv", "weight", &[0, 0, 1, 1])?),
    ];
    let back = w.unpooling("pool", 0, false)?;
    if args.json {
        let steps: Vec<_> = steps.iter().map(|(_, step)| step.json()).collect();
        say::line(format!("{:#}", serde_json::json!({"loss": w.loss(), "steps": steps, "unpooling": back.json()})));
        return Ok(());
    }
    say::line(format!(
        "A net for pencil and paper: 5x5 picture, conv 3x3, relu, pool 2x2 (stride 1), dense, 2 classes.\n\n{}",
        w.graph().to_toml().trim_end()
    ));
    let rows = image.index_axis(Axis(0), 0);
    let rows: Vec<String> =
        rows.outer_iter().map(|r| format!("  {}", r.iter().map(f32::to_string).collect::<Vec<_>>().join(" "))).collect();
    say::line(format!("\nThe picture\n{}", rows.join("\n")));
    for (title, step) in &steps {
        say::line(format!("\n{title}\n{}", step.text(args.terms)));
    }
    say::line(format!("\nUnpooling: what goes where\n{}", back.text(args.terms)));
    say::line(format!("\nloss of the top class: {:.7}", w.loss()));
    say::line("\nAny of its numbers: glassbox explain-step --layer conv --unit 0,2,1 --svg step.svg");
    Ok(())
}
