//! The first 20 training steps of LeNet by five optimisers: the loss of each step, and the parameters after the last.
//!
//! The golden run is double precision, and so is the test that follows it freely. In single precision two values of a
//! max-pooling window, or a ReLU's input and zero, sooner or later lie closer than rounding can tell; from that step on
//! the gradient is that of another path (one switch changes it by 3 %), and PyTorch's own single precision leaves this
//! golden run too (RMSprop, by 1e-2). Better sums make that rarer and do not cure it: in step 5 of Nesterov's run the
//! two largest values of a window differ by 1.9e-7 of their size; in step 11 of RMSprop's the largest of a window is
//! 2e-6 where others reach 2.9, and a run in double precision that rounds nothing but RMSprop's signals, correctly,
//! takes another path too. So single precision is held to 1e-4 while it makes the same choices, to the golden run's own
//! state at every step, and in its optimisers to the same gradients.

use glassbox_engine::graph::{Keep, Plan};
use glassbox_engine::kernels::Isa;
use glassbox_engine::loss::CrossEntropy;
use glassbox_engine::optim::Method;
use glassbox_engine::{Params, Real};
use glassbox_fixtures::{Arrays, arrays, digits, graph};
use glassbox_tests::compare::{blocked, close, error, wide};
use glassbox_tests::stepper::Stepper;
use ndarray::{ArrayD, Axis, Slice};

const BATCH: usize = 32;
const STEPS: usize = 20;

