//! ReLU on the device against the twins: nothing is rounded, so nothing may differ.

mod common;

use common::device::{self, prove};
use ocellus::ops::relu::gpu;

#[test]
fn forward() {
    prove("relu/forward");
}

#[test]
fn backward() {
    prove("relu/backward");
}

#[test]
fn what_no_fold_holds_is_refused() {
    let mut session = ocellus::gpu::session::Session::new(device::device().clone());
    let mut plan = device::plan(device::folding(3), 1, 1);
    // 2,625 vec4s are 11 workgroups of 256.
    let [x, y] = ["x", "y"].map(|name| plan.kept_activation(name, &[1, 875, 12]));
    gpu::forward(&mut plan, "relu", x, y);
    let error = session.load(plan).unwrap_err().to_string();
    assert!(error.contains("11 workgroups do not fit"), "{error}");
}
