//! Loops over slices: they know a geometry and numbers, never a layer.
//!
//! Convolution and dense layers go through a table of function pointers, chosen once per plan: one table per
//! instruction set, whose sums are of products of an input and a weight each, and one that may transform both first
//! (Winograd), which takes fewer multiplications and rounds otherwise. Everything else is written once over lanes of L images and left to the compiler to vectorise.

pub mod aligned;
pub mod conv;
pub mod dense;
pub mod par;
pub mod planes;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod simd;
#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use crate::window::Window;
use planes::Then;

/// Images side by side in one block of a batch.
pub const LANES: usize = 16;

/// An instruction set that kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isa {
    /// Plain loops, any machine.
    Portable,
    /// NEON (aarch64), 128-bit registers.
    Neon,
    /// AVX2 and FMA (x86-64), 256-bit registers.
    Avx2,
    /// AVX-512 (x86-64), 512-bit registers.
    Avx512,
}

impl Isa {
    /// All of them, slowest first.
    pub const ALL: &'static [Isa] = &[Isa::Portable, Isa::Neon, Isa::Avx2, Isa::Avx512];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Neon => "neon",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    /// Whether this machine has it.
    pub fn available(self) -> bool {
        match self {
            Isa::Portable => true,
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
            }
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => std::arch::is_x86_feature_detected!("avx512f"),
            _ => false,
        }
    }

    /// The fastest one that this machine has.
    pub fn detect() -> Self {
        Self::ALL.iter().copied().rev().find(|isa| isa.available()).unwrap_or(Isa::Portable)
    }

    /// Runs `rounds` of independent multiply-adds in registers and returns their floating-point operations, for whoever
    /// wants to time this core's peak. `None` for the portable loops, which have no peak of their own.
    pub fn multiply_adds(self, rounds: usize) -> Option<usize> {
        assert!(self.available(), "this machine has no {}", self.name());
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        return simd::chains(self, rounds);
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        (rounds == usize::MAX).then_some(0)
    }

    /// By name. Errors: an unknown name, or one that this machine lacks.
    pub fn named(name: &str) -> Result<Self> {
        let isa = Self::ALL.iter().copied().find(|isa| isa.name() == name);
        let isa = isa
            .ok_or_else(|| Error::unknown("instruction set", name, Self::ALL.iter().map(|isa| isa.name())))?;
        if !isa.available() {
            return Err(Error::request(
                format!("this machine has no {name}"),
                format!("leave it out to use {}", Self::detect().name()),
            ));
        }
        Ok(isa)
    }
}

/// Geometry of a convolution over blocked arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Blocks of images.
    pub blocks: usize,
    /// Images per block, 1 or 16.
    pub lanes: usize,
    /// Input channels, all groups together.
    pub c_in: usize,
    /// Output channels, all groups together.
    pub c_out: usize,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Input (height, width).
    pub input: [usize; 2],
    /// Output (height, width).
    pub output: [usize; 2],
    /// The sliding window.
    pub window: Window,
}

impl ConvGeometry {
    /// Values in the input array.
    pub fn input_len(&self) -> usize {
        self.blocks * self.c_in * self.input[0] * self.input[1] * self.lanes
    }

    /// Values in the output array.
    pub fn output_len(&self) -> usize {
        self.blocks * self.c_out * self.output[0] * self.output[1] * self.lanes
    }

    /// Values in the weights, `[c_out][c_in / groups][kh][kw]`.
    pub fn weight_len(&self) -> usize {
        self.c_out * self.c_in / self.groups * self.window.kernel[0] * self.window.kernel[1]
    }

    fn check<R>(&self, x: &[R], weight: &[R], y: &[R]) {
        assert!(self.lanes == 1 || self.lanes == LANES);
        assert_eq!(
            (x.len(), weight.len(), y.len()),
            (self.input_len(), self.weight_len(), self.output_len()),
            "input, weight, output of {self:?}"
        );
    }
}

/// Geometry of a dense layer over blocked vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenseGeometry {
    /// Blocks of images.
    pub blocks: usize,
    /// Images per block, 1 or 16.
    pub lanes: usize,
    /// Length of an input vector.
    pub inputs: usize,
    /// Length of an output vector.
    pub outputs: usize,
}

impl DenseGeometry {
    fn check<R>(&self, x: &[R], weight: &[R], y: &[R]) {
        let images = self.blocks * self.lanes;
        assert_eq!(
            (x.len(), weight.len(), y.len()),
            (images * self.inputs, self.inputs * self.outputs, images * self.outputs),
            "input, weight, output of {self:?}"
        );
    }
}

/// y = conv(x, weight) + bias.
/// `x [blocks][c_in][h][w][L]`, `weight [c_out][c_in/groups][kh][kw]`, `bias [c_out]`, `y [blocks][c_out][oh][ow][L]`.
/// `then` runs on the planes of y.
pub type ConvForward<R> = fn(
    g: &ConvGeometry,
    x: &[R],
    weight: &[R],
    bias: Option<&[R]>,
    y: &mut [R],
    scratch: &mut [R],
    then: Option<Then<'_, R>>,
);
/// dx = the adjoint of the convolution applied to dy; overwrites dx.
pub type ConvPull<R> = fn(g: &ConvGeometry, dy: &[R], weight: &[R], dx: &mut [R], scratch: &mut [R]);
/// dweight and dbias from x and dy; overwrites both.
pub type ConvPullWeight<R> =
    fn(g: &ConvGeometry, x: &[R], dy: &[R], dweight: &mut [R], dbias: Option<&mut [R]>, scratch: &mut [R]);
