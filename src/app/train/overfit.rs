//! A few images driven to zero loss: what a network and its gradients must be able to do before anything else is worth
//! trying. Nothing is saved, and no callback interferes.

use std::sync::atomic::AtomicBool;

use super::history::EpochSums;
use super::{Data, Trainer};
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

impl<'a> Trainer<'a> {
    /// Trains until the loss of an epoch is at most `GOAL`, or to the last epoch. `progress` gets what there is after each.
    pub fn overfit(&mut self, interrupted: &AtomicBool, mut progress: impl FnMut(&Overfit)) -> Result<Overfit> {
        let mut reached = Overfit { epochs: 0, loss: f64::NAN, accuracy: f64::NAN };
        let data: &'a Data = self.data;
        std::thread::scope(|scope| {
            let mut batches = data.train.batches(scope, self.training_order());
            while reached.epochs < self.config.epochs && !reached.passed() {
                self.sums = EpochSums::default();
                if !self.train_epoch(&mut batches, None, interrupted)? {
                    return Err(Error::Interrupted);
                }
                let (loss, accuracy) = (self.sums.mean_loss(), self.sums.accuracy());
                reached = Overfit { epochs: reached.epochs + 1, loss, accuracy };
                progress(&reached);
            }
            Ok(reached)
        })
    }
}
