//! Burn's side: `burn-peer VERSION MODEL.toml BATCH THREADS`. Its fastest processor backend in pure Rust (flex), f32.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig, PaddingConfig2d, Relu};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Distribution, Int, Tensor};
use std::io::BufRead;
use std::time::Instant;

#[derive(serde::Deserialize)]
struct Text {
    model: Header,
    layer: Vec<Layer>,
}

#[derive(serde::Deserialize)]
struct Header {
    input: [usize; 3],
}

#[derive(serde::Deserialize)]
struct Layer {
    kind: String,
    out: Option<usize>,
    kernel: Option<usize>,
    stride: Option<usize>,
    pad: Option<usize>,
    #[serde(default)]
    ceil: bool,
}

#[derive(Module, Debug)]
enum Step {
    Conv(Conv2d),
    Dense(Linear),
    Relu(Relu),
    MaxPool(MaxPool2d),
    AvgPool(AvgPool2d),
}

#[derive(Module, Debug)]
struct Net {
    steps: Vec<Step>,
}

impl Net {
    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let (mut maps, mut vectors) = (Some(x), None);
        for step in &self.steps {
            if let Step::Dense(dense) = step {
                let x = vectors.take().unwrap_or_else(|| maps.take().expect("maps come first").flatten(1, 3));
                vectors = Some(dense.forward(x));
            } else if let Some(x) = vectors.take() {
                vectors = Some(match step {
                    Step::Relu(relu) => relu.forward(x),
                    _ => panic!("{step:?} needs maps"),
                });
            } else {
                let x = maps.take().expect("maps come first");
                maps = Some(match step {
                    Step::Conv(conv) => conv.forward(x),
                    Step::Relu(relu) => relu.forward(x),
                    Step::MaxPool(pool) => pool.forward(x),
                    Step::AvgPool(pool) => pool.forward(x),
                    Step::Dense(_) => unreachable!("handled above"),
                });
            }
        }
        vectors.expect("a net ends in a dense layer")
    }
}

/// The net, by running a batch of one through it as it grows.
fn build(text: &Text, device: &Device) -> Net {
    let [c, h, w] = text.model.input;
    let mut shape = [c, h, w];
    let mut steps = Vec::new();
    for layer in &text.layer {
        let kernel = layer.kernel.unwrap_or(1);
        let pad = layer.pad.unwrap_or(0);
        let pool_stride = layer.stride.unwrap_or(kernel);
        let step = match layer.kind.as_str() {
            "conv" => Step::Conv(
                Conv2dConfig::new([shape[0], layer.out.expect("out")], [kernel; 2])
                    .with_stride([layer.stride.unwrap_or(1); 2])
                    .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
                    .init(device),
            ),
            "dense" => {
                Step::Dense(LinearConfig::new(shape.iter().product(), layer.out.expect("out")).init(device))
            }
            "relu" => Step::Relu(Relu::new()),
            "flatten" => continue,
            "maxpool" => Step::MaxPool(
                MaxPool2dConfig::new([kernel; 2])
                    .with_strides([pool_stride; 2])
                    .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
                    .with_ceil_mode(layer.ceil)
                    .init(),
            ),
            "avgpool" => Step::AvgPool(
                AvgPool2dConfig::new([kernel; 2])
                    .with_strides([pool_stride; 2])
                    .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
                    .with_ceil_mode(layer.ceil)
                    .init(),
            ),
            other => panic!("no Burn counterpart of {other} is written here"),
        };
        let x = Tensor::<4>::zeros([1, shape[0], shape[1], shape[2]], device);
        shape = match &step {
            Step::Conv(conv) => sizes(conv.forward(x)),
            Step::Dense(_) => [layer.out.expect("out"), 1, 1],
            Step::Relu(_) => shape,
            Step::MaxPool(pool) => sizes(pool.forward(x)),
            Step::AvgPool(pool) => sizes(pool.forward(x)),
        };
        steps.push(step);
    }
    Net { steps }
}

fn sizes(x: Tensor<4>) -> [usize; 3] {
    let [_, c, h, w] = x.dims();
    [c, h, w]
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&arguments[2]).expect("a model text");
    let text: Text = toml::from_str(&text).expect("a chain of layers");
    let batch: usize = arguments[3].parse().expect("a batch size");
    let device = Device::flex().autodiff();
    let mut net = build(&text, &device);
    let [c, h, w] = text.model.input;
    let x = Tensor::<4>::random([batch, c, h, w], Distribution::Normal(0.0, 1.0), &device);
    let classes: Vec<i32> = (0..batch as i32).map(|i| i * 7 % 10).collect();
    let classes = Tensor::<1, Int>::from_data(&classes[..], &device);
    let momentum = MomentumConfig { momentum: 0.9, dampening: 0.0, nesterov: false };
    let mut optimizer = SgdConfig::new().with_momentum(Some(momentum)).init();
    let loss = CrossEntropyLossConfig::new().init(&device);
    let mut run = |what: &str| match what {
        "train" => {
            let cost = loss.forward(net.forward(x.clone()), classes.clone());
            let gradients = GradientsParams::from_grads(cost.backward(), &net);
            net = optimizer.step(1e-4, net.clone(), gradients);
        }
        _ => drop(net.valid().forward(x.clone().inner()).into_data()),
    };
    run("train");
    run("infer");
    println!("Burn {} flex", arguments[1]);
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let (what, count) = line.split_once(' ').expect("`train N` or `infer N`");
        let start = Instant::now();
        (0..count.parse::<usize>().expect("a count")).for_each(|_| run(what));
        println!("{:.9}", start.elapsed().as_secs_f64());
    }
}
