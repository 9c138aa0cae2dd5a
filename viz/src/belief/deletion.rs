//! deletion: how soon the class is gone when pixels are taken away, most important first.
//!
//! Pixels are ordered by their share, channels summed, largest first, and replaced by the baseline (zero in the net's
//! own units), `step` (1 %) of all at a time, until none is left. The score is the area under the class's probability
//! over the share of pixels gone, by trapezoids: low if the map names early what the class hangs on. Pixels of the
//! same share go in random order (`ties=raster`: row by row, which favours the top of the image).
//!
//! Reference: Petsiuk, Das, Saenko 2018 (arXiv 1806.07421), section 3; the baseline is theirs.
//!
//! Limits: images with holes are unlike any that the net was trained on, so part of a quick fall is surprise, not
//! loss of evidence; compare with a random map. A probability near 1 hides much.

use super::curve::{SEED, STEP, TIES, Way, area};
use super::{Better, Measure};
use crate::methods::baseline::BASELINE;

pub(super) static MEASURE: Measure = Measure {
    name: "deletion",
    summary: "area under the class's probability while the most important pixels go",
    better: Better::Low,
    keys: &[STEP, BASELINE, TIES, SEED],
    run: |case, settings| area(case, settings, Way::Deletion),
    source: include_str!("deletion.rs"),
};
