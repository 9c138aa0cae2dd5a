//! Hand-written `f32` kernels over vectors of sixteen numbers, one source for every instruction set.
//!
//! A vector is a block of sixteen images (or, for single images, sixteen pixels of a row): one 512-bit register, two
//! 256-bit or four 128-bit ones. Two register tiles do all the heavy work:
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
//! functions in [`conv`] and [`dense`] check the length of every slice against the geometry before they make one.
#![allow(unsafe_code)]

/// The tiles of an instruction set: for each number of output channels the numbers of pixels, largest first, and the
/// numbers of input channels. Each is compiled with the set's instructions.
macro_rules! tiles {
    (
        $isa:ty, $features:literal,
        outer: $($c:literal => [$($p:literal),*]),*;
        inner: $($o:literal => [$($i:literal),*]),*;
        chains: $n:literal
    ) => {
        unsafe fn chains(rounds: usize) -> (usize, f32) {
            use $crate::kernels::simd::peak;
            #[target_feature(enable = $features)]
            unsafe fn chains(rounds: usize) -> f32 {
                // SAFETY: the caller's promise.
                unsafe { peak::chains::<$isa, $n>(rounds) }
            }
            // SAFETY: the caller's promise.
            (peak::operations($n) * rounds, unsafe { chains(rounds) })
        }

        unsafe fn outer(channels: usize, job: &$crate::kernels::simd::outer::Job) {
            use $crate::kernels::simd::outer;
            #[target_feature(enable = $features)]
            unsafe fn tiles<const C: usize, const P: usize>(job: &outer::Job, next: usize) -> usize {
                // SAFETY: the caller's promise.
                unsafe { outer::tiles::<$isa, C, P>(job, next) }
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

        unsafe fn inner(
            sizes: [usize; 2],
            job: &$crate::kernels::simd::inner::Job,
            sums: &mut $crate::kernels::simd::inner::Sums,
        ) {
            use $crate::kernels::simd::inner;
            #[target_feature(enable = $features)]
            unsafe fn tile<const C: usize, const I: usize>(job: &inner::Job, sums: &mut inner::Sums) {
                // SAFETY: the caller's promise.
                unsafe { inner::tile::<$isa, C, I>(job, sums) }
            }
            // SAFETY: the caller's promise.
            unsafe {
                match sizes {
                    $($([$o, $i] => tile::<$o, $i>(job, sums),)*)*
                    _ => unreachable!("no tile has {sizes:?} channels"),
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
pub mod avx512;
pub mod axis;
pub mod conv;
pub mod inner;
pub mod outer;
pub mod peak;

/// Numbers in a vector.
pub const WIDTH: usize = 16;

/// The most output channels in a tile, over all instruction sets.
pub const MOST: usize = 8;

/// An instruction set: vectors of [`WIDTH`] numbers and the tiles compiled for them.
///
/// # Safety
///
/// Every function needs a machine with the instructions, and pointers to as many numbers as it says.
pub trait Simd: Copy + Sync + 'static {
    /// Sixteen numbers.
    type V: Copy;

    /// Output channels in a full [`outer`] tile.
    const CHANNELS: usize;

    /// The (output, input) channels of a full [`inner`] tile.
    const INNER: [usize; 2];

    /// Sixteen numbers from memory.
    unsafe fn load(from: *const f32) -> Self::V;

    /// Sixteen numbers to memory.
    unsafe fn store(to: *mut f32, v: Self::V);

    /// The same number sixteen times.
    unsafe fn splat(x: f32) -> Self::V;

    /// a b + c, rounded once.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;

    /// All pixels of a rectangle for `channels` (1 to [`Simd::CHANNELS`]) output channels.
    unsafe fn outer(channels: usize, job: &outer::Job);

    /// Independent multiply-adds: floating-point operations and a sum to keep.
    unsafe fn chains(rounds: usize) -> (usize, f32);

    /// The products of `sizes` (1 to [`Simd::INNER`]) planes, sixteen partial sums each, `[output][input][16]`.
    unsafe fn inner(sizes: [usize; 2], job: &inner::Job, sums: &mut inner::Sums);
}

/// A pointer that jobs on several threads share; each job writes its own part.
#[derive(Clone, Copy)]
pub struct Shared(pub *mut f32);

// SAFETY: a plain address; whoever dereferences it answers for the jobs' parts being disjoint.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// The address `offset` numbers on. A method, so that closures capture the wrapper and not the bare pointer.
    pub fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// Splits `total` channels into the fewest parts of at most `most`, as equal as can be.
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
}

/// Runs an instruction set's multiply-add chains; floating-point operations done, `None` for the portable loops.
pub fn chains(isa: super::Isa, rounds: usize) -> Option<usize> {
    let (operations, sum) = match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller asserted that this machine has the instructions.
        super::Isa::Avx512 => unsafe { avx512::Avx512::chains(rounds) },
        _ => return None,
    };
    std::hint::black_box(sum);
    Some(operations)
}
