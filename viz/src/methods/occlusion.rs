//! occlusion: how much the class loses when a window of the image is covered.
//!
//! A window of `window` x `window` pixels (5; at most the image), over all channels, slides by `stride` (2) and is
//! replaced by `baseline`; the last windows are cut at the border, so every pixel is covered. Each window's loss is
//! `S_c(x) - S_c(covered)`, and a pixel receives the mean over the windows that cover it: [N, C, H, W], the same in
//! every channel, signed.
//!
//! Reference: Zeiler and Fergus 2014 (arXiv 1311.2901), section 4.2, who show the class probability itself
//! (`score=probability` gives its loss).
//!
//! Facts: the window whose loss is largest, covered once more. Limits: a covered image is unlike any image that the net was trained on; things larger than the window stay
//! visible. Zero in normalised images is the mean colour. Cost: one forward pass per window.

use super::answer::{Answer, Facts};
use super::baseline::{BASELINE, Baseline};
use super::pass::{Pass, each_variant, once_more, standard, value};
use super::residual::repeated;
use super::score::{SCORE, Score};
use super::{Aim, Ask, Error, Key, Method, Result, Settings, Space};
use glassbox_engine::Real;
use glassbox_engine::graph::Keep;
use ndarray::Array4;
use std::ops::Range;

pub(super) static METHOD: Method = Method {
    name: "occlusion",
    summary: "what the class loses when a window is covered",
    keys: &[
        Key { name: "window", default: "5", help: "rows and columns that are covered at once" },
        Key { name: "stride", default: "2", help: "step between windows, at most the window" },
        BASELINE,
        SCORE,
    ],
    space: Space::Input,
    aim: Aim::Class,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("occlusion.rs"),
};

/// Starts and ends of windows along one axis; the last one is cut at the border.
fn windows(len: usize, window: usize, stride: usize) -> Vec<Range<usize>> {
    let count = len.saturating_sub(window).div_ceil(stride) + 1;
    (0..count).map(|i| i * stride..(i * stride + window).min(len)).collect()
}

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let (window, stride) = (settings.count("window", 1)?, settings.count("stride", 1)?);
    let shape = ask.graph.input();
    if window > shape.h.min(shape.w) {
        let problem = format!("window={window} does not fit images of {}x{}", shape.h, shape.w);
        return Err(Error::request(problem, format!("use at most {}", shape.h.min(shape.w))));
    }
    if stride > window {
        let problem =
            format!("stride={stride} is more than window={window}: pixels between would stay uncovered");
        return Err(Error::request(problem, format!("use a stride of at most {window}")));
    }
    let (baseline, score) = (Baseline::of(settings, ask.graph)?, Score::of(settings)?);
    let (rows, columns) = (windows(shape.h, window, stride), windows(shape.w, window, stride));
    let images = standard(ask.input);
    let mut bases = vec![R::zero(); images.len()];
    for (image, base) in images.chunks_exact(ask.size()).zip(bases.chunks_exact_mut(ask.size())) {
        baseline.write(ask.graph, image, base);
    }
    let cover = |sample: usize, variant: usize, image: &mut [R]| {
        // variant 0 is the image itself
        let Some(at) = variant.checked_sub(1) else { return };
        let (rows, columns) = (&rows[at / columns.len()], &columns[at % columns.len()]);
        let base = &bases[sample * image.len()..][..image.len()];
        for line in (0..shape.c).flat_map(|c| rows.clone().map(move |y| (c * shape.h + y) * shape.w)) {
            let place = line + columns.start..line + columns.end;
            image[place.clone()].copy_from_slice(&base[place]);
        }
    };
    let variants = rows.len() * columns.len() + 1;
    let mut pass = Pass::new(ask, ask.samples() * variants, Keep::Nothing);
    let plane = shape.plane();
    let (mut sums, mut covered) = (vec![0.0; ask.samples() * plane], vec![0.0; plane]);
    let mut facts: Vec<Facts> = Vec::new();
    let mut whole = 0.0;
    // per sample, the window whose loss is largest: variant, score, loss
    let mut largest = vec![(0, 0.0, 0.0f64); ask.samples()];
    each_variant(ask, &mut pass, variants, cover, |pass, batch| {
        let logits = pass.logits()?;
        for (i, &(sample, variant)) in batch.iter().enumerate() {
            let Some(at) = variant.checked_sub(1) else {
                let class = ask.class(sample, logits, i);
                whole = score.value(logits, i, class);
                let logit = value(logits, i, class).wide();
                facts.push(Facts { class: Some(class), score: Some(logit), ..Facts::default() });
                continue;
            };
            let here = score.value(logits, i, facts[sample].class.unwrap_or(0));
            let loss = whole - here;
            if loss.abs() > largest[sample].2.abs() {
                largest[sample] = (variant, here, loss);
            }
            let sums = &mut sums[sample * plane..][..plane];
            for y in rows[at / columns.len()].clone() {
                for x in columns[at % columns.len()].clone() {
                    sums[y * shape.w + x] += loss;
                    covered[y * shape.w + x] += if sample == 0 { 1.0 } else { 0.0 };
                }
            }
        }
        Ok(())
    })?;
    let again = once_more(
        ask,
        Keep::Nothing,
        |sample, image| cover(sample, largest[sample].0, image),
        |pass, i, sample| Ok(score.value(pass.logits()?, i, facts[sample].class.unwrap_or(0))),
    )?;
    for ((facts, again), (variant, before, loss)) in facts.iter_mut().zip(again).zip(largest) {
        facts.residual = (variant > 0).then(|| repeated(before, again, loss.abs()));
        facts.unchecked = (variant == 0).then_some("no window changes the score, so there is none to repeat");
    }
    let map = Array4::from_shape_fn(ask.input.dim(), |(n, _, y, x)| {
        let at = y * shape.w + x;
        R::of(sums[n * plane + at] / covered[at])
    });
    Ok(Answer::new(map.into_dyn(), facts, |_| "covering any window leaves the score as it is".into())
        .note(format!("{} windows of {window}x{window}, step {stride}", variants - 1)))
}

#[cfg(test)]
mod tests {
    use super::windows;

    #[test]
    fn windows_reach_the_border() {
        assert_eq!(windows(7, 3, 2), [0..3, 2..5, 4..7]);
        assert_eq!(windows(8, 3, 2), [0..3, 2..5, 4..7, 6..8]);
        assert_eq!(windows(3, 3, 1).as_slice(), std::slice::from_ref(&(0..3)));
    }
}
