//! Merging partial sums on the device.

use crate::common::device::prove;

#[test]
fn merge() {
    prove("sum/merge");
}
