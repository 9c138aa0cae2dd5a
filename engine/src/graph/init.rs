//! First values of parameters, each a function of the seed and the parameter's name.

use crate::error::{Error, Result};
use crate::params::{Layout, ParamRole, ParamSpec, Params};
use crate::real::Real;
use crate::rng::{Purpose, Stream, key};
use std::sync::Arc;

/// How weights start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Init {
    /// Uniform in +-1/sqrt(fan_in), biases too: PyTorch's default for conv and linear layers.
    #[default]
    PyTorch,
    /// Normal with variance 2/fan_in, biases zero (He et al. 2015, arXiv 1502.01852).
    He,
    /// Uniform in +-sqrt(6/(fan_in + fan_out)), biases zero (Glorot and Bengio 2010).
    Glorot,
}

impl Init {
    /// Names in configurations.
    pub const NAMES: &'static [(&'static str, Init)] =
        &[("glorot", Init::Glorot), ("he", Init::He), ("pytorch", Init::PyTorch)];

    /// By name. Errors: an unknown name.
    pub fn named(name: &str) -> Result<Self> {
        let found = Self::NAMES.iter().find(|(n, _)| *n == name).map(|(_, init)| *init);
        found.ok_or_else(|| Error::unknown("initialiser", name, Self::NAMES.iter().map(|(n, _)| *n)))
    }
}

/// Fresh parameters for a layout.
pub fn parameters<R: Real>(layout: &Arc<Layout>, init: Init, seed: u64) -> Params<R> {
    let mut params = Params::zeros(layout.clone());
    for spec in layout.specs() {
        fill(spec, init, seed, &mut params.slab_mut()[spec.offset..spec.offset + spec.len]);
    }
    params
}

/// Fills one parameter with fresh values.
pub fn fill<R: Real>(spec: &ParamSpec, init: Init, seed: u64, values: &mut [R]) {
    let mut stream = Stream::new(seed, Purpose::Init, key(&spec.name), 0);
    let (fan_in, fan_out) = (spec.decl.fan_in.max(1) as f64, spec.decl.fan_out.max(1) as f64);
    let mut draw: Box<dyn FnMut() -> f64> = match (spec.decl.role, init) {
        (ParamRole::Scale | ParamRole::RunningVar, _) => Box::new(|| 1.0),
        (ParamRole::RunningMean | ParamRole::Count, _) => Box::new(|| 0.0),
        // a bias that scales batch-norm has no fan-in of its own
        (ParamRole::Bias, Init::PyTorch) if spec.decl.fan_in > 1 || spec.decl.fan_out > 1 => {
            Box::new(move || stream.uniform(-1.0, 1.0) / fan_in.sqrt())
        }
        (ParamRole::Bias, _) => Box::new(|| 0.0),
        (ParamRole::Weight, Init::PyTorch) => Box::new(move || stream.uniform(-1.0, 1.0) / fan_in.sqrt()),
        (ParamRole::Weight, Init::He) => Box::new(move || stream.normal() * (2.0 / fan_in).sqrt()),
        (ParamRole::Weight, Init::Glorot) => {
            Box::new(move || stream.uniform(-1.0, 1.0) * (6.0 / (fan_in + fan_out)).sqrt())
        }
    };
    values.iter_mut().for_each(|v| *v = R::of(draw()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Graph;
    use crate::layers::{BatchNorm, Conv, Dense, Flatten};

    fn net(extra: bool) -> Graph {
        let mut b =
            Graph::builder("n", [4, 8, 8]).layer("conv", Conv::new(64, 3)).layer("bn", BatchNorm::default());
        if extra {
            b = b.layer("more", Conv::new(64, 3).pad(1));
        }
        b.layer("flatten", Flatten).layer("fc", Dense::new(50)).build().unwrap()
    }

    fn moments(values: impl Iterator<Item = f32>) -> (f64, f64) {
        let values: Vec<f64> = values.map(f64::from).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64)
    }

    #[test]
    fn values_depend_on_the_name_alone() {
        let (a, b) = (net(false).init::<f32>(Init::He, 1), net(true).init::<f32>(Init::He, 1));
        assert_eq!(a.get("fc.weight").unwrap(), b.get("fc.weight").unwrap());
        assert_ne!(
            a.get("fc.weight").unwrap(),
            net(false).init::<f32>(Init::He, 2).get("fc.weight").unwrap()
        );
    }

    #[test]
    fn variances_are_those_of_the_papers() {
        let fan_in = 36.0;
        for (init, want) in [
            (Init::PyTorch, 1.0 / (3.0 * fan_in)),
            (Init::He, 2.0 / fan_in),
            (Init::Glorot, 2.0 / (36.0 + 576.0)),
        ] {
            let p = net(false).init::<f32>(init, 5);
            let (mean, variance) = moments(p.get("conv.weight").unwrap().iter().copied());
            assert!(mean.abs() < 0.1 * f64::sqrt(want), "{init:?} {mean}");
            assert!((variance / want - 1.0).abs() < 0.1, "{init:?} {variance} {want}");
            assert!(p.get("bn.weight").unwrap().iter().all(|&v| v == 1.0));
            assert!(p.get("bn.bias").unwrap().iter().all(|&v| v == 0.0));
            assert!(p.get("bn.running_var").unwrap().iter().all(|&v| v == 1.0));
        }
    }
}
