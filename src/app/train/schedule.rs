//! The learning rate of each step: constant, cut on a plateau, or a cosine's fall, each after a warm-up.

use std::f64::consts::PI;
use std::fmt::{self, Display};

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate changes over a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Cut where a metric stands still: Keras's ReduceLROnPlateau, and the tutorial's way.
    #[default]
    Plateau,
    /// One rate for all steps.
    Constant,
    /// Half a cosine from the full rate to 0 over the whole run: Keras's CosineDecay.
    Cosine,
}

impl Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("no value is hidden").get_name())
    }
}

/// The rates of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    pub schedule: Schedule,
    /// Steps in which the rate rises from 0 in equal parts.
    pub warmup: u64,
    /// Steps of the run.
    pub steps: u64,
}

impl Rates {
    /// Rates of so many epochs, of which the first `warmup` raise the rate.
    pub fn new(schedule: Schedule, warmup: f64, epochs: usize, steps_per_epoch: usize) -> Rates {
        let steps = (epochs * steps_per_epoch) as u64;
        Rates { schedule, warmup: (warmup * steps_per_epoch as f64).round() as u64, steps }
    }

    /// The rate of the step after `done` steps, where `full` is the rate without schedule and warm-up.
    ///
    /// As Keras has it (2.15, `CosineDecay` with `warmup_target`), the first step of a warm-up has rate 0, and the cosine
    /// begins after the warm-up.
    pub fn at(&self, full: f64, done: u64) -> f64 {
        if done < self.warmup {
            return full * done as f64 / self.warmup as f64;
        }
        match self.schedule {
            Schedule::Plateau | Schedule::Constant => full,
            Schedule::Cosine => {
                let decay = self.steps.saturating_sub(self.warmup).max(1);
                let share = (done - self.warmup).min(decay) as f64 / decay as f64;
                full * 0.5 * (1.0 + (PI * share).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_schedule_a_rate_is_itself_to_the_bit() {
        let full = f64::from(1e-3f32);
        for schedule in [Schedule::Plateau, Schedule::Constant] {
            let rates = Rates::new(schedule, 0.0, 3, 10);
            assert!((0..40).all(|done| rates.at(full, done).to_bits() == full.to_bits()));
        }
    }

    #[test]
    fn a_warm_up_rises_and_a_cosine_falls() {
        let rates = Rates::new(Schedule::Cosine, 0.5, 2, 10);
        assert_eq!((rates.warmup, rates.steps), (5, 20));
        let all: Vec<f64> = (0..=20).map(|done| rates.at(1.0, done)).collect();
        assert_eq!((all[0], all[5]), (0.0, 1.0));
        assert!(all[20].abs() < 1e-15 && rates.at(1.0, 99) == all[20]);
        assert!(all[..6].is_sorted() && all[5..].iter().rev().is_sorted());
        // A run that is all warm-up.
        assert_eq!(Rates::new(Schedule::Cosine, 2.0, 2, 10).at(1.0, 19), 0.95);
    }
}
