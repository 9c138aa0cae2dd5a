//! Same bits: for any number of threads, whatever a plan keeps, with used or fresh buffers; and the walk that trains is
//! the walk that explains.
#![allow(clippy::unwrap_used)] // helpers of tests, too

use glassbox_engine::forward::{forward_into, set_input};
use glassbox_engine::graph::{Graph, Init, Keep, models};
use glassbox_engine::kernels::Isa;
use glassbox_engine::layers::{Add, AvgPool, BatchNorm, Conv, Dense, Dropout, Flatten, Lrn, MaxPool, Relu};
use glassbox_engine::loss::{CrossEntropy, Loss, Targets};
use glassbox_engine::optim::Method;
use glassbox_engine::rules::{Gradient, Match};
use glassbox_engine::trace::{Mode, Saved};
use glassbox_engine::train::{Recipe, Trainer};
use glassbox_engine::{Blocked, Params, Plan, Real, RuleSet, Signals};
use glassbox_fixtures::graph;
use glassbox_tests::compare::{bits, blocked, error, shuffled, wide};
use glassbox_tests::nets::{Net, small};
use glassbox_tests::single::{TRAIN, fill_padding};
use glassbox_tests::stepper::Stepper;
use ndarray::{ArrayD, Axis, Slice};

fn images(graph: &Graph, n: usize, salt: usize) -> ArrayD<f64> {
    shuffled(&graph.input().exported(n), salt) * 1.5
}

fn net<R: Real>(graph: Graph, lanes: usize) -> Net<R> {
    let params = graph.init(Init::He, 9);
    Net::new(graph, params, lanes)
}

/// Bits of the signals at all slots, padding images included.
fn signal_bits<R: Real>(signals: &Signals<R>) -> Vec<Option<Vec<u64>>> {
    (0..signals.names().len()).map(|slot| signals.slot(slot).map(|s| bits(s.values()))).collect()
}

/// The parameters after 50 steps on batches of 24 and, last of each epoch, 9 images.
fn trained(threads: usize, method: Method) -> Vec<u64> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let graph = small();
        let optimizer = method.build::<f32>(graph.layout().learnable_len(), 1e-3);
        let params = graph.init(Init::He, 4);
        let mut stepper = Stepper::new(graph, params, 24, optimizer);
        for step in 0..50 {
            let n = if step % 5 == 4 { 9 } else { 24 };
            let input = blocked::<f32>(&images(&stepper.graph, n, step), 16);
            set_input(&stepper.graph, &mut stepper.trace, &input).unwrap();
            let classes: Vec<u32> = (0..n).map(|i| (i * 7 + step) as u32 % 5).collect();
            stepper.step(&CrossEntropy { smoothing: 0.1 }, &classes, 0.02);
        }
        assert!(stepper.params.slab().iter().all(|p| p.is_finite()));
        bits(stepper.params.slab())
    })
}

#[test]
fn threads_change_no_bit_of_fifty_steps() {
    for method in [Method::Sgd { momentum: 0.9, nesterov: false }, Method::named("adam").unwrap()] {
        let one = trained(1, method);
        for threads in [2, 3, 8] {
            assert!(trained(threads, method) == one, "{threads} threads, {method:?}");
        }
    }
}

/// Everything that a trainer holds after a few steps: costs, parameters, activations, masks and switches, signals.
fn learned(threads: usize, graph: &Graph) -> Vec<Vec<u64>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let recipe = Recipe { batch: 55, ..Recipe::default() };
        let mut trainer = Trainer::new(graph.clone(), graph.init(Init::He, 4), recipe).unwrap();
        let mut costs = Vec::new();
        for (step, n) in [55, 55, 20, 9, 55].into_iter().enumerate() {
            let x = blocked::<f32>(&images(graph, n, step), 16);
            let (input, classes) = trainer.batch_mut(n);
            input.values_mut().copy_from_slice(x.values());
            classes.iter_mut().enumerate().for_each(|(i, k)| *k = (i * 7 + step) as u32 % 5);
            costs.push(trainer.learn(0.02).unwrap().total.to_bits());
        }
        let mut held = vec![costs, bits(trainer.params().slab())];
        for (slot, name) in graph.names().iter().enumerate() {
            held.push(bits(trainer.trace().activation(name).unwrap().values()));
            held.extend(trainer.signals().slot(slot).map(|signal| bits(signal.values())));
        }
        for (_, _, saved) in trainer.trace().all_saved() {
            held.push(match saved {
                Saved::Switches(a) => a.values().iter().map(|&v| v.into()).collect(),
                Saved::Mask(a) => a.values().iter().map(|&v| v.into()).collect(),
                other => panic!("{other:?}"),
            });
        }
        held
    })
}

