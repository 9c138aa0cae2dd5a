//! Which taps each position of one axis reads, in runs of positions that read the same ones.
//!
//! A position is an output row or column (forward) or an input row or column (data gradient). Taps on padding are not
//! in any run, so nobody multiplies by them; along an axis there are at most about 2 pad + 1 runs for each residue of
//! the stride.

use crate::window::Window;

/// One axis of a convolution, seen from the array that is written.
#[derive(Clone, Copy)]
pub struct Axis {
    window: Window,
    axis: usize,
    /// Positions that are written.
    written: usize,
    /// Positions that are read.
    read: usize,
    /// Step between positions that read neighbouring places: 1 forward, the stride for the data gradient.
    step: usize,
    back: bool,
}

/// Positions `first`, `first + step`, ... that read the taps `tap`, `tap + tap_step`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First position.
    pub first: usize,
    /// Step between positions.
    pub step: usize,
    /// Number of positions, at least 1.
    pub count: usize,
    /// First tap.
    pub tap: usize,
    /// Step between taps.
    pub tap_step: usize,
    /// Number of taps; 0 where all are padding.
    pub taps: usize,
    /// Where the first position reads its first tap.
    pub source: usize,
    /// How far on the next position reads.
    pub source_step: usize,
    /// How far on the next tap is read, negative for the data gradient.
    pub source_tap: isize,
}

impl Run {
    /// The same positions in runs of at most `most`.
    pub fn split(self, most: usize) -> impl Iterator<Item = Run> {
        (0..self.count).step_by(most).map(move |skip| Run {
            first: self.first + skip * self.step,
            source: self.source + skip * self.source_step,
            count: most.min(self.count - skip),
            ..self
        })
    }
}

impl Axis {
    /// Output positions that read an input of length `input`.
    pub fn forward(window: Window, axis: usize, input: usize, output: usize) -> Self {
        Self { window, axis, written: output, read: input, step: 1, back: false }
    }

    /// Input positions that read the gradient of an output of length `output`.
    pub fn back(window: Window, axis: usize, input: usize, output: usize) -> Self {
        Self { window, axis, written: input, read: output, step: window.stride[axis], back: true }
    }

    /// All runs: each position is in exactly one.
    pub fn runs(self) -> impl Iterator<Item = Run> {
        let (mut residue, mut next) = (0, 0);
        std::iter::from_fn(move || {
            if next >= self.written {
                residue += 1;
                next = residue;
                if residue >= self.step || next >= self.written {
                    return None;
                }
            }
            let mut run = self.at(next);
            next += self.step;
            while next < self.written {
                let other = self.at(next);
                if (other.tap, other.taps) != (run.tap, run.taps) {
                    break;
                }
                run.count += 1;
                next += self.step;
            }
            Some(run)
        })
    }

    /// The run of one position.
    fn at(&self, position: usize) -> Run {
        if self.back { self.back_at(position) } else { self.forward_at(position) }
    }

    fn forward_at(&self, first: usize) -> Run {
        let (stride, dilation) = (self.window.stride[self.axis], self.window.dilation[self.axis]);
        let taps = self.window.taps(self.axis, first, self.read);
        let source = (first * stride + taps.start * dilation).saturating_sub(self.window.pad[self.axis]);
        Run {
            first,
            step: 1,
            count: 1,
            tap: taps.start,
            tap_step: 1,
            taps: taps.len(),
            source: if taps.is_empty() { 0 } else { source },
            source_step: stride,
            source_tap: dilation as isize,
        }
    }

    /// Input position a has the taps u for which s divides a + p - u d and the output (a + p - u d) / s exists: every
    /// (s / gcd(s, d))-th one, read backwards.
    fn back_at(&self, first: usize) -> Run {
        let (s, d) = (self.window.stride[self.axis], self.window.dilation[self.axis]);
        let (pad, kernel) = (self.window.pad[self.axis], self.window.kernel[self.axis]);
        let common = gcd(s, d);
        let (tap_step, back) = (s / common, d / common);
        let none = Run {
            first,
            step: s,
            count: 1,
            tap: 0,
            tap_step,
            taps: 0,
            source: 0,
            source_step: 1,
            source_tap: -(back as isize),
        };
        let output = |u: usize| (first + pad) as isize - (u * d) as isize;
        let Some(start) = (0..tap_step.min(kernel)).find(|&u| output(u).rem_euclid(s as isize) == 0) else {
            return none;
        };
        let (furthest, back) = (output(start).div_euclid(s as isize), back as isize);
        // tap start + t tap_step reads furthest - t back, which must lie in 0..read
        let all = ((kernel - start).div_ceil(tap_step)) as isize;
        let low = (furthest - self.read as isize + 1).max(0);
        let low = (low + back - 1) / back;
        let high = if furthest < 0 { 0 } else { (furthest / back + 1).min(all) };
        if low >= high {
            return none;
        }
        Run {
            tap: start + low as usize * tap_step,
            taps: (high - low) as usize,
            source: (furthest - low * back) as usize,
            ..none
        }
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every (position, tap, source) of the runs, against the definition.
    #[test]
    fn runs_hold_each_position_and_each_tap_on_real_input_once() {
        for (k, s, p, d) in [
            (1, 1, 0, 1),
            (3, 1, 1, 1),
            (3, 2, 1, 2),
            (5, 3, 2, 1),
            (2, 2, 0, 1),
            (4, 4, 5, 6),
            (11, 4, 2, 1),
            (3, 4, 2, 3),
            (2, 1, 4, 3),
        ] {
            let window = Window {
                stride: [s; 2],
                pad: [p; 2],
                pad_end: [p; 2],
                dilation: [d; 2],
                ..Window::new([k; 2])
            };
            for input in 1..16 {
                let Some([output, _]) = window.output([input; 2]) else { continue };
                let mut want: Vec<_> = (0..output)
                    .flat_map(|o| window.taps(0, o, input).map(move |u| (o, u, o * s + u * d - p)))
                    .collect();
                let listed = |axis: Axis, written: usize| {
                    let (mut taps, mut seen) = (Vec::new(), vec![0; written]);
                    for run in axis.runs().flat_map(|run| run.split(3)) {
                        for i in 0..run.count {
                            let position = run.first + i * run.step;
                            seen[position] += 1;
                            for t in 0..run.taps {
                                let source =
                                    (run.source + i * run.source_step) as isize + t as isize * run.source_tap;
                                taps.push((position, run.tap + t * run.tap_step, source as usize));
                            }
                        }
                    }
                    assert_eq!(seen, vec![1; written]);
                    taps.sort();
                    taps
                };
                want.sort();
                assert_eq!(
                    listed(Axis::forward(window, 0, input, output), output),
                    want,
                    "{window:?} {input}"
                );
                let mut want: Vec<_> = want.into_iter().map(|(o, u, a)| (a, u, o)).collect();
                want.sort();
                assert_eq!(listed(Axis::back(window, 0, input, output), input), want, "{window:?} {input}");
            }
        }
    }
}
