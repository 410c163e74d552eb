//! Softmax cross-entropy on the device against the twin.

mod common;

use common::device::prove;

#[test]
fn forward() {
    prove("softmax_cross_entropy/forward");
}
