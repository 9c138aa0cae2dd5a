//! Speed of the kernels per layer shape and instruction set: GFLOP/s in real multiply-adds (padded taps left out) and
//! percent of the multiply-add peak of the same cores, measured in the same run.
//!
//! `cargo run --release -p glassbox-engine --example kernels -- [isa ...] [key=value ...]`, with the keys `layer` (part of a layer's name),
//! `threads` (default "1,2"), `batch` (default 64), `ms` (time per figure, default 200) and `exact` (default true; with
//! false, convolutions that gain by it are transformed and may pass the peak of the direct ones). Each figure is the best of
//! many calls, or with one thread the mean of their processor time where that is less.

use glassbox_engine::kernels::{ConvGeometry, DenseGeometry, Isa, Kernels};
use glassbox_engine::window::Window;
use glassbox_engine::{LANES, Real};
use std::time::{Duration, Instant};

enum Geometry {
    Conv(ConvGeometry),
    Dense(DenseGeometry),
}

/// (name, channels in, channels out, input size, kernel, padding); kernel 0 is a dense layer.
const LAYERS: &[(&str, usize, usize, usize, usize, usize)] = &[
    ("lenet.1 1->6 k5 28", 1, 6, 28, 5, 0),
    ("lenet.2 6->16 k5 12", 6, 16, 12, 5, 0),
    ("lenet.d 256->120", 256, 120, 1, 0, 0),
    ("w1.1 1->32 k3 28", 1, 32, 28, 3, 0),
    ("w1.2 32->64 k3 26", 32, 64, 26, 3, 0),
    ("w1.d 9216->128", 9216, 128, 1, 0, 0),
    ("w2.1 3->32 k5 p2 32", 3, 32, 32, 5, 2),
    ("w2.2 32->32 k5 p2 16", 32, 32, 16, 5, 2),
    ("w2.3 32->64 k5 p2 8", 32, 64, 8, 5, 2),
    ("w3.1 3->64 k3 p1 32", 3, 64, 32, 3, 1),
    ("w3.2 64->192 k3 p1 16", 64, 192, 16, 3, 1),
    ("w3.3 192->384 k3 p1 8", 192, 384, 8, 3, 1),
    ("w3.4 384->256 k3 p1 8", 384, 256, 8, 3, 1),
    ("w3.5 256->256 k3 p1 8", 256, 256, 8, 3, 1),
    ("w3.d 4096->1024", 4096, 1024, 1, 0, 0),
];

fn geometry(layer: &(&str, usize, usize, usize, usize, usize), batch: usize) -> Geometry {
    let &(_, c_in, c_out, size, kernel, pad) = layer;
    let lanes = if batch == 1 { 1 } else { LANES };
    let blocks = batch.div_ceil(lanes);
    if kernel == 0 {
        return Geometry::Dense(DenseGeometry { blocks, lanes, inputs: c_in, outputs: c_out });
    }
    let window = Window { pad: [pad; 2], pad_end: [pad; 2], ..Window::new([kernel; 2]) };
    let output = window.output([size; 2]).expect("the window fits");
    Geometry::Conv(ConvGeometry { blocks, lanes, c_in, c_out, groups: 1, input: [size; 2], output, window })
}

/// Floating-point operations of one pass, padded taps left out.
fn flops(g: &Geometry) -> f64 {
    match g {
        Geometry::Dense(g) => 2.0 * (g.blocks * g.lanes * g.inputs * g.outputs) as f64,
        Geometry::Conv(g) => {
            let taps =
                |a: usize| (0..g.output[a]).map(|o| g.window.taps(a, o, g.input[a]).len()).sum::<usize>();
            2.0 * (g.blocks * g.lanes * g.c_out * (g.c_in / g.groups) * taps(0) * taps(1)) as f64
        }
    }
}

/// Best time of `f` in seconds, within `budget`; or its mean processor time on this thread, where `alone` says that it
/// uses no other, the system tells, and that is less: on a crowded machine no long call runs undisturbed.
fn best(budget: Duration, alone: bool, mut f: impl FnMut()) -> f64 {
    f();
    let (start, mut best, mut calls) = (Instant::now(), f64::INFINITY, 0);
    let before = processor_seconds();
    while start.elapsed() < budget {
        let once = Instant::now();
        f();
        best = best.min(once.elapsed().as_secs_f64());
        calls += 1;
    }
    match (before, processor_seconds()) {
        (Some(before), Some(after)) if alone => best.min((after - before) / f64::from(calls)),
        _ => best,
    }
}

