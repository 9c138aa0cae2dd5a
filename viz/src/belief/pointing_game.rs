//! pointing-game: whether the map's largest value lies on the thing.
//!
//! 1 if the largest value, channels summed, or any of several equal ones, lies inside the image's box, else 0; the
//! mean over images is the share of hits. `chance` beside it is the box's share of the image, which is what a random
//! map hits. `energy` is the share of the map's positive values that lies inside. `margin` pixels around the box still
//! count as a hit.
//!
//! Reference: Zhang, Lin, Brandt, Shen, Sclaroff 2016 (arXiv 1608.00507), section 4.2, who allow 15 pixels on large
//! photographs; the energy version: Wang et al. 2020 (arXiv 1910.01279).
//!
//! Limits: needs boxes; says only where, not why, and a net that uses the background is right to point there. A map
//! that is the same everywhere points nowhere and gets no score.

use super::{Better, Case, Measure, Score};
use crate::error::Result;
use crate::methods::{Key, Settings};

pub(super) static MEASURE: Measure = Measure {
    name: "pointing-game",
    summary: "whether the map's largest value lies inside the thing's box",
    better: Better::High,
    keys: &[Key { name: "margin", default: "0", help: "pixels around the box that still count as a hit" }],
    run,
    source: include_str!("pointing_game.rs"),
};

fn run(case: &Case<'_>, settings: &Settings) -> Result<Vec<Score>> {
    let margin = settings.count("margin", 0)?;
    let Some(boxes) = case.boxes else {
        let score = Score::none("nobody has said where the thing is: give boxes");
        return Ok(vec![score; case.samples()]);
    };
    let shape = case.ask.graph.input();
    let scores = boxes.iter().enumerate().map(|(n, [rows, columns])| {
        let pixels = case.pixels(n);
        let top = pixels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if pixels.iter().all(|&v| v == top) {
            return Score::none("the map is the same everywhere, so it points nowhere");
        }
        let inside = |at: usize, margin: usize| {
            let (y, x) = (at / shape.w, at % shape.w);
            let within = |r: &std::ops::Range<usize>, v: usize| v + margin >= r.start && v < r.end + margin;
            within(rows, y) && within(columns, x)
        };
        let places = |margin: usize| (0..pixels.len()).filter(move |&at| inside(at, margin));
        let hit = places(margin).any(|at| pixels[at] == top);
        let positive = |at: usize| pixels[at].max(0.0);
        let all: f64 = (0..pixels.len()).map(positive).sum();
        let chance = places(margin).count() as f64 / pixels.len() as f64;
        let score = Score::of(f64::from(u8::from(hit))).with("chance", chance);
        if all > 0.0 { score.with("energy", places(0).map(positive).sum::<f64>() / all) } else { score }
    });
    Ok(scores.collect())
}
