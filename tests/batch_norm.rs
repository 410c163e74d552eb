//! Batch norm on the device against the twins.

use crate::common::device::prove;

#[test]
fn statistics() {
    prove("batch_norm/statistics");
}

#[test]
fn normalize() {
    prove("batch_norm/normalize");
}

#[test]
fn backward() {
    prove("batch_norm/backward_reduce");
}

#[test]
fn frozen() {
    prove("batch_norm/backward_apply");
}
