//! Softmax cross-entropy on the device against the twin.

use crate::common::device::prove;

#[test]
fn forward() {
    prove("softmax_cross_entropy/forward");
}
