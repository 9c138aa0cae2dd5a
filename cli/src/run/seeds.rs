//! Several runs that differ in their seed alone: which seeds, and what came out together.

use super::progress::Manner;
use crate::say;
use glassbox_engine::train::Evaluation;
use std::path::PathBuf;
use std::str::FromStr;

/// Which seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeds {
    /// So many, from the configured one on.
    Count(u64),
    /// These.
    List(Vec<u64>),
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<u64>, _> = text.split(',').map(|t| t.trim().parse()).collect();
        match numbers.as_deref() {
            Ok([0]) | Err(_) => Err("give a number of runs of at least 1, or seeds, as in 3,14,15".into()),
            Ok([count]) => Ok(Self::Count(*count)),
            Ok(list) => match list.iter().enumerate().find(|(i, seed)| list[..*i].contains(seed)) {
                Some((_, twice)) => Err(format!("seed {twice} is there twice and would give the same run")),
                None => Ok(Self::List(list.to_vec())),
            },
        }
    }
}

impl Seeds {
    /// The seeds; `first` is the configured one.
    pub fn of(&self, first: u64) -> Vec<u64> {
        match self {
            Self::Count(n) => (0..*n).map(|i| first.wrapping_add(i)).collect(),
            Self::List(list) => list.clone(),
        }
    }
}

/// A run that is done.
#[derive(Debug)]
pub struct Done {
    /// Its seed.
    pub seed: u64,
    /// Its folder.
    pub run: PathBuf,
    /// How its net does on the test images, if there are some.
    pub result: Option<Evaluation>,
}

/// Tells what the runs came to: each, their mean, and the deviation of single runs from it (n - 1 below).
pub fn tell(done: &[Done], manner: Manner) {
    let all = |of: fn(&Evaluation) -> f64| {
        done.iter().filter_map(|d| d.result.as_ref().map(of)).collect::<Vec<_>>()
    };
    let (accuracy, loss) = (all(|e| e.cost.accuracy()), all(|e| e.cost.mean()));
    let ((accuracy, spread), (loss, loss_spread)) = (mean_deviation(&accuracy), mean_deviation(&loss));
    match manner {
        Manner::Quiet => {}
        Manner::Json => say::line(
            serde_json::json!({
                "event": "seeds",
                "runs": done.iter().map(|d| serde_json::json!({
                    "seed": d.seed, "run": d.run.display().to_string(),
                    "test_accuracy": d.result.as_ref().map(|r| r.cost.accuracy()),
                    "test_loss": d.result.as_ref().map(|r| r.cost.mean()),
                })).collect::<Vec<_>>(),
                "test_accuracy": { "mean": accuracy, "deviation": spread },
                "test_loss": { "mean": loss, "deviation": loss_spread },
            })
            .to_string(),
        ),
        Manner::Plain => {
            let row =
                |seed: String, run: String, accuracy: String, loss: String| vec![seed, run, accuracy, loss];
            let number = |v: Option<f64>, digits: usize| v.map_or("-".into(), |v| format!("{v:.digits$}"));
            let mut rows: Vec<_> = done
                .iter()
                .map(|d| {
                    let cost = d.result.as_ref().map(|r| r.cost);
                    let accuracy = number(cost.map(|c| 100.0 * c.accuracy()), 2);
                    row(
                        d.seed.to_string(),
                        d.run.display().to_string(),
                        accuracy,
                        number(cost.map(|c| c.mean()), 4),
                    )
                })
                .collect();
            let of = |name: &str, a: Option<f64>, l: Option<f64>| {
                row(name.into(), String::new(), number(a.map(|a| 100.0 * a), 2), number(l, 4))
            };
            rows.push(of("mean", accuracy, loss));
            rows.push(of("deviation", spread, loss_spread));
            say::line(say::table(
                &["seed", "run", "test accuracy %", "test loss"],
                &rows,
                &[false, false, true, true],
            ));
        }
    }
}

/// Mean, and deviation where there are two values or more.
fn mean_deviation(values: &[f64]) -> (Option<f64>, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    ((n > 0.0).then_some(mean), (n > 1.0).then(|| square.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_counted_or_listed() {
        assert_eq!("3".parse::<Seeds>().unwrap().of(7), [7, 8, 9]);
        assert_eq!("3,14, 15".parse::<Seeds>().unwrap().of(7), [3, 14, 15]);
        for bad in ["0", "", "a", "3,x"] {
            assert!(bad.parse::<Seeds>().is_err(), "{bad}");
        }
        assert!("4,5,4".parse::<Seeds>().unwrap_err().contains("seed 4 is there twice"));
    }

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        assert_eq!(mean_deviation(&[1.0, 3.0]), (Some(2.0), Some(2.0f64.sqrt())));
        assert_eq!(mean_deviation(&[5.0]), (Some(5.0), None));
        assert_eq!(mean_deviation(&[]), (None, None));
    }
}
