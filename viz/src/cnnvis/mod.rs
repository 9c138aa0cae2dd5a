//! CNNVis: a net as a graph of clusters of units, each shown by what excites it and by what it says of each class.
//!
//! A unit (a channel of maps, or a number of a vector) is described by its profile: its mean activation on the images of
//! each class, a map counting as its mean or its largest value. Layers are drawn in groups ([`groups`]), the units of a
//! group's last activation in clusters of similar profiles ([`tree`]); the edges between clusters are the weights that
//! lie between ([`links`]), or what went over them on the images ([`means`]), the strongest of them bundled where all of several clusters meet all of others
//! ([`bundles`]). A net with skips has links that pass columns by.
//!
//! Reference: Liu et al. 2017, Towards Better Analysis of Deep Convolutional Neural Networks (arXiv 1604.07043). The
//! formulas are chosen here, so that the same net gives the same drawing, in whatever order its units are numbered.

pub mod arrange;
pub mod bundles;
mod contributions;
pub mod draw;
mod groups;
mod lines;
mod links;
mod profiles;
pub mod tree;

pub use contributions::{Means, means};
pub use groups::{Group, groups};
pub use links::{Link, Strength, links};
pub use profiles::{Pooling, Profiles, profiles};

use crate::error::Result;
use crate::set::ImageSet;
use arrange::{Edge, arrange};
use bundles::{Kept, bundle};
use glassbox_engine::{Graph, Params};
use ndarray::{Array1, Array2, Axis};
use tree::{Tree, tree};

/// How a net is summed up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Most clusters of a layer, from 1 to [`bundles::MOST`]; never more than the root of its units, rounded up.
    pub clusters: usize,
    /// Share of the edges between two groups that is kept.
    pub share: f64,
    /// What the strength of an edge is.
    pub strength: Strength,
    /// What a map counts as.
    pub pooling: Pooling,
}

/// A layer that is drawn, for its group.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its slot.
    pub slot: usize,
    /// Its name.
    pub name: String,
    /// The layers that it stands for.
    pub group: Vec<String>,
    /// Its column: one more than the largest of those that it reads.
    pub column: usize,
    /// What its units say.
    pub profiles: Profiles,
    /// Whether its units are in the best order that the tree allows.
    pub optimal: bool,
    /// Its clusters, top to bottom; the dead one last.
    pub clusters: Vec<Cluster>,
}

/// Units that say the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Its units, similar ones side by side.
    pub units: Vec<usize>,
    /// Whether they are zero for every class.
    pub dead: bool,
    /// Mean profile, one number a class.
    pub mean: Array1<f32>,
}

/// The edges between two layers.
#[derive(Clone, Debug)]
pub struct Edges {
    /// Which units, through what.
    pub link: Link,
    /// Mean strength over all pairs of members, [clusters of `to`, clusters of `from`].
    pub clusters: Array2<f32>,
    /// Those that are drawn.
    pub kept: Kept,
    /// Whether they pass a column by, or lie beside another way between the same two layers.
    pub skip: bool,
}

/// A net summed up.
#[derive(Clone, Debug)]
pub struct Overview {
    /// What is drawn, in execution order.
    pub layers: Vec<Layer>,
    /// How it hangs together.
    pub edges: Vec<Edges>,
    /// Images of each class that the profiles are means of.
    pub images: Vec<usize>,
}

