//! Softmax and categorical cross-entropy in one, from logits, with class weights (Keras's logits path: no clipping).

mod bound;
pub mod proof;
pub mod steps;
pub mod twin;

use crate::engine::tensor::TensorId;

/// `logits [batch, classes]`, one label a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: usize,
    pub classes: usize,
}

/// Tensors that `forward` reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Tensors {
    /// `[batch, classes]`
    pub logits: TensorId,
    /// `[batch]`, integers
    pub labels: TensorId,
    /// `[classes]`
    pub class_weight: TensorId,
    /// `[batch, classes]`
    pub probabilities: TensorId,
    /// `[batch, classes]`: the gradient of the mean loss
    pub dlogits: TensorId,
    /// `[4]`: the sum of the samples' weighted losses, the count of correct answers, 0, 0
    pub metrics: TensorId,
}