#[test]
fn a_thread_a_part_of_the_batch_gives_the_bits_of_the_whole() {
    let fork = Graph::builder("fork", [2, 9, 8])
        .layer("conv1", Conv::new(6, 3).pad(1))
        .layer("relu1", Relu)
        .layer("drop1", Dropout { p: 0.3 })
        .layer("conv2", Conv::new(6, 3).pad(1))
        .layer_from("sum", Add, &["conv2", "relu1"])
        .layer("pool", MaxPool::new(3).stride(2))
        .layer("flatten", Flatten)
        .layer("drop2", Dropout { p: 0.5 })
        .layer("fc", Dense::new(5))
        .build()
        .unwrap();
    for graph in [fork, models::named("lenet").unwrap()] {
        assert!(Plan::new(&graph, 55, Keep::Everything).splits());
        let whole = learned(1, &graph);
        for threads in [2, 3, 8] {
            assert!(learned(threads, &graph) == whole, "{}, {threads} threads", graph.name());
        }
    }
    // a batch's own statistics tie its images together
    assert!(!Plan::new(&small(), 55, Keep::Everything).splits());
}

#[test]
fn threads_change_no_bit_of_a_larger_net() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let net = net::<f32>(models::named("cifar-quick").unwrap(), 16);
            let trace = net.forward(&images(&net.graph, 20, 2), TRAIN);
            let (signals, grads) = net.walk(&trace, net.top(), &RuleSet::gradient(), |seed| {
                CrossEntropy::default()
                    .cost(trace.output().view(), Targets::Classes(&[3; 20]), Some(seed))
                    .unwrap();
            });
            (bits(grads.slab()), signal_bits(&signals))
        })
    };
    let one = run(1);
    assert!([2, 3, 8].into_iter().all(|threads| run(threads) == one));
}

#[test]
fn deconvnet_is_the_gradient_on_a_net_without_relu() {
    let graph = Graph::builder("linear", [2, 13, 11])
        .layer("conv1", Conv::new(5, 3).pad(1))
        .layer("bn1", BatchNorm::default())
        .layer("pool1", MaxPool::new(3).stride(2))
        .layer("conv2", Conv::new(6, 3))
        .layer("avg", AvgPool::new(2))
        .layer("flatten", Flatten)
        .layer("fc", Dense::new(4))
        .build()
        .unwrap();
    let net = net::<f32>(graph, 16);
    let trace = net.forward(&images(&net.graph, 5, 1), Mode::Eval);
    let seed = blocked::<f32>(&shuffled(&[5, 4], 3), 16);
    let walk = |rules: &RuleSet<f32>| net.walk(&trace, net.top(), rules, |s| *s = seed.clone());
    let (want, gradients) = walk(&RuleSet::gradient());
    for rules in [RuleSet::deconvnet(), RuleSet::guided(), RuleSet::gradient().with(Match::All, Gradient)] {
        let (signals, grads) = walk(&rules);
        assert_eq!(signal_bits(&signals), signal_bits(&want), "{rules:?}");
        assert_eq!(bits(grads.slab()), bits(gradients.slab()), "{rules:?}");
    }
}

#[test]
fn deconvnet_differs_where_there_is_a_relu_or_a_normalisation() {
    let with_lrn =
        Graph::builder("lrn", [3, 6, 6]).layer("lrn", Lrn { size: 3, alpha: 0.5, beta: 0.75, k: 1.0 });
    for graph in [small(), with_lrn.build().unwrap()] {
        let net = net::<f32>(graph, 16);
        let trace = net.forward(&images(&net.graph, 3, 1), Mode::Eval);
        let seed = blocked::<f32>(&shuffled(&net.graph.output().exported(3), 3), 16);
        let walk = |rules: &RuleSet<f32>| net.walk(&trace, net.top(), rules, |s| *s = seed.clone()).0;
        let (a, b) = (walk(&RuleSet::gradient()), walk(&RuleSet::deconvnet()));
        assert_ne!(signal_bits(&a), signal_bits(&b), "{}", net.graph.name());
    }
}

