//! One geometry for everything that slides a window: convolution and its transpose, pooling, unpooling, and the
//! receptive fields in pictures, so that a picture can never disagree with the arithmetic.

use std::ops::Range;

/// A sliding window over (height, width).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Taps per axis.
    pub kernel: [usize; 2],
    /// Step between neighbouring outputs, per axis.
    pub stride: [usize; 2],
    /// Padding before the first row and column.
    pub pad: [usize; 2],
    /// Padding after the last row and column; equal to `pad` unless a model says otherwise.
    pub pad_end: [usize; 2],
    /// Distance between neighbouring taps, per axis.
    pub dilation: [usize; 2],
    /// Round the output size up (a last window may hang over the end) instead of down.
    pub ceil: bool,
}

impl Window {
    /// A window with stride 1, no padding, no dilation.
    pub fn new(kernel: [usize; 2]) -> Self {
        Self { kernel, stride: [1; 2], pad: [0; 2], pad_end: [0; 2], dilation: [1; 2], ceil: false }
    }

    /// Input rows or columns that one window covers: d(k-1)+1.
    pub fn span(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1) + 1
    }

    /// Output size for an input of (height, width), or `None` where the window does not fit.
    ///
    /// floor((H + 2p - d(k-1) - 1)/s) + 1; with `ceil` rounded up, but a window that would start entirely in the end
    /// padding is dropped (PyTorch's rule).
    pub fn output(&self, input: [usize; 2]) -> Option<[usize; 2]> {
        let mut out = [0; 2];
        for axis in 0..2 {
            let room = (input[axis] + self.pad[axis] + self.pad_end[axis]).checked_sub(self.span(axis))?;
            let stride = self.stride[axis];
            out[axis] = if self.ceil {
                let n = room.div_ceil(stride) + 1;
                if (n - 1) * stride >= input[axis] + self.pad[axis] { n - 1 } else { n }
            } else {
                room / stride + 1
            };
        }
        Some(out)
    }

    /// Output size of the transposed window, (i-1)s - 2p + d(k-1) + 1 + `extra`; `None` where that is not positive.
    pub fn transposed_output(&self, input: [usize; 2], extra: [usize; 2]) -> Option<[usize; 2]> {
        let mut out = [0; 2];
        for axis in 0..2 {
            let full = input[axis].checked_sub(1)? * self.stride[axis] + self.span(axis) + extra[axis];
            out[axis] = full.checked_sub(self.pad[axis] + self.pad_end[axis]).filter(|&n| n > 0)?;
        }
        Some(out)
    }

    /// Input position of the first tap of output `o`; negative inside the padding.
    pub fn start(&self, axis: usize, o: usize) -> isize {
        (o * self.stride[axis]) as isize - self.pad[axis] as isize
    }

    /// The taps of output `o` that fall on real input (not padding) of length `len`.
    pub fn taps(&self, axis: usize, o: usize, len: usize) -> Range<usize> {
        let (start, d, k) = (self.start(axis, o), self.dilation[axis], self.kernel[axis]);
        let first = if start >= 0 { 0 } else { start.unsigned_abs().div_ceil(d).min(k) };
        let last = (len as isize - start).max(0) as usize;
        let last = last.div_ceil(d).min(k);
        first..last.max(first)
    }

    /// The outputs for which `tap` falls on real input of length `len`, of `outputs` in all.
    pub fn outputs_of_tap(&self, axis: usize, tap: usize, len: usize, outputs: usize) -> Range<usize> {
        let (s, p, shift) = (self.stride[axis], self.pad[axis], tap * self.dilation[axis]);
        let first = p.saturating_sub(shift).div_ceil(s);
        let last = (len + p).checked_sub(shift).map_or(0, |room| room.div_ceil(s));
        let (first, last) = (first.min(outputs), last.min(outputs));
        first..last.max(first)
    }

    /// Input interval [low, high) that the output interval [low, high) sees; may reach into the padding.
    pub fn sees(&self, axis: usize, out: Range<isize>) -> Range<isize> {
        let (s, p) = (self.stride[axis] as isize, self.pad[axis] as isize);
        out.start * s - p..(out.end - 1) * s + self.span(axis) as isize - p
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = (Window, usize)> {
        let mut cases = Vec::new();
        for (k, s, p, d) in [
            (1, 1, 0, 1),
            (3, 1, 1, 1),
            (3, 2, 1, 2),
            (5, 3, 2, 1),
            (2, 2, 0, 1),
            (4, 1, 5, 3),
            (11, 4, 2, 1),
        ] {
            for ceil in [false, true] {
                for len in 1..14 {
                    let w = Window {
                        kernel: [k; 2],
                        stride: [s; 2],
                        pad: [p; 2],
                        pad_end: [p; 2],
                        dilation: [d; 2],
                        ceil,
                    };
                    cases.push((w, len));
                }
            }
        }
        cases.into_iter()
    }

    #[test]
    fn taps_and_outputs_of_tap_are_the_same_set_as_brute_force() {
        for (w, len) in all() {
            let Some([n, _]) = w.output([len; 2]) else { continue };
            for o in 0..n {
                for tap in 0..w.kernel[0] {
                    let at = w.start(0, o) + (tap * w.dilation[0]) as isize;
                    let real = at >= 0 && at < len as isize;
                    assert_eq!(w.taps(0, o, len).contains(&tap), real, "{w:?} {len} {o} {tap}");
                    assert_eq!(w.outputs_of_tap(0, tap, len, n).contains(&o), real, "{w:?} {len} {o} {tap}");
                }
            }
        }
    }

    #[test]
    fn sizes_follow_pytorch() {
        let pool = |k, s, p, ceil| Window {
            stride: [s; 2],
            pad: [p; 2],
            pad_end: [p; 2],
            ceil,
            ..Window::new([k; 2])
        };
        assert_eq!(pool(2, 2, 0, false).output([9, 11]), Some([4, 5]));
        assert_eq!(pool(2, 2, 0, true).output([9, 11]), Some([5, 6]));
        assert_eq!(pool(3, 2, 1, false).output([9, 11]), Some([5, 6]));
        // a last window that would start in the end padding is dropped
        assert_eq!(pool(1, 2, 0, true).output([4, 5]), Some([2, 3]));
        assert_eq!(pool(5, 1, 0, false).output([4, 9]), None);
        assert_eq!(pool(3, 2, 1, false).transposed_output([5, 6], [0, 1]), Some([9, 12]));
    }
}
