//! The guard between gradients and weights: no NaN, infinity or overflowing value gets through.
//!
//! Small tensors (statistics of the batch, the loss, gradients of rows) are tested before the update, which does not
//! happen if one is unusable; a NaN or an infinity anywhere upstream reaches at least one of them. The gradients of
//! kernels, which may overflow on their own, are tested by the update, number by number.

pub mod proof;
pub mod steps;
pub mod twin;

use crate::engine::shader::Constant;

/// Adam squares a gradient; from here on the square is beyond f32.
pub const LEAST_UNUSABLE: f64 = (1u128 << 64) as f64;

/// The constant of `lib/usable.wgsl`: its bits.
pub fn least_unusable() -> (&'static str, Constant) {
    ("LEAST_UNUSABLE", Constant::Unsigned((LEAST_UNUSABLE as f32).to_bits()))
}
