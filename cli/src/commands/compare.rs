//! `glassbox compare`: two runs on the same test images, image by image.
//!
//! Accuracies of two nets on the same images are not independent, so their difference is judged by McNemar's test
//! (McNemar 1947) in its exact form: of the images that only one net has right, each net would have half if they were
//! equally good; p is the two-sided binomial probability of a split at least as uneven.

use crate::error::{Error, Result};
use crate::net::{Net, NetArgs};
use crate::run::data::DataArgs;
use crate::run::log;
use crate::{say, threads};
use glassbox_engine::io::atomic;
use glassbox_engine::loss::CrossEntropy;
use glassbox_engine::train::evaluate;
use glassbox_viz::curves::{Chart, Epoch, Series, draw};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Compare two runs: accuracy with McNemar's test, images that flipped, curves in one picture
///
/// Example: glassbox compare runs/lenet-1 runs/lenet-2 --svg curves.svg
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The first run
    #[arg(value_name = "RUN")]
    first: PathBuf,
    /// The second run
    #[arg(value_name = "RUN")]
    second: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// Write the curves of both runs in one picture
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// List at most so many images that flipped
    #[arg(long, value_name = "N", default_value_t = 20)]
    show: usize,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// The images on which two nets differ.
#[derive(Debug, Default, PartialEq)]
struct Flips {
    /// Right in the first alone.
    lost: Vec<usize>,
    /// Right in the second alone.
    won: Vec<usize>,
}

pub fn run(args: Args) -> Result<()> {
    let runs = [&args.first, &args.second];
    let nets = [load(runs[0])?, load(runs[1])?];
    let test = Arc::new(args.data.load(Some(runs[0]))?.test);
    let other = args.data.load(Some(runs[1]))?.test;
    if test.hash() != other.hash() {
        return Err(Error::request(
            format!(
                "the runs were tested on different images ({} of \"{}\" and {} of \"{}\")",
                test.len(),
                test.name,
                other.len(),
                other.name
            ),
            "name one data set for both with --data",
        ));
    }
    let both = threads::with(0, || {
        let judge = |net: &Net| evaluate(&net.graph, &net.params, &test, &CrossEntropy::default());
        Ok([judge(&nets[0])?, judge(&nets[1])?])
    })?;
    let flips = flips(&test.labels, &both[0].predictions, &both[1].predictions);
    let p = mcnemar(flips.lost.len() as u64, flips.won.len() as u64);
    if let Some(file) = &args.svg {
        atomic::write(file, curves(runs)?.as_bytes())?;
    }
    let accuracy = [both[0].cost.accuracy(), both[1].cost.accuracy()];
    if args.json {
        let value = serde_json::json!({
            "runs": runs, "images": test.len(), "accuracy": accuracy, "only_first_right": flips.lost,
            "only_second_right": flips.won, "mcnemar_p": p,
        });
        say::line(format!("{value:#}"));
        return Ok(());
    }
    for (run, accuracy) in runs.iter().zip(accuracy) {
        say::line(format!("{}: test accuracy {:.2} %", run.display(), 100.0 * accuracy));
    }
    say::line(format!(
        "of {} images of {}, {} are right in the first alone and {} in the second alone: McNemar's test p {} ({})",
        say::count(test.len() as u64),
        test.name,
        flips.lost.len(),
        flips.won.len(),
        if p < 0.001 { "< 0.001".to_string() } else { format!("= {p:.3}") },
        if p < 0.05 { "chance alone seldom does that" } else { "chance alone may well do that" }
    ));
    let mut list: Vec<usize> = flips.lost.iter().chain(&flips.won).copied().collect();
    list.sort_unstable();
    let class = |k: u32| test.classes.get(k as usize).cloned().unwrap_or_else(|| k.to_string());
    let rows: Vec<Vec<String>> = list.iter().take(args.show).map(|&i| {
        let said = |n: usize| class(both[n].predictions[i]);
        vec![i.to_string(), class(test.labels[i]), said(0), said(1)]
    }).collect();
    if !rows.is_empty() {
        say::line(format!("\n{}", say::table(&["test image", "true", "first", "second"], &rows, &[true, false, false, false])));
    }
    Ok(())
}

fn load(run: &Path) -> Result<Net> {
    NetArgs { place: Some(run.display().to_string()), ..NetArgs::default() }.load()
}

fn flips(labels: &[u32], first: &[u32], second: &[u32]) -> Flips {
    let mut flips = Flips::default();
    for (i, label) in labels.iter().enumerate() {
        match (first[i] == *label, second[i] == *label) {
            (true, false) => flips.lost.push(i),
            (false, true) => flips.won.push(i),
            _ => {}
        }
    }
    flips
}

/// The two-sided exact p of `lost` against `won`: 2 sum_(k <= min) C(n, k) / 2^n, at most 1.
fn mcnemar(lost: u64, won: u64) -> f64 {
    let n = lost + won;
    let mut term = -(n as f64) * std::f64::consts::LN_2; // ln of C(n, k) / 2^n
    let mut sum = 0.0;
    for k in 0..=lost.min(won) {
        sum += term.exp();
        term += ((n - k) as f64 / (k + 1) as f64).ln();
    }
    (2.0 * sum).min(1.0)
}

/// Loss and accuracy on the test set of both runs, overlaid.
fn curves(runs: [&PathBuf; 2]) -> Result<String> {
    let histories = [log::history(runs[0])?, log::history(runs[1])?];
    let chart = |title: &str, label: &str, share: bool, pick: [fn(&Epoch) -> Option<f64>; 2]| {
        let series = runs.iter().zip(&histories).flat_map(|(run, history)| {
            ["training", "test"].into_iter().zip(pick).map(|(half, pick)| Series {
                name: format!("{} {half}", run.file_name().unwrap_or(run.as_os_str()).to_string_lossy()),
                points: history.epochs.iter().filter_map(|e| Some((e.epoch, pick(e)?))).collect(),
                thin: false,
            })
        });
        Chart {
            title: title.into(),
            x_label: "epoch".into(),
            y_label: label.into(),
            series: series.collect(),
            mark: None,
            share,
        }
    };
    let loss = chart("Loss", "mean loss of a sample", false, [|e| e.train_loss, |e| e.test_loss]);
    let accuracy = chart(
        "Accuracy",
        "samples classified correctly",
        true,
        [|e| e.train_accuracy, |e| e.test_accuracy],
    );
    let title = format!("{} and {}", runs[0].display(), runs[1].display());
    Ok(draw(&title, &[loss, accuracy]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcnemar_has_the_known_values() {
        // 2 (1 + 10) / 2^10; an even split; nothing flipped
        assert!((mcnemar(1, 9) - 22.0 / 1024.0).abs() < 1e-14);
        assert_eq!((mcnemar(5, 5), mcnemar(0, 0)), (1.0, 1.0));
        assert!((mcnemar(9, 1) - mcnemar(1, 9)).abs() < 1e-15);
        // in whole numbers, 2 sum_(k <= 430) C(1000, k) / 2^1000
        assert!((mcnemar(430, 570) / 1.070_973_766e-5 - 1.0).abs() < 1e-6, "{}", mcnemar(430, 570));
    }

    #[test]
    fn flips_are_where_one_alone_is_right() {
        let got = flips(&[0, 1, 2, 3], &[0, 1, 0, 0], &[0, 0, 2, 1]);
        assert_eq!(got, Flips { lost: vec![1], won: vec![2] });
    }
}
