//! Dumps as training goes: what the probe images look like in every layer, the kernels, and what methods make of them.
//!
//! dumps/epoch-001/<layer>/{maps.png, maps.npy, kernels.png, ...} (or step-000120/...), and dumps/index.json that
//! lists them all. Training only lends a copy of its parameters; a thread of its own runs the probe images through
//! them in evaluation, draws and writes. It never touches what training computes with, so a run has the same bits with
//! dumps and without. At most one copy waits: where drawing is slower than training, training waits for it.

mod draw;
mod files;
mod index;
mod methods;
mod over_time;
mod probe;
mod what;

pub use index::{Index, Moment};
pub use over_time::over_time;
pub use probe::Images;

use super::config::{self, Config};
use super::tensorboard::Board;
use crate::error::{Error, Result};
use crate::say;
use draw::Draftsman;
use glassbox_engine::data::Dataset;
use glassbox_engine::train::{Event, Every, Flow, Observer, Place};
use glassbox_engine::{Graph, Params};
use probe::Probe;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use what::What;

/// Copies of the parameters that may wait for the thread that draws.
const WAITING: usize = 1;

/// What training lends.
struct Shot {
    moment: Moment,
    params: Params<f32>,
}

/// Takes a copy of the parameters when a dump is due, and hands it to the thread that draws.
#[derive(Debug)]
pub struct Dumper {
    due: [Every; 2],
    queue: Option<SyncSender<Shot>>,
    thread: Option<JoinHandle<Result<()>>>,
    failed: Option<Error>,
}

/// Checks what is to be dumped. Errors: unknown layers or kinds of dumps, images that are not in the test set.
pub fn check(dump: &config::Dump, graph: &Graph, test: &Dataset) -> Result<()> {
    dump.layers.iter().try_for_each(|layer| graph.slot(layer).map(|_| ()))?;
    What::parse(&dump.what)?;
    dump.images.of(test.len()).map(|_| ())
}

impl Dumper {
    /// For a run folder at a place; dumps of later places will be made again, the same. Errors: unknown layers or
    /// kinds of dumps, images that are not in the test set, a folder that cannot be made.
    pub fn open(
        run: &Path,
        config: &Config,
        graph: &Graph,
        test: &Arc<Dataset>,
        board: Option<&Board>,
        place: Place,
    ) -> Result<Self> {
        let dump = &config.dump;
        check(dump, graph, test)?;
        let loss = config.recipe()?.loss;
        let what = What::parse(&dump.what)?;
        let images = dump.images.of(test.len())?;
        let when = |every: u64, of: fn(u64) -> Every| if every == 0 { Every::Never } else { of(every) };
        let due = [when(config.dump_every(), Every::Epochs), when(dump.every_steps, Every::Steps)];
        let mut dumper = Self { due, queue: None, thread: None, failed: None };
        if due == [Every::Never; 2] || images.is_empty() || what.is_empty() {
            return Ok(dumper);
        }
        let probe = Probe::new(graph, test, &images)?;
        let index = Index::open(&run.join("dumps"), &probe, place)?;
        let mut draftsman =
            Draftsman::new(graph, probe, what, &dump.layers, loss.build(), (index, board.cloned()));
        let (queue, shots) = sync_channel::<Shot>(WAITING);
        let thread = std::thread::Builder::new().name("dumps".into()).spawn(move || {
            // a pool of this one thread, so that training keeps its own to itself
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
            let _pool = pool.map_err(|e| Error::Failed(format!("dumps cannot start their thread: {e}")))?;
            shots.iter().try_for_each(|shot| draftsman.dump(&shot.moment, &shot.params))
        });
        let thread = thread.map_err(|e| Error::Failed(format!("dumps cannot start their thread: {e}")))?;
        (dumper.queue, dumper.thread) = (Some(queue), Some(thread));
        Ok(dumper)
    }

    /// The first epoch is always looked at, where any is.
    fn first(&self, event: &Event<'_>) -> bool {
        let first = matches!(event, Event::Epoch { epoch, .. } if epoch.progress.epoch == 1);
        first && self.due[0] != Every::Never
    }

    fn send(&mut self, shot: Shot) {
        let ended = self.queue.as_ref().is_some_and(|queue| queue.send(shot).is_err());
        if ended {
            self.join();
        }
    }

    /// Waits for the thread, and keeps and tells what went wrong; training goes on without dumps.
    fn join(&mut self) {
        self.queue = None;
        let Some(thread) = self.thread.take() else { return };
        let ended = thread.join().unwrap_or_else(|_| Err(Error::Failed("the thread of dumps ended".into())));
        if let Err(e) = ended {
            say::note(format!("note: there are no more dumps: {e}"));
            self.failed = Some(e);
        }
    }

    /// Waits until all is written. Errors: what ended the dumps.
    pub fn finish(mut self) -> Result<()> {
        self.join();
        self.failed.take().map_or(Ok(()), Err)
    }
}

impl Observer for Dumper {
    fn on(&mut self, event: &Event<'_>) -> glassbox_engine::Result<Flow> {
        let due =
            self.queue.is_some() && (self.first(event) || self.due.iter().any(|every| every.due(event)));
        let shot = match event {
            Event::Step { params, progress, .. } if due => {
                Some(Shot { moment: Moment::step(progress), params: Params::clone(params) })
            }
            Event::Epoch { params, epoch, .. } if due => {
                Some(Shot { moment: Moment::epoch(&epoch.progress), params: Params::clone(params) })
            }
            _ => None,
        };
        if let Some(shot) = shot {
            self.send(shot);
        }
        Ok(Flow::Continue)
    }
}