/// Processor time of this thread, where Linux tells.
fn processor_seconds() -> Option<f64> {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(line.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

/// Times of the three passes in seconds.
fn measure(kernels: &Kernels<f32>, g: &Geometry, budget: Duration, alone: bool) -> [f64; 3] {
    let (input, weight, output, scratch) = match g {
        Geometry::Conv(g) => (g.input_len(), g.weight_len(), g.output_len(), (kernels.conv_scratch)(g)),
        Geometry::Dense(g) => {
            let n = g.blocks * g.lanes;
            (n * g.inputs, g.inputs * g.outputs, n * g.outputs, (kernels.dense_scratch)(g))
        }
    };
    let numbers = |len: usize| {
        let values: Vec<f32> = (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
        glassbox_engine::array::Aligned::from_slice(&values)
    };
    let (x, w, dy) = (numbers(input), numbers(weight), numbers(output));
    let (mut y, mut dx, mut dw, mut s) = (numbers(output), numbers(input), numbers(weight), numbers(scratch));
    match g {
        Geometry::Conv(g) => [
            best(budget, alone, || (kernels.conv_forward)(g, &x, &w, None, &mut y, &mut s, None)),
            best(budget, alone, || (kernels.conv_pull)(g, &dy, &w, &mut dx, &mut s)),
            best(budget, alone, || (kernels.conv_pull_weight)(g, &x, &dy, &mut dw, None, &mut s)),
        ],
        Geometry::Dense(g) => [
            best(budget, alone, || (kernels.dense_forward)(g, &x, &w, None, &mut y, &mut s)),
            best(budget, alone, || (kernels.dense_pull)(g, &dy, &w, &mut dx, &mut s)),
            best(budget, alone, || (kernels.dense_pull_weight)(g, &x, &dy, &mut dw, None, &mut s)),
        ],
    }
}

/// Multiply-add peak of one core in GFLOP/s, by the fastest instruction set.
fn peak() -> f64 {
    let isa = Isa::detect();
    let Some(operations) = isa.multiply_adds(50_000) else { return f64::NAN };
    let seconds = best(Duration::from_millis(60), true, || {
        isa.multiply_adds(50_000);
    });
    operations as f64 / seconds / 1e9
}

fn main() {
    let (mut isas, mut part, mut threads, mut batch, mut ms, mut exact) =
        (Vec::new(), String::new(), vec![1, 2], 64, 200, true);
    for argument in std::env::args().skip(1) {
        match argument.split_once('=') {
            Some(("layer", value)) => part = value.into(),
            Some(("threads", value)) => {
                threads = value.split(',').map(|n| n.parse().expect("a number")).collect()
            }
            Some(("batch", value)) => batch = value.parse().expect("a number"),
            Some(("exact", value)) => exact = value.parse().expect("true or false"),
            Some(("ms", value)) => ms = value.parse().expect("a number"),
            _ => isas.push(Isa::named(&argument).unwrap_or_else(|e| panic!("{e}"))),
        }
    }
    if isas.is_empty() {
        isas = Isa::ALL.iter().copied().filter(|isa| isa.available()).collect();
    }
    for threads in threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
        for &isa in &isas {
            println!("\n{} on {threads} thread(s), batch {batch}: GFLOP/s (percent of peak), ms", isa.name());
            println!("{:24} {:>22} {:>22} {:>22}", "layer", "forward", "data gradient", "weight gradient");
            for layer in LAYERS.iter().filter(|l| l.0.contains(part.as_str())) {
                let g = geometry(layer, batch);
                let peak = peak() * threads as f64;
                let kernels = f32::kernels(isa, exact);
                let times = pool.install(|| measure(kernels, &g, Duration::from_millis(ms), threads == 1));
                let cells = times.map(|t| {
                    let rate = flops(&g) / t / 1e9;
                    format!("{rate:.0} ({:.0}%) {:.3}", 100.0 * rate / peak, t * 1e3)
                });
                println!(
                    "{:24} {:>22} {:>22} {:>22}   peak {peak:.0}",
                    layer.0, cells[0], cells[1], cells[2]
                );
            }
        }
    }
}
