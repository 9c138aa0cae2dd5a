//! Steps that see one plane at a time: rectifiers, pools, copies; and chains of them, run plane by plane.
//!
//! A plane is one channel of one block of images. A chain takes each plane through all its steps while it is in the
//! cache; every step still writes all that it writes on its own, and the same bits. A job is a run of whole planes, so
//! nothing depends on the number of threads.
#![allow(unsafe_code)]

pub mod steps;

use super::par;
use crate::window::Window;
use std::marker::PhantomData;
use std::ops::Range;

/// What a step does to a plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// y = x.
    Copy,
    /// y = max(x, 0); NaN passes through.
    Rectify,
    /// The largest value of each window, and where it was.
    MaxPool(Window),
    /// The mean of each window; whether padding counts as zeros.
    AvgPool(Window, bool),
}

/// A step with its sizes, (height, width).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// What it does.
    pub op: Op,
    /// Size of a plane that it reads.
    pub input: [usize; 2],
    /// Size of a plane that it writes.
    pub output: [usize; 2],
}

impl Step {
    /// A step that keeps the size of its planes.
    pub fn same(op: Op, size: [usize; 2]) -> Self {
        Self { op, input: size, output: size }
    }

    /// Positions in a plane that it reads and in one that it writes.
    fn sizes(&self) -> [usize; 2] {
        [self.input, self.output].map(|[h, w]| h * w)
    }
}

/// Takes whole planes of `lanes` images through a step: `x` in, `y` out, and the switches of a max-pool (empty for others).
pub type PlaneForward<R> = fn(step: &Step, lanes: usize, x: &[R], y: &mut [R], switches: &mut [u32]);

/// Pulls a signal back through a step, J^T dy, for whole planes of `lanes` images: overwrites `dx`. A rectifier reads its
/// output `y`, a max-pool its switches, which lie in their windows; others read neither.
pub type PlanePull<R> = fn(step: &Step, lanes: usize, dy: &[R], y: &[R], switches: &[u32], dx: &mut [R]);

/// The steps of an instruction set. All give the same bits.
#[derive(Clone, Copy, Debug)]
pub struct Planes<R> {
    /// Forward.
    pub forward: PlaneForward<R>,
    /// The pull-back.
    pub pull: PlanePull<R>,
}

/// The most steps in a chain.
pub const LONGEST: usize = 4;

/// Values of the first step's planes in a job, at least; whole planes.
const GRAIN: usize = 1 << 14;

/// One step of a chain, with the array that it writes and, on the way back, those of the forward pass that it reads.
#[derive(Clone, Copy, Debug)]
struct Link<R> {
    step: Step,
    to: *mut R,
    /// A max-pool's switches: written forward, read on the way back.
    switches: *mut u32,
    /// The forward output, for the way back through a rectifier.
    y: *const R,
}

/// Steps in the order in which they run, forward or back, each on the planes that the one before wrote.
#[derive(Debug)]
pub struct Chain<'a, R> {
    lanes: usize,
    planes: usize,
    links: [Option<Link<R>>; LONGEST],
    len: usize,
    arrays: PhantomData<&'a mut [R]>,
}

// SAFETY: the pointers come from slices that the chain borrows, the written ones exclusively; jobs on several threads
// write different planes of them.
unsafe impl<R: Send + Sync> Sync for Chain<'_, R> {}

impl<'a, R: Copy + Send + Sync> Chain<'a, R> {
    /// An empty chain over `planes` planes of `lanes` images.
    pub fn new(planes: usize, lanes: usize) -> Self {
        Self { lanes, planes, links: [const { None }; LONGEST], len: 0, arrays: PhantomData }
    }

    /// Adds a forward step that writes `y` and, if it is a max-pool, `switches`.
    pub fn forward(mut self, step: Step, y: &'a mut [R], switches: Option<&'a mut [u32]>) -> Self {
        let len = self.planes * self.lanes * step.sizes()[1];
        assert_eq!(y.len(), len, "output of {step:?}");
        let switches = switches.unwrap_or_default();
        self.check_switches(&step, switches.len());
        self.add(Link { step, to: y.as_mut_ptr(), switches: switches.as_mut_ptr(), y: std::ptr::null() });
        self
    }

