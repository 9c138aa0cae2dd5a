//! eigen-cam: what a layer's channels say together, whatever the class.
//!
//! The maps of a layer as a matrix A, places by channels; `L = A v` with v its first right singular vector, [N, h,
//! w] at the layer's own size, signed. Channels are not centred, as in the paper; `center=true` does. A singular
//! vector has no sign of its own: the map is turned so that it adds up to at least zero.
//!
//! Reference: Muhammad and Yeasin 2020 (arXiv 2008.00299). Power iteration in double precision from the sum of all
//! places.
//!
//! Layer: as in grad-cam. Facts: the share of the layer's energy that the map leaves out. Limits: does not know the
//! class: it shows what the layer sees most of, be it the background.

use super::answer::{Answer, Facts, Residual};
use super::cams::{Maps, SIGNED, site};
use super::pass::{Pass, each_sample, values};
use super::{Aim, Ask, Key, Method, Result, Settings, Space};
use glassbox_engine::Real;
use glassbox_engine::graph::Keep;

pub(super) static METHOD: Method = Method {
    name: "eigen-cam",
    summary: "the first principal pattern of a layer's maps, whatever the class",
    keys: &[SIGNED, Key { name: "center", default: "false", help: "take each channel's mean out first" }],
    space: Space::Layer,
    aim: Aim::Layer,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("eigen_cam.rs"),
};

const MEANING: &str = "the sum of squares of the layer minus that of the map: what one pattern cannot say";

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let (relu, center) = (settings.flag("relu")?, settings.flag("center")?);
    let site = site(ask)?;
    let plane = site.shape.plane();
    let mut pass = Pass::new(ask, ask.samples(), Keep::Everything);
    let mut out = Maps::new(ask, &site);
    each_sample(ask, &mut pass, |pass, batch| {
        for i in 0..batch.len() {
            let mut maps: Vec<f64> = values(pass.at(site.slot)?, i).map(|v| v.wide()).collect();
            if center {
                for channel in maps.chunks_exact_mut(plane) {
                    let mean = channel.iter().sum::<f64>() / plane as f64;
                    channel.iter_mut().for_each(|v| *v -= mean);
                }
            }
            let map = first_pattern(&maps, plane);
            let energy: f64 = maps.iter().map(|v| v * v).sum();
            let value = energy - map.iter().map(|v| v * v).sum::<f64>();
            let residual = Residual { name: "energy left out", value, scale: energy, meaning: MEANING };
            let facts = Facts {
                residual: Some(residual),
                reason: (energy == 0.0).then(|| "no channel of the layer fired".into()),
                ..Facts::default()
            };
            out.push(map.into_iter().map(R::of).collect(), facts, relu);
        }
        Ok(())
    })?;
    out.finish(ask)
}

/// A v for channel-major maps [C, places], v the first right singular vector of A = maps^T.
fn first_pattern(maps: &[f64], plane: usize) -> Vec<f64> {
    let channels = || maps.chunks_exact(plane);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let count = maps.len() / plane;
    let gram: Vec<f64> = channels().flat_map(|a| channels().map(move |b| dot(a, b))).collect();
    let unit = |mut v: Vec<f64>| {
        let norm = dot(&v, &v).sqrt();
        if norm > 0.0 {
            v.iter_mut().for_each(|v| *v /= norm);
        }
        v
    };
    let mut v = unit(channels().map(|c| c.iter().sum()).collect());
    if dot(&v, &v) == 0.0 {
        // centred channels: start at the one with the most energy
        let largest = super::pass::strongest((0..count).map(|k| gram[k * count + k]));
        v = (0..count).map(|k| if k == largest { 1.0 } else { 0.0 }).collect();
    }
    for _ in 0..2000 {
        let next = unit(gram.chunks_exact(count).map(|row| dot(row, &v)).collect());
        let moved = next.iter().zip(&v).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        v = next;
        if moved < 1e-14 {
            break;
        }
    }
    let mut map = vec![0.0; plane];
    for (channel, weight) in channels().zip(&v) {
        map.iter_mut().zip(channel).for_each(|(map, a)| *map += weight * a);
    }
    // centred maps add up to nothing but rounding: then the larger side is up
    let (sum, size) = map.iter().fold((0.0, 0.0), |(sum, size), v: &f64| (sum + v, size + v.abs()));
    let (low, high) = super::answer::range(map.iter().copied());
    let down = if sum.abs() > 1e-9 * size { sum < 0.0 } else { -low > high };
    if down {
        map.iter_mut().for_each(|v| *v = -*v);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::first_pattern;

    #[test]
    fn a_matrix_of_rank_one_is_found_whole_and_upright() {
        let places = [1.0, 2.0, 0.0, -0.5];
        let maps: Vec<f64> = [3.0, -1.0, 2.0].iter().flat_map(|k| places.map(|p| -k * p)).collect();
        let map = first_pattern(&maps, 4);
        let norm = 14f64.sqrt();
        for (got, want) in map.iter().zip(places) {
            assert!((got - norm * want).abs() < 1e-12, "{map:?}");
        }
        assert!(first_pattern(&[0.0; 12], 4).iter().all(|&v| v == 0.0));
    }
}
