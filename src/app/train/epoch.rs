//! The batches of an epoch, through training or validation.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::feed::{Batch, Device, Variation, Wanted, feed};
use super::history::EpochSums;
use super::progress::EpochProgress;
use super::{Data, Trainer, files};
use crate::app::config::Config;
use crate::app::data::batches;
use crate::engine::plan::names;
use crate::engine::run::{Metrics, Running};
use crate::error::{Error, Result};
use crate::ops::adam;

impl<'a> Trainer<'a> {
    /// Training steps of an epoch.
    pub(super) fn steps(&self) -> usize {
        self.data.train.labels.len() / self.config.batch
    }

    /// The batches of all remaining epochs, without the steps already done in the current one. One
    /// epoch follows the other without a gap: the next one's first batches are put together while
    /// this one is validated and saved.
    pub(super) fn training_order(&self) -> impl Iterator<Item = Wanted<'a>> + Send + use<'a> {
        let to_read = |&(size, program): &(usize, usize)| (size, self.engine.images_to_read(program, 0));
        let to_read: HashMap<usize, Range<usize>> = self.training.iter().map(to_read).collect();
        let (config, count): (&'a Config, _) = (self.config, self.data.train.labels.len());
        let of_epoch = move |epoch: usize| {
            let (seed, epoch) = (config.seed, epoch as u64);
            let variation = match config.augment {
                true => Variation::Random { ranges: &config.augmentation, seed, epoch },
                false => Variation::None,
            };
            let order = batches::train_batches(seed, epoch, count, config.batch);
            order.into_iter().map(move |indices| (indices, variation))
        };
        let wanted = move |(indices, variation): (Vec<u32>, Variation<'a>)| {
            let read = to_read[&indices.len()].clone();
            Wanted { indices, read, variation }
        };
        (self.history.len()..config.epochs).flat_map(of_epoch).skip(self.sums.steps).map(wanted)
    }

    /// Runs the remaining steps of an epoch, with the batches that come next; false when it was
    /// interrupted.
    pub(super) fn train_epoch(
        &mut self,
        batches: &mut impl Iterator<Item = Result<Batch>>,
        bar: Option<&mut EpochProgress>,
        interrupted: &AtomicBool,
    ) -> Result<bool> {
        let steps = self.steps();
        let batches = batches.take(steps - self.sums.steps).take_while(|_| !interrupted.load(Ordering::Relaxed));
        let exchanged = self.engine.exchange_seconds();
        feed(&mut Training { trainer: self, bar, clock: Instant::now(), exchanged }, batches)?;
        Ok(self.sums.steps == steps)
    }

    /// Mean loss and accuracy over full batches of the validation split, as Keras computes them: not weighted by class,
    /// and over a random choice of the samples when the batch does not divide them. None when it was interrupted.
    pub(super) fn validate(&mut self, epoch: u64, interrupted: &AtomicBool) -> Result<Option<(f64, f64)>> {
        let (count, batch) = (self.data.val.labels.len(), self.engine.plan(self.validation).batch);
        let order = batches::validation_batches(self.config.seed, epoch, count, batch);
        let data: &'a Data = self.data;
        let steps = order.len();
        let wanted = |(number, indices)| {
            let read = self.engine.images_to_read(self.validation, number);
            Wanted { indices, read, variation: Variation::None }
        };
        let order: Vec<Wanted> = order.into_iter().enumerate().map(wanted).collect();
        let mut validation = Validation { trainer: self, sums: EpochSums::default() };
        std::thread::scope(|scope| {
            let batches =
                data.val.batches(scope, order.into_iter()).take_while(|_| !interrupted.load(Ordering::Relaxed));
            feed(&mut validation, batches)
        })?;
        let sums = validation.sums;
        Ok((sums.steps == steps).then(|| (sums.mean_loss(), sums.accuracy())))
    }

    /// Error for a step that the guard stopped. The plans of all batch sizes guard the same
    /// tensors.
    fn unusable(&self, fault: usize, indices: &[u32]) -> Error {
        let plan = self.engine.plan(self.training[0].1);
        let files: Vec<String> =
            indices.iter().map(|&index| self.data.train_files[index as usize].display().to_string()).collect();
        Error::NotFinite(format!(
            "{} is not finite, or too large to square, in epoch {}, step {}; no such number has reached a weight, and the \
             last good state is in {}. Likely causes: a learning rate that is too high (--lr), or one of the batch's images:\n  {}",
            names::in_words(&plan.tensor(plan.guarded[fault]).name),
            self.history.len() + 1,
            self.sums.steps + 1,
            files::STATE,
            files.join("\n  "),
        ))
    }
}

/// Training steps.
struct Training<'t, 'a> {
    trainer: &'t mut Trainer<'a>,
    bar: Option<&'t mut EpochProgress>,
    /// When the step before was done.
    clock: Instant,
    /// Seconds in exchanges until then.
    exchanged: f64,
}

impl Training<'_, '_> {
    fn program(&self, batch: &Batch) -> usize {
        let (size, plans) = (batch.indices.len(), &self.trainer.training);
        plans.iter().find(|(batch, _)| *batch == size).expect("both sizes are planned").1
    }
}

impl Device for Training<'_, '_> {
    type Running = Running;
    type Outcome = Metrics;