/// y = weight x + bias. `x [blocks][inputs][L]`, `weight [outputs][inputs]`, `y [blocks][outputs][L]`.
pub type DenseForward<R> =
    fn(g: &DenseGeometry, x: &[R], weight: &[R], bias: Option<&[R]>, y: &mut [R], scratch: &mut [R]);
/// dx = weight^T dy; overwrites dx.
pub type DensePull<R> = fn(g: &DenseGeometry, dy: &[R], weight: &[R], dx: &mut [R], scratch: &mut [R]);
/// dweight and dbias from x and dy; overwrites both.
pub type DensePullWeight<R> =
    fn(g: &DenseGeometry, x: &[R], dy: &[R], dweight: &mut [R], dbias: Option<&mut [R]>, scratch: &mut [R]);

/// The kernels of one instruction set for one number type.
///
/// Padding images are treated like any others; whoever seeds a backward pass leaves zeros there, so they add exact
/// zeros to parameter gradients.
#[derive(Debug)]
pub struct Kernels<R: 'static> {
    /// Which instruction set.
    pub isa: Isa,
    /// Convolution.
    pub conv_forward: ConvForward<R>,
    /// Its data gradient.
    pub conv_pull: ConvPull<R>,
    /// Its parameter gradients.
    pub conv_pull_weight: ConvPullWeight<R>,
    /// Scratch values that the three need at most.
    pub conv_scratch: fn(g: &ConvGeometry) -> usize,
    /// Dense layer.
    pub dense_forward: DenseForward<R>,
    /// Its data gradient.
    pub dense_pull: DensePull<R>,
    /// Its parameter gradients.
    pub dense_pull_weight: DensePullWeight<R>,
    /// Scratch values that the three need at most.
    pub dense_scratch: fn(g: &DenseGeometry) -> usize,
    /// Steps that see one plane at a time.
    pub planes: planes::Planes<R>,
}

macro_rules! portable {
    ($real:ty) => {
        Kernels::<$real> {
            isa: Isa::Portable,
            conv_forward: conv::forward,
            conv_pull: conv::pull,
            conv_pull_weight: conv::pull_weight,
            conv_scratch: |_| 0,
            dense_forward: dense::forward,
            dense_pull: dense::pull,
            dense_pull_weight: dense::pull_weight,
            dense_scratch: dense::scratch,
            planes: planes::steps::portable::<$real>(),
        }
    };
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! simd {
    ($isa:ident, $type:ty, $planes:expr) => {{
        const EXACT: Kernels<f32> = Kernels {
            isa: Isa::$isa,
            conv_forward: simd::conv::forward::<$type>,
            conv_pull: simd::conv::pull::<$type>,
            conv_pull_weight: simd::conv::pull_weight::<$type>,
            conv_scratch: simd::conv::scratch,
            dense_forward: simd::dense::forward::<$type>,
            dense_pull: simd::dense::pull::<$type>,
            dense_pull_weight: simd::dense::pull_weight::<$type>,
            dense_scratch: |_| 0,
            planes: $planes,
        };
        Tables {
            exact: EXACT,
            fast: Kernels {
                conv_forward: simd::winograd::forward::<$type>,
                conv_pull: simd::winograd::pull::<$type>,
                conv_pull_weight: simd::winograd::pull_weight::<$type>,
                conv_scratch: simd::winograd::scratch::<$type>,
                ..EXACT
            },
        }
    }};
}

/// The kernels of an instruction set: the direct ones, and those that may transform.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
struct Tables {
    exact: Kernels<f32>,
    fast: Kernels<f32>,
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
impl Tables {
    fn choose(&self, exact: bool) -> &Kernels<f32> {
        if exact { &self.exact } else { &self.fast }
    }
}

#[cfg(target_arch = "aarch64")]
static NEON: Tables = simd!(Neon, simd::neon::Neon, planes::steps::portable::<f32>());

#[cfg(target_arch = "x86_64")]
static AVX2: Tables = simd!(Avx2, simd::avx2::Avx2, simd::planes::AVX2);

#[cfg(target_arch = "x86_64")]
static AVX512: Tables = simd!(Avx512, simd::avx512::Avx512, simd::planes::AVX512);

static PORTABLE_F32: Kernels<f32> = portable!(f32);
static PORTABLE_F64: Kernels<f64> = portable!(f64);

/// The `f32` kernels of an instruction set; without `exact`, convolutions that Winograd's transforms make faster go by
/// them (any but the portable ones). Panics where this machine lacks it; [`Isa::named`] never names such a one.
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(unused_variables))]
pub(crate) fn table_f32(isa: Isa, exact: bool) -> &'static Kernels<f32> {
    assert!(isa.available(), "this machine has no {}", isa.name());
    match isa {
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => NEON.choose(exact),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => AVX2.choose(exact),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => AVX512.choose(exact),
        _ => &PORTABLE_F32,
    }
}

/// The `f64` kernels: plain loops on every machine.
pub(crate) fn table_f64() -> &'static Kernels<f64> {
    &PORTABLE_F64
}

/// Calls a function generic over the number of lanes with the array's own, 1 or 16.
macro_rules! with_lanes {
    ($lanes:expr, $function:ident::<$real:ty>($($argument:expr),* $(,)?)) => {
        match $lanes {
            1 => $function::<$real, 1>($($argument),*),
            _ => $function::<$real, { $crate::kernels::LANES }>($($argument),*),
        }
    };
}
pub(crate) use with_lanes;

/// The values as groups of L images.
pub(crate) fn groups<T, const L: usize>(values: &[T]) -> &[[T; L]] {
    values.as_chunks::<L>().0
}

/// The values as groups of L images.
pub(crate) fn groups_mut<T, const L: usize>(values: &mut [T]) -> &mut [[T; L]] {
    values.as_chunks_mut::<L>().0
}
