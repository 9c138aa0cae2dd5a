//! What class activation maps share: the choice of a layer, activations and gradients at it, and the way to a map.

use super::answer::{Answer, Facts};
use super::pass::{Pass, each_sample, value, values};
use super::residual::{adjointness, of_gradients};
use super::score::Score;
use super::{Ask, Error, Key, Result};
use crate::resize::{Resize, resize};
use glassbox_engine::graph::Keep;
use glassbox_engine::kernels::par;
use glassbox_engine::rules::RoleKind;
use glassbox_engine::{Blocked, Graph, Real, RuleSet, Shape, View};
use ndarray::{Array2, Array3};

/// The option of maps that are cut by default.
pub(super) const RELU: Key =
    Key { name: "relu", default: "true", help: "cut negative values; false keeps the signed map" };

/// The option of maps that are signed by default.
pub(super) const SIGNED: Key =
    Key { name: "relu", default: "false", help: "keep the signed map; true cuts negative values" };

/// A layer that a map is made at.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub slot: usize,
    pub shape: Shape,
    pub notes: Vec<String>,
}

/// The fewest cells at which a default layer still tells where.
const CELLS: usize = 16;

/// The layer that is asked for, or the last rectified one that still has some resolution. Errors: an unknown layer;
/// one without maps; a net without maps.
pub(super) fn site<R: Real>(ask: &Ask<'_, R>) -> Result<Site> {
    let graph = ask.graph;
    let known = maps(graph).iter().map(|&s| graph.names()[s].as_str()).collect::<Vec<_>>().join(", ");
    let slot = match ask.layer {
        Some(name) => graph.slot(name)?,
        None => default_slot::<R>(graph).ok_or_else(|| {
            Error::request(
                format!("model \"{}\" has no layer with maps", graph.name()),
                "use a method that works at the input",
            )
        })?,
    };
    let (shape, name) = (graph.shape(slot), &graph.names()[slot]);
    if shape.flat {
        return Err(Error::request(
            format!("layer \"{name}\" is a vector of {}: it has no places to map", shape.c),
            format!("use one of {known}"),
        ));
    }
    if slot > graph.logits() {
        return Err(Error::request(
            format!("layer \"{name}\" comes after the logits"),
            format!("use one of {known}"),
        ));
    }
    let mut notes = vec![format!("made at layer {name} ({shape})")];
    if shape.plane() == 1 {
        notes.push(format!("layer {name} has a single place: the map cannot say where"));
    }
    Ok(Site { slot, shape, notes })
}

/// Slots with maps that the logits depend on, the input left out.
fn maps(graph: &Graph) -> Vec<usize> {
    let mut feeds = vec![false; graph.logits() + 1];
    feeds[graph.logits()] = true;
    for slot in (1..feeds.len()).rev() {
        if feeds[slot] {
            graph.nodes()[slot - 1].inputs.iter().for_each(|&from| feeds[from] = true);
        }
    }
    (1..graph.logits()).filter(|&slot| feeds[slot] && !graph.shape(slot).flat).collect()
}

fn default_slot<R: Real>(graph: &Graph) -> Option<usize> {
    let rectified = |&slot: &usize| {
        let role = RoleKind::of(&R::compute(&*graph.nodes()[slot - 1].layer).role());
        matches!(role, RoleKind::Rectifier | RoleKind::Pointwise)
    };
    let maps = maps(graph);
    let last = |keep: &dyn Fn(&usize) -> bool| maps.iter().copied().rfind(|s| keep(s));
    last(&|s| rectified(s) && graph.shape(*s).plane() >= CELLS)
        .or_else(|| last(&|s| rectified(s) && graph.shape(*s).plane() > 1))
        .or_else(|| last(&|s| graph.shape(*s).plane() > 1))
        .or_else(|| last(&|_| true))
}

/// Activation and gradient of one channel of a block, [h][w][lanes] each, and the map so far.
pub(super) struct Channel<'a, R> {
    pub activation: &'a [R],
    pub gradient: &'a [R],
    pub map: &'a mut [R],
    pub lanes: usize,
}

impl<R: Real> Channel<'_, R> {
    /// One number per lane, summed over places.
    pub fn sums(&self, f: impl Fn(R, R) -> R) -> Vec<R> {
        self.sums_with(&vec![R::zero(); self.lanes], |a, g, _| f(a, g))
    }

    /// One number per lane, summed over places; `f` sees a number of the lane, too.
    pub fn sums_with(&self, given: &[R], f: impl Fn(R, R, R) -> R) -> Vec<R> {
        let mut sums = vec![R::zero(); self.lanes];
        let places = self.activation.chunks_exact(self.lanes).zip(self.gradient.chunks_exact(self.lanes));
        for (a, g) in places {
            for (((sum, &a), &g), &given) in sums.iter_mut().zip(a).zip(g).zip(given) {
                *sum += f(a, g, given);
            }
        }
        sums
    }

    /// map += f(activation, gradient, weight of the lane), place by place.
    pub fn add(&mut self, weights: &[R], f: impl Fn(R, R, R) -> R) {
        let places = self.activation.chunks_exact(self.lanes).zip(self.gradient.chunks_exact(self.lanes));
        for (map, (a, g)) in self.map.chunks_exact_mut(self.lanes).zip(places) {
            for (((map, &a), &g), &weight) in map.iter_mut().zip(a).zip(g).zip(weights) {
                *map += f(a, g, weight);
            }
        }
    }

    /// Places.
    pub fn places(&self) -> R {
        R::of((self.activation.len() / self.lanes) as f64)
    }
}

