//! Images as colours, and heat over images.
//!
//! `out = image (1 - a m) + heat a m`, with m the strength of the map in [0, 1] and a = 0.6 by default: where the map
//! is 0 the image is untouched, and nothing is rescaled afterwards, so brightness is comparable between pictures.
//! For a signed map m is the distance from zero. In sRGB, rounded by `floor(255 v + 0.5)`.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3};

use crate::color::{Family, Rgb, channel};
use crate::error::{Error, Result};
use crate::scale::{Range, Style};

/// The usual strength of the heat.
pub const ALPHA: f32 = 0.6;

/// An input as the net sees it, [C, H, W], taken back to [0, 1]: `x std + mean` per channel, clipped.
///
/// # Errors
/// As many means and deviations as channels, or one for all, or none.
pub fn denormalise(x: ArrayView3<'_, f32>, mean: &[f32], std: &[f32]) -> Result<Array3<f32>> {
    let channels = x.dim().0;
    for (name, values) in [("mean", mean), ("std", std)] {
        if ![0, 1, channels].contains(&values.len()) {
            let problem = format!("{} values of {name} for {channels} channels", values.len());
            return Err(Error::shape("image", problem, "give one for each channel"));
        }
    }
    let pick =
        |values: &[f32], c: usize, none: f32| values.get(c).or(values.first()).copied().unwrap_or(none);
    Ok(Array3::from_shape_fn(x.dim(), |(c, i, j)| {
        (x[[c, i, j]] * pick(std, c, 1.0) + pick(mean, c, 0.0)).clamp(0.0, 1.0)
    }))
}

/// The colours of an image [1 or 3, H, W] with values in [0, 1]; NaN becomes 0.
///
/// # Errors
/// Another number of channels.
pub fn pixels(image: ArrayView3<'_, f32>) -> Result<Array2<Rgb>> {
    let (channels, h, w) = image.dim();
    if ![1, 3].contains(&channels) {
        let problem = format!("{channels} channels of {h}x{w}");
        return Err(Error::shape("image", problem, "give 1 channel (grey) or 3 (red, green, blue)"));
    }
    let value = |c: usize, i: usize, j: usize| {
        let v = image[[c.min(channels - 1), i, j]];
        channel(if v.is_nan() { 0.0 } else { v.into() })
    };
    Ok(Array2::from_shape_fn((h, w), |(i, j)| [value(0, i, j), value(1, i, j), value(2, i, j)]))
}

/// A map [H, W] over an image of the same size; cells that are NaN leave the image as it is.
///
/// # Errors
/// Sizes that differ.
pub fn overlay(
    image: ArrayView2<'_, Rgb>,
    map: ArrayView2<'_, f32>,
    style: &Style,
    range: &Range,
    alpha: f32,
) -> Result<Array2<Rgb>> {
    if image.dim() != map.dim() {
        let ((h, w), (mh, mw)) = (image.dim(), map.dim());
        let problem = format!("a map of {mh}x{mw} over an image of {h}x{w}");
        return Err(Error::shape("overlay", problem, "resize the map to the image first"));
    }
    Ok(Array2::from_shape_fn(image.dim(), |at| {
        let Some(t) = range.unit(map[at]) else { return image[at] };
        let strength = if style.map.family == Family::Diverging { (2.0 * t - 1.0).abs() } else { t };
        let share = f64::from(alpha * strength);
        let heat = style.map.at(t);
        std::array::from_fn(|c| {
            let (under, over) = (f64::from(image[at][c]), f64::from(heat[c]));
            (under * (1.0 - share) + over * share + 0.5).floor().clamp(0.0, 255.0) as u8
        })
    }))
}

#[cfg(test)]
mod tests {
    use ndarray::{arr2, array};

    use super::*;
    use crate::color::{self, VIRIDIS};
    use crate::scale::Mode;

    #[test]
    fn the_formula_holds_and_zero_leaves_the_image() {
        let image = arr2(&[[[100u8, 150, 200]; 3]]);
        let map = array![[0.0f32, 0.5, 1.0]];
        let style = Style { map: &VIRIDIS, mode: Mode::FromZero };
        let out = overlay(image.view(), map.view(), &style, &Range::of(&map, style.mode), ALPHA).unwrap();
        assert_eq!(out[[0, 0]], [100, 150, 200]);
        for (j, m) in [(1, 0.5), (2, 1.0)] {
            let heat = VIRIDIS.at(m as f32);
            for c in 0..3 {
                let want = f64::from(image[[0, j]][c]) * (1.0 - 0.6 * m) + f64::from(heat[c]) * 0.6 * m;
                assert!((f64::from(out[[0, j]][c]) - want).abs() <= 0.51, "{j} {c}");
            }
        }
    }

    #[test]
    fn signed_maps_fade_at_zero_and_flat_or_nan_maps_change_nothing() {
        let image = arr2(&[[[9u8; 3]; 3]]);
        let style = Style::signed();
        let map = array![[-2.0f32, 0.0, 2.0]];
        let out = overlay(image.view(), map.view(), &style, &Range::of(&map, style.mode), 1.0).unwrap();
        assert_eq!(out, arr2(&[[[0, 0, 255], [9, 9, 9], [255, 0, 0]]]));
        for value in [0.0, f32::NAN] {
            let map = array![[value, value, value]];
            let out = overlay(image.view(), map.view(), &style, &Range::of(&map, style.mode), 1.0).unwrap();
            assert_eq!(out, image);
        }
        assert!(
            overlay(image.view(), array![[1.0f32]].view(), &style, &Range::of(&[], style.mode), 1.0).is_err()
        );
    }

    #[test]
    fn inputs_return_to_pixels() {
        let x = array![[[-0.4242f32, 2.8215]]];
        let image = denormalise(x.view(), &[0.1307], &[0.3081]).unwrap();
        assert_eq!(pixels(image.view()).unwrap(), arr2(&[[color::BLACK, color::WHITE]]));
        assert!(denormalise(x.view(), &[0.1, 0.2], &[1.0]).is_err());
        assert!(pixels(Array3::zeros((2, 1, 1)).view()).is_err());
        let rgb = array![[[1.0f32]], [[0.5]], [[f32::NAN]]];
        assert_eq!(pixels(rgb.view()).unwrap(), arr2(&[[[255, 128, 0]]]));
    }
}
