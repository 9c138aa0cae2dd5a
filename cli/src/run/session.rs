//! A run from where it stands to its end: observers, trainer, figures, and what is said about it. New runs start here at
//! step 0, resumed ones at their checkpoint.

use super::checkpoint::Keeper;
use super::config::Config;
use super::data;
use super::diagnosis;
use super::dump::Dumper;
use super::lock::Lock;
use super::log::Log;
use super::progress::{Manner, Reporter};
use super::stop::Stop;
use super::tensorboard::Board;
use crate::error::{Error, Result};
use crate::say::Way;
use crate::{pictures, report, say};
use glassbox_engine::data::{Augment, Splits};
use glassbox_engine::train::{Checkpoint, Evaluation, Observer, Place, Recipe, Trainer, evaluate};
use glassbox_engine::{Graph, Params};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Everything that a run needs, checked.
#[derive(Debug)]
pub struct Session {
    /// Its folder, with run.toml and model.toml in it.
    pub run: PathBuf,
    /// The right to write there.
    pub lock: Lock,
    /// How it is trained.
    pub config: Config,
    /// The net.
    pub graph: Graph,
    /// Its first parameters.
    pub params: Params<f32>,
    /// The data.
    pub splits: Splits,
    /// Where it goes on from.
    pub from: Option<Checkpoint>,
    /// How progress is told.
    pub manner: Manner,
    /// Whether figures are drawn at the end.
    pub figures: bool,
    /// Whether somebody asked to stop.
    pub stop: Stop,
}

/// Trains to the end, unless somebody asks to stop; how the net does on the test images. Errors: those of training and
/// of the files; an interruption; images that were to be learned by heart and are not.
pub fn train(session: Session) -> Result<Option<Evaluation>> {
    let start = Instant::now();
    let Session { run, lock, config, graph, params, splits, from, manner, figures, stop } = session;
    let place = from.as_ref().map_or(Place::default(), |c| c.place);
    let test = Arc::new(splits.test);
    let augment = Augment::parse(config.augment.as_deref().unwrap_or_default())?;
    let mut loader = data::loader(splits.train, &graph, augment, config.seed)?;
    let mut log = Log::open(&run, place)?;
    let mut reporter = Reporter::new(manner);
    let mut keeper = Keeper::new(&run, &config, stop.clone(), from.as_ref())?;
    let class_weights = match &config.class_weights {
        Some(weights) => weights.of(loader.dataset())?,
        None => Vec::new(),
    };
    let recipe = Recipe { class_weights, ..config.recipe()? };
    let loss = recipe.loss.build();
    let mut board = config.tensorboard.then(|| Board::open(&run, place)).transpose()?;
    let mut dumper = Dumper::open(&run, &config, &graph, &test, board.as_ref(), place)?;
    let mut diagnosis = if config.diagnose { Some(diagnosis::observer(&run, &test, place)?) } else { None };
    let mut trainer = Trainer::new(graph, params, recipe)?;
    if let Some(from) = from {
        trainer.restore(from)?;
    }
    if manner == Manner::Plain {
        say::line(format!(
            "{}: {} parameters, {} training and {} test images of {}, {} threads",
            run.display(),
            say::count(trainer.graph().layout().count() as u64),
            say::count(loader.dataset().len() as u64),
            say::count(test.len() as u64),
            test.name,
            rayon::current_num_threads()
        ));
    }
    let test_set = (!test.is_empty()).then_some(&test);
    let complete = place.epochs >= config.epochs || keeper.tired();
    let (mut last, mut dumped) = (None, Ok(()));
    if complete {
        say::note(format!(
            "note: all training is done ({} epochs); --epochs N with a larger N goes on",
            place.epochs
        ));
    } else {
        stop.training(true);
        let mut observers: Vec<&mut dyn Observer> = vec![&mut log, &mut reporter, &mut keeper, &mut dumper];
        observers.extend(diagnosis.iter_mut().map(|d| d.as_mut() as &mut dyn Observer));
        observers.extend(board.as_mut().map(|board| board as &mut dyn Observer));
        let ended = trainer.run(&mut loader, test_set, &mut observers);
        stop.training(false);
        dumped = dumper.finish();
        last = ended?;
        let Place { step, epochs, .. } = trainer.standing().place;
        if stop.asked() && epochs < config.epochs {
            return Err(Error::Interrupted(format!(
                "after step {step}, with a checkpoint; go on with: glassbox resume {}",
                run.display()
            )));
        }
    }
    if let (None, Some(test)) = (&last, test_set) {
        last = Some(evaluate(trainer.graph(), trainer.params(), test, &*loss)?);
    }
    let trained = start.elapsed().as_secs_f64();
    let drawn = match figures {
        true => {
            let way = (manner == Manner::Plain).then(|| Way::new("kinds of figures"));
            pictures::of_run(&run, trainer.graph(), trainer.params(), &test, last.as_ref(), way.as_ref())?
        }
        false => 0,
    };
    if figures {
        report::write(&run, trainer.graph(), &test, last.as_ref())?;
    }
    drop(lock);
    finish(manner, &run, last.as_ref(), drawn, trained, start.elapsed().as_secs_f64());
    dumped?;
    by_heart(&config, last.as_ref())?;
    Ok(last)
}

/// Errors: the few images that were to be learned by heart are not.
fn by_heart(config: &Config, last: Option<&Evaluation>) -> Result<()> {
    let Some(Evaluation { cost, .. }) =
        last.filter(|last| config.overfit.is_some() && last.cost.accuracy() < 1.0)
    else {
        return Ok(());
    };
    Err(Error::Failed(format!(
        "the net did not learn {} images by heart: {} are right, mean loss {:.4}; look at the learning rate, at the \
         labels, and at layers that hold too little, or train for more epochs",
        cost.images,
        cost.correct,
        cost.mean()
    )))
}

/// Says what came out.
fn finish(manner: Manner, run: &Path, last: Option<&Evaluation>, drawn: usize, trained: f64, whole: f64) {
    if manner == Manner::Json {
        let line = serde_json::json!({
            "event": "end", "run": run.display().to_string(), "test_loss": last.map(|l| l.cost.mean()),
            "test_accuracy": last.map(|l| l.cost.accuracy()), "figures": drawn, "seconds": whole,
        });
        return say::line(line.to_string());
    }
    if manner == Manner::Quiet {
        return;
    }
    if let Some(last) = last {
        say::line(format!(
            "test accuracy {:.2} % ({} of {} right) after {trained:.1} s",
            100.0 * last.cost.accuracy(),
            say::count(last.cost.correct as u64),
            say::count(last.cost.images as u64)
        ));
    }
    if drawn > 0 {
        say::line(format!("{drawn} figures in {} ({:.1} s)", run.join("figures").display(), whole - trained));
    }
    if drawn > 0 {
        say::line(format!("all in one page: {}", run.join("report.html").display()));
    }
    say::line(format!(
        "look further: glassbox explain {} --input IMAGE --method saliency --png map.png",
        run.display()
    ));
}
