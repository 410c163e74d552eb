//! Layers after a batch norm that its own pass computes.

use super::pool;

/// Operations that follow a batch norm in the same pass over memory, so that its own output is
/// never stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epilogue {
    pub relu: bool,
    /// Max pool of windows that lie side by side, after the ReLU.
    pub pool: Option<pool::Problem>,
}

impl Epilogue {
    /// Whether a pool can follow in the same pass: its windows do not overlap and leave no gaps.
    pub fn takes(pool: &pool::Problem) -> bool {
        [pool.rows, pool.columns].iter().all(|axis| axis.kernel == axis.stride)
    }
}
