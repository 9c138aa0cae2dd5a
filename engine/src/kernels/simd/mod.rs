//! Hand-written `f32` kernels over vectors of sixteen numbers, one source for every instruction set.
//!
//! A vector is a block of sixteen images or, for single images, sixteen neighbouring numbers of a row: one 512-bit
//! register, two 256-bit or four 128-bit ones. Two register tiles do all the heavy work:
//!
//! * [`outer`]: a few output channels x a few pixels, one broadcast weight times one vector of pixels. It serves the
//!   convolution forward, its data gradient and the dense layer.
//! * [`inner`]: a few output channels x a few input channels, vector times vector, folded at the end. It serves the
//!   weight gradient.
//!
//! Every number is summed in an order that the shapes alone decide, with fused multiply-adds, so all instruction sets
//! and any number of threads give the same bits.
//!
//! Safety: the functions of [`Simd`] run instructions that a machine may lack; the tables that lead to them are handed
//! out by [`super::table_f32`] alone, which asserts that this machine has them. The tiles work on pointers; the safe
//! functions in [`conv`], [`single`] and [`dense`] check the length of every slice against the geometry before they
//! make one.
#![allow(unsafe_code)]

/// The tiles of an instruction set, each compiled with its instructions: registers per vector; for each number of
/// output channels the numbers of pixels, largest first, and the numbers of input channels.
macro_rules! tiles {
    (
        $isa:ty, $features:literal, $registers:literal registers;
        outer: $($c:literal => [$($p:literal),*]),*;
        rows: $($r:literal => [$($q:literal),*]),*;
        inner: $([$o:literal, $i:literal, $t:literal]),*;
        chains: $n:literal
    ) => {
        unsafe fn outer(channels: usize, job: &$crate::kernels::simd::outer::Job) {
            use $crate::kernels::simd::outer;
            #[target_feature(enable = $features)]
            unsafe fn tiles<const C: usize, const P: usize>(job: &outer::Job, next: usize) -> usize {
                // SAFETY: the caller's promise.
                unsafe { outer::tiles::<$isa, true, $registers, C, P>(job, next) }
            }
            let next = 0;
            // SAFETY: the caller's promise.
            unsafe {
                match channels {
                    $($c => { $(let next = tiles::<$c, $p>(job, next);)* debug_assert_eq!(next, job.total()) })*
                    _ => unreachable!("no tile has {channels} channels"),
                }
            }
        }

        unsafe fn outer_rows(channels: usize, job: &$crate::kernels::simd::outer::Job) {
            use $crate::kernels::simd::outer;
            #[target_feature(enable = $features)]
            unsafe fn tiles<const C: usize, const P: usize>(job: &outer::Job, next: usize) -> usize {
                // SAFETY: the caller's promise.
                unsafe { outer::tiles::<$isa, false, $registers, C, P>(job, next) }
            }
            let next = 0;
            // SAFETY: the caller's promise.
            unsafe {
                match channels {
                    $($r => { $(let next = tiles::<$r, $q>(job, next);)* debug_assert_eq!(next, job.total()) })*
                    _ => unreachable!("no tile has {channels} rows"),
                }
            }
        }

        unsafe fn inner(
            sizes: [usize; 3],
            job: &$crate::kernels::simd::inner::Job,
            sums: &mut $crate::kernels::simd::inner::Sums,
        ) {
            use $crate::kernels::simd::inner;
            #[target_feature(enable = $features)]
            unsafe fn tile<const C: usize, const I: usize, const T: usize>(
                job: &inner::Job,
                sums: &mut inner::Sums,
            ) {
                // SAFETY: the caller's promise.
                unsafe { inner::tile::<$isa, $registers, C, I, T>(job, sums) }
            }
            // SAFETY: the caller's promise.
            unsafe {
                match sizes {
                    $([$o, $i, $t] => tile::<$o, $i, $t>(job, sums),)*
                    _ => unreachable!("no tile has {sizes:?} channels and taps"),
                }
            }
        }

        unsafe fn winograd_input(job: &$crate::kernels::simd::winograd::transform::Input) {
            use $crate::kernels::simd::winograd::transform;
            #[target_feature(enable = $features)]
            unsafe fn run(job: &transform::Input) {
                // SAFETY: the caller's promise.
                unsafe { transform::input::<$isa, $registers>(job) }
            }
            // SAFETY: the caller's promise.
            unsafe { run(job) }
        }

        unsafe fn winograd_gradient(job: &$crate::kernels::simd::winograd::transform::Gradient) {
            use $crate::kernels::simd::winograd::transform;
            #[target_feature(enable = $features)]
            unsafe fn run(job: &transform::Gradient) {
                // SAFETY: the caller's promise.
                unsafe { transform::gradient::<$isa, $registers>(job) }
            }
            // SAFETY: the caller's promise.
            unsafe { run(job) }
        }

        unsafe fn winograd_output(job: &$crate::kernels::simd::winograd::transform::Output) {
            use $crate::kernels::simd::winograd::transform;
            #[target_feature(enable = $features)]
            unsafe fn run(job: &transform::Output) {
                // SAFETY: the caller's promise.
                unsafe { transform::output::<$isa, $registers>(job) }
            }
            // SAFETY: the caller's promise.
            unsafe { run(job) }
        }

        unsafe fn chains(rounds: usize) -> (usize, f32) {
            #[target_feature(enable = $features)]
            unsafe fn chains(rounds: usize) -> (usize, f32) {
                // SAFETY: the caller's promise.
                unsafe { $crate::kernels::simd::peak::chains::<$isa, $n>(rounds) }
            }
            // SAFETY: the caller's promise.
            unsafe { chains(rounds) }
        }
    };
}

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
pub mod axis;
pub mod conv;
pub mod dense;
pub mod inner;
#[cfg(target_arch = "aarch64")]
pub mod neon;
pub mod outer;
pub mod pack;
pub mod peak;
#[cfg(target_arch = "x86_64")]
pub mod planes;
pub mod single;
pub mod unrolled;
pub mod winograd;

