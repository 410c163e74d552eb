//! The probes of `profile` compute something, so that no driver leaves them out.

use crate::common::device::prove;

#[test]
fn arithmetic() {
    prove("peak/arithmetic");
}

#[test]
fn copy() {
    prove("peak/copy");
}
