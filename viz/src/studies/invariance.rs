//! How far a net's activations move as an image is shifted, scaled or turned, and what that does to the class.
//!
//! For a transform T_t and a layer, `|A(x) - A(T_t x)|`, Euclidean, also over `|A(x)|`; and the probability of the
//! image's class. Pixels are read bilinearly, half-pixel, from the untransformed image, the mean colour beyond its edge;
//! T_0 changes no bit, so curves start at zero.
//!
//! Reference: Zeiler and Fergus 2014 (arXiv 1311.2901), section 4.1 and figure 5.

use crate::error::Result;
use crate::methods::Ask;
use crate::methods::pass::{Pass, each_variant, standard, values};
use crate::methods::score::probabilities;
use glassbox_engine::Shape;
use glassbox_engine::graph::Keep;

/// A family of transforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// Downwards, by pixels.
    Translation,
    /// About the centre, by a factor.
    Scale,
    /// About the centre, anticlockwise, by degrees.
    Rotation,
}

impl Transform {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Translation, Self::Scale, Self::Rotation];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Translation => "translation",
            Self::Scale => "scale",
            Self::Rotation => "rotation",
        }
    }

    /// What its parameter is, with its unit.
    pub fn label(self) -> &'static str {
        match self {
            Self::Translation => "pixels downwards",
            Self::Scale => "factor",
            Self::Rotation => "degrees anticlockwise",
        }
    }

    /// The parameters of a curve for images of `height` rows: shifts of up to a quarter of them, factors from 1 to 1.8,
    /// angles from 0 to 350 degrees.
    pub fn parameters(self, height: usize) -> Vec<f64> {
        match self {
            Self::Translation => {
                let most = (height / 4).max(1) as i64;
                let step = (most / 12).max(1);
                (-most / step..=most / step).map(|i| (i * step) as f64).collect()
            }
            Self::Scale => (0..=16).map(|i| 1.0 + 0.05 * f64::from(i)).collect(),
            Self::Rotation => (0..36).map(|i| 10.0 * f64::from(i)).collect(),
        }
    }

    /// Where the pixel (y, x), measured from the centre, of a transformed image is read in the original.
    fn source(self, t: f64, y: f64, x: f64) -> (f64, f64) {
        match self {
            Self::Translation => (y - t, x),
            Self::Scale => (y / t, x / t),
            Self::Rotation => {
                // rows go down, so an anticlockwise turn of the image reads clockwise in the original; whole right
                // angles are exact
                let (sin, cos) = match t.rem_euclid(360.0) {
                    0.0 => (0.0, 1.0),
                    90.0 => (1.0, 0.0),
                    180.0 => (0.0, -1.0),
                    270.0 => (-1.0, 0.0),
                    other => other.to_radians().sin_cos(),
                };
                (cos * y + sin * x, cos * x - sin * y)
            }
        }
    }

    /// Writes the transformed image [C, H, W].
    pub fn apply(self, t: f64, shape: Shape, image: &[f32], out: &mut [f32]) {
        let (mid_y, mid_x) = ((shape.h - 1) as f64 / 2.0, (shape.w - 1) as f64 / 2.0);
        for y in 0..shape.h {
            for x in 0..shape.w {
                let (sy, sx) = self.source(t, y as f64 - mid_y, x as f64 - mid_x);
                for c in 0..shape.c {
                    let plane = &image[c * shape.plane()..][..shape.plane()];
                    out[c * shape.plane() + y * shape.w + x] = read(plane, shape, sy + mid_y, sx + mid_x);
                }
            }
        }
    }
}

/// A plane between its pixels; zero, the mean colour of normalised images, beyond its edge.
fn read(plane: &[f32], shape: Shape, y: f64, x: f64) -> f32 {
    let (row, column) = (y.floor(), x.floor());
    let (down, right) = (y - row, x - column);
    let pixel = |i: f64, j: f64| -> f64 {
        let inside = i >= 0.0 && j >= 0.0 && i < shape.h as f64 && j < shape.w as f64;
        if inside { plane[i as usize * shape.w + j as usize].into() } else { 0.0 }
    };
    // weights of zero are left out, so that whole steps change no bit
    let mut sum = 0.0;
    for (i, weight) in [(row, 1.0 - down), (row + 1.0, down)] {
        for (j, share) in [(column, 1.0 - right), (column + 1.0, right)] {
            if weight * share > 0.0 {
                sum += weight * share * pixel(i, j);
            }
        }
    }
    sum as f32
}

/// The curves of one transform: an entry per image, then per parameter.
#[derive(Clone, Debug)]
pub struct Curves {
    /// The transform.
    pub transform: Transform,
    /// Its parameters.
    pub parameters: Vec<f64>,
    /// [slot][image][parameter]: Euclidean distance of the activations from those of the image itself.
    pub distance: Vec<Vec<Vec<f64>>>,
    /// [slot][image]: norm of the activations of the image itself.
    pub norm: Vec<Vec<f64>>,
    /// [image][parameter]: probability of the image's class.
    pub probability: Vec<Vec<f64>>,
    /// The class of each image.
    pub classes: Vec<usize>,
}