/// Numbers in a vector.
pub const WIDTH: usize = 16;

/// The most output channels in an [`outer`] tile, over all instruction sets.
pub const MOST: usize = 8;

/// Output channels in an [`outer`] tile whose weights are rows, in any instruction set.
pub const ROWS: usize = 6;

/// Rows of W that [`Simd::dot`] takes at once.
pub const ROWS_AT_ONCE: usize = 32;

/// An instruction set: its registers and the tiles compiled for them.
///
/// # Safety
///
/// Every function needs a machine with the instructions, and pointers to as many numbers as it says.
pub trait Simd: Copy + Sync + 'static {
    /// A register.
    type V: Copy;

    /// Numbers in a register.
    const LANES: usize;

    /// Output channels in a full [`outer`] tile.
    const CHANNELS: usize;

    /// Pixels in a full [`outer`] tile of [`Simd::CHANNELS`].
    const PIXELS: usize;

    /// Full [`inner`] tiles, (output channels, input channels, taps of a kernel row): for one tap, for one input channel,
    /// for more of both.
    const INNER: [[usize; 3]; 3];

    /// A register from memory.
    unsafe fn load(from: *const f32) -> Self::V;

    /// A register to memory.
    unsafe fn store(to: *mut f32, v: Self::V);

    /// The same number in every place.
    unsafe fn splat(x: f32) -> Self::V;

    /// a + b.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;

    /// a - b.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;

    /// a b + c, rounded once.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;

    /// All pixels of a rectangle for `channels` (1 to [`Simd::CHANNELS`]) output channels with packed weights.
    unsafe fn outer(channels: usize, job: &outer::Job);

    /// The same for `channels` (1 to [`ROWS`]) whose weights are `weight_lane` apart.
    unsafe fn outer_rows(channels: usize, job: &outer::Job);

    /// The products of `sizes` (at most one of [`Simd::INNER`], but 2 taps or 3 where that has 3), sixteen partial sums
    /// each, `[output][input][tap][16]`.
    unsafe fn inner(sizes: [usize; 3], job: &inner::Job, sums: &mut inner::Sums);

    /// A row of tiles of an input, see [`winograd::transform`].
    unsafe fn winograd_input(job: &winograd::transform::Input);

    /// A tile of an output's gradient.
    unsafe fn winograd_gradient(job: &winograd::transform::Gradient);

    /// A tile of an output.
    unsafe fn winograd_output(job: &winograd::transform::Output);

    /// Independent multiply-adds: floating-point operations and a sum to keep.
    unsafe fn chains(rounds: usize) -> (usize, f32);

    /// Asks for the cache line at `from`, which need not exist.
    #[inline(always)]
    fn prefetch(_: *const f32) {}

    /// Turns a square of 16 x 16: `to[i to_step + j] = from[j from_step + i]`.
    unsafe fn transpose(from: *const f32, from_step: usize, to: *mut f32, to_step: usize) {
        for i in 0..WIDTH {
            for j in 0..WIDTH {
                // SAFETY: the caller's promise: sixteen rows of sixteen numbers on both sides.
                unsafe { *to.add(i * to_step + j) = *from.add(j * from_step + i) };
            }
        }
    }

    /// Adds the scalar product of each row with x to its sum, one product after the other, with fused multiply-adds; what
    /// the sums beyond the last row hold afterwards counts for nothing. There are 1 to [`ROWS_AT_ONCE`] rows, as long as x.
    unsafe fn dot(rows: &[*const f32], x: &[f32], sums: &mut [f32; ROWS_AT_ONCE]) {
        // SAFETY: the caller's promise.
        unsafe { dot_rest(rows, x, 0, sums) };
    }
}

