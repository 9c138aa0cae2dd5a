//! Convolution by Winograd's minimal filtering: F(2x2, 3x3), F(4x4, 3x3) and F(2x2, 5x5) take 16, 36 and 36
//! multiplications for what takes 36, 144 and 100 (Lavin and Gray 2015, arXiv 1509.09308).
//!
//! Kernels become U, tiles of the input V, with as many points each as a tile has pixels; at every point the outputs' tiles
//! are a product of matrices, M = U V, which the register tile of [`super::outer`] computes ([`sweep`]). The data gradient
//! is the same sweep with flipped kernels; the weight gradient multiplies V with transformed tiles of the output's gradient
//! ([`weights`]). Tiles go in chunks, so that V stays in the cache. Where few channels make all of it small, a job takes
//! tiles from the input to the output on its own, and what it needs stays in its processor's cache. Every number is summed
//! over the channels (or the tiles and images) in order, so neither chunks nor threads change a bit.
//!
//! Sums come out as exact as the direct kernels' to within a small factor, but not to the same bits, and where all
//! products of an output are zero it may come out as a rounding error; hence [`crate::kernels::Sums`].

mod form;
pub mod sweep;
mod tiles;
pub mod transform;
pub mod weights;

use super::{Simd, WIDTH, conv};
use crate::kernels::ConvGeometry;
use crate::kernels::planes::Then;
use form::Form;
use sweep::Sweep;

/// Points lie this much further apart than they are long, lest they compete for the same places of the cache.
const APART: usize = 5 * WIDTH;

/// While a plane is read, the one so many planes on is asked for: rows of tiles are too short for a processor to foresee.
const AHEAD: usize = 2;

/// Channels below which the transforms cost more than the products save, read and written.
const LEAST: usize = 32;

/// Jobs that take tiles on their own.
const JOBS: usize = 8;

/// The form for planes of `size` pixels, where it takes over from the direct kernels. The number of images does not matter.
///
/// Every output must read a pixel and every tap meet one: what has no products is to be zero, not a rounding error.
fn form(g: &ConvGeometry, size: [usize; 2]) -> Option<Form> {
    let w = g.window;
    let plain = g.lanes == WIDTH && (w.stride, w.dilation, g.groups) == ([1; 2], [1; 2], 1);
    let pays = g.c_in.min(g.c_out) >= LEAST && g.output[0].min(g.output[1]) >= 2;
    let meets = |axis: usize| w.pad[axis].max(w.pad_end[axis]) < w.kernel[axis].min(g.output[axis]);
    Form::of(w.kernel, size).filter(|_| plain && pays && meets(0) && meets(1))
}

/// Scratch: what the hungriest of the three passes needs.
pub fn scratch<S: Simd>(g: &ConvGeometry) -> usize {
    let sweeps = [Sweep::forward(g), Sweep::back(g)].into_iter().flatten().map(|sweep| sweep.scratch::<S>());
    sweeps.fold(conv::scratch(g).max(weights::scratch(g)), usize::max)
}

/// Forward. See [`crate::kernels::ConvForward`].
pub fn forward<S: Simd>(
    g: &ConvGeometry,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
    scratch: &mut [f32],
    then: Option<Then<'_, f32>>,
) {
    let Some(sweep) = Sweep::forward(g) else {
        return conv::forward::<S>(g, x, weight, bias, y, scratch, then);
    };
    g.check(x, weight, y);
    assert!(bias.is_none_or(|b| b.len() == g.c_out), "one bias per output channel");
    sweep.run::<S>(x, weight, bias, y, scratch, then);
}

/// Data gradient. See [`crate::kernels::ConvPull`].
pub fn pull<S: Simd>(g: &ConvGeometry, dy: &[f32], weight: &[f32], dx: &mut [f32], scratch: &mut [f32]) {
    let Some(sweep) = Sweep::back(g) else {
        return conv::pull::<S>(g, dy, weight, dx, scratch);
    };
    g.check(dx, weight, dy);
    sweep.run::<S>(dy, weight, None, dx, scratch, None);
}

/// Parameter gradients. See [`crate::kernels::ConvPullWeight`].
pub fn pull_weight<S: Simd>(
    g: &ConvGeometry,
    x: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
    dbias: Option<&mut [f32]>,
    scratch: &mut [f32],
) {
    match weights::Shape::new(g) {
        Some(shape) => shape.pull_weight::<S>(x, dy, dweight, dbias, scratch),
        None => conv::pull_weight::<S>(g, x, dy, dweight, dbias, scratch),
    }
}