#[test]
fn the_walk_that_trains_is_the_walk_that_explains() {
    let graph = small();
    let optimizer =
        Method::Sgd { momentum: 0.0, nesterov: false }.build::<f32>(graph.layout().learnable_len(), 0.0);
    let params = graph.init(Init::He, 4);
    let net = Net::new(graph.clone(), params.clone(), 16);
    let mut stepper = Stepper::new(graph, params, 20, optimizer);
    let input = blocked::<f32>(&images(&stepper.graph, 20, 6), 16);
    set_input(&stepper.graph, &mut stepper.trace, &input).unwrap();
    let classes = [2; 20];
    // a rate of zero leaves the parameters that the gradients were taken at
    stepper.step(&CrossEntropy::default(), &classes, 0.0);
    let trace = net.forward(&images(&net.graph, 20, 6), stepper.trace.mode());
    let (signals, grads) = net.walk(&trace, net.top(), &RuleSet::gradient(), |seed| {
        CrossEntropy::default().cost(trace.output().view(), Targets::Classes(&classes), Some(seed)).unwrap();
    });
    assert_eq!(bits(grads.learnable()), bits(stepper.grads.learnable()));
    for (slot, explained) in signal_bits(&signals).iter().enumerate().skip(1) {
        let trained = stepper.signals.slot(slot).map(|s| bits(s.values()));
        assert_eq!(explained, &trained, "{}", signals.names()[slot]);
    }
    assert!(stepper.signals.at("input").is_err(), "training asks for no signal at the pixels");
}

#[test]
fn a_batch_of_32_is_32_singles_bit_for_bit() {
    /// Gradients of parameters are sums over images, so only they are taken in another order: they are within `limit`.
    fn check<R: Real>(graph: Graph, limit: f64) {
        let (many, one) = (net::<R>(graph.clone(), 16), net::<R>(graph, 1));
        let x = images(&many.graph, 32, 4);
        let run = |net: &Net<R>, x: &ArrayD<f64>| {
            let trace = net.forward(x, Mode::Eval);
            let (signals, grads) =
                net.walk(&trace, net.top(), &RuleSet::gradient(), |seed| seed.fill(R::one()));
            let grads: Vec<f64> = grads.learnable().iter().map(|g| g.wide()).collect();
            (
                wide(trace.output()),
                wide(signals.at("input").unwrap()),
                ArrayD::from_shape_vec(vec![grads.len()], grads).unwrap(),
            )
        };
        let (y, dx, grads) = run(&many, &x);
        let mut sum = ArrayD::zeros(grads.shape());
        for i in 0..32 {
            let image = |a: &ArrayD<f64>| a.slice_axis(Axis(0), Slice::from(i..i + 1)).to_owned();
            let (y1, dx1, grads1) = run(&one, &image(&x));
            assert!(image(&y) == y1 && image(&dx) == dx1, "{}, image {i}", many.graph.name());
            sum += &grads1;
        }
        let off = error(&grads, &sum);
        assert!(off <= limit, "{}: gradients are off by {off:e}", many.graph.name());
    }
    check::<f64>(small(), 1e-12);
    check::<f64>(graph("tiny_dag"), 1e-12);
    check::<f32>(models::named("lenet").unwrap(), 1e-5);
    check::<f32>(models::named("resnet-small").unwrap(), 1e-4);
}

#[test]
fn what_is_kept_changes_no_bit() {
    for (graph, n) in [
        (small(), 18),
        (graph("tiny_dag"), 18),
        (models::named("resnet-small").unwrap(), 3),
        (models::named("gap-small").unwrap(), 3),
    ] {
        for mode in [Mode::Eval, TRAIN] {
            let everything = net::<f32>(graph.clone(), 16);
            let x = images(&graph, n, 3);
            let trace = everything.forward(&x, mode);
            let nothing = Net { keep: Keep::Nothing, ..everything.clone() };
            let lean = Net { keep: Keep::ForWalk, ..everything.clone() };
            assert_eq!(bits(nothing.forward(&x, mode).output().values()), bits(trace.output().values()));
            let lean_trace = lean.forward(&x, mode);
            assert_eq!(bits(lean_trace.output().values()), bits(trace.output().values()));
            let walk = |net: &Net<f32>, trace| {
                let (signals, grads) = net.walk(trace, net.top(), &RuleSet::gradient(), ones);
                (bits(grads.slab()), signal_bits(&signals))
            };
            assert!(walk(&everything, &trace) == walk(&lean, &lean_trace), "{} {mode:?}", graph.name());
        }
    }
}

/// Ones at every real image, zeros in the padding.
fn ones<R: Real>(seed: &mut Blocked<R>) {
    seed.fill(R::one());
    fill_padding(seed, 0.0);
}

