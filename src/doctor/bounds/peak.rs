//! Bounds of the arithmetic probe.

use super::{Bounds, FLUSHED, sum};
use crate::doctor::operation::Operation;

/// An error of an iteration shrinks by `|x| <= 1/2` with each one after it, so two at most are left of all; then the
/// chains are added up.
pub fn arithmetic(op: &Operation) -> Bounds {
    let bound = |y: &f64| (2.0 * sum(2.0) + sum(1.0)) * 2.0 * y.abs() + FLUSHED;
    [(op.id("y"), op.output("y").iter().map(bound).collect())].into()
}
