//! What a person sees while it trains: a bar with rate, time left, loss and accuracy on a terminal, a plain line an
//! epoch where output goes to a file or a pipe, JSON lines when asked, nothing when quiet.

use super::log::row;
use crate::say;
use glassbox_engine::train::{Event, Flow, Observer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How progress is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// A bar on a terminal, else plain lines.
    Plain,
    /// JSON lines on standard output.
    Json,
    /// Not at all.
    Quiet,
}

/// Tells how training goes.
#[derive(Debug)]
pub struct Reporter {
    manner: Manner,
    bar: Option<ProgressBar>,
    told: Instant,
    loss: f64,
    correct: f64,
}

impl Reporter {
    /// In this manner.
    pub fn new(manner: Manner) -> Self {
        Self { manner, bar: None, told: Instant::now(), loss: 0.0, correct: 0.0 }
    }

    fn begin(&mut self, steps: u64) {
        if self.manner == Manner::Plain && std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:24} {percent:>3} % {msg}, {eta} left");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            self.bar = Some(bar);
        }
    }

    fn epoch(&self, epoch: &glassbox_engine::train::Epoch<'_>) {
        let row = row(epoch);
        if self.manner == Manner::Json {
            say::line(
                serde_json::json!({
                    "event": "epoch", "epoch": row.epoch, "train_loss": row.train_loss,
                    "train_accuracy": row.train_accuracy, "test_loss": row.test_loss,
                    "test_accuracy": row.test_accuracy, "seconds": row.seconds, "images_per_s": row.images_per_s,
                })
                .to_string(),
            );
            return;
        }
        let test = match (row.test_loss, row.test_accuracy) {
            (Some(loss), Some(accuracy)) => {
                format!("test loss {loss:.4}, accuracy {:.2} %", 100.0 * accuracy)
            }
            _ => "no test set".into(),
        };
        let text = format!(
            "epoch {:>2}/{}  train loss {:.4}, accuracy {:.2} %  {test}  {:.0} images/s",
            row.epoch,
            epoch.progress.epochs,
            row.train_loss,
            100.0 * row.train_accuracy,
            row.images_per_s
        );
        match &self.bar {
            Some(bar) => bar.println(text),
            None => say::line(text),
        }
    }
}

impl Observer for Reporter {
    fn on(&mut self, event: &Event<'_>) -> glassbox_engine::Result<Flow> {
        match event {
            _ if self.manner == Manner::Quiet => {}
            Event::Begin { progress, .. } => self.begin(progress.steps - progress.step),
            Event::Step { progress, cost, .. } => {
                // a running mean over about fifty steps
                let weight = if progress.step == 1 { 1.0 } else { 0.02 };
                self.loss += weight * (cost.mean() - self.loss);
                self.correct += weight * (cost.accuracy() - self.correct);
                if let Some(bar) = &self.bar {
                    bar.inc(1);
                    if self.told.elapsed() > Duration::from_millis(100) {
                        self.told = Instant::now();
                        let rate = bar.per_sec() * cost.images as f64;
                        bar.set_message(format!(
                            "epoch {}/{}, loss {:.3}, accuracy {:.1} %, {rate:.0} images/s",
                            progress.epoch,
                            progress.epochs,
                            self.loss,
                            100.0 * self.correct
                        ));
                    }
                }
            }
            Event::Epoch { epoch, .. } => {
                self.epoch(epoch);
                if epoch.progress.epoch == epoch.progress.epochs
                    && let Some(bar) = self.bar.take()
                {
                    bar.finish_and_clear();
                }
            }
        }
        Ok(Flow::Continue)
    }
}
