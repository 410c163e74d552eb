//! The training loop: batches in, metrics out, callbacks and checkpoints at the end of each epoch. What Keras's `fit`
//! does for the tutorial.

pub mod callbacks;
pub mod feed;
pub mod history;
pub mod progress;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::checkpoint::{self, Metadata, Tensor, TrainingState};
use crate::config::Config;
use crate::data::batches;
use crate::engine::{Engine, Running};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::ops::adam;
use crate::plan::network::{self as plans, names};
use crate::plan::{Plan, Target, budget};
use crate::{plot, weights};
use callbacks::Callbacks;
use feed::{Labelled, Variation};
use history::{EpochRecord, EpochSums};
use progress::EpochProgress;

/// The files of a run's folder.
pub mod files {
    pub const CONFIG: &str = "config.toml";
    pub const HISTORY: &str = "history.csv";
    pub const HISTORY_PLOT: &str = "history.png";
    pub const BEST: &str = "best.safetensors";
    pub const STATE: &str = "state.safetensors";
    pub const REPORT: &str = "report.txt";
    pub const REPORT_JSON: &str = "report.json";
    pub const CONFUSION_PLOT: &str = "confusion.png";
    pub const PAGE: &str = "report.html";
}

/// Runs started ahead of the one whose metrics are read: the device always has a next step to go on with.
const AHEAD: usize = 1;

/// A device may be lost this often in one epoch; after that the cause is not chance.
const MOST_LOSSES: usize = 3;

