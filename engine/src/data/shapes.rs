//! Shapes: generated colour images, so that colour nets can be learned and tested with nothing downloaded.
//!
//! 32x32, ten classes that differ in shape only: arrow, circle, crescent, cross, half-disc, heart, ring, square, star,
//! triangle. Colours, place, size (radius 6 to 13 pixels), rotation, the background's gradient and the noise are random
//! and say nothing about the class. An image is a pure function of (seed, half, index): a shape is a signed distance d
//! in pixels, negative inside, and covers a pixel by clamp(1/2 - d, 0, 1), which makes its border smooth.

use super::{Dataset, SearchDirs, Source, Splits};
use crate::Result;
use crate::rng::{Purpose, Stream};
use ndarray::{Array4, Axis};
use std::ops::Range;

/// The generated shapes, of seed 0.
pub const SOURCE: Source = Source {
    name: "shapes",
    about: "5,000 + 1,000 generated pictures of ten shapes, 32x32 colour; nothing to download",
    augment: &["flip", "turn", "shift=2"],
    load: |_: &SearchDirs| Ok(generate(0, 5000, 1000)) as Result<Splits>,
};

const SIDE: usize = 32;

/// A shape's name, and its signed distance in units of its radius at a point with the shape upright; y grows downwards.
type Kind = (&'static str, fn(f32, f32) -> f32);

const KINDS: [Kind; 10] = [
    ("arrow", arrow),
    ("circle", |x, y| x.hypot(y) - 0.9),
    ("crescent", |x, y| (x.hypot(y) - 0.95).max(0.8 - (x - 0.45).hypot(y))),
    ("cross", |x, y| bar(x, y, 0.95, 0.28).min(bar(x, y, 0.28, 0.95))),
    ("half-disc", |x, y| (x.hypot(y + 0.4) - 1.0).max(-(y + 0.4))),
    ("heart", heart),
    ("ring", |x, y| (x.hypot(y) - 0.72).abs() - 0.22),
    ("square", |x, y| bar(x, y, 0.75, 0.75)),
    ("star", star),
    ("triangle", |x, y| (0.866 * x.abs() - 0.5 * y).max(y) - 0.5),
];

/// Shapes by seed, `train` + `test` images; the class of image i is i modulo 10.
pub fn generate(seed: u64, train: usize, test: usize) -> Splits {
    Splits { train: half(seed, 0, train), test: half(seed, 1, test) }
}

fn half(seed: u64, half: u64, count: usize) -> Dataset {
    let mut pixels = Array4::zeros((count, 3, SIDE, SIDE));
    if let Some(all) = pixels.as_slice_mut() {
        for (i, image) in all.chunks_exact_mut(3 * SIDE * SIDE).enumerate() {
            let mut stream = Stream::new(seed, Purpose::Data, half, i as u64);
            draw(&mut stream, KINDS[i % KINDS.len()].1, image);
        }
    }
    Dataset {
        name: SOURCE.name.into(),
        pixels,
        labels: (0..count).map(|i| (i % KINDS.len()) as u32).collect(),
        classes: KINDS.iter().map(|kind| kind.0.to_string()).collect(),
    }
}

/// Rows and columns of the shapes in test images of seed 0, each the smallest box that holds all pixels at least half
/// covered. `None` where the images at these places are not those test images. Panics where there is no such place.
pub fn boxes(test: &Dataset, indices: &[usize]) -> Option<Vec<[Range<usize>; 2]>> {
    if test.shape() != [3, SIDE, SIDE] {
        return None;
    }
    let mut image = vec![0; 3 * SIDE * SIDE];
    let one = |&i: &usize| {
        let kind = KINDS[i % KINDS.len()].1;
        draw(&mut Stream::new(0, Purpose::Data, 1, i as u64), kind, &mut image);
        let place = Place::draw(&mut Stream::new(0, Purpose::Data, 1, i as u64));
        let same = test.pixels.index_axis(Axis(0), i).iter().eq(&image);
        same.then(|| place.bounds(kind))
    };
    indices.iter().map(one).collect()
}

/// Where a shape lies: the first things drawn of a picture.
struct Place {
    radius: f32,
    cx: f32,
    cy: f32,
    sin: f32,
    cos: f32,
}

impl Place {
    fn draw(stream: &mut Stream) -> Self {
        let mut uniform = |low: f64, high: f64| stream.uniform(low, high) as f32;
        let radius = uniform(6.0, 13.0);
        let middle = SIDE as f32 / 2.0;
        let room = f64::from(middle - radius);
        let (cx, cy) = (middle + uniform(-room, room), middle + uniform(-room, room));
        let (sin, cos) = uniform(0.0, std::f64::consts::TAU).sin_cos();
        Self { radius, cx, cy, sin, cos }
    }

    /// Signed distance of the centre of pixel `i` from the shape's border, in pixels.
    fn distance(&self, shape: fn(f32, f32) -> f32, i: usize) -> f32 {
        let (x, y) = ((i % SIDE) as f32 + 0.5, (i / SIDE) as f32 + 0.5);
        let (dx, dy) = ((x - self.cx) / self.radius, (y - self.cy) / self.radius);
        self.radius * shape(self.cos * dx + self.sin * dy, self.cos * dy - self.sin * dx)
    }

    fn bounds(&self, shape: fn(f32, f32) -> f32) -> [Range<usize>; 2] {
        let inside = || (0..SIDE * SIDE).filter(|&i| self.distance(shape, i) <= 0.0);
        let span = |along: fn(usize) -> usize| {
            let (first, last) = (inside().map(along).min(), inside().map(along).max());
            first.unwrap_or(0)..last.map_or(0, |last| last + 1)
        };
        [span(|i| i / SIDE), span(|i| i % SIDE)]
    }
}

/// One picture, [3, 32, 32].
fn draw(stream: &mut Stream, shape: fn(f32, f32) -> f32, image: &mut [u8]) {
    let place = Place::draw(stream);
    let mut uniform = |low: f64, high: f64| stream.uniform(low, high) as f32;
    let middle = SIDE as f32 / 2.0;
    let (tilt_y, tilt_x) = uniform(0.0, std::f64::consts::TAU).sin_cos();
    let noise = uniform(4.0, 24.0);
    let (colour, from, to) = colours(stream);
    let plane = SIDE * SIDE;
    for i in 0..plane {
        let (x, y) = ((i % SIDE) as f32 + 0.5, (i / SIDE) as f32 + 0.5);
        let cover = (0.5 - place.distance(shape, i)).clamp(0.0, 1.0);
        let along = 0.5 + ((x - middle) * tilt_x + (y - middle) * tilt_y) / (SIDE as f32 * 1.42);
        let bits = stream.bits64();
        for c in 0..3 {
            let back = from[c] + (to[c] - from[c]) * along;
            // two bytes make a triangular distribution over (-1, 1)
            let grain = ((bits >> (16 * c)) & 255) as f32 + ((bits >> (16 * c + 8)) & 255) as f32;
            let value = back + (colour[c] - back) * cover + noise * (grain / 255.0 - 1.0);
            image[c * plane + i] = value.round().clamp(0.0, 255.0) as u8;
        }
    }
}

/// The shape's colour and the background's two, 0 to 255. In one channel of three the shape differs from the whole
/// background by at least 75, so that every shape can be seen; which one, and which way, says nothing about the class.
fn colours(stream: &mut Stream) -> ([f32; 3], [f32; 3], [f32; 3]) {
    let mut any = || -> [f32; 3] { std::array::from_fn(|_| stream.uniform(0.0, 255.0) as f32) };
    let (mut colour, from, mut to) = (any(), any(), any());
    // The gradient stays gentle, so that it does not hide the shape.
    to.iter_mut().zip(from).for_each(|(to, from)| *to = from + 0.5 * (*to - from));
    let channel = stream.below(3);
    let (low, high) = (from[channel].min(to[channel]) - 90.0, from[channel].max(to[channel]) + 90.0);
    // Where neither side has 90 to spare, black has at least 75: the gradient spans at most 128 of 255.
    let below = high > 255.0 || (low >= 0.0 && stream.below(2) == 0);
    colour[channel] =
        if below { stream.uniform(0.0, low.max(0.0).into()) } else { stream.uniform(high.into(), 255.0) }
            as f32;
    (colour, from, to)
}

fn bar(x: f32, y: f32, half_width: f32, half_height: f32) -> f32 {
    (x.abs() - half_width).max(y.abs() - half_height)
}

/// A head, pointing up, on a shaft.
fn arrow(x: f32, y: f32) -> f32 {
    let head = (0.707 * (x.abs() + (-0.95 - y))).max(y + 0.1);
    head.min(bar(x, y - 0.4, 0.22, 0.55))
}

/// A square on its corner with a disc on each upper side.
fn heart(x: f32, y: f32) -> f32 {
    let (x, y) = (x.abs(), y - 0.1);
    let square = 0.707 * (x + y.abs()) - 0.5665;
    square.min((x - 0.4).hypot(y + 0.4) - 0.5665)
}

/// Five points: folded into one tenth of the plane, the border is one straight line.
fn star(x: f32, y: f32) -> f32 {
    use std::f32::consts::PI;
    let angle = x.atan2(-y).rem_euclid(0.4 * PI) - 0.2 * PI;
    let (r, angle) = (x.hypot(y), 0.2 * PI - angle.abs());
    // from the tip (1, 0) to the inner corner at angle pi/5, radius 0.42
    let (px, py) = (r * angle.cos() - 1.0, r * angle.sin());
    let (ex, ey) = (0.42 * (0.2 * PI).cos() - 1.0, 0.42 * (0.2 * PI).sin());
    (py * -ex + px * ey) / ex.hypot(ey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_functions_of_seed_half_and_index() {
        let (few, more) = (generate(3, 20, 20), generate(3, 50, 20));
        assert_eq!(few.train, more.train.limit(20));
        assert_ne!(few.train.pixels, few.test.pixels);
        assert_ne!(few.train.pixels, generate(4, 20, 20).train.pixels);
    }

    #[test]
    fn boxes_hold_the_shape_and_are_those_of_the_images() {
        let set = generate(0, 0, 40).test;
        let boxes = boxes(&set, &(0..40).collect::<Vec<_>>()).unwrap();
        for (i, [rows, columns]) in boxes.iter().enumerate() {
            assert!(rows.end <= SIDE && columns.end <= SIDE && rows.len() >= 4 && columns.len() >= 4, "{i}");
            // the circle fills its box as a circle does: 0.9 of a radius of 6 to 13 pixels
            if i % 10 == 1 {
                assert!(rows.len().abs_diff(columns.len()) <= 1 && (10..=24).contains(&rows.len()), "{i}");
            }
        }
        assert_eq!(super::boxes(&generate(1, 0, 40).test, &[3]), None);
        assert_eq!(super::boxes(&generate(0, 40, 0).train, &[3]), None);
    }

    #[test]
    fn classes_are_even_and_alphabetical() {
        let set = generate(0, 100, 10).train;
        assert_eq!(set.counts(), [10; 10]);
        assert!(set.classes.is_sorted());
        assert_eq!(set.shape(), [3, 32, 32]);
    }

    #[test]
    fn shapes_stay_inside_their_radius_and_cover_a_fair_part_of_it() {
        for (name, shape) in KINDS {
            let mut inside = 0;
            for i in 0..201 * 201 {
                let (x, y) = ((i % 201) as f32 / 80.0 - 1.25, (i / 201) as f32 / 80.0 - 1.25);
                if shape(x, y) < 0.0 {
                    inside += 1;
                    assert!(x.hypot(y) < 1.12, "{name} reaches {x} {y}");
                }
            }
            let area = inside as f32 / 6400.0;
            assert!((0.8..2.6).contains(&area), "{name} covers {area}");
        }
    }

    #[test]
    fn colour_alone_says_nothing() {
        // mean colour per class over many images lies near the mean over all
        let set = generate(1, 2000, 10).train;
        let mut sums = vec![[0f64; 3]; 10];
        for (n, &label) in set.labels.iter().enumerate() {
            for (c, sum) in sums[label as usize].iter_mut().enumerate() {
                *sum += set.pixels.slice(ndarray::s![n, c, .., ..]).mapv(f64::from).mean().unwrap() / 200.0;
            }
        }
        for c in 0..3 {
            let all: f64 = sums.iter().map(|sum| sum[c]).sum::<f64>() / 10.0;
            assert!(sums.iter().all(|sum| (sum[c] - all).abs() < 16.0), "{sums:?}");
        }
    }
}