    /// Adds a step back: the signal at its input, `dx`, and what its forward pass left: its output `y` (read by a
    /// rectifier alone) and its switches (read by a max-pool alone).
    pub fn pull(mut self, step: Step, y: &'a [R], switches: Option<&'a [u32]>, dx: &'a mut [R]) -> Self {
        let [input, output] = step.sizes().map(|size| self.planes * self.lanes * size);
        assert_eq!(dx.len(), input, "signal at the input of {step:?}");
        assert!(step.op != Op::Rectify || y.len() == output, "output of {step:?}");
        let switches = switches.unwrap_or_default();
        self.check_switches(&step, switches.len());
        self.add(Link { step, to: dx.as_mut_ptr(), switches: switches.as_ptr().cast_mut(), y: y.as_ptr() });
        self
    }

    fn check_switches(&self, step: &Step, len: usize) {
        if let Op::MaxPool(_) = step.op {
            assert_eq!(len, self.planes * self.lanes * step.sizes()[1], "switches of {step:?}");
        }
    }

    fn add(&mut self, link: Link<R>) {
        assert!(self.len < LONGEST, "a chain has at most {LONGEST} steps");
        self.links[self.len] = Some(link);
        self.len += 1;
    }

    /// Runs the chain forward on all planes of `x`.
    pub fn run_forward(self, kernels: &Planes<R>, x: &[R]) {
        self.check_read(x, 0);
        self.run(x, 0, |link, lanes, planes, from, to| link.forward(kernels, lanes, planes.start, from, to));
    }

    /// The chain, to be run on planes as soon as they are written.
    pub fn then(self, kernels: &'a Planes<R>) -> Then<'a, R> {
        Then { chain: self, kernels }
    }

    /// Runs the chain back on all planes of the signal `dy`.
    pub fn run_pull(self, kernels: &Planes<R>, dy: &[R]) {
        self.check_read(dy, 1);
        self.run(dy, 1, |link, lanes, planes, from, to| {
            let first = planes.start * lanes * link.step.sizes()[1];
            let (y, switches) = match link.step.op {
                Op::Rectify => (from.len(), 0),
                Op::MaxPool(_) => (0, from.len()),
                _ => (0, 0),
            };
            // SAFETY: the outputs or the switches of these planes, checked where the step was added; nobody writes them.
            let (y, switches) = unsafe { (part(link.y, first, y), part(link.switches, first, switches)) };
            (kernels.pull)(&link.step, lanes, from, y, switches, to);
        });
    }

    fn check_read(&self, from: &[R], side: usize) {
        if let Some(link) = &self.links[0] {
            let len = self.planes * self.lanes * link.step.sizes()[side];
            assert_eq!(from.len(), len, "what {:?} reads", link.step);
        }
    }

    /// Runs `step(link, lanes, planes, from, to)` for runs of planes; `side` of a step's sizes is what it reads.
    fn run(
        self,
        from: &[R],
        side: usize,
        step: impl Fn(&Link<R>, usize, Range<usize>, &[R], &mut [R]) + Sync + Send,
    ) {
        let Some(first) = &self.links[0] else { return };
        let each = self.lanes * first.step.sizes()[side];
        let per_job = GRAIN.div_ceil(each.max(1)).max(1);
        let chain = &self;
        par::jobs(chain.planes.div_ceil(per_job), |job| {
            let planes = job * per_job..((job + 1) * per_job).min(chain.planes);
            let from = &from[planes.start * each..planes.end * each];
            // SAFETY: this job alone has these planes.
            unsafe { chain.planes(planes, from, side, &step) };
        });
    }

    /// Runs `step` for each link on some planes, of which `from` holds what the first one reads.
    ///
    /// # Safety
    ///
    /// No other thread has these planes.
    unsafe fn planes(
        &self,
        planes: Range<usize>,
        mut from: &[R],
        side: usize,
        step: &impl Fn(&Link<R>, usize, Range<usize>, &[R], &mut [R]),
    ) {
        for link in self.links.iter().flatten() {
            let size = self.lanes * link.step.sizes()[1 - side];
            // SAFETY: these planes of the written array, whose length was checked where the step was added; the caller alone
            // has them, and the next step only reads them.
            let to = unsafe { part_mut(link.to, planes.start * size, planes.len() * size) };
            step(link, self.lanes, planes.clone(), from, to);
            from = to;
        }
    }
}

impl<R: Copy> Link<R> {
    /// The step forward on planes from `first` on, which the caller alone has.
    fn forward(&self, kernels: &Planes<R>, lanes: usize, first: usize, from: &[R], to: &mut [R]) {
        let count = match self.step.op {
            Op::MaxPool(_) => to.len(),
            _ => 0,
        };
        // SAFETY: the switches of these planes, checked where the step was added; whoever has the planes has them.
        let switches = unsafe { part_mut(self.switches, first * lanes * self.step.sizes()[1], count) };
        (kernels.forward)(&self.step, lanes, from, to, switches);
    }
}

/// A chain that goes on where another kernel writes planes: best while they are still in the cache.
#[derive(Debug)]
pub struct Then<'a, R> {
    chain: Chain<'a, R>,
    kernels: &'a Planes<R>,
}

