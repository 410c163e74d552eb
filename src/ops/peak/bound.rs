//! Bounds of the arithmetic probe.

use crate::engine::bound::{Given, NEAREST, Uncertainties, Uncertainty, sum};
use crate::engine::tensor::TensorId;

/// An error of an iteration shrinks by `|x| <= 1/2` with each one after it, so two at most are left of all, and 4/3 of the
/// variance of its product and its sum; then the chains, which are off by the same, are added up.
pub fn arithmetic(given: &Given, y: TensorId) -> Uncertainties {
    let bound = |y: &f64| {
        let most = (2.0 * sum(2.0) + sum(1.0)) * 2.0 * y.abs();
        Uncertainty { most, variance: (2.0 * 4.0 / 3.0 + 1.0) * NEAREST * y * y, allowed: 0.0 }.flushed()
    };
    [(y, given.output(y).iter().map(bound).collect())].into()
}
