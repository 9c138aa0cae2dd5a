//! insertion: how soon the class is there when pixels come back, most important first.
//!
//! Starts from the baseline (the image, blurred by a Gaussian of a tenth of its shorter side) and puts the image's own
//! pixels back, largest share first, `step` (1 %) of all at a time. The score is the area under the class's
//! probability over the share of pixels back, by trapezoids: high if the map names early what makes the class. Pixels
//! of the same share come in random order (`ties=raster`: row by row).
//!
//! Reference: Petsiuk, Das, Saenko 2018 (arXiv 1806.07421), section 3; they blur by a fixed kernel of 11 pixels at 224.
//!
//! Limits: a blurred image may still tell the class, and then there is little to gain; compare with a random map.

use super::curve::{SEED, STEP, TIES, Way, area};
use super::{Better, Measure};
use crate::methods::Key;
use crate::methods::baseline::BASELINE;

pub(super) static MEASURE: Measure = Measure {
    name: "insertion",
    summary: "area under the class's probability while the most important pixels come back",
    better: Better::High,
    keys: &[STEP, Key { default: "blur", ..BASELINE }, TIES, SEED],
    run: |case, settings| area(case, settings, Way::Insertion),
    source: include_str!("insertion.rs"),
};
