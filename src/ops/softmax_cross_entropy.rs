//! Softmax and categorical cross-entropy in one, from logits, with class weights (Keras's logits path: no clipping).

pub mod cpu;
pub mod gpu;

/// `logits [batch, classes]`, one label a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: usize,
    pub classes: usize,
}