/// Sums up a net over a set of images. `progress(done, total)` is told how far it has come.
///
/// # Errors
/// Images that the net does not take, labels beyond its classes, a layer that mixes channels in an unknown way.
pub fn overview(
    graph: &Graph,
    params: &Params<f32>,
    set: &dyn ImageSet,
    options: Options,
    progress: Option<&dyn Fn(usize, usize)>,
) -> Result<Overview> {
    let groups = groups(graph);
    let means = match options.strength {
        Strength::Data => Some(means(graph, params, set, progress)?),
        Strength::Sum | Strength::Absolute => None,
    };
    let links = links(graph, params, &groups, options.strength, means.as_ref())?;
    let slots: Vec<usize> = groups.iter().map(|g| g.slot).collect();
    let (profiles, images) = profiles(graph, params, set, &slots, options.pooling, progress)?;
    let last = groups.len() - 1;
    let mut columns: Vec<usize> = vec![0; groups.len()];
    for link in &links {
        columns[link.to] = columns[link.to].max(columns[link.from] + 1);
    }
    let mut layers: Vec<Layer> = Vec::new();
    for (i, (group, profiles)) in groups.into_iter().zip(profiles).enumerate() {
        let units = profiles.classes.nrows();
        // the outputs are the classes: each on its own, in their order
        let alone = i == last && units <= bundles::MOST;
        let most = options.clusters.min((units as f64).sqrt().ceil() as usize).max(1);
        let (clusters, optimal) = if alone {
            ((0..units).map(|k| Cluster::new(&profiles, vec![k], false)).collect(), true)
        } else {
            clustered(&profiles, most)
        };
        layers.push(Layer {
            slot: group.slot,
            name: graph.names()[group.slot].clone(),
            group: group.layers,
            column: columns[i],
            profiles,
            optimal,
            clusters,
        });
    }
    let mut edges: Vec<Edges> = links.into_iter().map(|link| between(&layers, link, options.share)).collect();
    sort(&mut layers, &mut edges, options.share);
    Ok(Overview { layers, edges, images })
}

impl Cluster {
    fn new(profiles: &Profiles, units: Vec<usize>, dead: bool) -> Self {
        let rows = profiles.classes.select(Axis(0), &units).mapv(f64::from);
        let mean = rows.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(profiles.classes.ncols()));
        Self { units, dead, mean: mean.mapv(|v| v as f32) }
    }

    /// The class that it says most of all.
    pub fn favourite(&self) -> usize {
        let larger = |best: usize, k: usize| if self.mean[k] > self.mean[best] { k } else { best };
        (0..self.mean.len()).fold(0, larger)
    }
}

/// Clusters in an order that does not depend on how units are numbered: by favourite class.
fn clustered(profiles: &Profiles, most: usize) -> (Vec<Cluster>, bool) {
    let Tree { clusters, dead, optimal } = tree(profiles.classes.view(), most);
    let mut out: Vec<Cluster> =
        clusters.into_iter().map(|units| Cluster::new(profiles, units, false)).collect();
    out.sort_by(|a, b| {
        let strength = |c: &Cluster| c.mean[c.favourite()];
        a.favourite().cmp(&b.favourite()).then(strength(b).total_cmp(&strength(a)))
    });
    if !dead.is_empty() {
        out.push(Cluster::new(profiles, dead, true));
    }
    (out, optimal)
}

fn between(layers: &[Layer], link: Link, share: f64) -> Edges {
    let (from, to) = (&layers[link.from], &layers[link.to]);
    let clusters = Array2::from_shape_fn((to.clusters.len(), from.clusters.len()), |(q, p)| {
        let (rows, columns) = (&to.clusters[q].units, &from.clusters[p].units);
        let sum: f64 = rows
            .iter()
            .flat_map(|&r| columns.iter().map(move |&c| [r, c]))
            .map(|at| f64::from(link.units[at]))
            .sum();
        (sum / (rows.len() * columns.len()) as f64) as f32
    });
    let kept = bundle(clusters.view(), share);
    Edges { skip: to.column > from.column + 1, link, clusters, kept }
}

/// Puts clusters into an order with few crossings, dead ones last, and edges with them.
fn sort(layers: &mut [Layer], edges: &mut [Edges], share: f64) {
    let live = |layer: &Layer| layer.clusters.iter().filter(|c| !c.dead).count();
    let sizes: Vec<usize> = layers.iter().map(live).collect();
    let fixed: Vec<bool> = (0..layers.len()).map(|l| l + 1 == layers.len()).collect();
    let mut lines = Vec::new();
    for e in edges.iter() {
        let (from, to) = (e.link.from, e.link.to);
        let alive = e.kept.edges.iter().filter(|(p, q)| *p < sizes[from] && *q < sizes[to]);
        lines.extend(alive.map(|&(p, q)| {
            let weight = f64::from(e.clusters[[q, p]].abs());
            Edge { from: (from, p), to: (to, q), weight }
        }));
    }
    for (layer, order) in layers.iter_mut().zip(arrange(&sizes, &fixed, &lines)) {
        let dead = order.len()..layer.clusters.len();
        layer.clusters = order.into_iter().chain(dead).map(|c| layer.clusters[c].clone()).collect();
    }
    for e in edges.iter_mut() {
        *e = between(layers, e.link.clone(), share);
    }
}

#[cfg(test)]
mod tests;
