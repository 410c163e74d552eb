//! Made-up numbers, the same for the same seed on every machine.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// `count` numbers in -1..1.
pub fn uniform(seed: u64, count: usize) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

/// `count` whole numbers in -4..=4 without 0: f32 adds and multiplies them without rounding.
pub fn whole(seed: u64, count: usize) -> Vec<f32> {
    uniform(seed, count)
        .into_iter()
        .map(|number| 1.0f32.copysign(number) * (number.abs() * 4.0).ceil().max(1.0))
        .collect()
}

/// The same numbers as f64: what a twin takes.
pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// Root of the mean square.
pub fn rms(values: &[f64]) -> f64 {
    (values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64).sqrt()
}
