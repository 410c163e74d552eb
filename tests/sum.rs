//! Merging partial sums on the device.

use crate::common::device::prove;

#[test]
fn merge() {
    prove("sum/merge");
}

#[test]
fn merge_rows() {
    prove("sum/merge_rows");
}