/// Maps [h, w] of a batch from its activations and gradients at a layer, channel by channel.
fn combine<R: Real>(
    activation: View<'_, R>,
    gradient: View<'_, R>,
    channel: &(impl Fn(Channel<'_, R>) + Sync + Send),
) -> Blocked<R> {
    let shape = activation.shape;
    let mut out = Blocked::zeros(Shape::maps(1, shape.h, shape.w), activation.n, activation.lanes);
    let (lanes, plane) = (activation.lanes, shape.plane() * activation.lanes);
    par::chunks(out.values_mut(), plane, |block, map| {
        for k in 0..shape.c {
            let at = (block * shape.c + k) * plane;
            let (activation, gradient) = (&activation.data[at..][..plane], &gradient.data[at..][..plane]);
            channel(Channel { activation, gradient, map: &mut *map, lanes });
        }
    });
    out
}

/// A map from activations and gradients of the class at a layer: `channel` adds what each channel gives. The residual
/// tells of the gradients.
pub(super) fn by_gradient<R: Real>(
    ask: &Ask<'_, R>,
    score: Score,
    relu: bool,
    channel: impl Fn(Channel<'_, R>) + Sync + Send,
) -> Result<Answer<R>> {
    let site = site(ask)?;
    let mut pass = Pass::new(ask, ask.samples(), Keep::Everything);
    let mut out = Maps::new(ask, &site);
    let rules = RuleSet::gradient();
    each_sample(ask, &mut pass, |pass, batch| {
        let logits = pass.logits()?;
        let classes: Vec<usize> =
            batch.iter().enumerate().map(|(i, &(sample, _))| ask.class(sample, logits, i)).collect();
        pass.pull_classes(&classes, site.slot, &rules, score)?;
        let maps = combine(pass.at(site.slot)?, pass.signal(site.slot)?, &channel);
        let residuals = match score {
            Score::Logit => of_gradients(pass, &classes, site.slot)?,
            _ => adjointness(pass, classes.len(), site.slot, pass.logits),
        };
        for ((i, &class), residual) in classes.iter().enumerate().zip(residuals) {
            let raw: Vec<R> = values(maps.view(), i).collect();
            let logit = value(pass.logits()?, i, class).wide();
            let facts = Facts { class: Some(class), score: Some(logit), residual, ..Facts::default() };
            out.push(raw, facts, relu);
        }
        Ok(())
    })?;
    out.finish(ask)
}

/// What Grad-CAM adds for a channel: its activation, weighted by the mean of its gradient.
pub(super) fn grad_cam<R: Real>(mut channel: Channel<'_, R>, sign: R) {
    let places = channel.places();
    let weights: Vec<R> = channel.sums(|_, g| g).iter().map(|&sum| sign * sum / places).collect();
    channel.add(&weights, |a, _, weight| weight * a);
}

/// Maps in the making, sample by sample.
pub(super) struct Maps<R> {
    site: Site,
    maps: Vec<R>,
    facts: Vec<Facts>,
}

impl<R: Real> Maps<R> {
    /// None yet.
    pub fn new(ask: &Ask<'_, R>, site: &Site) -> Self {
        let room = ask.samples() * site.shape.plane();
        Self { site: site.clone(), maps: Vec::with_capacity(room), facts: Vec::new() }
    }

    /// The next sample's map; `relu` cuts what is negative, and says so where nothing is left.
    pub fn push(&mut self, mut map: Vec<R>, mut facts: Facts, relu: bool) {
        if relu {
            let negative = map.iter().any(|&v| v < R::zero());
            map.iter_mut().for_each(|v| *v = v.max(R::zero()));
            if negative && map.iter().all(|&v| v == R::zero()) && facts.reason.is_none() {
                facts.reason = Some(
                    "every place speaks against the class, so cutting negative values leaves nothing; \
                     --set relu=false shows the signed map"
                        .into(),
                );
            }
        }
        self.maps.append(&mut map);
        self.facts.push(facts);
    }

    /// All maps, enlarged where asked.
    pub fn finish(self, ask: &Ask<'_, R>) -> Result<Answer<R>> {
        let Self { mut site, maps, facts } = self;
        let shape = site.shape;
        let maps = Array3::from_shape_vec((facts.len(), shape.h, shape.w), maps)
            .unwrap_or_else(|e| unreachable!("one map per sample: {e}"));
        let maps = if ask.upsample {
            let (h, w) = (ask.graph.input().h, ask.graph.input().w);
            site.notes.push(format!("enlarged to {h}x{w}, half-pixel bilinear"));
            enlarge(&maps, h, w)?
        } else {
            maps
        };
        let mut answer = Answer::new(maps.into_dyn(), facts, |_| {
            "no channel of the layer both fired and mattered to the class".into()
        });
        answer.notes = site.notes;
        Ok(answer)
    }
}

/// Maps [N, h, w] at [N, height, width], half-pixel bilinear, in single precision.
pub(super) fn enlarge<R: Real>(maps: &Array3<R>, height: usize, width: usize) -> Result<Array3<R>> {
    let mut out = Array3::zeros((maps.dim().0, height, width));
    for (map, mut place) in maps.outer_iter().zip(out.outer_iter_mut()) {
        let single: Array2<f32> = map.mapv(|v| v.wide() as f32);
        place.assign(&resize(single.view(), height, width, Resize::Bilinear)?.mapv(|v| R::of(f64::from(v))));
    }
    Ok(out)
}
