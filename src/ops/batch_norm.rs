//! Batch normalisation over all axes but the last (Keras `BatchNormalization`, Ioffe & Szegedy 2015).

pub mod cpu;
pub mod gpu;

/// Keras's default; added to the variance under the root.
pub const EPSILON: f64 = 1e-3;
/// Keras's default; share of the old value that a moving statistic keeps each step.
pub const MOMENTUM: f64 = 0.99;

/// `x`, `y` are `[batch, positions, channels]`; every statistic is `[channels]` over `batch * positions` rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    pub batch: usize,
    pub positions: usize,
    pub channels: usize,
}

impl Problem {
    pub fn rows(&self) -> usize {
        self.batch * self.positions
    }
}
