//! The bias gradient on the device against the twin.

mod common;

use common::device::prove;

#[test]
fn gradient() {
    prove("bias/gradient");
}
