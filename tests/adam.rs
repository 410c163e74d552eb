//! Adam's step on the device against the twin.

mod common;

use common::device::prove;

#[test]
fn step() {
    prove("adam/step");
}