    fn write(&mut self, batch: &Batch) {
        let program = self.program(batch);
        batch.write(&mut self.trainer.engine, program);
    }

    fn start(&mut self, batch: &Batch) -> Running {
        let (program, trainer) = (self.program(batch), &mut *self.trainer);
        let rate = trainer.rate(trainer.step);
        trainer.step += 1;
        let alpha = adam::alpha(rate, trainer.step) as f32;
        trainer.engine.write(program, names::RATE, &[alpha, 0.0, 0.0, 0.0]);
        trainer.engine.start(program)
    }

    fn wait(&mut self, running: Running) -> Result<Metrics> {
        self.trainer.engine.finish(running)
    }

    fn is_idle(&self) -> Option<bool> {
        self.trainer.engine.is_idle()
    }

    fn starved(&mut self, seconds: f64) {
        self.trainer.sums.waited += seconds;
    }

    fn done(&mut self, batch: &Batch, metrics: Metrics) -> Result<()> {
        if let Some(fault) = metrics.fault {
            return Err(self.trainer.unusable(fault, &batch.indices));
        }
        let (sums, samples) = (&mut self.trainer.sums, batch.indices.len());
        sums.add_step(metrics.loss / samples as f64, metrics.right, samples);
        sums.seconds += self.clock.elapsed().as_secs_f64();
        self.clock = Instant::now();
        let exchanged = self.trainer.engine.exchange_seconds();
        sums.exchanged += exchanged - self.exchanged;
        self.exchanged = exchanged;
        if let Some(bar) = &mut self.bar {
            if self.trainer.engine.ranks() > 1 {
                bar.exchange_wait(sums.exchange_wait());
            }
            bar.step(sums.mean_loss(), sums.accuracy(), sums.images_per_second(), sums.data_wait());
        }
        Ok(())
    }
}

/// Validation: nothing is learnt, and waiting for data is not counted.
struct Validation<'t, 'a> {
    trainer: &'t mut Trainer<'a>,
    sums: EpochSums,
}

impl Device for Validation<'_, '_> {
    type Running = Running;
    type Outcome = Metrics;

    fn write(&mut self, batch: &Batch) {
        batch.write(&mut self.trainer.engine, self.trainer.validation);
    }

    fn start(&mut self, _: &Batch) -> Running {
        self.trainer.engine.start(self.trainer.validation)
    }

    fn wait(&mut self, running: Running) -> Result<Metrics> {
        self.trainer.engine.finish(running)
    }

    fn starved(&mut self, _: f64) {}

    /// Each device of a group has a batch of its own.
    fn ahead(&self) -> usize {
        self.trainer.engine.ranks()
    }

    fn done(&mut self, batch: &Batch, metrics: Metrics) -> Result<()> {
        let samples = batch.indices.len();
        self.sums.add_step(metrics.loss / samples as f64, metrics.right, samples);
        Ok(())
    }
}
