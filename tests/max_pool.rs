//! Max pooling on the device against the twins.

use crate::common::device::prove;

#[test]
fn forward() {
    prove("max_pool/forward");
}

#[test]
fn backward() {
    prove("max_pool/backward");
}
