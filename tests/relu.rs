//! ReLU on the device against the twins: nothing is rounded, so nothing may differ.

mod common;

use common::device::{self, Both};
use common::{assert_close, uniform};
use ocellus::ops::relu::gpu;
use ocellus::plan::Target;

/// Every seventh number is exactly 0, where TensorFlow's gradient is 0.
fn with_zeros(seed: u64, count: usize) -> Vec<f32> {
    let zero = |(i, number): (usize, f32)| if i % 7 == 3 { 0.0 } else { number };
    uniform(seed, count).into_iter().enumerate().map(zero).collect()
}

fn forward_pass(target: &Target, shape: [usize; 3], images: usize) -> Both {
    Both::load(|| {
        let mut plan = device::plan(target.clone(), shape[0], images);
        let x = plan.kept_activation("x", &shape);
        let y = plan.kept_activation("y", &shape);
        gpu::forward(&mut plan, "relu", x, y);
        plan
    })
}

fn check_forward(target: &Target, shape: [usize; 3], images: usize) {
    let mut both = forward_pass(target, shape, images);
    both.fill(&["x"], with_zeros);
    both.run();
    assert_close(&format!("y {shape:?}"), &both.gpu("y"), &both.twin("y"), |_| 0.0);
}

fn check_backward(target: &Target, shape: [usize; 3], images: usize) {
    let mut both = Both::load(|| {
        let mut plan = device::plan(target.clone(), shape[0], images);
        let [y, dy, dx] = ["y", "dy", "dx"].map(|name| plan.kept_activation(name, &shape));
        gpu::backward(&mut plan, "relu", y, dy, dx);
        plan
    });
    both.fill(&["y", "dy"], with_zeros);
    both.run();
    assert_close(&format!("dx {shape:?}"), &both.gpu("dx"), &both.twin("dx"), |_| 0.0);
}

/// Shapes with how many images fit a window.
const CASES: [([usize; 3], usize); 5] =
    [([1, 1, 1], 1), ([5, 1, 3], 2), ([3, 77, 5], 2), ([4, 35, 33], 3), ([1, 512, 4], 1)];

/// 2,625 vec4s are 11 workgroups of 256.
const FOLDED: [usize; 3] = [1, 875, 12];

#[test]
fn forward() {
    for (shape, images) in CASES {
        check_forward(&device::device().target(), shape, images);
    }
    check_forward(&device::folding(4), FOLDED, 1);
}

#[test]
fn backward() {
    for (shape, images) in CASES {
        check_backward(&device::device().target(), shape, images);
    }
    check_backward(&device::folding(4), FOLDED, 1);
}

/// A number that is none must reach the loss, where the training loop sees it: `max(x, 0)` may turn it into 0.
#[test]
fn nan_stays_nan() {
    let mut both = forward_pass(&device::device().target(), [1, 2, 4], 1);
    both.write("x", &[f32::NAN, -f32::NAN, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0]);
    both.run();
    for y in [both.gpu("y"), both.twin("y")] {
        assert!(y[0].is_nan() && y[1].is_nan(), "{y:?}");
        assert_eq!(y[2..], [1.0, 0.0, f32::INFINITY, 0.0, 0.0, 0.0]);
    }
}

#[test]
fn what_no_fold_holds_is_refused() {
    let mut session = ocellus::gpu::session::Session::new(device::device().clone());
    let mut plan = device::plan(device::folding(3), 1, 1);
    let x = plan.kept_activation("x", &FOLDED);
    let y = plan.kept_activation("y", &FOLDED);
    gpu::forward(&mut plan, "relu", x, y);
    let error = session.load(plan).unwrap_err().to_string();
    assert!(error.contains("11 workgroups do not fit"), "{error}");
}
