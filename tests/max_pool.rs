//! Max pooling on the device against the twins: nothing is rounded but the sum where windows overlap.

mod common;

use common::bounds::sum;
use common::device::{self, Both};
use common::{assert_close, uniform, whole};
use ocellus::ops::max_pool::{Problem, gpu};
use ocellus::plan::{Plan, Target};

/// Problems with how many images of the batch fit a window.
fn cases() -> Vec<(Problem, usize)> {
    vec![
        (Problem::new([1, 2, 2, 1], [2, 2], [2, 2]), 1),
        (Problem::new([5, 7, 9, 3], [2, 2], [2, 2]), 2),
        (Problem::new([3, 8, 6, 33], [2, 2], [2, 2]), 1),
        (Problem::new([4, 9, 8, 5], [3, 3], [2, 2]), 3),
        (Problem::new([2, 6, 7, 4], [3, 2], [1, 3]), 1),
        (Problem::new([2, 5, 5, 1], [1, 1], [3, 3]), 2),
    ]
}

fn forward_plan(target: Target, p: Problem, images: usize) -> Plan {
    let mut plan = device::plan(target, p.batch, images);
    let x = plan.kept_activation("x", &p.input_shape());
    let y = plan.kept_activation("y", &p.output_shape());
    gpu::forward(&mut plan, "pool", p, x, y);
    plan
}

fn check_forward(target: &Target, p: Problem, images: usize) {
    let mut both = Both::load(|| forward_plan(target.clone(), p, images));
    // All numbers below 0: a maximum that starts from 0 would win.
    both.fill(&["x"], |seed, count| uniform(seed, count).iter().map(|number| number - 1.5).collect());
    both.run();
    assert_close(&format!("y {p:?}"), &both.gpu("y"), &both.twin("y"), |_| 0.0);
}

fn check_backward(target: &Target, p: Problem, images: usize) {
    let mut both = Both::load(|| {
        let mut plan = device::plan(target.clone(), p.batch, images);
        let x = plan.kept_activation("x", &p.input_shape());
        let dy = plan.kept_activation("dy", &p.output_shape());
        let dx = plan.kept_activation("dx", &p.input_shape());
        gpu::backward(&mut plan, "pool", p, x, dy, dx);
        plan
    });
    // Whole numbers: many ties, and sums without rounding.
    both.fill(&["x", "dy"], whole);
    both.run();
    assert_close(&format!("dx {p:?}, ties"), &both.gpu("dx"), &both.twin("dx"), |_| 0.0);

    both.fill(&["x", "dy"], uniform);
    both.run();
    // At most 9 windows of 3 x 3, one apart, lie over a pixel, and no gradient is above 1.
    let bound = 9.0 * sum(9);
    assert_close(&format!("dx {p:?}"), &both.gpu("dx"), &both.twin("dx"), |_| bound);
}

#[test]
fn forward() {
    for (p, images) in cases() {
        check_forward(&device::device().target(), p, images);
    }
    // 25 x 26 x 4 vec4s are 11 workgroups.
    check_forward(&device::folding(4), Problem::new([1, 50, 52, 16], [2, 2], [2, 2]), 1);
}

#[test]
fn backward() {
    for (p, images) in cases() {
        check_backward(&device::device().target(), p, images);
    }
    check_backward(&device::folding(4), Problem::new([1, 25, 26, 16], [2, 2], [2, 2]), 1);
}

#[test]
fn the_first_of_equal_maxima_takes_the_gradient() {
    let p = Problem::new([1, 2, 2, 1], [2, 2], [2, 2]);
    for (x, dx) in [
        ([5.0, 5.0, 5.0, 5.0], [1.0, 0.0, 0.0, 0.0]),
        ([1.0, 5.0, 5.0, 5.0], [0.0, 1.0, 0.0, 0.0]),
        ([1.0, 2.0, 5.0, 5.0], [0.0, 0.0, 1.0, 0.0]),
    ] {
        let mut both = Both::load(|| {
            let mut plan = device::plan(device::device().target(), 1, 1);
            let inputs = plan.kept_activation("x", &p.input_shape());
            let dy = plan.kept_activation("dy", &p.output_shape());
            let gradient = plan.kept_activation("dx", &p.input_shape());
            gpu::backward(&mut plan, "pool", p, inputs, dy, gradient);
            plan
        });
        both.write("x", &x);
        both.write("dy", &[1.0]);
        both.run();
        assert_eq!((both.gpu("dx"), both.twin("dx")), (dx.to_vec(), dx.to_vec()));
    }
}

/// As in `tests/relu.rs`: a channel that a batch norm has filled with NaN must not come out as numbers.
#[test]
fn nan_stays_nan() {
    let p = Problem::new([1, 2, 2, 1], [2, 2], [2, 2]);
    let mut both = Both::load(|| forward_plan(device::device().target(), p, 1));
    both.write("x", &[f32::NAN; 4]);
    both.run();
    assert!(both.gpu("y")[0].is_nan() && both.twin("y")[0].is_nan());
}