/// The numbers of each row from `first` on, as many as x has, times x; row by row. Compiled into its caller, so that
/// fused multiply-adds become the caller's instructions.
///
/// # Safety
///
/// The rows have these numbers.
#[inline(always)]
unsafe fn dot_rest(rows: &[*const f32], x: &[f32], first: usize, sums: &mut [f32; ROWS_AT_ONCE]) {
    for (k, &x) in x.iter().enumerate() {
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: the caller's promise.
            *sum = unsafe { *row.add(first + k) }.mul_add(x, *sum);
        }
    }
}

/// A pointer that jobs on several threads share; each job writes its own part.
#[derive(Clone, Copy)]
pub struct Shared(*mut f32);

// SAFETY: a plain address; whoever dereferences it answers for the jobs' parts being disjoint.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// The start of `values`.
    pub fn new(values: &mut [f32]) -> Self {
        Self(values.as_mut_ptr())
    }

    /// The address `offset` numbers on. A method, so that closures capture the wrapper and not the bare pointer.
    pub fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }

    /// `len` numbers from `offset` on.
    ///
    /// # Safety
    ///
    /// They exist, and no other job has them.
    pub unsafe fn slice<'a>(self, offset: usize, len: usize) -> &'a mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.at(offset), len) }
    }
}

/// Splits `total` into the fewest parts of at most `most`, as equal as can be.
#[derive(Clone, Copy)]
pub struct Parts {
    total: usize,
    /// How many parts.
    pub count: usize,
}

impl Parts {
    /// `total` in parts of at most `most`.
    pub fn new(total: usize, most: usize) -> Self {
        Self { total, count: total.div_ceil(most) }
    }

    /// Part `i`.
    pub fn get(self, i: usize) -> std::ops::Range<usize> {
        i * self.total / self.count..(i + 1) * self.total / self.count
    }

    /// All parts in order.
    pub fn iter(self) -> impl Iterator<Item = std::ops::Range<usize>> {
        (0..self.count).map(move |i| self.get(i))
    }
}

/// Runs an instruction set's multiply-add chains; floating-point operations done, `None` for the portable loops.
pub fn chains(isa: super::Isa, rounds: usize) -> Option<usize> {
    // SAFETY: the caller asserted that this machine has the instructions.
    let (operations, sum) = unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            super::Isa::Avx512 => avx512::Avx512::chains(rounds),
            #[cfg(target_arch = "x86_64")]
            super::Isa::Avx2 => avx2::Avx2::chains(rounds),
            #[cfg(target_arch = "aarch64")]
            super::Isa::Neon => neon::Neon::chains(rounds),
            _ => return None,
        }
    };
    std::hint::black_box(sum);
    Some(operations)
}
