//! What must hold of every layer kind, on the examples that each kind brings: a new kind is tested by being listed.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use glassbox_engine::graph::Graph;
use glassbox_engine::kernels::Isa;
use glassbox_engine::layers::{Conv, Flatten, KINDS, Layer, Role};
use glassbox_engine::rules::RoleKind;
use glassbox_engine::trace::{Mode, Saved};
use glassbox_engine::{Params, Real, Shape};
use glassbox_tests::compare::{bits, blocked, close, error, shuffled, wide};
use glassbox_tests::single::{Setting, Single, TRAIN, fill_padding, some_params};
use ndarray::{ArrayD, Axis, Slice};
use std::sync::Arc;

struct Example {
    name: String,
    layer: Arc<dyn Layer>,
    shapes: Vec<Shape>,
}

fn examples() -> Vec<Example> {
    let of = |kind: &'static glassbox_engine::layers::Kind| {
        (kind.examples)().into_iter().enumerate().map(|(i, (layer, shapes))| Example {
            name: format!("{} example {i}", kind.name),
            layer,
            shapes,
        })
    };
    KINDS.iter().copied().flat_map(of).collect()
}

impl Example {
    fn inputs(&self, n: usize) -> Vec<ArrayD<f64>> {
        self.shapes.iter().enumerate().map(|(i, s)| shuffled(&s.exported(n), 3 + 4 * i) * 1.7).collect()
    }

    fn params<R: Real>(&self) -> Params<R> {
        some_params(&self.layer.infer(&self.shapes).unwrap())
    }

    fn run<R: Real>(&self, inputs: &[ArrayD<f64>], setting: Setting) -> Single<R> {
        Single::run(&self.layer, inputs, &self.params(), setting)
    }

    fn signal(&self, n: usize) -> ArrayD<f64> {
        shuffled(&self.layer.infer(&self.shapes).unwrap().output.exported(n), 11)
    }
}

/// Learnable values of a slab; gaps between parameters are left out, as no layer writes them.
fn learnable<R: Real>(params: &Params<R>) -> Vec<R> {
    let learnable = params.iter().filter(|(spec, _)| spec.decl.role.learnable());
    learnable.flat_map(|(_, values)| values.iter().copied().collect::<Vec<_>>()).collect()
}

fn dot(a: &ArrayD<f64>, b: &ArrayD<f64>) -> f64 {
    (a * b).sum()
}

/// Central differences of `f` at each value of `x`.
fn differences(x: &ArrayD<f64>, f: impl Fn(&ArrayD<f64>) -> f64) -> ArrayD<f64> {
    const STEP: f64 = 1e-5;
    let mut moved = x.clone();
    let slopes = (0..x.len()).map(|i| {
        let mut at = |step: f64| {
            moved.as_slice_mut().unwrap()[i] = x.as_slice().unwrap()[i] + step;
            f(&moved)
        };
        let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
        at(0.0);
        slope
    });
    ArrayD::from_shape_vec(x.shape(), slopes.collect()).unwrap()
}

#[test]
fn pull_backs_are_gradients() {
    for example in examples() {
        let (inputs, dy, params) = (example.inputs(3), example.signal(3), example.params::<f64>());
        for setting in [Setting::eval(1), Setting::train(1), Setting::eval(16), Setting::train(16)] {
            let run = |x: &[ArrayD<f64>], p: &Params<f64>| Single::run(&example.layer, x, p, setting);
            let what = format!("{} {:?} lanes {}", example.name, setting.mode, setting.lanes);
            let at = run(&inputs, &params);
            for (i, dx) in at.pull(&dy).iter().enumerate() {
                let slopes = differences(&inputs[i], |x| {
                    let mut moved = inputs.clone();
                    moved[i] = x.clone();
                    dot(&run(&moved, &params).y(), &dy)
                });
                close(&format!("{what} input {i}"), dx, &slopes, 1e-6);
            }
            let grads = at.pull_params(&dy);
            for (spec, value) in params.iter().filter(|(spec, _)| spec.decl.role.learnable()) {
                let slopes = differences(&value.to_owned(), |value| {
                    let mut moved = params.clone();
                    moved.set(&spec.name, value.view()).unwrap();
                    dot(&run(&inputs, &moved).y(), &dy)
                });
                close(&format!("{what} {}", spec.name), &grads.copy(&spec.name).unwrap(), &slopes, 1e-6);
            }
        }
    }
}

