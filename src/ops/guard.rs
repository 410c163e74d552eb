//! What stands between the gradients and the optimiser: a step with a number that is none changes no weight.

pub mod cpu;
pub mod gpu;

/// Adam squares a gradient; from here on the square is beyond f32.
pub const LEAST_UNUSABLE: f64 = (1u128 << 64) as f64;
