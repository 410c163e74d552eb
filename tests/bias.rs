//! The bias gradient on the device against the twin.

use crate::common::device::prove;

#[test]
fn gradient() {
    prove("bias/gradient");
}