/// The layer's linear part at its trace, applied to a direction.
fn push(example: &Example, at: &Single<f64>, direction: &[ArrayD<f64>], setting: Setting) -> ArrayD<f64> {
    if RoleKind::of(&at.compute().role()) == RoleKind::Select {
        let switches = wide_switches(&at.saved[0]);
        let mut out = at.y();
        let plane = direction[0].shape()[2..].iter().product::<usize>();
        let per_plane = out.shape()[2..].iter().product::<usize>();
        let direction = direction[0].as_slice().unwrap();
        for (i, (y, s)) in out.iter_mut().zip(switches).enumerate() {
            *y = direction[i / per_plane * plane + s];
        }
        return out;
    }
    let zeros: Vec<_> = direction.iter().map(|d| d * 0.0).collect();
    example.run::<f64>(direction, setting).y() - example.run::<f64>(&zeros, setting).y()
}

fn wide_switches(saved: &Saved<f64>) -> Vec<usize> {
    saved.switches().to_array4().iter().map(|&s| s as usize).collect()
}

#[test]
fn pull_backs_of_linear_layers_are_their_adjoints() {
    let linear = [
        RoleKind::Affine,
        RoleKind::Select,
        RoleKind::Average,
        RoleKind::Wire,
        RoleKind::Rescale,
        RoleKind::Sum,
        RoleKind::Concat,
    ];
    let mut seen = Vec::new();
    for example in examples() {
        for setting in [Setting::eval(1), Setting::eval(16)] {
            let at = example.run::<f64>(&example.inputs(5), setting);
            let role = RoleKind::of(&at.compute().role());
            if !linear.contains(&role) {
                continue;
            }
            seen.push(role);
            let direction: Vec<_> = example.inputs(5).iter().map(|x| x.mapv(|v| (7.0 * v).sin())).collect();
            let dy = example.signal(5);
            let above = dot(&push(&example, &at, &direction, setting), &dy);
            let below: f64 = at.pull(&dy).iter().zip(&direction).map(|(dx, d)| dot(dx, d)).sum();
            assert!((above - below).abs() < 1e-12 * (1.0 + above.abs()), "{}: {above} {below}", example.name);
        }
    }
    assert!(linear.iter().all(|role| seen.contains(role)), "{seen:?}");
}

#[test]
fn affine_layers_take_substituted_weights() {
    for example in examples() {
        let x = example.inputs(5);
        let at = example.run::<f64>(&x, Setting::eval(16));
        let Role::Affine(affine) = at.compute().role() else { continue };
        let weight: Vec<f64> = at.params.of_layer(0).get(0).iter().map(|w| w * w - 0.2).collect();
        let dy = blocked::<f64>(&example.signal(5), 16);
        let x = blocked::<f64>(&x[0], 16);
        let mut scratch = vec![f64::NAN; 1 << 20];
        let (mut up, mut down) = (dy.clone(), x.clone());
        up.fill(f64::NAN);
        down.fill(f64::NAN);
        affine.map(&at.at(), x.view(), &weight, None, &mut up, &mut scratch);
        affine.transpose(&at.at(), dy.view(), &weight, &mut down, &mut scratch);
        let (above, below) = (dot(&wide(&up), &wide(&dy)), dot(&wide(&down), &wide(&x)));
        assert!((above - below).abs() < 1e-12 * (1.0 + above.abs()), "{}: {above} {below}", example.name);
        // with a bias every output channel moves by its own
        let bias: Vec<f64> = (0..dy.shape().c).map(|c| c as f64 + 0.5).collect();
        let mut moved = dy.clone();
        affine.map(&at.at(), x.view(), &weight, Some(&bias), &mut moved, &mut scratch);
        for (c, b) in bias.iter().enumerate() {
            let difference = &wide(&moved).index_axis(Axis(1), c) - &wide(&up).index_axis(Axis(1), c);
            assert!(difference.iter().all(|d| (d - b).abs() < 1e-12), "{} channel {c}", example.name);
        }
    }
}

