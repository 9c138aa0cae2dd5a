//! How a net is trained, as plain data, and whether that fits a net.

use crate::error::{Error, Result};
use crate::graph::{Graph, Keep};
use crate::kernels::Isa;
use crate::loss::{CrossEntropy, Loss, MeanSquaredError, WeightedCrossEntropy};
use crate::optim::{Method, Plateau, Schedule};

/// Which loss a run minimises.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LossKind {
    /// Cross-entropy with label smoothing.
    CrossEntropy {
        /// Share of the target spread evenly over all classes.
        smoothing: f64,
    },
    /// Mean squared error against one-hot vectors.
    MeanSquaredError,
}

impl LossKind {
    /// The loss itself.
    pub fn build(self) -> Box<dyn Loss<f32>> {
        match self {
            Self::CrossEntropy { smoothing } => Box::new(CrossEntropy { smoothing }),
            Self::MeanSquaredError => Box::new(MeanSquaredError),
        }
    }
}

/// How a net is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// Passes over the training set.
    pub epochs: u64,
    /// Images per step; the last step of an epoch takes what is left.
    pub batch: usize,
    /// Optimiser.
    pub method: Method,
    /// Base learning rate.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Learning rate over the run.
    pub schedule: Schedule,
    /// Lowers the learning rate further when the test loss (without test set, the training loss) stays where it is.
    pub plateau: Option<Plateau>,
    /// Largest norm of all gradients together.
    pub clip: Option<f64>,
    /// Loss.
    pub loss: LossKind,
    /// How much each class counts in training; empty for all alike. Evaluation is not weighted.
    pub class_weights: Vec<f64>,
    /// Seed of order, augmentation and dropout.
    pub seed: u64,
    /// Which activations outlast a step; observers of traces need everything.
    pub keep: Keep,
    /// Instruction set of the kernels.
    pub isa: Isa,
    /// Whether convolutions keep to the direct kernels, see [`Plan::exact`].
    pub exact: bool,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            epochs: 5,
            batch: 64,
            method: Method::Sgd { momentum: 0.9, nesterov: false },
            lr: 0.05,
            weight_decay: 0.0,
            schedule: Schedule::OneCycle,
            plateau: None,
            clip: None,
            loss: LossKind::CrossEntropy { smoothing: 0.0 },
            class_weights: Vec::new(),
            seed: 1,
            keep: Keep::Everything,
            isa: Isa::detect(),
            exact: false,
        }
    }
}

impl Recipe {
    /// Checks the recipe against a net. Errors: a batch or rate that trains nothing, a loss that does not fit the net's
    /// last layer.
    pub fn check(&self, graph: &Graph) -> Result<()> {
        let bad = |what: &str, cure: &str| Err(Error::request(what, cure));
        if self.batch == 0 {
            return bad("batch 0 trains nothing", "give at least 1 image per step");
        }
        if !self.lr.is_finite() || self.lr <= 0.0 {
            return bad(&format!("learning rate {} is not positive", self.lr), "try 0.01");
        }
        if matches!(self.loss, LossKind::CrossEntropy { .. }) && graph.logits() != graph.nodes().len() {
            let last = &graph.nodes()[graph.nodes().len() - 1];
            return Err(Error::layer(
                last.name.as_str(),
                "cross-entropy takes logits, but the net ends in a softmax",
                "remove this layer; predictions apply a softmax themselves",
            ));
        }
        let (given, classes) = (self.class_weights.len(), graph.output().size());
        let fit = given == classes && self.class_weights.iter().all(|w| w.is_finite() && *w >= 0.0);
        if given > 0 && !fit {
            return bad(
                &format!("{given} class weights, {:?}, do not fit {classes} classes", self.class_weights),
                "give one finite number of at least 0 for each class",
            );
        }
        if given > 0 && self.loss == LossKind::MeanSquaredError {
            return bad(
                "class weights need cross-entropy, not mse",
                "leave them out, or choose the other loss",
            );
        }
        Ok(())
    }

    /// The loss that training minimises.
    pub(super) fn training_loss(&self) -> Box<dyn Loss<f32>> {
        match self.loss {
            LossKind::CrossEntropy { smoothing } if !self.class_weights.is_empty() => {
                Box::new(WeightedCrossEntropy { smoothing, weights: self.class_weights.clone() })
            }
            plain => plain.build(),
        }
    }
}
