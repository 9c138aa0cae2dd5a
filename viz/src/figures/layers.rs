//! Which layers and channels a figure shows, where there are too many to show all.

use super::Scene;
use crate::error::{Error, Result};
use crate::methods::{Key, Settings};
use glassbox_engine::Graph;

/// The option of figures that show channels.
pub(super) const CHANNELS: Key = Key {
    name: "channels",
    default: "12",
    help: "channels shown: a number N for the N that are excited most, a list as in 0,3,5, (7,) for one, or all",
};

/// The channels that were asked for.
pub(super) enum Channels {
    All,
    Strongest(usize),
    These(Vec<usize>),
}

impl Channels {
    pub fn of(settings: &Settings) -> Result<Self> {
        let text = settings.text("channels");
        if text == "all" {
            return Ok(Self::All);
        }
        let numbers: Option<Vec<usize>> =
            text.split(',').filter(|n| !n.trim().is_empty()).map(|n| n.trim().parse().ok()).collect();
        match numbers {
            Some(list) if text.contains(',') && !list.is_empty() => Ok(Self::These(list)),
            Some(list) if matches!(list[..], [1..=usize::MAX]) => Ok(Self::Strongest(list[0])),
            _ => settings.wrong("channels", "a number of channels, a list as in 0,3,5, or all"),
        }
    }

    /// Errors: a channel that a slot does not have.
    pub fn check(&self, graph: &Graph, slot: usize) -> Result<()> {
        let (Self::These(list), shape) = (self, graph.shape(slot)) else { return Ok(()) };
        match list.iter().find(|&&k| k >= shape.c) {
            None => Ok(()),
            Some(k) => Err(Error::request(
                format!("layer \"{}\" has no channel {k}: its output is {shape}", graph.names()[slot]),
                format!("channels go from 0 to {}; --layer chooses one layer", shape.c - 1),
            )),
        }
    }

    /// The channels to show, given how strongly each was excited; those that never were come last and are dropped
    /// where only the strongest are asked for.
    pub fn pick(&self, strength: &[f32]) -> Vec<usize> {
        match self {
            Self::All => (0..strength.len()).collect(),
            Self::These(list) => list.clone(),
            Self::Strongest(count) => {
                let mut order: Vec<usize> = (0..strength.len()).collect();
                order.sort_by(|&a, &b| strength[b].total_cmp(&strength[a]).then(a.cmp(&b)));
                order.truncate(*count);
                order
            }
        }
    }
}

/// Kinds that decide what a unit says: pictures of units start behind them.
const RECTIFIERS: [&str; 10] =
    ["elu", "gelu", "leaky_relu", "relu", "selu", "sigmoid", "silu", "softplus", "softsign", "tanh"];

/// The layer that was asked for; else every rectified layer of maps; else, in nets without any, every convolution.
pub(super) fn of_maps(scene: &Scene<'_>) -> Vec<usize> {
    let graph = scene.graph;
    let kind = |slot: usize| graph.nodes()[slot - 1].layer.kind().name;
    let slots = 1..=graph.nodes().len();
    if scene.layer.is_some() {
        return slots.filter(|&slot| scene.wants(&graph.names()[slot])).collect();
    }
    let of = |kinds: &[&str]| -> Vec<usize> {
        slots.clone().filter(|&slot| graph.shape(slot).plane() > 1 && kinds.contains(&kind(slot))).collect()
    };
    let rectified = of(&RECTIFIERS);
    if rectified.is_empty() { of(&["conv", "conv_transpose"]) } else { rectified }
}

/// Rectified layers, of maps or vectors, below the logits; every layer below them where none is rectified.
pub(super) fn rectified(scene: &Scene<'_>) -> Vec<usize> {
    let graph = scene.graph;
    let below = 1..graph.logits();
    let is = |slot: &usize| RECTIFIERS.contains(&graph.nodes()[slot - 1].layer.kind().name);
    let found: Vec<usize> = below.clone().filter(is).collect();
    if found.is_empty() { below.collect() } else { found }
}

/// The layer that was asked for; else the first and the last rectified one.
pub(super) fn lower_and_upper(scene: &Scene<'_>) -> Vec<usize> {
    if scene.layer.is_some() {
        return of_maps(scene);
    }
    let all = rectified(scene);
    let mut ends: Vec<usize> = all.first().into_iter().chain(all.last()).copied().collect();
    ends.dedup();
    ends
}

/// The layer that was asked for; else the last rectified one of maps. Errors: a net without maps, a layer without them.
pub(super) fn last_of_maps(scene: &Scene<'_>) -> Result<usize> {
    let found = of_maps(scene).last().copied();
    match found {
        Some(slot) if !scene.graph.shape(slot).flat => Ok(slot),
        Some(slot) => Err(Error::request(
            format!("layer \"{}\" is a vector: it has no maps", scene.graph.names()[slot]),
            "name a layer of maps with --layer",
        )),
        None => Err(Error::request(
            format!("model \"{}\" has no layer of maps", scene.graph.name()),
            "name a net with convolutions",
        )),
    }
}
