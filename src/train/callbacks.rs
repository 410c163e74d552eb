//! What happens at the end of an epoch, in Keras's order: keep the best weights, reduce the learning rate, stop early.
//!
//! Comparisons are in f64 and strict, so NaN never counts as an improvement. All state is serialisable: a resumed run
//! decides as an uninterrupted one would.

use serde::{Deserialize, Serialize};

use crate::files::exact_float;

/// The value of the finished epoch that a callback watches. Lower is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Monitor {
    Loss,
    ValLoss,
}

impl Monitor {
    fn value(self, loss: f64, val_loss: f64) -> f64 {
        match self {
            Monitor::Loss => loss,
            Monitor::ValLoss => val_loss,
        }
    }
}

/// Options of all three; the tutorial's are the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallbackOptions {
    pub best_checkpoint: BestCheckpoint,
    pub reduce_lr: ReduceLrOnPlateau,
    pub early_stopping: EarlyStopping,
}

/// Options of Keras's `ModelCheckpoint(save_best_only=True)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BestCheckpoint {
    pub monitor: Monitor,
}

impl Default for BestCheckpoint {
    fn default() -> Self {
        BestCheckpoint { monitor: Monitor::ValLoss }
    }
}

/// Options of Keras's `ReduceLROnPlateau`, without its cooldown and lower bound.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReduceLrOnPlateau {
    pub monitor: Monitor,
    /// The learning rate is multiplied by this.
    pub factor: f64,
    /// Number of epochs without an improvement after which it is.
    pub patience: usize,
    /// Only a fall by more than this is an improvement.
    pub min_delta: f64,
}

impl Default for ReduceLrOnPlateau {
    fn default() -> Self {
        ReduceLrOnPlateau { monitor: Monitor::Loss, factor: 0.2, patience: 3, min_delta: 1e-4 }
    }
}

/// Options of Keras's `EarlyStopping`; the last weights stay in place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    pub monitor: Monitor,
    /// Number of epochs without an improvement after which training stops.
    pub patience: usize,
    /// Only a fall by more than this is an improvement.
    pub min_delta: f64,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        EarlyStopping { monitor: Monitor::Loss, patience: 5, min_delta: 0.0 }
    }
}

/// The lowest value seen, and the number of epochs since.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Lowest {
    #[serde(with = "exact_float")]
    value: f64,
    wait: usize,
}

impl Lowest {
    const NONE: Lowest = Lowest { value: f64::INFINITY, wait: 0 };

    fn found(&mut self, value: f64) {
        *self = Lowest { value, wait: 0 };
    }
}

/// The three callbacks: their options and what they remember. Each remembers its own lowest value, since what counts
/// as an improvement differs: tiny improvements cut the learning rate without ever stopping the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Callbacks {
    pub options: CallbackOptions,
    saved: Lowest,
    plateau: Lowest,
    standstill: Lowest,
}

/// What the training loop is to do now that an epoch is over.
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
        Callbacks { options, saved: Lowest::NONE, plateau: Lowest::NONE, standstill: Lowest::NONE }
    }

    /// `loss` and `val_loss` are the finished epoch's, `lr` is what it ran with.
    pub fn epoch_end(&mut self, loss: f64, val_loss: f64, lr: f32) -> EpochEnd {
        let CallbackOptions { best_checkpoint, reduce_lr, early_stopping } = self.options;
        EpochEnd {
            save_best: self.is_best(best_checkpoint.monitor.value(loss, val_loss)),
            lr: self.next_lr(reduce_lr.monitor.value(loss, val_loss), lr),
            stop: self.must_stop(early_stopping.monitor.value(loss, val_loss)),
        }
    }

    /// The value of the weights kept in `best.safetensors`; infinity as long as there are none.
    pub fn best(&self) -> f64 {
        self.saved.value
    }

    fn is_best(&mut self, value: f64) -> bool {
        let best = value < self.saved.value;
        if best {
            self.saved.found(value);
        }
        best
    }

    /// A cut does not forget the lowest value: a constant loss cuts the rate every `patience` epochs.
    fn next_lr(&mut self, value: f64, lr: f32) -> f32 {
        let ReduceLrOnPlateau { factor, patience, min_delta, .. } = self.options.reduce_lr;
        if value < self.plateau.value - min_delta {
            self.plateau.found(value);
            return lr;
        }
        self.plateau.wait += 1;
        if self.plateau.wait < patience {
            return lr;
        }
        self.plateau.wait = 0;
        // Keras keeps the rate in f32 and multiplies in f64.
        (f64::from(lr) * factor) as f32
    }

    fn must_stop(&mut self, value: f64) -> bool {
        let EarlyStopping { patience, min_delta, .. } = self.options.early_stopping;
        if value + min_delta < self.standstill.value {
            self.standstill.found(value);
            return false;
        }
        self.standstill.wait += 1;
        self.standstill.wait >= patience
    }
}
