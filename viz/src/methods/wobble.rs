//! Small random transforms before each gradient of a climb, so that what is found does not hang on single pixels: the
//! image is turned and scaled about its centre, then rolled round the edges. Gradients come back by the transpose.
//!
//! Turning and scaling read pixels bilinearly, zero (the mean colour) beyond the edge. What is drawn depends on (seed,
//! sample, iteration) alone.

use super::studio::roll;
use super::{Ask, Key, Result, Settings};
use glassbox_engine::Real;
use glassbox_engine::rng::{Purpose, Stream};

/// The options of methods whose images wobble.
pub(super) const JITTER: Key =
    Key { name: "jitter", default: "0", help: "most pixels that the image is rolled before a gradient" };
pub(super) const SCALE: Key =
    Key { name: "scale", default: "0", help: "most by which it is scaled: 0.1 for factors from 0.9 to 1.1" };
pub(super) const ROTATE: Key = Key { name: "rotate", default: "0", help: "most degrees that it is turned" };

/// How far images wobble.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wobble {
    pub jitter: usize,
    pub scale: f64,
    pub rotate: f64,
    pub seed: u64,
    pub h: usize,
    pub w: usize,
}

/// One draw.
struct Draw {
    rows: isize,
    columns: isize,
    factor: f64,
    angle: f64,
}

impl Wobble {
    /// As the options say.
    pub fn of<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Self> {
        let shape = ask.graph.input();
        Ok(Self {
            jitter: settings.count("jitter", 0)?,
            scale: settings.number("scale", 0.0..=0.9)?,
            rotate: settings.number("rotate", 0.0..=180.0)?,
            seed: settings.seed()?,
            h: shape.h,
            w: shape.w,
        })
    }

    fn draw(&self, sample: usize, iteration: usize) -> Draw {
        let mut stream = Stream::new(self.seed, Purpose::Method, sample as u64, iteration as u64);
        let mut shift = || stream.below(2 * self.jitter + 1) as isize - self.jitter as isize;
        let (rows, columns) = (shift(), shift());
        let factor = 1.0 + stream.uniform(-self.scale, self.scale);
        let angle = stream.uniform(-self.rotate, self.rotate);
        Draw { rows, columns, factor, angle }
    }

    /// Writes the image [C, H, W] as it is seen at an iteration.
    pub fn there<R: Real>(&self, image: &[R], sample: usize, iteration: usize, out: &mut [R]) {
        let draw = self.draw(sample, iteration);
        if self.turns() {
            out.fill(R::zero());
            let plane = self.h * self.w;
            self.taps(&draw, |to, from, weight| {
                for c in (0..image.len()).step_by(plane) {
                    out[c + to] += R::of(weight) * image[c + from];
                }
            });
        } else {
            out.copy_from_slice(image);
        }
        roll(out, self.h, self.w, draw.rows, draw.columns);
    }

    /// The gradient at the image itself, from that where it was seen.
    pub fn back(&self, gradient: &[f64], sample: usize, iteration: usize) -> Vec<f64> {
        let draw = self.draw(sample, iteration);
        let mut seen = gradient.to_vec();
        roll(&mut seen, self.h, self.w, -draw.rows, -draw.columns);
        if !self.turns() {
            return seen;
        }
        let (plane, mut out) = (self.h * self.w, vec![0.0; seen.len()]);
        self.taps(&draw, |to, from, weight| {
            for c in (0..seen.len()).step_by(plane) {
                out[c + from] += weight * seen[c + to];
            }
        });
        out
    }

    fn turns(&self) -> bool {
        self.scale > 0.0 || self.rotate > 0.0
    }

    /// Calls `tap(to, from, weight)` for every pixel that is written and each of the up to four that it is read from.
    fn taps(&self, draw: &Draw, mut tap: impl FnMut(usize, usize, f64)) {
        let (mid_y, mid_x) = ((self.h - 1) as f64 / 2.0, (self.w - 1) as f64 / 2.0);
        let (sin, cos) = draw.angle.to_radians().sin_cos();
        for to in 0..self.h * self.w {
            let (y, x) = ((to / self.w) as f64 - mid_y, (to % self.w) as f64 - mid_x);
            let y_from = (cos * y + sin * x) / draw.factor + mid_y;
            let x_from = (cos * x - sin * y) / draw.factor + mid_x;
            let (row, column) = (y_from.floor(), x_from.floor());
            for (i, down) in [(row, 1.0 - (y_from - row)), (row + 1.0, y_from - row)] {
                for (j, right) in [(column, 1.0 - (x_from - column)), (column + 1.0, x_from - column)] {
                    let inside = i >= 0.0 && j >= 0.0 && i < self.h as f64 && j < self.w as f64;
                    if inside && down * right > 0.0 {
                        tap(to, i as usize * self.w + j as usize, down * right);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Wobble = Wobble { jitter: 0, scale: 0.0, rotate: 0.0, seed: 3, h: 7, w: 6 };

    fn image() -> Vec<f64> {
        (0..84).map(|v| f64::from(v * v % 31) - 12.0).collect()
    }

    #[test]
    fn gradients_come_back_by_the_transpose() {
        for wobble in [
            STILL,
            Wobble { jitter: 2, ..STILL },
            Wobble { rotate: 20.0, ..STILL },
            Wobble { jitter: 1, scale: 0.3, rotate: 45.0, ..STILL },
        ] {
            let (image, gradient) = (image(), (0..84).map(|v| f64::from(v * 7 % 13)).collect::<Vec<_>>());
            for iteration in 0..5 {
                let mut seen = vec![f64::NAN; 84];
                wobble.there(&image, 1, iteration, &mut seen);
                let back = wobble.back(&gradient, 1, iteration);
                let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                assert!((dot(&seen, &gradient) - dot(&image, &back)).abs() < 1e-9, "{wobble:?}");
            }
        }
    }

    #[test]
    fn without_wobble_nothing_moves_and_with_it_every_iteration_differs() {
        let (image, mut seen) = (image(), vec![0.0; 84]);
        STILL.there(&image, 0, 4, &mut seen);
        assert_eq!(seen, image);
        let wobble = Wobble { scale: 0.1, rotate: 10.0, ..STILL };
        let mut other = vec![0.0; 84];
        wobble.there(&image, 0, 4, &mut seen);
        wobble.there(&image, 0, 5, &mut other);
        assert!(seen != image && seen != other);
    }
}
