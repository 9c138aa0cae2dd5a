//! How a signal passes a layer on its way down: the gradient, or another rule.
//!
//! A rule replaces a layer's pull-back. A [`RuleSet`] says which rule holds where; the first case that matches wins, and
//! what none matches passes by the gradient.

use crate::array::{Blocked, View};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::kernels::par;
use crate::layers::{At, Layer, Needs, Role};
use crate::real::Real;
use std::fmt::Debug;
use std::sync::Arc;

/// Carries a signal from a layer's output to its inputs.
pub trait Rule<R: Real>: Debug + Send + Sync {
    /// Writes the signal at each input; `out` has one array per input, to be overwritten. Errors: a layer for which the
    /// rule is not defined.
    fn pull(
        &self,
        at: &At<'_, R>,
        signal: View<'_, R>,
        out: &mut [Blocked<R>],
        scratch: &mut [R],
    ) -> Result<()>;

    /// What the rule reads of the trace; a walk refuses a trace that did not keep it.
    fn reads(&self, _: &dyn Layer) -> Needs {
        Needs { inputs: true, output: true }
    }
}

/// The gradient: J^T signal at the trace.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gradient;

impl<R: Real> Rule<R> for Gradient {
    fn pull(
        &self,
        at: &At<'_, R>,
        signal: View<'_, R>,
        out: &mut [Blocked<R>],
        scratch: &mut [R],
    ) -> Result<()> {
        at.layer.pull(at, signal, out, scratch);
        Ok(())
    }
}

/// DeconvNet's rectifier: max(signal, 0), whatever the forward pass did (Zeiler and Fergus 2014, section 2.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct RectifySignal;

impl<R: Real> Rule<R> for RectifySignal {
    fn reads(&self, _: &dyn Layer) -> Needs {
        Needs::NOTHING
    }

    fn pull(&self, _: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) -> Result<()> {
        each(signal, signal, &mut out[0], |s, _| if s > R::zero() { s } else { R::zero() });
        Ok(())
    }
}

/// Guided backpropagation's rectifier: max(signal, 0) where the output was positive (Springenberg et al. 2014,
/// arXiv 1412.6806).
#[derive(Clone, Copy, Debug, Default)]
pub struct Guided;

impl<R: Real> Rule<R> for Guided {
    fn reads(&self, _: &dyn Layer) -> Needs {
        Needs::OUTPUT
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) -> Result<()> {
        each(
            signal,
            at.output,
            &mut out[0],
            |s, y| if s > R::zero() && y > R::zero() { s } else { R::zero() },
        );
        Ok(())
    }
}

/// The signal unchanged, for layers of one input that keep their shape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pass;

impl<R: Real> Rule<R> for Pass {
    fn reads(&self, _: &dyn Layer) -> Needs {
        Needs::NOTHING
    }

    fn pull(&self, at: &At<'_, R>, signal: View<'_, R>, out: &mut [Blocked<R>], _: &mut [R]) -> Result<()> {
        if out.len() != 1 || out[0].values().len() != signal.data.len() {
            return Err(Error::layer(
                at.name,
                "a signal cannot pass it unchanged",
                "use another rule for this layer",
            ));
        }
        each(signal, signal, &mut out[0], |s, _| s);
        Ok(())
    }
}

/// Values per job.
const GRAIN: usize = 1 << 14;

/// out = f(signal, other), value by value.
fn each<R: Real>(
    signal: View<'_, R>,
    other: View<'_, R>,
    out: &mut Blocked<R>,
    f: impl Fn(R, R) -> R + Sync + Send,
) {
    par::chunks(out.values_mut(), GRAIN, |job, out| {
        let values = signal.data[job * GRAIN..].iter().zip(&other.data[job * GRAIN..]);
        for (out, (&s, &o)) in out.iter_mut().zip(values) {
            *out = f(s, o);
        }
    });
}

/// Which layers a case of a rule set is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    /// Layers of a kind of role; may match nothing in a net without such layers.
    Role(RoleKind),
    /// Layers of a kind, by its name in model texts; may match nothing.
    Kind(&'static str),
    /// The layer of that name; it must exist.
    Layer(String),
    /// Affine layers that read the net's input.
    FirstAffine,
    /// Every layer.
    All,
}

/// The roles of [`Role`], without what they carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RoleKind {
    Affine,
    Rectifier,
    Pointwise,
    Select,
    Average,
    Rescale,
    Normalize,
    Wire,
    Sum,
    Concat,
    Softmax,
}

impl RoleKind {
    /// The kind of a role.
    pub fn of<R: Real>(role: &Role<'_, R>) -> Self {
        match role {
            Role::Affine(_) => Self::Affine,
            Role::Rectifier => Self::Rectifier,
            Role::Pointwise(_) => Self::Pointwise,
            Role::Select => Self::Select,
            Role::Average => Self::Average,
            Role::Rescale => Self::Rescale,
            Role::Normalize => Self::Normalize,
            Role::Wire => Self::Wire,
            Role::Sum => Self::Sum,
            Role::Concat => Self::Concat,
            Role::Softmax => Self::Softmax,
        }
    }
}

/// Which rule holds where.
#[derive(Clone, Debug)]
pub struct RuleSet<R: Real = f32> {
    cases: Vec<(Match, Arc<dyn Rule<R>>)>,
}

impl<R: Real> Default for RuleSet<R> {
    fn default() -> Self {
        Self::gradient()
    }
}

impl<R: Real> RuleSet<R> {
    /// The gradient everywhere.
    pub fn gradient() -> Self {
        Self { cases: Vec::new() }
    }

    /// DeconvNet: signals are rectified where the forward pass was, and pass local response normalisation unchanged.
    pub fn deconvnet() -> Self {
        Self::gradient()
            .with(Match::Role(RoleKind::Rectifier), RectifySignal)
            .with(Match::Role(RoleKind::Normalize), Pass)
    }

    /// Guided backpropagation.
    pub fn guided() -> Self {
        Self::gradient().with(Match::Role(RoleKind::Rectifier), Guided)
    }

    /// Adds a case; earlier ones win.
    pub fn with(mut self, what: Match, rule: impl Rule<R> + 'static) -> Self {
        self.cases.push((what, Arc::new(rule)));
        self
    }

    /// Checks the cases against a graph. Errors: a case that names a layer that is not there.
    pub fn check(&self, graph: &Graph) -> Result<()> {
        for (what, _) in &self.cases {
            if let Match::Layer(name) = what {
                graph.slot(name)?;
            }
        }
        Ok(())
    }

    /// The rule for layer `i`; `None` is the gradient.
    pub fn rule_for(&self, graph: &Graph, i: usize) -> Option<&dyn Rule<R>> {
        self.cases.iter().find(|(what, _)| matches::<R>(what, graph, i)).map(|(_, rule)| &**rule)
    }
}

fn matches<R: Real>(what: &Match, graph: &Graph, i: usize) -> bool {
    let node = &graph.nodes()[i];
    let kind = RoleKind::of(&R::compute(&*node.layer).role());
    match what {
        Match::Role(wanted) => kind == *wanted,
        Match::Kind(name) => node.layer.kind().name == *name,
        Match::Layer(name) => node.name == *name,
        Match::FirstAffine => kind == RoleKind::Affine && node.inputs == [0],
        Match::All => true,
    }
}
