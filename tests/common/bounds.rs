//! How far honest f32 arithmetic may stray from the f64 twins. One rule for sums and products, one for whatever a GPU
//! computes less exactly than IEEE 754 asks.

use super::{assert_close, device::Both, uniform, whole};

/// Distance from 1 to the next f32: one unit in the last place of a number near 1.
pub const ULP: f64 = f32::EPSILON as f64;

/// Most error of one correctly rounded operation, relative to its result.
const ROUNDING: f64 = ULP / 2.0;

/// The constant of every sum and product. Rounding errors that are independent and centred stay within
/// `c * sqrt(roundings) * ROUNDING * sum|terms|` but for a share of `2 exp(-c^2 / 2)` of the results (Higham & Mary
/// 2019, A new approach to probabilistic rounding error analysis, theorem 2.4): with 6, one in thirty million.
const SUM: f64 = 6.0;

/// What WGSL allows a division (2.5 ULP) and a square root (the reciprocal of `inverseSqrt`, 2 + 2.5 ULP).
pub const DIVISION: f64 = 2.5 * ULP;
pub const SQUARE_ROOT: f64 = 4.5 * ULP;

/// The most error of a sum of that many products, in whatever order, relative to the sum of their absolute values. The
/// longest path of an addend has a rounding each for the products, a bias and the twin's result; what can be proved
/// without probabilities, one `ROUNDING` each, is less for short sums.
pub fn sum(terms: usize) -> f64 {
    let roundings = (terms + 2) as f64;
    ROUNDING * roundings.min(SUM * roundings.sqrt())
}

/// Holds one output of a plan that computes sums of products of its inputs to the twins: exactly for small whole
/// numbers, which f32 adds without rounding, and within [`sum`] for others. The sum of absolute values behind each
/// output is what the twins make of absolute inputs.
#[track_caller]
pub fn check_sum_of_products(what: &str, both: &mut Both, inputs: &[&str], output: &str, terms: usize) {
    both.fill(inputs, whole);
    both.run();
    assert!(both.twin(output).iter().any(|&number| number != 0.0), "{what}: something to compare");
    assert_close(&format!("{what}, whole numbers"), &both.gpu(output), &both.twin(output), |_| 0.0);

    both.fill(inputs, uniform);
    both.run();
    let (got, want) = (both.gpu(output), both.twin(output));
    both.fill(inputs, |seed, count| uniform(seed, count).into_iter().map(f32::abs).collect());
    both.run_twins();
    let magnitude = both.twin(output);
    let share = assert_close(what, &got, &want, |i| sum(terms) * f64::from(magnitude[i]));
    println!("{what}: worst error {share:.3} of its bound");
}