impl<R: Copy + Send + Sync> Then<'_, R> {
    /// Runs the chain on all planes, now that they are written.
    pub fn all(self, planes: &[R]) {
        self.chain.run_forward(self.kernels, planes);
    }

    /// Runs the chain on whole planes from plane `first` on.
    ///
    /// # Safety
    ///
    /// There are that many planes, and nobody else runs the chain on them.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    pub(super) unsafe fn planes(&self, first: usize, planes: &[R]) {
        let Some(link) = &self.chain.links[0] else { return };
        let count = planes.len() / (self.chain.lanes * link.step.sizes()[0]).max(1);
        debug_assert!(first + count <= self.chain.planes);
        let step = |link: &Link<R>, lanes: usize, planes: Range<usize>, from: &[R], to: &mut [R]| {
            link.forward(self.kernels, lanes, planes.start, from, to);
        };
        // SAFETY: the caller's promise.
        unsafe { self.chain.planes(first..first + count, planes, 0, &step) };
    }
}

/// `len` values from `first` on; nothing for `len` 0.
///
/// # Safety
///
/// They exist for `'a`, and nobody writes them meanwhile.
unsafe fn part<'a, T>(from: *const T, first: usize, len: usize) -> &'a [T] {
    if len == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(from.add(first), len) }
}