/// What a run trains on.
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
        };
        trainer.load_plans()?;
        let fresh = weights::initial(&trainer.network, config.seed);
        trainer.set_weights(&fresh);
        Ok(trainer)
    }

    /// Loads the plans of a run on the engine, which has none.
    fn load_plans(&mut self) -> Result<()> {
        let mut plans = self.plans(&self.target()?);
        self.engine.reserve(&plans);
        let validation = plans.pop().expect("the last plan is that of validation");
        self.training.clear();
        for plan in plans {
            self.training.push((plan.batch, self.engine.load(plan)?));
        }
        self.validation = self.engine.load(validation)?;
        self.write_class_weights();
        Ok(())
    }

    /// The engine's target, made to fit the budget of memory.
    fn target(&self) -> Result<Target> {
        let (target, batch) = (self.engine.target(), self.config.batch);
        match self.config.memory_budget {
            Some(mib) => budget::fit(target, mib << 20, batch, |target| self.plans(target)),
            None => Ok(target),
        }
    }

    /// Training with the batch sizes that occur, then validation.
    fn plans(&self, target: &Target) -> Vec<Plan> {
        let (network, batch) = (&self.network, self.config.batch);
        let sizes = [batch, self.data.train.labels.len() % batch].into_iter().filter(|&size| size > 0);
        let training = sizes.map(|size| plans::training(network, size, target));
        let val_batch = batch.min(self.data.val.labels.len());
        training.chain([plans::inference(network, val_batch, target)]).collect()
    }

    /// Replaces weights and moving statistics.
    pub fn set_weights(&mut self, tensors: &[Tensor]) {
        weights::upload(&mut self.engine, self.validation, &self.network, tensors);
    }

    /// The number of the inference plan, for an evaluation with the same weights.
    pub fn inference_program(&self) -> usize {
        self.validation
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

    /// Trains to the last epoch, or until the callbacks stop it or `interrupted` is set: then the state is saved in the
    /// middle of the epoch, and the error is `Error::Interrupted`.
    ///
    /// A lost device is opened anew, and the run goes on from its last saved state.
    pub fn run(&mut self, folder: &Path, interrupted: &AtomicBool) -> Result<()> {
        if !folder.join(files::STATE).exists() {
            self.save_state(folder)?;
        }
        loop {
            match self.run_epochs(folder, interrupted) {
                Err(Error::DeviceLost(why)) => self.recover(folder, why)?,
                ended => return ended,
            }
        }
    }

    fn recover(&mut self, folder: &Path, mut why: String) -> Result<()> {
        let state = folder.join(files::STATE);
        while self.losses + 1 < MOST_LOSSES {
            self.losses += 1;
            eprintln!("warning: {why}\nOpening the device anew, with dispatches half as long");
            let recovered = self.engine.reopen().and_then(|()| self.load_plans()).and_then(|()| self.restore(&state));
            match recovered {
                Err(Error::DeviceLost(again)) => why = again,
                Ok(()) => {
                    eprintln!("Going on from epoch {}, step {}", self.history.len() + 1, self.sums.steps + 1);
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
            self.engine.dispatch_ms(),
        )))
    }

    fn run_epochs(&mut self, folder: &Path, interrupted: &AtomicBool) -> Result<()> {
        while self.history.len() < self.config.epochs {
            let epoch = self.history.len();
            let seed = self.config.seed;
            let order = batches::train_batches(seed, epoch as u64, self.data.train.labels.len(), self.config.batch);
            let mut bar = EpochProgress::start(epoch + 1, self.config.epochs, order.len());
            bar.skip(self.sums.steps);
            let complete = self.train_epoch(epoch as u64, &order, &mut bar, interrupted)?;
            if !complete {
                self.save_state(folder)?;
                return Err(Error::Interrupted);
            }
            let started = Instant::now();
            let (val_loss, val_accuracy) = self.validate(epoch as u64)?;
            let record = EpochRecord {
                epoch: epoch + 1,
                loss: self.sums.mean_loss(),
                accuracy: self.sums.accuracy(),
                val_loss,
                val_accuracy,
                lr: self.lr,
                seconds: self.sums.seconds + started.elapsed().as_secs_f64(),
                images_per_second: self.sums.images_per_second(),
                data_wait: self.sums.data_wait(),
            };
            bar.finish(&record);
            let stop = self.end_epoch(record, folder)?;
            if stop {
                eprintln!(
                    "The loss has not improved for {} epochs: stopping early.",
                    self.callbacks.options.early_stopping.patience
                );
                break;
            }
        }
        Ok(())
    }

    /// Callbacks and files at the end of an epoch; says whether training is over.
    fn end_epoch(&mut self, record: EpochRecord, folder: &Path) -> Result<bool> {
        let end = self.callbacks.epoch_end(record.loss, record.val_loss, self.lr);
        self.history.push(record);
        self.sums = EpochSums::default();
        self.losses = 0;
        self.lr = end.lr;
        if end.save_best {
            let tensors = weights::download(&mut self.engine, self.validation, &self.network)?;
            checkpoint::save(&folder.join(files::BEST), &tensors, &self.metadata(None))?;
        }
        history::write(&folder.join(files::HISTORY), &self.history)?;
        plot::history(&folder.join(files::HISTORY_PLOT), &self.history)?;
        self.save_state(folder)?;
        Ok(end.stop)
    }

    /// Runs the steps of an epoch that are not behind it yet; false when it was interrupted.
    fn train_epoch(
        &mut self,
        epoch: u64,
        order: &[Vec<u32>],
        bar: &mut EpochProgress,
        interrupted: &AtomicBool,
    ) -> Result<bool> {
        let mut started: VecDeque<(&[u32], Running)> = VecDeque::new();
        let mut clock = Instant::now();
        for indices in &order[self.sums.steps..] {
            if interrupted.load(Ordering::Relaxed) {
                break;
            }
            let feeding = Instant::now();
            let running = self.start_step(epoch, indices);
            // On a device, feeding overlaps with the step before: the device waits only when it has run dry.
            if started.is_empty() {
                self.sums.waited += feeding.elapsed().as_secs_f64();
            }
            started.push_back((indices, running));
            while started.len() > AHEAD {
                let (indices, running) = started.pop_front().expect("it is not empty");
                self.finish_step(indices, running, &mut clock, bar)?;
            }
        }
        for (indices, running) in started {
            self.finish_step(indices, running, &mut clock, bar)?;
        }
        Ok(self.sums.steps == order.len())
    }

    fn start_step(&mut self, epoch: u64, indices: &[u32]) -> Running {
        let sizes = &self.training;
        let program = sizes.iter().find(|(batch, _)| *batch == indices.len()).expect("both sizes are planned").1;
        let variation = match self.config.augment {
            true => Variation::Random { ranges: &self.config.augmentation, seed: self.config.seed, epoch },
            false => Variation::None,
        };
        self.data.train.write(&mut self.engine, program, indices, variation);
        self.step += 1;
        let alpha = adam::alpha(f64::from(self.lr), self.step) as f32;
        self.engine.write(program, names::RATE, &[alpha, 0.0, 0.0, 0.0]);
        self.engine.start(program)
    }

    fn finish_step(
        &mut self,
        indices: &[u32],
        running: Running,
        clock: &mut Instant,
        bar: &mut EpochProgress,
    ) -> Result<()> {
        let (metrics, samples) = (self.engine.finish(running)?, indices.len());
        if let Some(fault) = metrics.fault {
            return Err(self.unusable(fault, indices));
        }
        self.sums.add_step(metrics.loss / samples as f64, metrics.right, samples);
        self.sums.seconds += clock.elapsed().as_secs_f64();
        *clock = Instant::now();
        bar.step(self.sums.mean_loss(), self.sums.accuracy(), self.sums.images_per_second(), self.sums.data_wait());
        Ok(())
    }

    /// What to say when the guard stopped a step. The plans of all batch sizes guard the same tensors.
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

    /// Mean loss and accuracy over full batches of the validation split, as Keras computes them: not weighted by class,
    /// and over a random choice of the samples when the batch does not divide them.
    fn validate(&mut self, epoch: u64) -> Result<(f64, f64)> {
        let (count, batch) = (self.data.val.labels.len(), self.engine.plan(self.validation).batch);
        let mut sums = EpochSums::default();
        for indices in batches::validation_batches(self.config.seed, epoch, count, batch) {
            self.data.val.write(&mut self.engine, self.validation, &indices, Variation::None);
            let running = self.engine.start(self.validation);
            let metrics = self.engine.finish(running)?;
            sums.add_step(metrics.loss / batch as f64, metrics.right, batch);
        }
        Ok((sums.mean_loss(), sums.accuracy()))
    }

    fn metadata(&self, training: Option<TrainingState>) -> Metadata {
        Metadata {
            classes: self.data.classes.clone(),
            image_size: self.config.image_size,
            width: self.config.width,
            epoch: self.history.len(),
            val_loss: self.history.last().map_or(f64::NAN, |record| record.val_loss),
            training,
        }
    }

    /// Writes all that an exact resume needs.
    pub fn save_state(&mut self, folder: &Path) -> Result<()> {
        let (program, network) = (self.training[0].1, &self.network);
        let mut tensors = weights::download(&mut self.engine, program, network)?;
        for (name, shape) in weights::moments(self.engine.plan(program)) {
            tensors.push(Tensor { data: self.engine.read(program, &name)?, name, shape });
        }
        let state = TrainingState {
            step: self.step,
            lr: self.lr,
            seed: self.config.seed,
            data_fingerprint: self.data.fingerprint.clone(),
            callbacks: self.callbacks.clone(),
            history: self.history.clone(),
            sums: self.sums.clone(),
        };
        checkpoint::save(&folder.join(files::STATE), &tensors, &self.metadata(Some(state)))
    }

    /// Goes back to a saved state. `Error::Input` when it belongs to another network or to other data.
    pub fn restore(&mut self, path: &Path) -> Result<()> {
        let (tensors, metadata) = checkpoint::load(path)?;
        let refuse = |why: String| Error::Input(format!("{}: {why}", path.display()));
        let state = metadata.training.ok_or_else(|| refuse("holds weights, but no state of training".into()))?;
        if metadata.classes != self.data.classes {
            return Err(refuse(format!("its classes are {:?}, the data's {:?}", metadata.classes, self.data.classes)));
        }
        if state.data_fingerprint != self.data.fingerprint {
            return Err(refuse(format!(
                "the run began with other data ({}), these are {}",
                state.data_fingerprint, self.data.fingerprint
            )));
        }
        let parameters = self.network.parameters();
        let moments = weights::moments(self.engine.plan(self.training[0].1));
        let mut expected: Vec<(&str, &[usize])> = parameters.iter().map(|p| (&p.name[..], &p.shape[..])).collect();
        expected.extend(moments.iter().map(|(name, shape)| (&name[..], &shape[..])));
        let tensors = checkpoint::expect(path, tensors, &expected)?;
        let (weights, moments) = tensors.split_at(parameters.len());
        self.set_weights(weights);
        for moment in moments {
            self.engine.write(self.training[0].1, &moment.name, &moment.data);
        }
        self.callbacks = state.callbacks;
        self.history = state.history;
        self.sums = state.sums;
        self.lr = state.lr;
        self.step = state.step;
        Ok(())
    }
}
