//! Callbacks at the end of an epoch, in Keras's order: keep the best weights, reduce the learning
//! rate, stop early.
//!
//! Comparisons are in f64 and strict, so NaN never counts as an improvement. All state is serialisable: a resumed run
//! decides as an uninterrupted one would.

use std::fmt::{Display, Formatter};

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::history::EpochRecord;
use crate::files::exact_float;

/// The value of the finished epoch that a callback watches: a loss is better when it is lower, an accuracy when it is
/// higher (Keras's mode `auto`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Monitor {
    Loss,
    Accuracy,
    ValLoss,
    ValAccuracy,
}

impl Monitor {
    /// The epoch's value; for an accuracy with the sign turned, which mirrors all comparisons exactly, so that lower is
    /// better.
    fn cost(self, epoch: &EpochRecord) -> f64 {
        match self {
            Monitor::Loss => epoch.loss,
            Monitor::Accuracy => -epoch.accuracy,
            Monitor::ValLoss => epoch.val_loss,
            Monitor::ValAccuracy => -epoch.val_accuracy,
        }
    }
}

/// As the history's column is called.
impl Display for Monitor {
    fn fmt(&self, f: &mut Formatter) -> std::fmt::Result {
        f.write_str(self.to_possible_value().expect("no value is hidden").get_name())
    }
}

/// Options of all three; the tutorial's are the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CallbackOptions {
    /// Keras's ModelCheckpoint, which keeps the best weights.
    pub best_checkpoint: BestCheckpoint,
    /// Keras's ReduceLROnPlateau.
    pub reduce_lr: ReduceLrOnPlateau,
    /// Keras's EarlyStopping; the last weights stay in place.
    pub early_stopping: EarlyStopping,
}

/// Options of Keras's `ModelCheckpoint(save_best_only=True)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BestCheckpoint {
    /// Metric whose best epoch gives the weights that are kept.
    pub monitor: Monitor,
}

impl Default for BestCheckpoint {
    fn default() -> Self {
        BestCheckpoint { monitor: Monitor::ValLoss }
    }
}

/// Options of Keras's `ReduceLROnPlateau`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReduceLrOnPlateau {
    /// Metric watched for cutting the learning rate.
    pub monitor: Monitor,
    /// Factor by which a cut multiplies the rate.
    pub factor: f64,
    /// Epochs without improvement before the rate is cut.
    pub patience: usize,
    /// Improvements no greater than this are ignored.
    pub min_delta: f64,
    /// Epochs ignored after a cut.
    pub cooldown: usize,
    /// Least learning rate.
    pub min_lr: f64,
}

impl Default for ReduceLrOnPlateau {
    fn default() -> Self {
        ReduceLrOnPlateau {
            monitor: Monitor::Loss,
            factor: 0.2,
            patience: 3,
            min_delta: 1e-4,
            cooldown: 0,
            min_lr: 0.0,
        }
    }
}

/// Options of Keras's `EarlyStopping`; the last weights stay in place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    /// Metric watched by early stopping.
    pub monitor: Monitor,
    /// Epochs without improvement before training stops.
    pub patience: usize,
    /// Improvements no greater than this are ignored.
    pub min_delta: f64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        EarlyStopping { monitor: Monitor::Loss, patience: 5, min_delta: 0.0 }
    }
}

/// The lowest cost seen, and the number of epochs since.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Lowest {
    #[serde(with = "exact_float")]
    cost: f64,
    wait: usize,
}

impl Lowest {
    const NONE: Lowest = Lowest { cost: f64::INFINITY, wait: 0 };

    fn found(&mut self, cost: f64) {
        *self = Lowest { cost, wait: 0 };
    }
}

/// The three callbacks: their options and what they remember. Each remembers its own lowest cost, since what counts
/// as an improvement differs: tiny improvements cut the learning rate without ever stopping the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Callbacks {
    pub options: CallbackOptions,
    saved: Lowest,
    plateau: Lowest,
    /// Epochs of the plateau's cooldown that are still to come.
    cooldown: usize,
    standstill: Lowest,
}

/// Decisions for the training loop at the end of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochEnd {
    /// These weights are the best so far: write them to `best.safetensors`.
    pub save_best: bool,
    /// The learning rate of the next epoch.
    pub lr: f32,
    /// This was the last epoch.
    pub stop: bool,
}

impl Callbacks {
    pub fn new(options: CallbackOptions) -> Callbacks {
        let none = Lowest::NONE;
        Callbacks { options, saved: none, plateau: none, cooldown: 0, standstill: none }
    }

    /// Goes on with other options. What is remembered are values of one monitor: one that changes is named in the error.
    pub fn with(self, options: CallbackOptions) -> std::result::Result<Callbacks, String> {
        let monitors = |options: CallbackOptions| {
            [
                ("callbacks.best_checkpoint.monitor", options.best_checkpoint.monitor),
                ("callbacks.reduce_lr.monitor", options.reduce_lr.monitor),
                ("callbacks.early_stopping.monitor", options.early_stopping.monitor),
            ]
        };
        for ((key, was), (_, now)) in monitors(self.options).into_iter().zip(monitors(options)) {
            if was != now {
                return Err(format!("the run began with {key} {was}, and cannot go on with {now}"));
            }
        }
        Ok(Callbacks { options, ..self })
    }

    /// `epoch` is the one that is over.
    pub fn epoch_end(&mut self, epoch: &EpochRecord) -> EpochEnd {
        EpochEnd { save_best: self.is_best(epoch), lr: self.next_lr(epoch), stop: self.must_stop(epoch) }
    }

    fn is_best(&mut self, epoch: &EpochRecord) -> bool {
        let cost = self.options.best_checkpoint.monitor.cost(epoch);
        let best = cost < self.saved.cost;
        if best {
            self.saved.found(cost);
        }
        best
    }

    /// A cut does not forget the lowest cost: a constant loss cuts the rate every `patience` epochs.
    fn next_lr(&mut self, epoch: &EpochRecord) -> f32 {
        let ReduceLrOnPlateau { monitor, factor, patience, min_delta, cooldown, min_lr } = self.options.reduce_lr;
        let (cost, lr) = (monitor.cost(epoch), epoch.lr);
        if self.cooldown > 0 {
            self.cooldown -= 1;
            self.plateau.wait = 0;
        }
        if cost < self.plateau.cost - min_delta {
            self.plateau.found(cost);
            return lr;
        }
        if self.cooldown > 0 {
            return lr;
        }
        self.plateau.wait += 1;
        if self.plateau.wait < patience || lr <= min_lr as f32 {
            return lr;
        }
        self.plateau.wait = 0;
        self.cooldown = cooldown;
        // Keras keeps the rate in f32 and multiplies in f64.
        (f64::from(lr) * factor).max(min_lr) as f32
    }

    /// Whether the end of the last of so many epochs stopped training: never after the first, whatever it came to.
    pub fn have_stopped(&self, epochs: usize) -> bool {
        self.standstill.wait >= self.options.early_stopping.patience.max(1) && epochs > 1
    }

    fn must_stop(&mut self, epoch: &EpochRecord) -> bool {
        let EarlyStopping { monitor, min_delta, .. } = self.options.early_stopping;
        let cost = monitor.cost(epoch);
        if cost + min_delta < self.standstill.cost {
            self.standstill.found(cost);
            return false;
        }
        self.standstill.wait += 1;
        self.have_stopped(epoch.epoch)
    }
}
