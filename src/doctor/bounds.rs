//! How far honest f32 arithmetic may stray from the f64 twins, derived for each kernel from the numbers it was given.
//!
//! Three rules, and no tolerance beside them: one for sums of products, one for whatever WGSL lets a GPU compute less
//! exactly than IEEE 754, and exact equality where nothing is rounded.

mod adam;
mod augment;
mod batch_norm;
mod loss;
mod peak;
mod sums;
mod winograd;

use std::collections::BTreeMap;

use half::f16;

use super::operation::Operation;
use crate::plan::TensorId;

/// Distance from 1 to the next f32: one unit in the last place of a number near 1.
pub const ULP: f64 = f32::EPSILON as f64;

/// Most error of one addition or multiplication, relative to its result: WGSL lets a GPU round to either neighbour. One
/// that rounds to the nearest, as most do, stays within half of every bound here.
const ROUNDING: f64 = ULP;

/// The constant of every sum and product. Rounding errors that are independent and centred stay within
/// `c * sqrt(roundings) * ROUNDING * sum|terms|` but for a share of `2 exp(-c^2 / 2)` of the results (Higham & Mary
/// 2019, A new approach to probabilistic rounding error analysis, theorem 2.4): with 6, one in thirty million.
const SUM: f64 = 6.0;

/// What WGSL allows a division (2.5 ULP) and a square root (the reciprocal of `inverseSqrt`, 2 + 2.5 ULP).
pub const DIVISION: f64 = 2.5 * ULP;
pub const SQUARE_ROOT: f64 = 4.5 * ULP;

/// What a number may lose by being taken for 0, or coming out as 0: WGSL lets a GPU flush denormal numbers (SwiftShader
/// does). Twice the least normal one, so that here, too, honest results stay within half of the bound.
pub const FLUSHED: f64 = 2.0 * f32::MIN_POSITIVE as f64;

/// The most error of a sum of that many products, in whatever order, relative to the sum of their absolute values. The
/// longest path of an addend has a rounding each for the products, a bias and the sum of another part; what can be proved
/// without probabilities, one `ROUNDING` each, is less for short sums.
pub fn sum(terms: f64) -> f64 {
    let roundings = terms + 2.0;
    ROUNDING * roundings.min(SUM * roundings.sqrt())
}

/// The bound of every number of each output.
pub type Bounds = BTreeMap<TensorId, Vec<f64>>;

/// Bounds for what a node's kernels compute and store; a kernel without a rule is an error.
pub fn of(op: &Operation) -> Result<Bounds, String> {
    let mut bounds = computed(op)?;
    for (id, bounds) in &mut bounds {
        if op.is_half(*id) {
            bounds
                .iter_mut()
                .zip(op.output_of(*id))
                .for_each(|(bound, want)| *bound += stored_as_half(want.abs() + *bound));
        }
    }
    Ok(bounds)
}

/// What a number loses in half precision: WGSL lets a GPU round it to either neighbour, and flush a denormal one.
fn stored_as_half(number: f64) -> f64 {
    (number * f64::from(f16::EPSILON)).max(2.0 * f64::from(f16::MIN_POSITIVE))
}

fn computed(op: &Operation) -> Result<Bounds, String> {
    Ok(match op.kernel() {
        "relu/forward" | "relu/backward" | "max_pool/forward" | "probe/loop_limit" | "peak/copy" => exact(op),
        "guard/check" | "guard/stop" | "receipt/mark" => exact(op),
        "conv2d/forward" | "conv2d/data_gradient" | "conv2d/weight_gradient" => sums::of_products(op),
        "dense/forward" | "dense/data_gradient" | "dense/weight_gradient" => sums::of_products(op),
        "bias/gradient" | "sum/merge" | "add/forward" => sums::of_products(op),
        "average_pool/forward" | "average_pool/backward" => sums::of_means(op),
        "max_pool/backward" => sums::of_gradients(op),
        "global_average_pool/forward" => sums::mean(op),
        "global_average_pool/backward" => sums::share(op),
        "batch_norm/statistics" => batch_norm::statistics(op),
        "batch_norm/normalize" => batch_norm::normalize(op),
        "batch_norm/backward_reduce" => batch_norm::backward(op),
        "softmax_cross_entropy/forward" => loss::forward(op),
        kernel if kernel.starts_with("winograd/") => winograd::convolution(op),
        "peak/arithmetic" => peak::arithmetic(op),
        "adam/step" => adam::step(op),
        "augment/forward" => augment::forward(op),
        other => return Err(format!("no bound is known for {other}: it belongs in doctor/bounds.rs")),
    })
}

/// Nothing is rounded, so nothing may differ.
pub fn exact(op: &Operation) -> Bounds {
    op.outputs().into_iter().map(|id| (id, vec![0.0; op.output_of(id).len()])).collect()
}
