//! Arrays of the engine: `[n/L][c][h][w][L]`, with L images innermost.
//!
//! L = 16 for batches (vector lanes are images, so no kernel cares about channel counts or widths), L = 1 for single
//! images, which is plain NCHW. Storage starts at a 64-byte boundary. The last block of a batch that is no multiple
//! of L is padded with images that nobody may read: they enter no statistic, no loss and no picture.

pub use crate::kernels::LANES;
pub use crate::kernels::aligned::Aligned;
use crate::real::Real;
use ndarray::{Array4, ArrayD, ArrayView3, ArrayView4, ArrayViewD, Axis, ShapeBuilder};
use std::fmt;
use std::ops::Range;

/// Shape of one image's array: channels, height, width; `flat` marks vectors, shown as `[c]` and exported as [N, C].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    /// Channels, or the length of a vector.
    pub c: usize,
    /// Height.
    pub h: usize,
    /// Width.
    pub w: usize,
    /// A vector: h = w = 1, exported without the spatial axes.
    pub flat: bool,
}

impl Shape {
    /// A stack of c maps of h x w.
    pub fn maps(c: usize, h: usize, w: usize) -> Self {
        Self { c, h, w, flat: false }
    }

    /// A vector of k numbers.
    pub fn vector(k: usize) -> Self {
        Self { c: k, h: 1, w: 1, flat: true }
    }

    /// Numbers per image.
    pub fn size(&self) -> usize {
        self.c * self.h * self.w
    }

    /// Numbers per channel.
    pub fn plane(&self) -> usize {
        self.h * self.w
    }

    /// (height, width).
    pub fn spatial(&self) -> [usize; 2] {
        [self.h, self.w]
    }

    /// Sizes of an exported array of `n` images: [N, C, H, W], or [N, C] for vectors.
    pub fn exported(&self, n: usize) -> Vec<usize> {
        if self.flat { vec![n, self.c] } else { vec![n, self.c, self.h, self.w] }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.flat { write!(f, "{}", self.c) } else { write!(f, "{}x{}x{}", self.c, self.h, self.w) }
    }
}

/// A batch of arrays, `[n/L][c][h][w][L]`.
#[derive(Clone, Debug, Default)]
pub struct Blocked<T> {
    shape: Shape,
    n: usize,
    lanes: usize,
    data: Aligned<T>,
}

impl<T: Copy + Default> Blocked<T> {
    /// Zeros for `n` images, in blocks of `lanes` (1 or [`LANES`]).
    pub fn zeros(shape: Shape, n: usize, lanes: usize) -> Self {
        assert!(lanes == 1 || lanes == LANES, "blocks hold 1 or {LANES} images, not {lanes}");
        let data = Aligned::zeros(n.div_ceil(lanes) * lanes * shape.size());
        Self { shape, n, lanes, data }
    }

    /// From [N, C, H, W]; `flat` arrays are [N, C, 1, 1].
    pub fn from_array4(array: ArrayView4<'_, T>, lanes: usize) -> Self {
        let (n, c, h, w) = array.dim();
        let mut out = Self::zeros(Shape::maps(c, h, w), n, lanes);
        for (i, image) in array.axis_iter(Axis(0)).enumerate() {
            out.set_image(i, image);
        }
        out
    }

    /// From an array as exported: [N, C, H, W], or [N, C] for vectors. `None` for another number of axes.
    pub fn from_exported(array: ArrayViewD<'_, T>, lanes: usize) -> Option<Self> {
        match *array.shape() {
            [_, _, _, _] => Some(Self::from_array4(array.into_dimensionality().ok()?, lanes)),
            [n, k] => {
                let maps = array.to_shape(ndarray::IxDyn(&[n, k, 1, 1])).ok()?;
                let mut out = Self::from_array4(maps.view().into_dimensionality().ok()?, lanes);
                out.shape.flat = true;
                Some(out)
            }
            _ => None,
        }
    }

    /// Copies one image, [C, H, W], into place `i`.
    pub fn set_image(&mut self, i: usize, image: ArrayView3<'_, T>) {
        assert_eq!(image.dim(), (self.shape.c, self.shape.h, self.shape.w), "image shape");
        assert!(i < self.n, "image {i} of a batch of {}", self.n);
        let (lanes, size) = (self.lanes, self.shape.size());
        let block = &mut self.data[i / lanes * size * lanes..][..size * lanes];
        for (place, &value) in block[i % lanes..].iter_mut().step_by(lanes).zip(image.iter()) {
            *place = value;
        }
    }

    /// Sets every value, of padding images too.
    pub fn fill(&mut self, value: T) {
        self.data.fill(value);
    }

    /// Changes the number of images without touching the storage; a smaller batch uses the front of it. Panics where
    /// `n` images do not fit.
    pub fn set_batch(&mut self, n: usize) {
        let need = n.div_ceil(self.lanes) * self.lanes * self.shape.size();
        assert!(need <= self.data.len(), "{n} images do not fit a buffer of {} values", self.data.len());
        self.n = n;
    }

    /// Whether the storage has room for `n` images.
    pub fn holds(&self, n: usize) -> bool {
        n.div_ceil(self.lanes.max(1)) * self.lanes * self.shape.size() <= self.data.len()
    }

    /// Re-labels the storage with another shape. Panics where a batch of that shape does not fit.
    pub(crate) fn reshape(&mut self, shape: Shape) {
        self.shape = shape;
        assert!(
            self.used() <= self.data.len(),
            "{} images of {shape} do not fit {} values",
            self.n,
            self.data.len()
        );
    }

