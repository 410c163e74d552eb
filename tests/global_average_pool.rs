//! Global average pooling on the device against the twins.

use crate::common::device::prove;

#[test]
fn forward() {
    prove("global_average_pool/forward");
}

#[test]
fn backward() {
    prove("global_average_pool/backward");
}
