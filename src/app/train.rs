//! The training loop: batches in, metrics out, callbacks and checkpoints at the end of each epoch. What Keras's `fit`
//! does for the tutorial.

pub mod callbacks;
mod epoch;
pub mod feed;
pub mod history;
pub mod overfit;
pub mod progress;
mod saving;
pub mod schedule;
pub mod shares;
mod state;
pub mod tensorboard;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::app::checkpoint::{self, Tensor};
use crate::app::config::Config;
use crate::app::plot;
use crate::engine::plan::names;
use crate::engine::plan::{Plan, Target, budget};
use crate::engine::run::{Closed, Engine};
use crate::error::{Error, Result};
use crate::files::warn_if_held;
use crate::network::Network;
use crate::network::compile as plans;
use crate::network::weights;
use crate::notes::note;
use crate::proof::doctor::open;
use callbacks::{Callbacks, EarlyStopping};
use feed::Labelled;
use history::{EpochRecord, EpochSums};
use progress::EpochProgress;
use saving::Saving;
use schedule::{Rates, Schedule};
use tensorboard::EventFile;

/// The files of a run's folder.
pub mod files {
    pub const CONFIG: &str = "config.toml";
    pub const HISTORY: &str = "history.csv";
    pub const HISTORY_PLOT: &str = "history.png";
    pub const BEST: &str = "best.safetensors";
    pub const STATE: &str = "state.safetensors";
    pub const REPORT: &str = "report.txt";
    pub const REPORT_JSON: &str = "report.json";
    pub const PREDICTIONS: &str = "predictions.csv";
    pub const CONFUSION_PLOT: &str = "confusion.png";
    pub const ROC_PLOT: &str = "roc.png";
    pub const PR_PLOT: &str = "pr.png";
    pub const RELIABILITY_PLOT: &str = "reliability.png";
    pub const PAGE: &str = "report.html";
    pub const CARD: &str = "card.md";
}

/// A device may be lost this often in one epoch; after that the cause is not chance.
const MOST_LOSSES: usize = 3;

/// Data that a run trains on.
#[derive(Debug)]
pub struct Data {
    pub classes: Vec<String>,
    pub train: Labelled,
    pub val: Labelled,
    /// Where the training images came from, in their order: for messages.
    pub train_files: Vec<PathBuf>,
    /// Tells whether a resumed run sees the same data.
    pub fingerprint: String,
}

/// A run: network, data, and everything that changes while it goes on.
#[derive(Debug)]
pub struct Trainer<'a> {
    pub engine: Engine,
    config: &'a Config,
    network: Network,
    data: &'a Data,
    /// Plans of training steps with the batch sizes that occur: the full one, and the short rest.
    training: Vec<(usize, usize)>,
    validation: usize,
    callbacks: Callbacks,
    history: Vec<EpochRecord>,
    sums: EpochSums,
    lr: f32,
    step: u64,
    /// How often the device was lost in this epoch.
    losses: usize,
    /// It was lost at some time, and has shorter dispatches since.
    halved: bool,
    /// A state of the run is on disk.
    has_state: bool,
    saving: Saving,
}

/// Sizes of a run's batches: in training the full one, and the short rest.
struct Sizes {
    training: Vec<usize>,
    validation: usize,
}

impl Sizes {
    /// Plans of training, then that of validation.
    fn plans(&self, network: &Network, target: &Target) -> Vec<Plan> {
        let training = self.training.iter().map(|&size| plans::training(network, size, target));
        training.chain([plans::inference(network, self.validation, target)]).collect()
    }
}

