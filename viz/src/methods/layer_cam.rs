//! layer-cam: a layer's maps, each place weighted by its own positive gradient.
//!
//! `L = max(0, sum_k max(0, g_k) * A_k)` with g = dS_c/dA, place by place, [N, h, w] at the layer's own size. Works
//! at shallow layers, where one weight per channel says little.
//!
//! With `fuse=relu1,relu2` the maps of those layers join: each map is cut at zero and divided by its largest value, the
//! shallow ones listed are strengthened, `tanh(gamma M)` with `gamma` = 2, all are enlarged to the finest (half-pixel
//! bilinear), and the larger value wins, place by place.
//!
//! Reference: Jiang, Zhang, Hou, Cheng, Wei 2021 (IEEE Transactions on Image Processing 30, LayerCAM).
//!
//! Layer: as in grad-cam. Facts: the bias identity of the gradients. Limits: what speaks against the class is left out; equals hires-cam where no gradient is
//! negative.

use super::answer::Answer;
use super::cams::{RELU, by_gradient, enlarge};
use super::score::Score;
use super::{Aim, Ask, Error, Key, Method, Result, Settings, Space};
use glassbox_engine::Real;
use ndarray::{Array3, Ix3};

pub(super) static METHOD: Method = Method {
    name: "layer-cam",
    summary: "a layer's maps weighted place by place by positive gradients",
    keys: &[
        RELU,
        Key {
            name: "fuse",
            default: "none",
            help: "shallower layers, by commas, whose strengthened maps join by the larger value",
        },
        Key { name: "gamma", default: "2", help: "strength of the joining maps: tanh(gamma M)" },
    ],
    space: Space::Layer,
    aim: Aim::Layer,
    run: run::<f32>,
    run64: run::<f64>,
    source: include_str!("layer_cam.rs"),
};

fn run<R: Real>(ask: &Ask<'_, R>, settings: &Settings) -> Result<Answer<R>> {
    let (relu, gamma) = (settings.flag("relu")?, settings.number("gamma", 1e-6..=1e6)?);
    match settings.text("fuse") {
        "none" => one(ask, relu),
        _ if !relu => {
            Err(Error::request("fuse joins maps that are cut at zero", "leave out relu=false, or fuse"))
        }
        layers => fused(ask, &layers.split(',').map(str::trim).collect::<Vec<_>>(), R::of(gamma)),
    }
}

fn one<R: Real>(ask: &Ask<'_, R>, relu: bool) -> Result<Answer<R>> {
    by_gradient(ask, Score::Logit, relu, |mut channel| {
        let nothing = vec![R::zero(); channel.lanes];
        channel.add(&nothing, |a, g, zero| a * g.max(zero));
    })
}

/// The map of the question's own layer, joined by those of others.
fn fused<R: Real>(ask: &Ask<'_, R>, others: &[&str], gamma: R) -> Result<Answer<R>> {
    let own = one(&Ask { upsample: false, ..ask.clone() }, true)?;
    let mut notes = own.notes.clone();
    let mut maps = vec![scaled(&own, |m| m)];
    for &layer in others {
        let other = one(&Ask { layer: Some(layer), upsample: false, progress: None, ..ask.clone() }, true)?;
        maps.push(scaled(&other, |m| (gamma * m).tanh()));
        notes.push(format!("joined by layer {layer}"));
    }
    let finest = maps.iter().map(|m| (m.dim().1, m.dim().2)).max_by_key(|(h, w)| h * w);
    let input = ask.graph.input();
    let (h, w) = if ask.upsample { (input.h, input.w) } else { finest.unwrap_or((1, 1)) };
    notes.push(format!("joined at {h}x{w}, half-pixel bilinear"));
    let mut joined = Array3::zeros((ask.samples(), h, w));
    for map in &maps {
        joined.zip_mut_with(&enlarge(map, h, w)?, |j: &mut R, &m| *j = j.max(m));
    }
    let mut answer = Answer::new(joined.into_dyn(), own.facts, |_| {
        "no layer's map has a place that speaks for the class".into()
    });
    answer.notes = notes;
    Ok(answer)
}

/// Maps [N, h, w] over their largest values, changed by `f`; zeros stay zeros.
fn scaled<R: Real>(answer: &Answer<R>, f: impl Fn(R) -> R) -> Array3<R> {
    let mut maps: Array3<R> = answer
        .map
        .clone()
        .into_dimensionality::<Ix3>()
        .unwrap_or_else(|e| unreachable!("maps [N, h, w]: {e}"));
    for mut map in maps.outer_iter_mut() {
        let top = map.iter().fold(R::zero(), |top, &v| top.max(v));
        if top > R::zero() {
            map.mapv_inplace(|v| f(v / top));
        }
    }
    maps
}
