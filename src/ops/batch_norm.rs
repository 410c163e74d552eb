//! Batch normalisation over all axes but the last (Keras `BatchNormalization`, Ioffe & Szegedy 2015).

pub mod cpu;
pub mod gpu;

use crate::ops::max_pool;

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

/// What follows a batch norm in the same pass over memory, so that its own output is never stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epilogue {
    pub relu: bool,
    /// Of windows that lie side by side, behind the ReLU.
    pub pool: Option<max_pool::Problem>,
}

impl Epilogue {
    /// Whether a pool can follow in the same pass: its windows do not overlap and leave no gaps.
    pub fn takes(pool: &max_pool::Problem) -> bool {
        [pool.rows, pool.columns].iter().all(|axis| axis.kernel == axis.stride)
    }

    /// The pool, or the one of single pixels that changes nothing.
    fn cells(&self, p: &Problem) -> max_pool::Problem {
        self.pool.unwrap_or_else(|| max_pool::Problem::new([p.batch, 1, p.positions, p.channels], [1, 1], [1, 1]))
    }
}