/// `len` values from `first` on; nothing for `len` 0.
///
/// # Safety
///
/// They exist for `'a`, and nobody else has them meanwhile.
unsafe fn part_mut<'a, T>(to: *mut T, first: usize, len: usize) -> &'a mut [T] {
    if len == 0 {
        return &mut [];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(to.add(first), len) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Isa, table_f32};

    fn windows() -> Vec<(Window, [usize; 2])> {
        let window = |kernel: [usize; 2], stride: [usize; 2], pad: [usize; 2], ceil| Window {
            stride,
            pad,
            pad_end: pad,
            ceil,
            ..Window::new(kernel)
        };
        vec![
            (window([2, 2], [2, 2], [0, 0], false), [6, 5]),
            (window([3, 3], [2, 2], [0, 0], true), [8, 8]),
            (window([3, 2], [1, 3], [1, 1], false), [5, 7]),
            (window([1, 4], [2, 1], [0, 2], false), [3, 9]),
            (window([3, 3], [3, 3], [1, 1], true), [4, 10]),
        ]
    }

    /// Numbers with ties, both zeros, infinities and NaN among them.
    fn values(len: usize, salt: usize) -> Vec<f32> {
        let special = [0.0, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        let value = |i: usize| match (i * 31 + salt) % 89 {
            k if k < special.len() => special[k],
            k => (k % 13) as f32 - 6.0,
        };
        (0..len).map(value).collect()
    }

    /// Bits, but one NaN is as good as another: which of two a sum keeps is the processor's choice.
    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|v| if v.is_nan() { f32::NAN } else { *v }.to_bits()).collect()
    }

    #[test]
    fn every_instruction_set_gives_the_bits_of_the_plain_loops() {
        let planes = 5;
        for (window, input) in windows() {
            let output = window.output(input).unwrap();
            for op in [Op::MaxPool(window), Op::AvgPool(window, true), Op::AvgPool(window, false)] {
                let step = Step { op, input, output };
                for lanes in [1, 16] {
                    let [from, to] = step.sizes().map(|size| planes * lanes * size);
                    let (x, dy) = (values(from, 3), values(to, 5));
                    let run = |isa| {
                        let kernels = &table_for(isa).planes;
                        let (mut y, mut dx) = (vec![f32::NAN; to], vec![f32::NAN; from]);
                        let mut switches = vec![u32::MAX; to];
                        let chain = Chain::new(planes, lanes).forward(step, &mut y, Some(&mut switches));
                        chain.run_forward(kernels, &x);
                        let chain = Chain::new(planes, lanes).pull(step, &[], Some(&switches), &mut dx);
                        chain.run_pull(kernels, &dy);
                        (bits(&y), switches, bits(&dx))
                    };
                    let want = run(Isa::Portable);
                    for isa in Isa::ALL.iter().copied().filter(|isa| isa.available()) {
                        assert_eq!(run(isa), want, "{step:?} {} {lanes}", isa.name());
                    }
                }
            }
        }
    }

    #[test]
    fn a_chain_writes_what_its_steps_write_one_by_one() {
        // more planes than one job has, and a last job with fewer
        let (planes, lanes, size) = (101, 16, [6, 5]);
        let window = Window { stride: [2; 2], ..Window::new([2; 2]) };
        let half = window.output(size).unwrap();
        let steps = [
            Step::same(Op::Rectify, size),
            Step { op: Op::MaxPool(window), input: size, output: half },
            Step::same(Op::Copy, half),
        ];
        let x = values(planes * lanes * 30, 1);
        let empty = |size: [usize; 2]| vec![f32::NAN; planes * lanes * size[0] * size[1]];
        let kernels = &table_for(Isa::detect()).planes;
        let forward = |together: bool| {
            let [mut a, mut b, mut c] = steps.map(|s| empty(s.output));
            let mut switches = vec![0; b.len()];
            if together {
                let chain = Chain::new(planes, lanes).forward(steps[0], &mut a, None);
                let chain =
                    chain.forward(steps[1], &mut b, Some(&mut switches)).forward(steps[2], &mut c, None);
                chain.run_forward(kernels, &x);
            } else {
                Chain::new(planes, lanes).forward(steps[0], &mut a, None).run_forward(kernels, &x);
                let pool = Chain::new(planes, lanes).forward(steps[1], &mut b, Some(&mut switches));
                pool.run_forward(kernels, &a);
                Chain::new(planes, lanes).forward(steps[2], &mut c, None).run_forward(kernels, &b);
            }
            (bits(&a), bits(&b), bits(&c), switches, a)
        };
        let (together, apart) = (forward(true), forward(false));
        assert!((&together.0, &together.1, &together.2) == (&apart.0, &apart.1, &apart.2));
        let (switches, y) = (together.3, together.4);
        let dy = values(planes * lanes * 6, 7);
        let pull = |together: bool| {
            let [mut a, mut b, mut c] = steps.map(|s| empty(s.input));
            if together {
                let chain = Chain::new(planes, lanes).pull(steps[2], &[], None, &mut c);
                let chain = chain.pull(steps[1], &[], Some(&switches), &mut b);
                chain.pull(steps[0], &y, None, &mut a).run_pull(kernels, &dy);
            } else {
                Chain::new(planes, lanes).pull(steps[2], &[], None, &mut c).run_pull(kernels, &dy);
                let pool = Chain::new(planes, lanes).pull(steps[1], &[], Some(&switches), &mut b);
                pool.run_pull(kernels, &c);
                Chain::new(planes, lanes).pull(steps[0], &y, None, &mut a).run_pull(kernels, &b);
            }
            [a, b, c].map(|v| bits(&v))
        };
        assert!(pull(true) == pull(false));
    }

    fn table_for(isa: Isa) -> &'static crate::kernels::Kernels<f32> {
        table_f32(isa, true)
    }
}
