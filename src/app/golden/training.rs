//! Parts that the files `tiny` and `full` share: steps of the tutorial's network on an engine.

use std::collections::HashMap;

use super::Place;
use super::file::File;
use crate::app::checkpoint::Tensor;
use crate::app::train::feed::{Labelled, Variation};
use crate::engine::numbers::widen;
use crate::engine::plan::Plan;
use crate::engine::plan::names;
use crate::engine::run::Engine;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::network::compile as plans;
use crate::network::weights;
use crate::ops::adam;
use crate::ops::batch_norm;
use crate::ops::epilogue::Epilogue;

/// Keras's default, and the program's.
pub const LEARNING_RATE: f32 = 1e-3;

/// How many times the spread of Keras's own implementations one more may be off, at most and at least.
pub const SPREADS: f64 = 10.0;
const FEWEST_SPREADS: f64 = 3.0;
/// Between the two, no more than this share of a tensor's root mean square: an entry that is wrong by a hundredth has to
/// stand out.
const VISIBLE: f64 = 0.005;
/// Where all implementations agree to the last bit, the spread is zero: a few roundings are left to each, as a share of
/// the tensor's root mean square.
pub const ROUNDINGS: f64 = 1e-6;
/// How far a loss of a step may be off, as a share: rounding errors of the steps before it have grown.
pub const LOSSES: f64 = 1e-4;

/// Loss and accuracy of a batch, as a run of a plan returns them.
#[derive(Clone, Copy, Debug)]
pub struct Metrics {
    /// Sum of the samples' weighted losses over the batch's size.
    pub loss: f64,
    /// The share of correct answers.
    pub accuracy: f64,
}

/// A plan on an engine.
pub struct Program {
    pub engine: Engine,
    number: usize,
    /// The parameters of batch norms that it started from.
    affine: HashMap<String, Vec<f32>>,
}

impl Program {
    pub fn load(
        place: &Place,
        plan: Plan,
        network: &Network,
        weights: &[Tensor],
        class_weight: &[f32],
    ) -> Result<Program> {
        let mut engine = (place.open)()?;
        let number = engine.load(plan)?;
        weights::upload(&mut engine, number, network, weights);
        engine.write(number, names::CLASS_WEIGHT, class_weight);
        let affine = weights.iter().filter(|tensor| tensor.name.ends_with(".gamma") || tensor.name.ends_with(".beta"));
        let affine = affine.map(|tensor| (tensor.name.clone(), tensor.data.clone())).collect();
        Ok(Program { engine, number, affine })
    }

    /// Runs the plan on a batch, its images as they are; `t` is the number of Adam's step, from 1, in a plan that has one.
    pub fn run(&mut self, batch: &Labelled, t: Option<u64>) -> Result<Metrics> {
        let indices: Vec<u32> = (0..batch.labels.len() as u32).collect();
        batch.batch(&indices, Variation::None)?.write(&mut self.engine, self.number);
        if let Some(t) = t {
            let alpha = adam::alpha(f64::from(LEARNING_RATE), t) as f32;
            self.engine.write(self.number, names::RATE, &[alpha, 0.0, 0.0, 0.0]);
        }
        let running = self.engine.start(self.number);
        let metrics = self.engine.finish(running)?;
        let count = indices.len() as f64;
        Ok(Metrics { loss: metrics.loss / count, accuracy: metrics.right as f64 / count })
    }

    /// # Errors
    /// Of a tensor that the network does not have: a file may name any.
    pub fn read(&mut self, tensor: &str) -> Result<Vec<f32>> {
        if self.engine.plan(self.number).find(tensor).is_none() {
            return Err(Error::Input(format!("the tutorial's network has no tensor {tensor}")));
        }
        self.engine.read(self.number, tensor)
    }

    /// A layer's output in the first step of a plan that keeps every tensor, by the golden files' names: pools are numbered
    /// by their convolutions there and one after the other here.
    pub fn activation(&mut self, layer: &str) -> Result<Vec<f32>> {
        let own = match layer {
            "gap" => "gap1",
            "dense2" => names::LOGITS,
            "softmax" => names::PROBABILITIES,
            "pool6" => "pool5",
            _ => layer,
        };
        let stored = self.engine.plan(self.number).find(own).is_some();
        if stored { self.read(own) } else { self.normalized(layer) }
    }

    /// The output of a batch norm, or of a ReLU with a pool after it, which are never stored:
    /// computed from stored tensors.
    fn normalized(&mut self, layer: &str) -> Result<Vec<f32>> {
        let number = layer.trim_start_matches(char::is_alphabetic);
        let [gamma, beta] = ["gamma", "beta"].map(|name| self.affine.get(&format!("bn{number}.{name}")));
        let (Some(gamma), Some(beta)) = (gamma.map(|x| widen(x)), beta.map(|x| widen(x))) else {
            return Err(Error::Input(format!("{layer}: the network has no such layer")));
        };
        let x = widen(&self.read(&format!("conv{number}"))?);
        let statistics = widen(&self.read(&names::statistics(&format!("bn{number}")))?);
        let (mean, variance) = statistics.split_at(statistics.len() / 2);
        let p = batch_norm::Problem { batch: x.len() / gamma.len(), positions: 1, channels: gamma.len() };
        let y = batch_norm::twin::normalize(&p, &x, mean, variance, &gamma, &beta);
        let y = batch_norm::twin::follow(&Epilogue { relu: layer.starts_with("relu"), pool: None }, y);
        Ok(y.into_iter().map(|y| y as f32).collect())
    }

    pub fn state(&mut self, network: &Network) -> Result<HashMap<String, Vec<f32>>> {
        let tensors = weights::download(&mut self.engine, self.number, network)?;
        Ok(tensors.into_iter().map(|tensor| (tensor.name, tensor.data)).collect())
    }
}

/// A plan of training that keeps every tensor.
pub fn kept_plan(place: &Place, network: &Network, batch: usize) -> Plan {
    crate::proof::doctor::step::kept_plan(network, batch, &place.target)
}

/// The plan that the program trains with.
pub fn plain_plan(place: &Place, network: &Network, batch: usize) -> Plan {
    plans::training(network, batch, &place.target)
}

/// The convolutions' biases: a batch norm after each makes their gradients zero. Keras trains them
/// on rounding noise, so its numbers cannot be compared; this program leaves them as they start.
pub fn is_conv_bias(parameter: &str) -> bool {
    parameter.starts_with("conv") && parameter.ends_with(".bias")
}

/// The parameters that Adam updates.
pub fn updated(network: &Network) -> Vec<String> {
    let trainable = network.parameters().into_iter().filter(|parameter| parameter.trainable);
    trainable.map(|parameter| parameter.name).filter(|name| !is_conv_bias(name)).collect()
}

/// As many spreads of a tensor as it can be allowed, and `ROUNDINGS`.
pub fn spread_bound(file: &File, name: &str) -> Result<f64> {
    let spread =
        file.figure(name, "spread").ok_or_else(|| file.fault(format!("its JSON gives no spread of {name}")))?;
    bound_of(file, name, spread)
}

/// Bound for a spread that is known otherwise.
pub fn bound_of(file: &File, name: &str, spread: f64) -> Result<f64> {
    let rms = file.rms(name)?;
    let bound = (SPREADS * spread).min(f64::max(FEWEST_SPREADS * spread, VISIBLE * rms));
    Ok(bound + ROUNDINGS * rms)
}

pub fn l2(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}