impl<'a> Trainer<'a> {
    /// Plans and compiles everything the run needs; weights are fresh.
    pub fn new(engine: Engine, config: &'a Config, network: Network, data: &'a Data) -> Result<Trainer<'a>> {
        let count = data.train.labels.len();
        if count < config.batch {
            return Err(Error::Input(format!(
                "the training split has {count} images, fewer than a batch of {}: lower --batch",
                config.batch
            )));
        }
        let mut trainer = Trainer {
            engine,
            config,
            network,
            data,
            training: Vec::new(),
            validation: 0,
            callbacks: Callbacks::new(config.callbacks),
            history: Vec::new(),
            sums: EpochSums::default(),
            lr: config.lr,
            step: 0,
            losses: 0,
            halved: false,
            has_state: false,
            saving: Saving::default(),
        };
        trainer.load_plans()?;
        let fresh = weights::initial(&trainer.network, config.seed);
        trainer.set_weights(&fresh);
        Ok(trainer)
    }

    /// Loads the plans of a run on the engine, which has none.
    fn load_plans(&mut self) -> Result<()> {
        let (target, sizes) = (self.target()?, self.sizes());
        let Trainer { engine, network, training, .. } = self;
        engine.reserve_for(&target, |target| sizes.plans(network, target))?;
        training.clear();
        for &size in &sizes.training {
            training.push((size, engine.load_for(&target, |target| plans::training(network, size, target))?));
        }
        let validation = |target: &Target| plans::inference(network, sizes.validation, target);
        self.validation = engine.load_for(&target, validation)?;
        self.write_class_weights();
        Ok(())
    }

    /// The engine's target, made to fit the budget of memory.
    fn target(&self) -> Result<Target> {
        let (mut target, batch) = (self.engine.target(), self.config.batch);
        target.half_activations = self.config.half_activations;
        if let Some(cut) = self.config.cut {
            let slower = if self.halved { target.dispatch_flops } else { u64::MAX };
            target = target.cut_as(cut);
            target.dispatch_flops = target.dispatch_flops.min(slower);
        }
        let (count, sizes) = (target.shares.count, self.sizes());
        shares::check(count, self.engine.ranks(), batch)?;
        // What fits one share fits every device; the windows are the same wherever it is computed.
        let of_share = |target: &Target| sizes.plans(&self.network, &target.of_rank(0, count));
        budget::fit_mib(target, self.config.memory_budget, batch / count, of_share)
    }

    /// Sizes of the batches that occur.
    fn sizes(&self) -> Sizes {
        let (batch, count) = (self.config.batch, self.data.train.labels.len());
        let training = [batch, count % batch].into_iter().filter(|&size| size > 0).collect();
        Sizes { training, validation: batch.min(self.data.val.labels.len()) }
    }

    /// Replaces weights and moving statistics.
    pub fn set_weights(&mut self, tensors: &[Tensor]) {
        weights::upload(&mut self.engine, self.validation, &self.network, tensors);
    }

    /// The number of the inference plan, for an evaluation with the same weights.
    pub fn inference_program(&self) -> usize {
        self.validation
    }

    /// Steps done in the epoch that is under way.
    pub fn steps_done(&self) -> usize {
        self.sums.steps
    }

    pub fn history(&self) -> &[EpochRecord] {
        &self.history
    }

    /// Largest class count over the class's count for training; 1 for validation, which is not weighted.
    fn write_class_weights(&mut self) {
        let mut counts = vec![0u32; self.data.classes.len()];
        for &label in &self.data.train.labels {
            counts[label as usize] += 1;
        }
        let largest = *counts.iter().max().expect("there are classes");
        let weight: Vec<f32> = counts.iter().map(|&count| (f64::from(largest) / f64::from(count)) as f32).collect();
        for &(_, program) in &self.training {
            self.engine.write(program, names::CLASS_WEIGHT, &weight);
        }
        self.engine.write(self.validation, names::CLASS_WEIGHT, &vec![1.0; counts.len()]);
    }

    /// The learning rate of the step after `done` steps.
    fn rate(&self, done: u64) -> f64 {
        let config = self.config;
        Rates::new(config.schedule, config.warmup, config.epochs, self.steps()).at(f64::from(self.lr), done)
    }

    /// Trains to the last epoch, or until the callbacks stop it or `interrupted` is set: then the state is saved in the
    /// middle of the epoch, and the error is `Error::Interrupted`.
    ///
    /// A lost device is opened anew, and the run goes on from its last saved state; not where several processes compute: that
    /// ends the run.
    pub fn run(&mut self, folder: &Path, interrupted: &AtomicBool) -> Result<()> {
        if !self.has_state {
            self.save_state(folder)?;
        }
        loop {
            let ended = self.run_epochs(folder, interrupted);
            match (ended, self.saving.wait()) {
                (Err(Error::DeviceLost(why)), Ok(())) if !self.engine.has_other_processes() => {
                    self.recover(folder, why)?
                }
                (Ok(()), saved) => return saved,
                (Err(error), saved) => {
                    if let Err(unsaved) = saved {
                        note!("warning: {unsaved}");
                    }
                    return Err(error);
                }
            }
        }
    }

    fn recover(&mut self, folder: &Path, mut why: String) -> Result<()> {
        let state = folder.join(files::STATE);
        let dispatch_ms = self.engine.dispatch_ms();
        let mut closed = Vec::new();
        while self.losses + 1 < MOST_LOSSES {
            self.losses += 1;
            self.halved = true;
            note!("warning: {why}\nOpening the device anew, with dispatches half as long");
            let now = self.engine.close();
            closed = if now.is_empty() { closed } else { now };
            let recovered = self.reopen(&closed).and_then(|()| self.restore(&state));
            match recovered {
                Err(Error::DeviceLost(again) | Error::Device(again)) => why = again,
                Ok(()) => {
                    note!("Going on from epoch {}, step {}", self.history.len() + 1, self.sums.steps + 1);
                    return Ok(());
                }
                failed => return failed,
            }
        }
        Err(Error::DeviceLost(format!(
            "{why}\nThe device was lost {MOST_LOSSES} times in one epoch; the last good state is in {}. Likely causes: a watchdog that \
             takes long work for a hang (--max-dispatch-ms below {}), too little memory (--batch, --image-size or --width \
             lower), or a driver that needs an update; then go on with --resume",
            state.display(),
            dispatch_ms,
        )))
    }

    fn reopen(&mut self, closed: &[Closed]) -> Result<()> {
        if !closed.is_empty() {
            self.engine = open::reopen(closed)?;
        }
        self.load_plans()
    }

    fn run_epochs(&mut self, folder: &Path, interrupted: &AtomicBool) -> Result<()> {
        let mut events = match &self.config.tensorboard {
            Some(folder) if self.saves() => Some(EventFile::create(folder, self.history.len())?),
            _ => None,
        };
        let data: &'a Data = self.data;
        if self.saves() && !self.history.is_empty() {
            // A run that was killed may have saved its state and nothing after it.
            warn_if_held(history::write(&folder.join(files::HISTORY), &self.history))?;
        }
        std::thread::scope(|scope| {
            let mut batches = data.train.batches(scope, self.training_order());
            while self.history.len() < self.config.epochs && !self.callbacks.have_stopped(self.history.len()) {
                let mut bar = EpochProgress::start(self.history.len() + 1, self.config.epochs, self.steps());
                bar.skip(self.sums.steps);
                if !self.train_epoch(&mut batches, Some(&mut bar), interrupted)? {
                    self.save_state(folder)?;
                    return Err(Error::Interrupted);
                }
                let Some(record) = self.validated(interrupted)? else {
                    self.save_state(folder)?;
                    return Err(Error::Interrupted);
                };
                bar.finish(&record);
                self.end_epoch(record.clone(), folder)?;
                if let Some(events) = &mut events {
                    events.epoch(&record)?;
                }
            }
            if self.history.len() < self.config.epochs {
                let EarlyStopping { monitor, patience, .. } = self.callbacks.options.early_stopping;
                note!("{monitor} has not improved for {patience} epochs: stopping early.");
            }
            Ok(())
        })
    }

    /// The record of the epoch whose steps are done, with its validation; none when that was interrupted.
    fn validated(&mut self, interrupted: &AtomicBool) -> Result<Option<EpochRecord>> {
        let (epoch, started) = (self.history.len(), Instant::now());
        let Some((val_loss, val_accuracy)) = self.validate(epoch as u64, interrupted)? else { return Ok(None) };
        Ok(Some(EpochRecord {
            epoch: epoch + 1,
            loss: self.sums.mean_loss(),
            accuracy: self.sums.accuracy(),
            val_loss,
            val_accuracy,
            lr: self.rate(self.step.saturating_sub(1)) as f32,
            seconds: self.sums.seconds + started.elapsed().as_secs_f64(),
            images_per_second: self.sums.images_per_second(),
            data_wait: self.sums.data_wait(),
        }))
    }

    /// Callbacks at the end of an epoch, and its files, first what a resumed run needs: they are written while the next
    /// epoch runs.
    fn end_epoch(&mut self, record: EpochRecord, folder: &Path) -> Result<()> {
        // A cut is one of the full rate, whatever the schedule made of it.
        let end = self.callbacks.epoch_end(&EpochRecord { lr: self.lr, ..record.clone() });
        self.history.push(record);
        self.sums = EpochSums::default();
        if self.config.schedule == Schedule::Plateau {
            self.lr = end.lr;
        }
        let (tensors, state) = self.state()?;
        // Only now: a device that is lost in reading the weights back would else be opened anew without end.
        self.losses = 0;
        if !self.saves() {
            return Ok(());
        }
        let (weights, best) = (self.network.parameters().len(), end.save_best.then(|| self.metadata(None)));
        let (folder, history) = (folder.to_path_buf(), self.history.clone());
        self.saving.begin(move || {
            if let Some(best) = best {
                checkpoint::save(&folder.join(files::BEST), &tensors[..weights], &best)?;
            }
            checkpoint::save(&folder.join(files::STATE), &tensors, &state)?;
            warn_if_held(history::write(&folder.join(files::HISTORY), &history))?;
            warn_if_held(plot::history(&folder.join(files::HISTORY_PLOT), &history))
        })
    }
}