    /// Lets `part` stand for `blocks`, of `len` values of storage each, alone: see [`Aligned::lend`].
    pub(crate) fn lend(&mut self, blocks: Range<usize>, len: usize, part: &mut Self) {
        (part.shape, part.lanes) = (self.shape, self.lanes);
        part.n = self.n.min(blocks.end * self.lanes) - blocks.start * self.lanes;
        self.data.lend(blocks.start * len..blocks.end * len, &mut part.data);
    }

    /// Ends a loan; the batch is empty then.
    pub(crate) fn give_back(&mut self) {
        self.n = 0;
        self.data.give_back();
    }

    /// Shape of one image.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Images, not counting padding.
    pub fn batch(&self) -> usize {
        self.n
    }

    /// Images per block: 1 or [`LANES`].
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// All values, padding images included, `[n/L][c][h][w][L]`.
    pub fn values(&self) -> &[T] {
        &self.data[..self.used()]
    }

    /// All values, padding images included, `[n/L][c][h][w][L]`.
    pub fn values_mut(&mut self) -> &mut [T] {
        let used = self.used();
        &mut self.data[..used]
    }

    fn used(&self) -> usize {
        self.n.div_ceil(self.lanes.max(1)) * self.lanes * self.shape.size()
    }

    /// The whole batch, borrowed.
    pub fn view(&self) -> View<'_, T> {
        View { shape: self.shape, n: self.n, lanes: self.lanes, data: self.values() }
    }

    /// Image `i` as [C, H, W], without copying.
    pub fn image(&self, i: usize) -> ArrayView3<'_, T> {
        self.view().image(i)
    }

    /// A copy as [N, C, H, W].
    pub fn to_array4(&self) -> Array4<T> {
        self.view().to_array4()
    }

    /// A copy as exported: [N, C, H, W], or [N, C] for vectors.
    pub fn to_exported(&self) -> ArrayD<T> {
        self.view().to_exported()
    }
}

impl<R: Real> Blocked<R> {
    /// Sets the padding images of the last block to zero.
    pub fn clear_padding(&mut self) {
        let (n, lanes, size) = (self.n, self.lanes, self.shape.size());
        let real = n % lanes.max(1);
        if real == 0 {
            return;
        }
        let last = &mut self.data[n / lanes * size * lanes..][..size * lanes];
        for group in last.chunks_exact_mut(lanes) {
            group[real..].fill(R::zero());
        }
    }
}

/// A borrowed batch, `[n/L][c][h][w][L]`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    /// Shape of one image.
    pub shape: Shape,
    /// Images, not counting padding.
    pub n: usize,
    /// Images per block.
    pub lanes: usize,
    /// All values, padding images included.
    pub data: &'a [T],
}

impl<'a, T: Copy> View<'a, T> {
    /// Blocks of images.
    pub fn blocks(&self) -> usize {
        self.n.div_ceil(self.lanes)
    }

    /// Values in one block.
    pub fn block_len(&self) -> usize {
        self.shape.size() * self.lanes
    }

    /// Images of block `b` that are not padding.
    pub fn real_lanes(&self, b: usize) -> usize {
        (self.n - b * self.lanes).min(self.lanes)
    }

    /// Image `i` as [C, H, W], without copying. Panics where there is no such image.
    pub fn image(&self, i: usize) -> ArrayView3<'a, T> {
        assert!(i < self.n, "image {i} of a batch of {}", self.n);
        let Shape { c, h, w, .. } = self.shape;
        let l = self.lanes;
        let block = &self.data[i / l * self.block_len()..][i % l..];
        ArrayView3::from_shape((c, h, w).strides((h * w * l, w * l, l)), block)
            .unwrap_or_else(|e| unreachable!("a block holds its images: {e}"))
    }

    /// A copy as [N, C, H, W].
    pub fn to_array4(&self) -> Array4<T>
    where
        T: Default,
    {
        let Shape { c, h, w, .. } = self.shape;
        let mut out = Array4::from_elem((self.n, c, h, w), T::default());
        for (i, mut image) in out.axis_iter_mut(Axis(0)).enumerate() {
            image.assign(&self.image(i));
        }
        out
    }

    /// A copy as exported: [N, C, H, W], or [N, C] for vectors.
    pub fn to_exported(&self) -> ArrayD<T>
    where
        T: Default,
    {
        let array = self.to_array4();
        if self.shape.flat {
            array.remove_axis(Axis(3)).remove_axis(Axis(2)).into_dyn()
        } else {
            array.into_dyn()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array;

    #[test]
    fn images_survive_blocking_for_any_batch() {
        for lanes in [1, LANES] {
            for n in [1, 15, 16, 17, 33] {
                let array =
                    Array::from_shape_fn((n, 3, 2, 5), |(a, b, c, d)| (((a * 3 + b) * 2 + c) * 5 + d) as f32);
                let blocked = Blocked::from_array4(array.view(), lanes);
                assert_eq!(blocked.values().len(), n.div_ceil(lanes) * lanes * 30);
                assert_eq!(blocked.values().as_ptr().align_offset(64), 0);
                assert_eq!(blocked.to_array4(), array);
                assert_eq!(blocked.image(n - 1), array.index_axis(Axis(0), n - 1));
            }
        }
    }

    #[test]
    fn a_smaller_batch_uses_the_front_and_vectors_lose_their_axes() {
        let mut b = Blocked::<f32>::zeros(Shape::vector(7), 33, LANES);
        b.set_batch(5);
        let copy = b.clone();
        assert_eq!((copy.values().as_ptr().align_offset(64), copy.values()), (0, b.values()));
        assert_eq!((b.values().len(), b.to_exported().shape()), (7 * 16, &[5, 7][..]));
        b.fill(1.0);
        b.clear_padding();
        assert_eq!(b.values().iter().sum::<f32>(), 35.0);
    }
}
