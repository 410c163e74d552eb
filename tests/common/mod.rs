//! What the tests share: the golden files, comparisons, made-up numbers.
#![allow(dead_code)] // each test program uses a part of it

pub mod bounds;
pub mod device;
pub mod golden;
pub mod steps;
pub mod training;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Fails with the worst entry's index unless [`compare`] finds every entry in bounds; returns the worst share.
#[track_caller]
pub fn assert_close<G, W>(what: &str, got: &[G], want: &[W], bound: impl Fn(usize) -> f64) -> f64
where
    G: Copy + Into<f64>,
    W: Copy + Into<f64>,
{
    compare(got, want, bound).unwrap_or_else(|message| panic!("{what}: {message}"))
}

/// The worst error as a share of its bound, where `|got[i] - want[i]| <= bound(i)` for every entry; else what is wrong.
/// A NaN, an infinity, a bound that is not finite, a difference in length and nothing to compare are
/// errors.
pub fn compare<G, W>(got: &[G], want: &[W], bound: impl Fn(usize) -> f64) -> Result<f64, String>
where
    G: Copy + Into<f64>,
    W: Copy + Into<f64>,
{
    if got.len() != want.len() || want.is_empty() {
        return Err(format!("{} entries, want {}", got.len(), want.len()));
    }
    let mut outside = 0;
    let mut worst = (0.0, 0);
    for i in 0..want.len() {
        let error = (got[i].into() - want[i].into()).abs();
        let bound = bound(i);
        let inside = error <= bound && bound.is_finite(); // false for a NaN
        outside += usize::from(!inside);
        let share = match error / bound {
            _ if error == 0.0 && inside => 0.0,
            share if share.is_finite() && share > 0.0 => share,
            _ => f64::INFINITY,
        };
        if share > worst.0 {
            worst = (share, i);
        }
    }
    let (share, i) = worst;
    if outside == 0 {
        return Ok(share);
    }
    let (got, want, bound, count) = (got[i].into(), want[i].into(), bound(i), want.len());
    Err(format!(
        "{outside} of {count} entries out of bounds; worst at {i}: got {got:e}, want {want:e}, bound {bound:e}"
    ))
}

/// `count` numbers in -1..1, the same for the same seed on every machine.
pub fn uniform(seed: u64, count: usize) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

/// `count` whole numbers in -4..=4 without 0.
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