/// (name, method, learning rate, weight decay); what is not said is PyTorch's default.
fn optimizers() -> [(&'static str, Method, f64, f64); 5] {
    let named = |name| Method::named(name).unwrap();
    [
        ("sgd", Method::Sgd { momentum: 0.9, nesterov: false }, 0.05, 5e-4),
        ("nesterov", Method::Sgd { momentum: 0.9, nesterov: true }, 0.05, 0.0),
        ("adam", named("adam"), 1e-3, 0.0),
        ("adamw", named("adamw"), 1e-3, 1e-2),
        ("rmsprop", named("rmsprop"), 1e-3, 0.0),
    ]
}

fn stepper<R: Real>(start: &Arrays, method: Method, decay: f64) -> Stepper<R> {
    let graph = graph("lenet");
    let optimizer = method.build(graph.layout().learnable_len(), decay);
    let params = start.params(&graph, "");
    Stepper::new(graph, params, BATCH, optimizer)
}

fn set_input<R: Real>(stepper: &mut Stepper<R>, images: &ArrayD<f64>) {
    stepper.trace.input_mut().values_mut().copy_from_slice(blocked::<R>(images, 16).values());
}

/// Whether both passes made the same choices: which ReLUs are open, where each maximum was.
fn same_choices(a: &Stepper<f64>, b: &Stepper<f32>) -> bool {
    a.graph.nodes().iter().all(|node| match node.layer.kind().name {
        "relu" => {
            let a = wide(a.trace.activation(&node.name).unwrap());
            let b = wide(b.trace.activation(&node.name).unwrap());
            a.iter().zip(&b).all(|(a, b)| (*a > 0.0) == (*b > 0.0))
        }
        "maxpool" => {
            let a = a.trace.saved(&node.name, "switches").unwrap().switches();
            let b = b.trace.saved(&node.name, "switches").unwrap().switches();
            a.values() == b.values()
        }
        _ => true,
    })
}

fn largest_error(got: &Params<f32>, want: &Params<f64>) -> f64 {
    want.iter()
        .map(|(spec, want)| error(&got.copy(&spec.name).unwrap().mapv(Real::wide), &want.to_owned()))
        .fold(0.0, f64::max)
}

/// Single precision on its own parameters, on one instruction set's kernels.
struct Free {
    isa: Isa,
    run: Stepper<f32>,
    /// How many steps from the first on made the golden run's choices.
    same: usize,
}

/// What single precision does beside the golden run.
struct Single {
    free: Vec<Free>,
    /// On the golden run's parameters, at every step.
    held: Stepper<f32>,
    /// Parameters moved by the golden run's gradients.
    driven: Params<f32>,
    same_held: usize,
}

fn free(start: &Arrays, method: Method, decay: f64) -> Vec<Free> {
    let isas = Isa::ALL.iter().copied().filter(|isa| isa.available());
    let run = |isa| {
        let graph = graph("lenet");
        let plan = Plan::with(&graph, BATCH, 16, isa, Keep::Everything);
        let optimizer = method.build(graph.layout().learnable_len(), decay);
        let params = start.params(&graph, "");
        Free { isa, run: Stepper::planned(graph, params, &plan, optimizer), same: 0 }
    };
    isas.map(run).collect()
}

#[test]
fn twenty_steps_of_five_optimizers() {
    let (pixels, classes) = digits();
    // the golden run made its inputs in single precision, whatever it trained in
    let x = pixels.mapv(|p| f64::from((p as f32 - 0.1307) / 0.3081)).into_dyn();
    let (start, golden) = (arrays("lenet.init"), arrays("lenet.training"));
    for (name, method, lr, decay) in optimizers() {
        let mut double = stepper::<f64>(&start, method, decay);
        let mut optimizer = method.build::<f32>(double.params.learnable().len(), decay);
        let mut single = Single {
            free: free(&start, method, decay),
            held: stepper(&start, method, decay),
            driven: double.params.cast(),
            same_held: 0,
        };
        let want = golden.get(&format!("{name}.losses"));
        for step in 0..STEPS {
            let range = step * BATCH..(step + 1) * BATCH;
            let images = x.slice_axis(Axis(0), Slice::from(range.clone())).to_owned();
            single.held.params = double.params.cast();
            set_input(&mut double, &images);
            set_input(&mut single.held, &images);
            let classes = &classes[range];
            let off = |loss: f64| (loss - want[step]).abs() / want[step];
            let loss = CrossEntropy::default();
            let wide = off(double.step(&loss, classes, lr).mean());
            assert!(wide <= 1e-6, "{name}: loss of step {step} is off by {wide:e}");
            for Free { isa, run, same } in &mut single.free {
                set_input(run, &images);
                let free = off(run.step(&loss, classes, lr).mean());
                if *same == step && same_choices(&double, run) {
                    assert!(free <= 1e-4, "{name} on {isa:?}: loss of step {step} is off by {free:e}");
                    *same += 1;
                }
            }
            let held = off(single.held.step(&loss, classes, lr).mean());
            assert!(held <= 1e-5, "{name}: loss of step {step} from the golden state is off by {held:e}");
            if same_choices(&double, &single.held) {
                let worst = largest_error(&single.held.grads, &double.grads);
                assert!(worst <= 1e-4, "{name}: gradients of step {step} are off by {worst:e}");
                single.same_held += 1;
            }
            optimizer.step(single.driven.learnable_mut(), double.grads.cast::<f32>().learnable(), lr);
        }
        for (param, want) in golden.under(&format!("{name}.final.")) {
            let got = double.params.copy(param).unwrap();
            close(&format!("{name} {param}"), &got, want, 1e-6);
            let got = single.driven.copy(param).unwrap().mapv(Real::wide);
            close(&format!("{name} {param} by the same gradients"), &got, want, 1e-4);
        }
        for Free { isa, run, same } in &single.free {
            let worst = largest_error(&run.params, &double.params);
            println!("{name} on {isa:?}: the same choices for {same} steps, parameters off by {worst:e}");
            assert!(*same >= 2, "{name} on {isa:?}: single precision strays after {same} steps");
            assert!(*same < STEPS || worst <= 1e-4, "{name} on {isa:?}: parameters are off by {worst:e}");
        }
        println!("{name}: the same choices at {} of 20 held steps", single.same_held);
        assert!(single.same_held >= STEPS / 2, "{name}: {} of 20", single.same_held);
    }
}
