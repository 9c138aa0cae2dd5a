//! A training step allocates nothing once its buffers are there: counted by an allocator that counts.
//!
//! One test, alone in its program: the counter is the whole process's, for the threads that train.
#![allow(clippy::unwrap_used)] // helpers of tests, too
#![allow(unsafe_code)] // an allocator cannot be written without

use glassbox_engine::data::{Augment, Loader, digits};
use glassbox_engine::forward::set_input;
use glassbox_engine::graph::{Init, models};
use glassbox_engine::loss::{CrossEntropy, MeanSquaredError};
use glassbox_engine::optim::{Method, Schedule};
use glassbox_engine::train::{LossKind, Recipe, Trainer};
use glassbox_tests::compare::{blocked, shuffled};
use glassbox_tests::nets::small;
use glassbox_tests::stepper::Stepper;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread's allocations count: those of the threads that train, not of whatever else the process does.
    static TRAINS: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    COUNT.fetch_add(usize::from(TRAINS.get()), Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged, so its guarantees hold.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of 20 calls after 5 that may allocate.
fn counted(mut step: impl FnMut(usize)) -> usize {
    (0..5).for_each(&mut step);
    let before = COUNT.load(Ordering::Relaxed);
    (5..25).for_each(&mut step);
    COUNT.load(Ordering::Relaxed) - before
}

/// The parts of a step, put together by hand; the batch is smaller every fourth time.
fn parts(method: Method) -> usize {
    let graph = small();
    let optimizer = method.build::<f32>(graph.layout().learnable_len(), 1e-4);
    let params = graph.init(Init::He, 2);
    let mut stepper = Stepper::new(graph, params, 40, optimizer);
    let inputs =
        [40, 40, 40, 7].map(|n| blocked::<f32>(&shuffled(&stepper.graph.input().exported(n), n), 16));
    let classes: Vec<u32> = (0..40).map(|i| i % 5).collect();
    counted(|step| {
        let input = &inputs[step % 4];
        set_input(&stepper.graph, &mut stepper.trace, input).unwrap();
        let classes = &classes[..input.batch()];
        if step % 2 == 0 {
            stepper.step(&CrossEntropy { smoothing: 0.1 }, classes, 1e-3);
        } else {
            stepper.step(&MeanSquaredError, classes, 1e-3);
        }
    })
}

/// The trainer's own step, images included.
fn trainer(model: &str) -> usize {
    let graph = models::named(model).unwrap();
    let data = digits::load().unwrap().limit(200, 10);
    let pixels = graph.pixels().clone();
    let augment = Augment::default();
    let mut loader = Loader::new(data.train, &pixels.mean, &pixels.std, augment, 1).unwrap();
    let recipe = Recipe {
        batch: 48,
        clip: Some(1.0),
        loss: LossKind::CrossEntropy { smoothing: 0.0 },
        schedule: Schedule::Constant,
        ..Recipe::default()
    };
    let params = graph.init(Init::PyTorch, 1);
    let mut trainer = Trainer::new(graph, params, recipe).unwrap();
    let order: Vec<u32> = (0..200).collect();
    counted(|step| {
        let indices = &order[step % 4 * 48..][..if step % 4 == 3 { 11 } else { 48 }];
        trainer.step(&mut loader, 0, indices, 0.01).unwrap();
    })
}

#[test]
fn a_training_step_allocates_nothing_after_the_first_few() {
    TRAINS.set(true);
    assert_eq!(counted(|step| drop(std::hint::black_box(vec![step]))), 20, "the counter counts");
    TRAINS.set(false);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.broadcast(|_| TRAINS.set(true));
        pool.install(|| {
            for name in Method::NAMES {
                assert_eq!(parts(Method::named(name).unwrap()), 0, "{name}, {threads} threads");
            }
            assert_eq!(parts(Method::Sgd { momentum: 0.9, nesterov: true }), 0);
            assert_eq!(trainer("lenet"), 0, "the trainer, {threads} threads");
        });
        pool.broadcast(|_| TRAINS.set(false));
    }
}
