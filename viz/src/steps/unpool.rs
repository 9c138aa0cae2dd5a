//! Unpooling, value by value: which pooled value goes to which cell, and what cells receive that several windows share.

use super::{Of, Workings};
use crate::error::{Error, Result};
use glassbox_engine::Shape;
use glassbox_engine::layers::{Overlap, unpool};
use glassbox_engine::rules::RoleKind;
use glassbox_engine::{Blocked, Real};
use ndarray::Array2;

/// One pooled value and where it is put.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// Row and column of the pooled value.
    pub window: [usize; 2],
    /// The value.
    pub value: f64,
    /// Row and column of the cell that its switch names.
    pub cell: [usize; 2],
}

/// One channel of a pool, turned back.
#[derive(Clone, Debug, PartialEq)]
pub struct Unpooling {
    /// The pool.
    pub pool: String,
    /// The layer below it, whose cells are filled.
    pub below: String,
    /// The channel.
    pub channel: usize,
    /// What is put back: "gradient of the loss" or "pooled values".
    pub what: String,
    /// Rows and columns of the pooled map.
    pub pooled: [usize; 2],
    /// Every pooled value, in row-major order.
    pub placed: Vec<Placed>,
    /// Sums of what each cell received, [H, W].
    pub plane: Array2<f64>,
    /// What the engine's own unpooling gives, [H, W].
    pub stored: Array2<f64>,
    /// What single precision may do to a cell.
    pub slack: f64,
}

impl Unpooling {
    /// Cells that several windows point at: (cell, the places among `placed`).
    pub fn shared(&self) -> Vec<([usize; 2], Vec<usize>)> {
        let mut out: Vec<([usize; 2], Vec<usize>)> = Vec::new();
        for (i, p) in self.placed.iter().enumerate() {
            match out.iter_mut().find(|(cell, _)| *cell == p.cell) {
                Some((_, from)) => from.push(i),
                None => out.push((p.cell, vec![i])),
            }
        }
        out.retain(|(_, from)| from.len() > 1);
        out
    }

    /// The largest difference between a cell's sum and the engine's.
    pub fn off(&self) -> f64 {
        (&self.plane - &self.stored).fold(0.0, |m: f64, d| m.max(d.abs()))
    }

    /// Whether all cells agree within rounding.
    pub fn agrees(&self) -> bool {
        self.off() <= self.slack
    }
}

impl Workings<'_> {
    /// What goes where when one channel of a max-pool is undone: of the gradient, or of the pooled values themselves
    /// (`values`), as DeconvNet does with what comes down to it.
    ///
    /// # Errors
    /// A layer that is no max-pool; a channel that is not there; a pool to which no gradient comes.
    pub fn unpooling(&self, layer: &str, channel: usize, values: bool) -> Result<Unpooling> {
        let slot = self.unit(layer, [channel, 0, 0])?;
        let pool = slot.checked_sub(1).map(|i| &self.graph.nodes()[i]);
        let Some(pool) = pool.filter(|n| super::links::role(&*n.layer) == RoleKind::Select) else {
            let pools =
                self.graph.nodes().iter().filter(|n| super::links::role(&*n.layer) == RoleKind::Select);
            let names: Vec<&str> = pools.map(|n| n.name.as_str()).collect();
            let cure = if names.is_empty() {
                "this net has none".into()
            } else {
                format!("its pools: {}", names.join(", "))
            };
            return Err(Error::request(format!("\"{layer}\" is no max-pool"), cure));
        };
        let below = pool.inputs[0];
        let signal = if values { Some(self.trace.slot(slot)?) } else { self.signals.slot(slot) };
        let signal = signal.ok_or_else(|| {
            Error::request(
                format!("no gradient comes to \"{layer}\""),
                "ask for its values, or for a pool below the logits",
            )
        })?;
        let switches = self.trace.saved(layer, "switches")?.switches();
        let Shape { h, w, .. } = self.graph.shape(below);
        let mut placed = Vec::new();
        let mut plane = Array2::zeros((h, w));
        let (map, switch) = (signal.image(0), switches.image(0));
        for ((y, x), &value) in map.index_axis(ndarray::Axis(0), channel).indexed_iter() {
            let (value, at) = (f64::from(value), switch[[channel, y, x]] as usize);
            let cell = [at / w, at % w];
            plane[cell] += value;
            placed.push(Placed { window: [y, x], value, cell });
        }
        let mut out = Blocked::zeros(self.graph.shape(below), 1, 1);
        unpool(signal.view(), switches, Overlap::Sum, &mut out);
        let stored = out.image(0).index_axis(ndarray::Axis(0), channel).mapv(Real::wide);
        let largest = placed.iter().map(|p| p.value.abs()).fold(0.0, f64::max);
        let what = match self.of {
            _ if values => "pooled values",
            Of::Loss(_) => "gradient of the loss",
            Of::Score(_) => "gradient of the score",
        };
        Ok(Unpooling {
            pool: layer.into(),
            below: self.name(below).into(),
            channel,
            what: what.into(),
            pooled: [map.dim().1, map.dim().2],
            placed,
            plane,
            stored,
            slack: super::rounding(16) * largest,
        })
    }
}
