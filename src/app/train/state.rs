//! A run's state on disk: saved, and gone back to.

use std::path::Path;

use super::{Trainer, files};
use crate::app::checkpoint::{self, Metadata, Tensor, TrainingState};
use crate::error::{Error, Result};
use crate::network::weights;

impl Trainer<'_> {
    pub(super) fn metadata(&self, training: Option<TrainingState>) -> Metadata {
        Metadata {
            classes: self.data.classes.clone(),
            network: self.config.network.clone(),
            image_size: self.config.image_size,
            width: self.config.width,
            epoch: self.history.len(),
            val_loss: self.history.last().map_or(f64::NAN, |record| record.val_loss),
            operation: Default::default(),
            training,
        }
    }

    /// Whether this process writes the run's files: of several, one does.
    pub(super) fn saves(&self) -> bool {
        self.engine.process() == 0
    }

    /// Writes all that an exact resume needs, after what is still being written.
    pub fn save_state(&mut self, folder: &Path) -> Result<()> {
        let (tensors, metadata) = self.state()?;
        self.has_state = true;
        if !self.saves() {
            return Ok(());
        }
        self.saving.wait()?;
        checkpoint::save(&folder.join(files::STATE), &tensors, &metadata)
    }

    /// All that an exact resume needs: the network's parameters, then Adam's moments; and what belongs to them.
    pub(super) fn state(&mut self) -> Result<(Vec<Tensor>, Metadata)> {
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
        Ok((tensors, self.metadata(Some(state))))
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
        if state.seed != self.config.seed {
            return Err(refuse(format!("the run began with seed {}, not {}", state.seed, self.config.seed)));
        }
        let (steps, epoch) = (state.sums.steps, self.data.train.labels.len() / self.config.batch);
        if steps > epoch {
            return Err(refuse(format!("it has {steps} steps of an epoch that has {epoch}: the batch was another")));
        }
        let callbacks = state.callbacks.with(self.config.callbacks).map_err(refuse)?;
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
        self.callbacks = callbacks;
        self.history = state.history;
        self.sums = state.sums;
        self.lr = state.lr;
        self.step = state.step;
        self.has_state = true;
        Ok(())
    }
}
