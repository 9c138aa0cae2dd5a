//! Observers of training: what they are told, and when.

use super::{Evaluation, Standing};
use crate::error::Result;
use crate::graph::Graph;
use crate::loss::Cost;
use crate::params::Params;
use crate::signals::Signals;
use crate::trace::Trace;

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Steps done, this one included.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// The epoch, from 1.
    pub epoch: u64,
    /// Epochs of the whole run.
    pub epochs: u64,
    /// Images seen in this epoch.
    pub images: usize,
    /// Images of an epoch.
    pub images_per_epoch: usize,
}

/// The end of an epoch.
#[derive(Debug)]
pub struct Epoch<'a> {
    /// How far the run is.
    pub progress: Progress,
    /// Cost of the training batches as they were seen.
    pub train: Cost,
    /// Loss, accuracy and predictions on the test set, if there is one.
    pub test: Option<&'a Evaluation>,
    /// Learning rate of the last step.
    pub lr: f64,
    /// Seconds of training in this epoch, observers and evaluation left out; since the resume, if there was one.
    pub seconds: f64,
    /// Images that these seconds went for.
    pub timed: usize,
}

/// What an observer is told; it only borrows.
#[derive(Debug)]
pub enum Event<'a> {
    /// Before the first step.
    Begin {
        /// The net.
        graph: &'a Graph,
        /// Its first parameters.
        params: &'a Params<f32>,
        /// How long the run will be.
        progress: Progress,
    },
    /// After a step.
    Step {
        /// The net.
        graph: &'a Graph,
        /// Parameters after the step.
        params: &'a Params<f32>,
        /// All that happened forward.
        trace: &'a Trace<f32>,
        /// All that flowed back.
        signals: &'a Signals<f32>,
        /// Gradients of the parameters, clipped.
        gradients: &'a Params<f32>,
        /// How far the run is.
        progress: Progress,
        /// Cost of this batch.
        cost: Cost,
        /// Learning rate of this step.
        lr: f64,
        /// What a checkpoint holds beside the parameters.
        standing: Standing<'a>,
    },
    /// After an epoch and its evaluation.
    Epoch {
        /// The net.
        graph: &'a Graph,
        /// Parameters.
        params: &'a Params<f32>,
        /// What the epoch came to.
        epoch: Epoch<'a>,
        /// What a checkpoint holds beside the parameters.
        standing: Standing<'a>,
    },
}

/// Whether training goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It goes on.
    Continue,
    /// It stops after this step.
    Stop,
}

/// Somebody who watches training.
pub trait Observer {
    /// Is told of an event. Errors end the training.
    fn on(&mut self, event: &Event<'_>) -> Result<Flow>;
}

/// When something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After every so many steps.
    Steps(u64),
    /// After every so many epochs.
    Epochs(u64),
    /// Not at all.
    Never,
}

impl Every {
    /// Whether it is due at this event. The end of the run is always due, unless never.
    pub fn due(self, event: &Event<'_>) -> bool {
        match (self, event) {
            (Self::Steps(n), Event::Step { progress, .. }) => progress.step.is_multiple_of(n.max(1)),
            (Self::Epochs(n), Event::Epoch { epoch, .. }) => {
                epoch.progress.epoch.is_multiple_of(n.max(1)) || epoch.progress.epoch == epoch.progress.epochs
            }
            _ => false,
        }
    }
}
