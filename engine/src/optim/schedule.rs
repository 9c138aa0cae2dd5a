//! Learning rates over a run: a factor of the base rate for each step.

use crate::error::{Error, Result};

/// How the learning rate changes over a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Always the base rate.
    Constant,
    /// Times `gamma` after every `every` epochs.
    Step {
        /// Epochs between drops.
        every: usize,
        /// Factor of each drop.
        gamma: f64,
    },
    /// From the base rate to zero along half a cosine (Loshchilov and Hutter 2016, arXiv 1608.03983).
    Cosine,
    /// Up from 1/25 over the first 30 % of the run, down to 1/250,000 by its end, both along cosines (Smith 2017,
    /// arXiv 1708.07120; PyTorch's defaults).
    OneCycle,
    /// Up along a line over the first `epochs` epochs, then constant.
    Warmup {
        /// Epochs of the rise.
        epochs: f64,
    },
    /// One after another, each as if it were alone; the last one takes what is left of the run.
    Phases(Vec<Phase>),
}

/// A schedule that holds for a part of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// How long, in epochs; of the last phase it means nothing.
    pub epochs: f64,
    /// The schedule.
    pub schedule: Schedule,
}

/// Lowers the learning rate when the loss stays where it is: PyTorch's ReduceLROnPlateau with its relative threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    /// Epochs without a better loss that are borne; the next one lowers the rate.
    pub patience: u64,
    /// What the rate is multiplied with.
    pub factor: f64,
}

/// What a [`Plateau`] has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// The least loss.
    pub best: Option<f64>,
    /// Epochs since then, or since the rate was lowered.
    pub stale: u64,
    /// How often the rate was lowered.
    pub drops: u32,
}

impl Plateau {
    /// Share by which a loss must be less to be better.
    const THRESHOLD: f64 = 1e-4;

    /// Takes the loss of an epoch into account.
    pub fn see(&self, seen: &mut Seen, loss: f64) {
        if seen.best.is_none_or(|best| loss < best - best.abs() * Self::THRESHOLD) {
            (seen.best, seen.stale) = (Some(loss), 0);
            return;
        }
        seen.stale += 1;
        if seen.stale > self.patience {
            (seen.stale, seen.drops) = (0, seen.drops + 1);
        }
    }

    /// The factor of the learning rate.
    pub fn factor(&self, seen: &Seen) -> f64 {
        self.factor.powi(seen.drops as i32)
    }
}

impl Schedule {
    /// The names, in [`Schedule::named`].
    pub const NAMES: &'static [&'static str] = &["constant", "cosine", "one-cycle", "step", "warmup"];

    /// By name, with defaults: step drops to a tenth every 10 epochs, warm-up lasts one epoch. Errors: an unknown name.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "constant" => Ok(Self::Constant),
            "cosine" => Ok(Self::Cosine),
            "one-cycle" => Ok(Self::OneCycle),
            "step" => Ok(Self::Step { every: 10, gamma: 0.1 }),
            "warmup" => Ok(Self::Warmup { epochs: 1.0 }),
            _ => Err(Error::unknown("schedule", name, Self::NAMES.iter().copied())),
        }
    }

    /// The factor for step `step` (from 0) of a run of `total` steps with `per_epoch` steps an epoch.
    pub fn factor(&self, step: u64, total: u64, per_epoch: u64) -> f64 {
        let share = step as f64 / (total.max(2) - 1) as f64;
        let fall =
            |from: f64, to: f64, t: f64| to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * t).cos());
        match self {
            Self::Constant => 1.0,
            &Self::Step { every, gamma } => {
                gamma.powi((step / per_epoch.max(1) / every.max(1) as u64) as i32)
            }
            Self::Cosine => fall(1.0, 0.0, step as f64 / total.max(1) as f64),
            Self::OneCycle if share < 0.3 => fall(1.0 / 25.0, 1.0, share / 0.3),
            Self::OneCycle => fall(1.0, 1.0 / 250_000.0, (share - 0.3) / 0.7),
            &Self::Warmup { epochs } => {
                let rise = (epochs * per_epoch as f64).max(1.0);
                ((step + 1) as f64 / rise).min(1.0)
            }
            Self::Phases(phases) => {
                let mut start = 0;
                for (i, phase) in phases.iter().enumerate() {
                    let rest = total.saturating_sub(start);
                    let asked = (phase.epochs * per_epoch as f64).round() as u64;
                    let length = if i + 1 == phases.len() { rest } else { asked.min(rest) };
                    if step < start + length || i + 1 == phases.len() {
                        return phase.schedule.factor(step - start, length, per_epoch);
                    }
                    start += length;
                }
                1.0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_start_turn_and_end_where_they_should() {
        let f = |s: Schedule, step| s.factor(step, 100, 10);
        assert_eq!((f(Schedule::Constant, 0), f(Schedule::Constant, 99)), (1.0, 1.0));
        let step = Schedule::Step { every: 2, gamma: 0.5 };
        assert_eq!([0, 19, 20, 40].map(|s| f(step.clone(), s)), [1.0, 1.0, 0.5, 0.25]);
        assert_eq!(f(Schedule::Cosine, 0), 1.0);
        assert!((f(Schedule::Cosine, 50) - 0.5).abs() < 1e-12 && f(Schedule::Cosine, 99) < 0.001);
        assert!((f(Schedule::OneCycle, 0) - 0.04).abs() < 1e-12);
        assert!(f(Schedule::OneCycle, 30) > 0.99 && f(Schedule::OneCycle, 99) < 5e-6);
        let warm = Schedule::Warmup { epochs: 1.0 };
        assert_eq!([0, 4, 9, 50].map(|s| f(warm.clone(), s)), [0.1, 0.5, 1.0, 1.0]);
    }

    #[test]
    fn phases_follow_each_other_and_the_last_takes_the_rest() {
        let phase = |epochs, schedule| Phase { epochs, schedule };
        let mixed = Schedule::Phases(vec![
            phase(2.0, Schedule::Warmup { epochs: 2.0 }),
            phase(3.0, Schedule::Constant),
            phase(0.0, Schedule::Cosine),
        ]);
        let f = |step| mixed.factor(step, 100, 10);
        assert_eq!([0, 19, 20, 49, 50].map(f), [0.05, 1.0, 1.0, 1.0, 1.0]);
        assert!((f(75) - 0.5).abs() < 1e-12 && f(99) < 0.002);
        // a run that ends within the first phase
        assert_eq!(mixed.factor(9, 10, 10), 0.5);
        assert_eq!(Schedule::Phases(Vec::new()).factor(3, 10, 10), 1.0);
    }

    #[test]
    fn a_plateau_lowers_the_rate_after_its_patience() {
        let plateau = Plateau { patience: 1, factor: 0.5 };
        let mut seen = Seen::default();
        let losses = [1.0, 0.9, 0.9, 0.89999, 0.5, 0.6, 0.6, 0.6, 0.6];
        // torch.optim.lr_scheduler.ReduceLROnPlateau(factor=0.5, patience=1) gives the same rates
        let rates = losses.map(|loss| {
            plateau.see(&mut seen, loss);
            plateau.factor(&seen)
        });
        assert_eq!(rates, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]);
        assert_eq!(seen, Seen { best: Some(0.5), stale: 0, drops: 3 });
    }
}