fn one_image(x: &ArrayD<f64>, i: usize) -> ArrayD<f64> {
    x.slice_axis(Axis(0), Slice::from(i..i + 1)).to_owned()
}

fn batches_are_singles<R: Real>(limit: f64) {
    for example in examples() {
        for n in [1, 15, 16, 17, 33] {
            let (inputs, dy) = (example.inputs(n), example.signal(n));
            let all = example.run::<R>(&inputs, Setting::eval(16));
            let (y, pulled, grads) = (all.y(), all.pull(&dy), all.pull_params(&dy));
            let mut sum = vec![0.0; learnable(&grads).len()];
            let what = format!("{} {} batch {n}", example.name, R::NAME);
            for i in 0..n {
                let inputs: Vec<_> = inputs.iter().map(|x| one_image(x, i)).collect();
                let single = example.run::<R>(&inputs, Setting::eval(1));
                let dy = one_image(&dy, i);
                assert!(error(&one_image(&y, i), &single.y()) <= limit, "{what} image {i}");
                for (all, one) in pulled.iter().zip(single.pull(&dy)) {
                    assert!(error(&one_image(all, i), &one) <= limit, "{what} pull of image {i}");
                }
                let one = learnable(&single.pull_params(&dy));
                sum.iter_mut().zip(one).for_each(|(sum, one)| *sum += one.wide());
            }
            let grads: Vec<f64> = learnable(&grads).iter().map(|g| g.wide()).collect();
            let vector = |v: Vec<f64>| ArrayD::from_shape_vec(vec![v.len()], v).unwrap();
            assert!(error(&vector(grads), &vector(sum)) <= limit, "{what} gradients");
        }
    }
}

#[test]
fn a_batch_is_its_images_one_by_one() {
    batches_are_singles::<f64>(1e-12);
    batches_are_singles::<f32>(2e-5);
}

/// Bits of all that a layer makes of real images.
fn all_bits<R: Real>(run: &Single<R>, dy: &ArrayD<f64>) -> Vec<Vec<u64>> {
    let flat = |a: ArrayD<f64>| bits(&a.iter().copied().collect::<Vec<_>>());
    let mut out = vec![flat(run.y()), bits(&learnable(&run.pull_params(dy)))];
    out.extend(run.pull(dy).into_iter().map(flat));
    out.extend(run.saved.iter().map(|saved| match saved {
        Saved::Switches(a) => a.to_array4().iter().map(|&s| u64::from(s)).collect(),
        Saved::Mask(a) => a.to_array4().iter().map(|&m| u64::from(m)).collect(),
        Saved::Values(a) => flat(wide(a)),
        Saved::Channels(a) => bits(a),
    }));
    out
}

fn padding_is_nobody<R: Real>() {
    for example in examples() {
        for (n, mode) in [(3, Mode::Eval), (17, Mode::Eval), (3, TRAIN), (17, TRAIN)] {
            let dy = example.signal(n);
            let clean = Setting { mode, ..Setting::eval(16) };
            let inputs = example.inputs(n);
            let a = example.run::<R>(&inputs, clean);
            let b = example.run::<R>(&inputs, Setting { padding: 1e3, ..clean });
            assert!(
                all_bits(&a, &dy) == all_bits(&b, &dy),
                "{} {} batch {n} {mode:?}",
                example.name,
                R::NAME
            );
            // no signal in the padding above, none below: parameter gradients rely on it
            for mut pulled in b.pull_blocked(&blocked(&dy, 16)) {
                let before = bits(pulled.values()).iter().map(|b| b << 1).collect::<Vec<_>>();
                fill_padding(&mut pulled, 0.0);
                let after = bits(pulled.values()).iter().map(|b| b << 1).collect::<Vec<_>>();
                assert!(before == after, "{}: signal in the padding, batch {n} {mode:?}", example.name);
            }
        }
    }
}

#[test]
fn padding_images_enter_nothing() {
    padding_is_nobody::<f32>();
    padding_is_nobody::<f64>();
}