#[test]
fn used_buffers_give_the_bits_of_fresh_ones() {
    let net = net::<f32>(graph("tiny_dag"), 16);
    let plan = net.plan(33);
    let (mut trace, mut signals) = (plan.trace::<f32>(&net.graph), plan.signals::<f32>(&net.graph));
    let mut grads = Params::zeros(net.graph.layout().clone());
    for (n, scale) in [(33, 1e20), (5, 1.0), (17, 1.0), (33, 1.0), (1, 1.0)] {
        let x = images(&net.graph, n, n) * scale;
        set_input(&net.graph, &mut trace, &blocked(&x, 16)).unwrap();
        forward_into(&net.graph, &net.params, TRAIN, &mut trace);
        ones(signals.seed_mut(&net.graph, &trace, net.top()));
        let how = glassbox_engine::Walk {
            from: net.top(),
            rules: &RuleSet::gradient(),
            gradients: Some(&mut grads),
            to_input: true,
            through_softmax: false,
        };
        glassbox_engine::walk(&net.graph, &net.params, &trace, &mut signals, how).unwrap();
        if scale > 1.0 {
            continue;
        }
        let fresh = net.forward(&x, TRAIN);
        let (fresh_signals, fresh_grads) = net.walk(&fresh, net.top(), &RuleSet::gradient(), ones);
        for (slot, name) in trace.names().to_vec().iter().enumerate() {
            assert_eq!(
                trace.slot(slot).unwrap().to_array4(),
                fresh.slot(slot).unwrap().to_array4(),
                "{name}, {n}"
            );
            let [used, new] = [&signals, &fresh_signals].map(|s| s.slot(slot).unwrap().to_array4());
            assert_eq!(used, new, "signal at {name}, {n}");
        }
        assert_eq!(bits(grads.learnable()), bits(fresh_grads.learnable()), "{n} images");
    }
}

#[test]
fn layers_that_run_together_store_the_bits_of_layers_on_their_own() {
    let small_models =
        ["alexnet-cifar", "cifar-quick", "gap-small", "lenet", "mnist-example", "resnet-small"];
    let mut graphs: Vec<_> = small_models.iter().map(|name| (models::named(name).unwrap(), 3)).collect();
    graphs.extend([(small(), 18), (graph("tiny_dag"), 18), (models::named("lenet").unwrap(), 33)]);
    for (graph, n) in graphs {
        let x = images(&graph, n, 5);
        for &isa in Isa::ALL {
            if !isa.available() {
                println!("SKIPPED {}: this machine lacks it", isa.name());
                continue;
            }
            // plain loops take long on large nets, and are the same for all
            if isa == Isa::Portable && graph.macs() > 20_000_000 {
                continue;
            }
            let net = Net { isa, ..net::<f32>(graph.clone(), 16) };
            net.check_together(&x, TRAIN, &RuleSet::gradient());
            net.check_together(&x, Mode::Eval, &RuleSet::guided());
        }
        for isa in [Isa::Avx2, Isa::Avx512, Isa::Neon].into_iter().filter(|isa| isa.available()) {
            // images of three blocks, whose chunks of Winograd's tiles end within a plane
            let x = images(&graph, if n == 3 { 35 } else { n }, 5);
            let transformed = Net { isa, exact: false, ..net::<f32>(graph.clone(), 16) };
            transformed.check_together(&x, TRAIN, &RuleSet::gradient());
        }
        let lean = Net { keep: Keep::ForWalk, ..net::<f32>(graph.clone(), 16) };
        lean.check_together(&x, TRAIN, &RuleSet::gradient());
    }
    for lanes in [1, 16] {
        net::<f64>(small(), lanes).check_together(&images(&small(), 3, 5), TRAIN, &RuleSet::gradient());
    }
}

#[test]
fn chains_are_found_and_end_where_they_must() {
    // in a chain a signal lies at an edge of every layer; beside it, a fork adds up
    let graph = Graph::builder("fork", [2, 8, 8])
        .layer("relu1", Relu)
        .layer("pool1", MaxPool::new(2))
        .layer("relu2", Relu)
        .layer_from("sum", Add, &["pool1", "relu2"])
        .layer("pool2", AvgPool::new(2))
        .layer("flatten", Flatten)
        .layer("relu3", Relu)
        .layer("fc", Dense::new(3))
        .build()
        .unwrap();
    let x = images(&graph, 5, 2);
    for keep in [Keep::Everything, Keep::ForWalk] {
        let net = Net { keep, ..net::<f32>(graph.clone(), 16) };
        net.check_together(&x, TRAIN, &RuleSet::gradient());
        net.check_together(&x, TRAIN, &RuleSet::deconvnet());
    }
    let nothing = Net { keep: Keep::Nothing, ..net::<f32>(graph, 16) };
    let separate = Net { separate: true, ..nothing.clone() };
    let run = |net: &Net<f32>| bits(net.forward(&x, Mode::Eval).output().values());
    assert_eq!(run(&nothing), run(&separate));
}
