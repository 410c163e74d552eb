//! Adam with amsgrad, as Keras computes it ("epsilon hat", raw maximum; Reddi et al. 2018).

mod bound;
pub mod proof;
pub mod steps;
pub mod twin;

use crate::engine::tensor::TensorId;

pub const BETA_1: f64 = 0.9;
pub const BETA_2: f64 = 0.999;
pub const EPSILON: f64 = 1e-7;

/// The step size that folds both bias corrections in: `lr * sqrt(1 - b2^t) / (1 - b1^t)`, `step` counted from 1.
pub fn alpha(learning_rate: f64, step: u64) -> f64 {
    let t = step as i32;
    learning_rate * (1.0 - BETA_2.powi(t)).sqrt() / (1.0 - BETA_1.powi(t))
}

/// A parameter, its gradient and its moments, all of one shape.
#[derive(Clone, Copy, Debug)]
pub struct Tensors {
    pub parameter: TensorId,
    pub gradient: TensorId,
    pub m: TensorId,
    pub v: TensorId,
    pub vhat: TensorId,
}
