//! TensorBoard's event files of a run, in its folder tensorboard: losses, accuracies and rates as scalars, parameters and
//! gradients as histograms, and the pictures of the dumps.
//!
//! TensorBoard reads one growing file a run, so all that tell it something share one writer.

use super::log::row;
use crate::error::Result;
use glassbox_engine::Params;
use glassbox_engine::io::tensorboard::EventWriter;
use glassbox_engine::train::{Event, Flow, Observer, Place};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The writer of a run's events.
#[derive(Clone, Debug)]
pub struct Board {
    writer: Arc<Mutex<EventWriter>>,
}

impl Board {
    /// Begins an event file in a run folder that is at a place; what earlier files say of later steps is forgotten.
    /// Errors: folder or file cannot be made.
    pub fn open(run: &Path, place: Place) -> Result<Self> {
        let mut writer = EventWriter::create(run.join("tensorboard"), now())?;
        if place.step > 0 {
            writer.resume(place.step + 1, now())?;
        }
        Ok(Self { writer: Arc::new(Mutex::new(writer)) })
    }

    /// Adds a picture, the bytes of a PNG file.
    pub fn image(&self, tag: &str, step: u64, png: &[u8]) -> Result<()> {
        Ok(self.lock().image(tag, step, now(), png)?)
    }

    fn lock(&self) -> MutexGuard<'_, EventWriter> {
        // a writer is never left between two records
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn scalars(&self, step: u64, values: &[(&str, Option<f64>)]) -> glassbox_engine::Result<()> {
        let (mut writer, time) = (self.lock(), now());
        let known = values.iter().filter_map(|(tag, value)| Some((tag, (*value)?)));
        for (tag, value) in known {
            writer.scalar(tag, step, time, value)?;
        }
        Ok(())
    }

    /// Those of all learnable parameters, or of their gradients.
    fn histograms(&self, group: &str, step: u64, params: &Params<f32>) -> glassbox_engine::Result<()> {
        let (mut writer, time) = (self.lock(), now());
        for (spec, values) in params.iter().filter(|(spec, _)| spec.decl.role.learnable()) {
            let values = values.as_slice().unwrap_or_default();
            writer.histogram(&format!("{group}/{}", spec.name), step, time, values)?;
        }
        Ok(())
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

impl Observer for Board {
    fn on(&mut self, event: &Event<'_>) -> glassbox_engine::Result<Flow> {
        match event {
            Event::Begin { .. } => {}
            Event::Step { gradients, progress, cost, lr, .. } => {
                self.scalars(
                    progress.step,
                    &[("loss/batch", Some(cost.mean())), ("rate/learning", Some(*lr))],
                )?;
                if progress.images == progress.images_per_epoch {
                    self.histograms("gradients", progress.step, gradients)?;
                }
            }
            Event::Epoch { params, epoch, .. } => {
                let row = row(epoch);
                let values = [
                    ("loss/train", Some(row.train_loss)),
                    ("loss/test", row.test_loss),
                    ("accuracy/train", Some(row.train_accuracy)),
                    ("accuracy/test", row.test_accuracy),
                    ("rate/images per second", Some(row.images_per_s)),
                ];
                self.scalars(row.step, &values)?;
                self.histograms("parameters", row.step, params)?;
            }
        }
        Ok(Flow::Continue)
    }
}
