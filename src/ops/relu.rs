//! ReLU: `max(x, 0)`. Its gradient at exactly 0 is 0, as in TensorFlow.

pub mod cpu;
pub mod gpu;
