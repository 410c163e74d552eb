//! The dense layer on the device against the twins: every core.

use crate::common::device::prove;

#[test]
fn forward() {
    prove("dense/forward");
}

#[test]
fn data_gradient() {
    prove("dense/data_gradient");
}

#[test]
fn weight_gradient() {
    prove("dense/weight_gradient");
}
