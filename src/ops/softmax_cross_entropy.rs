//! Softmax and categorical cross-entropy in one, from logits, with class weights (Keras's logits path: no clipping).

mod bound;
pub mod proof;
pub mod steps;
pub mod twin;

/// `logits [batch, classes]`, one label a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: usize,
    pub classes: usize,
}
