//! Images as coefficients of waves, so that a climb moves all scales at the same pace and colours apart from one
//! another.
//!
//! Each channel is a real image made of waves (ky, kx), kx up to half the width; a coefficient of frequency f counts
//! `sqrt(h w) / max(f, 1 / max(h, w))` times, a quarter of which makes a plane. Planes of three channels are mixed
//! by a matrix whose columns are the main directions in which natural colours vary; a sigmoid keeps pixels between
//! black and white, and mean and deviation make them what the net sees.
//!
//! Reference: Olah, Mordvintsev, Schubert 2017 (Feature visualization, Distill), and the values of the code
//! published with it.

use super::baseline::seen;
use glassbox_engine::{Graph, Real};

/// Rows are red, green and blue; columns the directions in which they vary.
const COLORS: [[f64; 3]; 3] = [[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]];

/// How coefficients become an image.
pub(super) struct Waves {
    h: usize,
    w: usize,
    channels: usize,
    /// Per coefficient (ky, kx): its scale, times how often it stands in the full spectrum, over the number of
    /// pixels.
    scale: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
}

impl Waves {
    /// For the images of a net.
    pub fn new(graph: &Graph) -> Self {
        let shape = graph.input();
        let (h, w) = (shape.h, shape.w);
        let columns = w / 2 + 1;
        let scale = |at: usize| {
            let (ky, kx) = (at / columns, at % columns);
            let fy = ky.min(h - ky) as f64 / h as f64;
            let frequency = fy.hypot(kx as f64 / w as f64).max(1.0 / h.max(w) as f64);
            // a column without a mirror image of its own stands once
            let times = if kx == 0 || 2 * kx == w { 1.0 } else { 2.0 };
            ((h * w) as f64).sqrt() / frequency * times / (h * w) as f64 / 4.0
        };
        let scale = (0..h * columns).map(scale).collect();
        Self { h, w, channels: shape.c, scale, low: seen(graph, 0.0), high: seen(graph, 1.0) }
    }

    /// Coefficients of one image: real and imaginary parts, side by side.
    pub fn len(&self) -> usize {
        2 * self.channels * self.scale.len()
    }

    /// Cosine and sine of 2 pi k t / n.
    fn turn(k: usize, t: usize, n: usize) -> (f64, f64) {
        let (sin, cos) = (std::f64::consts::TAU * ((k * t) % n) as f64 / n as f64).sin_cos();
        (cos, sin)
    }

    /// A plane [h, w] of waves.
    fn plane(&self, coefficients: &[f64]) -> Vec<f64> {
        let (h, w, columns) = (self.h, self.w, self.w / 2 + 1);
        let mut out = vec![0.0; h * w];
        for y in 0..h {
            for kx in 0..columns {
                let (mut re, mut im) = (0.0, 0.0);
                for ky in 0..h {
                    let at = ky * columns + kx;
                    let (cos, sin) = Self::turn(ky, y, h);
                    let (a, b) =
                        (coefficients[2 * at] * self.scale[at], coefficients[2 * at + 1] * self.scale[at]);
                    re += a * cos - b * sin;
                    im += a * sin + b * cos;
                }
                for x in 0..w {
                    let (cos, sin) = Self::turn(kx, x, w);
                    out[y * w + x] += re * cos - im * sin;
                }
            }
        }
        out
    }

    /// The transpose of [`Waves::plane`].
    fn plane_transposed(&self, plane: &[f64], out: &mut [f64]) {
        let (h, w, columns) = (self.h, self.w, self.w / 2 + 1);
        out.fill(0.0);
        for y in 0..h {
            for kx in 0..columns {
                let (mut re, mut im) = (0.0, 0.0);
                for x in 0..w {
                    let (cos, sin) = Self::turn(kx, x, w);
                    re += plane[y * w + x] * cos;
                    im -= plane[y * w + x] * sin;
                }
                for ky in 0..h {
                    let at = ky * columns + kx;
                    let (cos, sin) = Self::turn(ky, y, h);
                    out[2 * at] += self.scale[at] * (re * cos + im * sin);
                    out[2 * at + 1] += self.scale[at] * (im * cos - re * sin);
                }
            }
        }
    }

