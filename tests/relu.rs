//! ReLU on the device against the twins: nothing is rounded, so nothing may differ.

use crate::common::device::{self, prove};
use ocellus::ops::relu::steps;

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
    let mut session = ocellus::engine::gpu::session::Session::new(device::device().clone());
    let mut plan = device::plan(device::folding(3), 1, 1);
    // 2,625 vec4s are 11 workgroups of 256.
    let [x, y] = ["x", "y"].map(|name| plan.kept_activation(name, &[1, 875, 12]));
    steps::forward(&mut plan, "relu", x, y);
    let error = session.load(plan).unwrap_err().to_string();
    assert!(error.contains("11 workgroups do not fit"), "{error}");
}

/// Steps that are run by themselves, as benches run them, do what they do in their plan, and the others nothing.
#[test]
fn steps_run_by_themselves() {
    let mut plan = device::plan(device::device().target(), 1, 1);
    let [x, y, z] = ["x", "y", "z"].map(|name| plan.kept_activation(name, &[1, 4]));
    steps::forward(&mut plan, "first", x, y);
    steps::forward(&mut plan, "second", x, z);
    let mut session = ocellus::engine::gpu::session::Session::new(device::device().clone());
    let program = session.load(plan).unwrap();
    for id in [y, z] {
        session.write(program, id, &[7.0; 4]);
    }
    session.write(program, x, &[-1.0, 2.0, -3.0, 4.0]);
    session.run_steps(program, 1..2).unwrap();
    assert_eq!(session.read(program, y).unwrap(), [7.0; 4]);
    assert_eq!(session.read(program, z).unwrap(), [0.0, 2.0, 0.0, 4.0]);
}