/// Follows some slots as the images of a question are transformed.
///
/// # Errors
/// Images or classes that do not fit the net.
pub fn study(ask: &Ask<'_>, slots: &[usize], transform: Transform) -> Result<Curves> {
    ask.check()?;
    let shape = ask.graph.input();
    let parameters = transform.parameters(shape.h);
    let samples = ask.samples();
    let mut out = Curves {
        transform,
        distance: vec![vec![Vec::new(); samples]; slots.len()],
        norm: vec![vec![0.0; samples]; slots.len()],
        probability: vec![Vec::new(); samples],
        classes: vec![0; samples],
        parameters: parameters.clone(),
    };
    let images = standard(ask.input);
    let fill = |sample: usize, variant: usize, image: &mut [f32]| {
        if let Some(at) = variant.checked_sub(1) {
            transform.apply(parameters[at], shape, &images[sample * shape.size()..][..shape.size()], image);
        }
    };
    let mut own: Vec<Vec<f32>> = vec![Vec::new(); slots.len()];
    let variants = 1 + parameters.len();
    let mut pass = Pass::new(ask, samples * variants, Keep::Everything);
    each_variant(ask, &mut pass, variants, fill, |pass, batch| {
        let logits = pass.logits()?;
        for (i, &(sample, variant)) in batch.iter().enumerate() {
            if variant == 0 {
                out.classes[sample] = ask.class(sample, logits, i);
            } else {
                out.probability[sample].push(probabilities(logits, i)[out.classes[sample]]);
            }
            for (s, &slot) in slots.iter().enumerate() {
                let here = values(pass.at(slot)?, i);
                if variant == 0 {
                    own[s] = here.collect();
                    out.norm[s][sample] = norm(own[s].iter().map(|&v| f64::from(v)));
                } else {
                    let gaps = here.zip(&own[s]).map(|(a, &b)| f64::from(a) - f64::from(b));
                    out.distance[s][sample].push(norm(gaps));
                }
            }
        }
        Ok(())
    })?;
    Ok(out)
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use glassbox_engine::Graph;
    use glassbox_engine::layers::{Conv, Dense, Flatten, GlobalAvgPool, Relu};
    use ndarray::Array4;

    const SHAPE: Shape = Shape { c: 1, h: 5, w: 5, flat: false };

    fn image() -> Vec<f32> {
        (0..25).map(|v| (v * v % 17) as f32).collect()
    }

    #[test]
    fn transforms_that_do_nothing_change_no_bit_and_whole_ones_move_pixels() {
        let (image, mut out) = (image(), vec![f32::NAN; 25]);
        for (transform, t) in
            [(Transform::Translation, 0.0), (Transform::Scale, 1.0), (Transform::Rotation, 0.0)]
        {
            transform.apply(t, SHAPE, &image, &mut out);
            assert_eq!(out, image, "{transform:?}");
        }
        Transform::Translation.apply(2.0, SHAPE, &image, &mut out);
        assert_eq!((&out[..10], &out[10..]), (&[0.0; 10][..], &image[..15]));
        // anticlockwise: what was at the right comes to the top
        Transform::Rotation.apply(90.0, SHAPE, &image, &mut out);
        for (y, x) in (0..5).flat_map(|y| (0..5).map(move |x| (y, x))) {
            assert_eq!(out[y * 5 + x], image[x * 5 + 4 - y]);
        }
    }

    #[test]
    fn scaling_reads_between_pixels() {
        let (image, mut out) = (image(), vec![f32::NAN; 25]);
        Transform::Scale.apply(2.0, SHAPE, &image, &mut out);
        assert_eq!(out[12], image[12]);
        assert_eq!(out[13], (image[12] + image[13]) / 2.0);
        assert_eq!(out[18], (image[12] + image[13] + image[17] + image[18]) / 4.0);
    }

    #[test]
    fn curves_start_at_zero_and_a_pooled_net_ignores_shifts() {
        // one bright pixel in the middle, a convolution without padding, a mean over places: shifts inside change nothing
        let graph = Graph::builder("n", [1, 16, 16])
            .layer("conv", Conv::new(2, 1))
            .layer("relu", Relu)
            .layer("gap", GlobalAvgPool)
            .layer("flatten", Flatten)
            .layer("fc", Dense::new(3))
            .build()
            .unwrap();
        let params = graph.init(Default::default(), 2);
        let input =
            Array4::from_shape_fn((1, 1, 16, 16), |(_, _, h, w)| f32::from(u8::from(h == 8 && w == 8)));
        let ask = Ask::new(&graph, &params, &input);
        let curves = study(&ask, &[1, 3], Transform::Translation).unwrap();
        let zero = curves.parameters.iter().position(|&t| t == 0.0).unwrap();
        assert_eq!((curves.distance[0][0][zero], curves.distance[1][0][zero]), (0.0, 0.0));
        for (i, &t) in curves.parameters.iter().enumerate() {
            assert_eq!(t == 0.0, curves.distance[0][0][i] == 0.0);
            assert!(curves.distance[1][0][i] < 1e-6 * curves.norm[1][0].max(1.0));
            assert!((curves.probability[0][i] - curves.probability[0][zero]).abs() < 1e-6);
        }
        assert_eq!(study(&ask, &[2], Transform::Scale).unwrap().distance[0][0][0], 0.0);
        assert_eq!(study(&ask, &[2], Transform::Rotation).unwrap().distance[0][0][0], 0.0);
    }
}
