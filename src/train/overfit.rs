//! A few images driven to zero loss: what a network and its gradients must be able to do before anything else is worth
//! trying. Nothing is saved, and no callback interferes.

use std::sync::atomic::AtomicBool;

use super::Trainer;
use super::history::EpochSums;
use crate::data::batches;
use crate::error::{Error, Result};

/// Zero, nearly: the mean class-weighted cross-entropy at which every image is predicted right with a probability of
/// 0.99 on average.
pub const GOAL: f64 = 0.01;

/// How far it came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overfit {
    pub epochs: usize,
    /// Means of the last epoch.
    pub loss: f64,
    pub accuracy: f64,
}

impl Overfit {
    /// Not when the loss is NaN.
    pub fn passed(&self) -> bool {
        self.loss <= GOAL
    }
}

impl Trainer<'_> {
    /// Trains until the loss of an epoch is at most `GOAL`, or to the last epoch. `progress` gets what there is after each.
    pub fn overfit(&mut self, interrupted: &AtomicBool, mut progress: impl FnMut(&Overfit)) -> Result<Overfit> {
        let mut reached = Overfit { epochs: 0, loss: f64::NAN, accuracy: f64::NAN };
        while reached.epochs < self.config.epochs && !reached.passed() {
            let epoch = reached.epochs as u64;
            let count = self.data.train.labels.len();
            let order = batches::train_batches(self.config.seed, epoch, count, self.config.batch);
            self.sums = EpochSums::default();
            if !self.train_epoch(epoch, &order, None, interrupted)? {
                return Err(Error::Interrupted);
            }
            reached =
                Overfit { epochs: reached.epochs + 1, loss: self.sums.mean_loss(), accuracy: self.sums.accuracy() };
            progress(&reached);
        }
        Ok(reached)
    }
}
