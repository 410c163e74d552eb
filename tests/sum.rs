//! Merging partial sums on the device.

mod common;

use common::device::prove;

#[test]
fn merge() {
    prove("sum/merge");
}