#[test]
fn threads_and_repetition_change_no_bit() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let pools: Vec<_> = [1, 2, 3, 8].map(pool).into();
    for example in examples() {
        for isa in Isa::ALL.iter().copied().filter(|isa| isa.available()) {
            for mode in [Mode::Eval, TRAIN] {
                let setting = Setting { mode, isa, ..Setting::eval(16) };
                let run = || all_bits(&example.run::<f32>(&example.inputs(33), setting), &example.signal(33));
                let want = pools[0].install(run);
                for pool in &pools {
                    assert!(
                        pool.install(run) == want,
                        "{} {} threads",
                        example.name,
                        pool.current_num_threads()
                    );
                }
            }
        }
    }
}

/// A graph in which the layer stands behind 1x1 convolutions that give its inputs their shapes.
fn alone(example: &Example) -> Graph {
    let first = example.shapes[0];
    let mut builder = Graph::builder("alone", [2, first.h, first.w]);
    let mut from = Vec::new();
    for (i, shape) in example.shapes.iter().enumerate() {
        let (conv, flat) = (format!("conv{i}"), format!("flat{i}"));
        builder = builder.layer_from(&conv, Conv::new(shape.c, 1), &["input"]);
        if shape.flat {
            builder = builder.layer_from(&flat, Flatten, &[conv.as_str()]);
        }
        from.push(if shape.flat { flat } else { conv });
    }
    let from: Vec<&str> = from.iter().map(String::as_str).collect();
    builder.shared("layer", example.layer.clone(), &from).build().unwrap()
}

#[test]
fn model_texts_hold_every_key() {
    for example in examples() {
        let graph = alone(&example);
        let text = graph.to_toml();
        let again = Graph::from_toml(&text, "again").unwrap();
        assert_eq!(again.to_toml(), text);
        assert_eq!(again.layout(), graph.layout(), "{}", example.name);
        let layer = &again.nodes().last().unwrap().layer;
        assert_eq!(format!("{layer:?}"), format!("{:?}", example.layer), "{text}");
        let written: Vec<_> = layer.options().iter().map(|(key, _)| *key).collect();
        let known: Vec<_> = layer.kind().keys.iter().map(|key| key.name).collect();
        assert_eq!(written, known, "{}: a key is not written, or not listed", example.name);
    }
}

#[test]
fn blocks_of_one_and_of_sixteen_agree() {
    fn agree<R: Real>(limit: f64) {
        for example in examples() {
            for mode in [Mode::Eval, TRAIN] {
                let (inputs, dy) = (example.inputs(18), example.signal(18));
                let run = |lanes| example.run::<R>(&inputs, Setting { mode, ..Setting::eval(lanes) });
                let (one, many) = (run(1), run(16));
                let what = format!("{} {} {mode:?}", example.name, R::NAME);
                assert!(error(&many.y(), &one.y()) <= limit, "{what}");
                for (many, one) in many.pull(&dy).iter().zip(one.pull(&dy)) {
                    assert!(error(many, &one) <= limit, "{what} pull");
                }
                let vector = |v: Vec<R>| ArrayD::from_shape_fn(vec![v.len()], |i| v[i[0]].wide());
                let [one, many] = [&one, &many].map(|run| vector(learnable(&run.pull_params(&dy))));
                assert!(error(&many, &one) <= limit, "{what} gradients");
            }
        }
    }
    agree::<f64>(1e-12);
    agree::<f32>(2e-5);
}

#[test]
fn nan_and_infinity_reach_the_output_of_max_pooling_with_valid_switches() {
    for example in examples().into_iter().filter(|e| e.layer.kind().name == "maxpool") {
        let mut x = example.inputs(2).remove(0);
        x.fill(f64::NEG_INFINITY);
        x.as_slice_mut().unwrap()[0] = f64::NAN;
        let run = example.run::<f32>(&[x], Setting::eval(16));
        let plane = example.shapes[0].plane() as u32;
        assert!(run.saved[0].switches().to_array4().iter().all(|&s| s < plane));
        assert!(run.y().iter().any(|v| v.is_nan()) && run.y().iter().any(|v| *v == f64::NEG_INFINITY));
    }
}
