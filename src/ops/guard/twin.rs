//! f64 twins of the guard's kernels.

use super::LEAST_UNUSABLE;

/// Whether any value is NaN, infinite, or so large that its square is beyond f32.
pub fn unusable(values: &[f64]) -> bool {
    values.iter().any(|value| value.is_nan() || value.abs() >= LEAST_UNUSABLE)
}

/// The gate `[rate, 1 if any flag is set else 0, 0, 0]`, and one more than the first flag that is set, else 0.
pub fn stop(rate: f64, flags: &[u32]) -> ([f64; 4], f64) {
    let fault = flags.iter().position(|&flag| flag != 0).map_or(0.0, |flag| 1.0 + flag as f64);
    ([rate, fault.min(1.0), 0.0, 0.0], fault)
}
