//! Clipped gradients on the device against the twin.

use crate::common::device::prove;

#[test]
fn clip() {
    prove("clip/squares");
}