    /// The mixing matrix over its longest column; nothing is mixed unless there are three channels.
    fn mix(&self, from: usize, to: usize) -> f64 {
        if self.channels != 3 {
            return if from == to { 1.0 } else { 0.0 };
        }
        let norm = |k: usize| COLORS.iter().map(|row| row[k] * row[k]).sum::<f64>().sqrt();
        COLORS[to][from] / (0..3).map(norm).fold(0.0, f64::max)
    }

    /// Pixels between 0 and 1, before mean and deviation; [C, H, W].
    fn pixels(&self, coefficients: &[f64]) -> Vec<f64> {
        let (area, len) = (self.h * self.w, 2 * self.scale.len());
        let planes: Vec<Vec<f64>> = coefficients.chunks_exact(len).map(|c| self.plane(c)).collect();
        let mixed = |i: usize| {
            (0..self.channels).map(|from| self.mix(from, i / area) * planes[from][i % area]).sum::<f64>()
        };
        (0..self.channels * area).map(|i| 1.0 / (1.0 + (-mixed(i)).exp())).collect()
    }

    /// The image, as the net sees it.
    pub fn image<R: Real>(&self, coefficients: &[f64], out: &mut [R]) {
        let area = self.h * self.w;
        for (i, (v, p)) in out.iter_mut().zip(self.pixels(coefficients)).enumerate() {
            let c = i / area;
            *v = R::of(self.low[c] + p * (self.high[c] - self.low[c]));
        }
    }

    /// The gradient of the coefficients, from that of the image.
    pub fn pull(&self, coefficients: &[f64], gradient: &[f64]) -> Vec<f64> {
        let (area, len) = (self.h * self.w, 2 * self.scale.len());
        let pixels = self.pixels(coefficients);
        let inner = |i: usize| {
            gradient[i] * (self.high[i / area] - self.low[i / area]) * pixels[i] * (1.0 - pixels[i])
        };
        let inner: Vec<f64> = (0..pixels.len()).map(inner).collect();
        let mut out = vec![0.0; self.len()];
        for (from, out) in out.chunks_exact_mut(len).enumerate() {
            let unmixed =
                |p: usize| (0..self.channels).map(|to| self.mix(from, to) * inner[to * area + p]).sum();
            let plane: Vec<f64> = (0..area).map(unmixed).collect();
            self.plane_transposed(&plane, out);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glassbox_engine::layers::Relu;

    #[test]
    fn the_gradient_of_coefficients_is_their_slope() {
        for (c, h, w) in [(1, 4, 5), (3, 5, 4)] {
            let graph = Graph::builder("n", [c, h, w]).pixels(&vec![0.4; c], &vec![0.3; c]).layer("r", Relu);
            let waves = Waves::new(&graph.build().unwrap());
            let coefficients: Vec<f64> = (0..waves.len()).map(|i| 0.2 * (i as f64 * 1.3).sin()).collect();
            let weights: Vec<f64> = (0..c * h * w).map(|i| (i as f64 * 0.7).cos()).collect();
            let value = |coefficients: &[f64]| {
                let mut image = vec![0.0f64; weights.len()];
                waves.image(coefficients, &mut image);
                image.iter().zip(&weights).map(|(v, w)| v * w).sum::<f64>()
            };
            let gradient = waves.pull(&coefficients, &weights);
            for i in 0..waves.len() {
                let (mut up, mut down) = (coefficients.clone(), coefficients.clone());
                up[i] += 1e-5;
                down[i] -= 1e-5;
                let slope = (value(&up) - value(&down)) / 2e-5;
                assert!((slope - gradient[i]).abs() < 1e-8, "{c} {i}: {slope} {}", gradient[i]);
            }
        }
    }
}
