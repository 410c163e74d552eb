//! Made-up numbers, the same for the same seed on every machine; and what is computed of lists of numbers.

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

/// Converts values to f64, as a twin takes them.
pub fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().copied().map(f64::from).collect()
}

/// Whether two have the same bits, NaN included.
pub fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.iter().map(|a| a.to_bits()).eq(b.iter().map(|b| b.to_bits()))
}

/// Root of the mean square.
pub fn rms(values: &[f64]) -> f64 {
    (values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64).sqrt()
}

/// Every entry without its sign. Each matrix product here is linear in each argument, so a twin run
/// on absolute values returns the sum of `|a * b|` of each output, from which a bound on the
/// rounding error of an f32 kernel follows.
pub fn absolute(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value.abs()).collect()
}

/// The square of every entry. A twin of a matrix product run on squares returns the sum of `(a *
/// b)^2` of each output: what the expected rounding error of an f32 kernel is made of.
pub fn squares(values: &[f64]) -> Vec<f64> {
    values.iter().map(|value| value * value).collect()
}

/// The middle one; the upper of two.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The smallest and the largest; a NaN is larger than any number.
pub fn range(values: &[f64]) -> [f64; 2] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    [sorted[0], sorted[sorted.len() - 1]]
}
