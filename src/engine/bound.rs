//! How far honest f32 arithmetic may stray from the f64 twins, derived for each kernel from the numbers it was given.
//!
//! Each output has two bounds, and no tolerance beside them.
//!
//! **Every element** has one that no honest result exceeds: one rule for sums of products, one for what WGSL lets a GPU
//! compute less exactly than IEEE 754, and exact equality where nothing is rounded. Such a bound is wide: roundings cancel
//! each other, and a long sum of them stays a hundred times below.
//!
//! **The root mean square of the error** over an output has a narrow one. It is `FACTOR` times what
//! roundings to the nearest are expected to add up to when a plain loop computes this output in f32
//! from these numbers, and beside it whatever WGSL allows `/`, `sqrt`, `exp` and `log`, in full. A
//! factor that is wrong by 2e-4 exceeds it many times over. WGSL lets a GPU round additions and
//! products to either neighbour. All of desktop and mobile hardware that runs Vulkan, Metal or
//! Direct3D 12 rounds them to the nearest, and this bound presumes it; the first one does not.

mod given;
mod sums;
mod uncertainty;

use std::collections::BTreeMap;

pub use given::Given;
pub use sums::{Terms, of_divided_sums, of_sums, of_sums_of_halves, of_sums_over, with_terms};
pub use uncertainty::Uncertainty;

use crate::engine::tensor::TensorId;

/// Distance from 1 to the next f32: one unit in the last place of a number near 1.
pub const ULP: f64 = f32::EPSILON as f64;

/// Most error of one addition or multiplication, relative to its result: WGSL lets a GPU round to either neighbour. One
/// that rounds to the nearest, as most do, stays within half of every bound here.
pub const ROUNDING: f64 = ULP;

/// Variance of one rounding to the nearest, relative to the square of its result: uniform within half a unit in the last
/// place, `ULP^2 / 12` for numbers near 1, and on average over the numbers from 1 to 2 `3 / (8 ln 2)` of that.
pub const NEAREST: f64 = ULP * ULP / 12.0 * 0.541;

/// How many times the expected root mean square of the error may be found. The expectation takes a rounding for each
/// addition and each product, in one chain. Fused multiply-adds and sums of sums come to less; numbers just above a power of
/// two, and half precision that is cut off instead of rounded, to up to twice as much.
const FACTOR: f64 = 3.0;

/// The exponent t of the probability `e^-t` of an honest result beyond the bound, were [`FACTOR`] 1.
const SURE: f64 = 8.0;

/// The constant of every sum and product. Rounding errors that are independent and centred stay within
/// `c * sqrt(roundings) * ROUNDING * sum|terms|` but for a share of `2 exp(-c^2 / 2)` of the results (Higham & Mary
/// 2019, A new approach to probabilistic rounding error analysis, theorem 2.4): with 6, one in thirty million.
const SUM: f64 = 6.0;

/// Errors that WGSL allows a division (2.5 ULP) and a square root (the reciprocal of `inverseSqrt`,
/// 2 + 2.5 ULP).
pub const DIVISION: f64 = 2.5 * ULP;
pub const SQUARE_ROOT: f64 = 4.5 * ULP;

/// Error of a value that is read or returned as 0: WGSL lets a GPU flush denormal values
/// (SwiftShader does). Twice the least normal one, so that here, too, honest results stay within
/// half of the bound.
pub const FLUSHED: f64 = 2.0 * f32::MIN_POSITIVE as f64;

/// The most error of a sum of that many products, in whatever order, relative to the sum of their absolute values. The
/// longest path of an addend has a rounding each for the products, a bias and the sum of another part; what can be proved
/// without probabilities, one `ROUNDING` each, is less for short sums.
pub fn sum(terms: f64) -> f64 {
    let roundings = terms + 2.0;
    ROUNDING * roundings.min(SUM * roundings.sqrt())
}

/// The bounds of one output.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// Of the error of every element.
    pub each: Vec<f64>,
    /// Of the root mean square of the errors of all of them.
    pub rms: f64,
}

impl Bound {
    /// Nothing is rounded, so nothing may differ.
    fn exact(count: usize) -> Bound {
        Bound { each: vec![0.0; count], rms: 0.0 }
    }

    /// From what is known of each element. The root mean square of `n` independent errors exceeds its expectation by more
    /// than `sqrt(2 t / n)` of it with a probability of `e^-t` at most (concentration of Gaussian measure): a few numbers are
    /// given more room than many.
    fn of(elements: impl IntoIterator<Item = Uncertainty>) -> Bound {
        let elements: Vec<Uncertainty> = elements.into_iter().collect();
        let n = elements.len() as f64;
        let mean = |square: fn(&Uncertainty) -> f64| elements.iter().map(square).sum::<f64>() / n;
        let rounding = mean(|element| element.variance).sqrt();
        let allowed = mean(|element| element.allowed.powi(2)).sqrt();
        let rms = FACTOR * (1.0 + (2.0 * SURE / n).sqrt()) * rounding + allowed;
        Bound { each: elements.into_iter().map(|element| element.most).collect(), rms }
    }
}

/// Known uncertainty of every element of each output.
pub type Uncertainties = BTreeMap<TensorId, Vec<Uncertainty>>;

/// The bounds of each output.
pub type Bounds = BTreeMap<TensorId, Bound>;

/// Bounds from what is known of each element; those of `halves` are stored in half precision.
pub fn bounds(given: &Given, uncertainties: Uncertainties, halves: &[TensorId]) -> Bounds {
    let bound = |(id, mut elements): (TensorId, Vec<Uncertainty>)| {
        if halves.contains(&id) {
            elements
                .iter_mut()
                .zip(given.output(id))
                .for_each(|(element, want)| *element = element.stored_as_half(*want));
        }
        (id, Bound::of(elements))
    };
    uncertainties.into_iter().map(bound).collect()
}

/// Nothing is rounded on the way to the outputs; they may still be stored as halves.
pub fn unrounded(given: &Given) -> Uncertainties {
    given.outputs().iter().map(|&id| (id, vec![Uncertainty::NONE; given.output(id).len()])).collect()
}

/// Nothing may differ.
pub fn exact(given: &Given) -> Bounds {
    given.outputs().iter().map(|&id| (id, Bound::exact(given.output(id).len()))).collect()
}
