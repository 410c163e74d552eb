//! Convolution on the device against the twins: every core, several shapes and cuts of the batch.

mod common;

use common::bounds::check_sum_of_products;
use common::device::{self, Both, cores};
use ocellus::ops::conv2d::{Algorithm, Problem, gpu};
use ocellus::plan::{Layout, Plan, Target};
use ocellus::shape::Padding::{self, Same, Valid};

/// A problem, and how many images of its batch fit one window.
type Case = (Problem, usize);

fn case(input: [usize; 4], cout: usize, kernel: [usize; 2], stride: [usize; 2], padding: Padding) -> Problem {
    Problem::new(input, cout, kernel, stride, padding)
}

fn cases() -> Vec<Case> {
    vec![
        (case([1, 1, 1, 1], 1, [1, 1], [1, 1], Same), 1),
        (case([5, 1, 1, 3], 5, [3, 3], [1, 1], Same), 2),
        (case([2, 7, 9, 5], 33, [3, 3], [1, 1], Same), 1),
        (case([3, 8, 10, 3], 6, [3, 3], [2, 2], Same), 2),
        (case([4, 9, 8, 33], 3, [5, 5], [2, 2], Valid), 3),
        (case([1, 6, 7, 33], 65, [1, 1], [1, 1], Same), 1),
        (case([2, 9, 5, 4], 8, [5, 3], [2, 1], Same), 2),
        (case([1, 8, 9, 3], 2, [3, 2], [2, 3], Valid), 1),
        // More rows and columns than the largest tile has.
        (case([5, 13, 11, 8], 132, [3, 3], [1, 1], Same), 2),
    ]
}

fn forward_plan(target: Target, p: Problem, images: usize) -> Plan {
    let direct = Target { convolution: Some(Algorithm::Direct), ..target };
    let mut plan = device::plan(direct, p.batch, images);
    let x = plan.kept_activation("x", &p.input_shape());
    let w = plan.kept("w", &p.weight_shape(), Layout::Matrix);
    let bias = plan.kept("bias", &[p.cout], Layout::Rows);
    let y = plan.kept_activation("y", &p.output_shape());
    gpu::forward(&mut plan, "conv", p, x, w, bias, y);
    plan
}

fn check_forward(target: &Target, (p, images): Case) {
    let mut both = Both::load(|| forward_plan(target.clone(), p, images));
    let what = format!("forward {p:?}, {images} a window, {:?}", target.core);
    check_sum_of_products(&what, &mut both, &["x", "w", "bias"], "y", p.taps() * p.cin + 1);
}

fn check_data_gradient(target: &Target, (p, images): Case) {
    let mut both = Both::load(|| {
        let mut plan = device::plan(target.clone(), p.batch, images);
        let dy = plan.kept_activation("dy", &p.output_shape());
        let w = plan.kept("w", &p.weight_shape(), Layout::Matrix);
        let dx = plan.kept_activation("dx", &p.input_shape());
        gpu::data_gradient(&mut plan, "conv", p, dy, w, dx);
        plan
    });
    let what = format!("data gradient {p:?}, {images} a window, {:?}", target.core);
    check_sum_of_products(&what, &mut both, &["dy", "w"], "dx", p.taps() * p.cout);
}

fn check_weight_gradient(target: &Target, (p, images): Case) -> Both {
    let mut both = Both::load(|| {
        let mut plan = device::plan(target.clone(), p.batch, images);
        let x = plan.kept_activation("x", &p.input_shape());
        let dy = plan.kept_activation("dy", &p.output_shape());
        let dw = plan.kept("dw", &p.weight_shape(), Layout::Matrix);
        gpu::weight_gradient(&mut plan, "conv", p, x, dy, dw);
        plan
    });
    let (groups, core) = (target.parallel_groups, target.core);
    let what = format!("weight gradient {p:?}, {images} a window, {groups} groups, {core:?}");
    check_sum_of_products(&what, &mut both, &["x", "dy"], "dw", p.output_pixels());
    both
}

#[test]
fn forward() {
    for core in cores() {
        for case in cases() {
            check_forward(&device::target(core, 64), case);
        }
    }
}

#[test]
fn data_gradient() {
    for core in cores() {
        for case in cases() {
            check_data_gradient(&device::target(core, 64), case);
        }
    }
}

#[test]
fn weight_gradient() {
    for core in cores() {
        for case in cases() {
            check_weight_gradient(&device::target(core, 64), case);
        }
    }
}

#[test]
fn weight_gradients_split_their_pixels() {
    // Windows of 960 and 480 pixels, of which a part has 256 at least.
    let problem = case([3, 24, 20, 3], 6, [3, 3], [1, 1], Same);
    for core in cores() {
        for (groups, parts) in [(1, [1, 1]), (64, [4, 2])] {
            let both = check_weight_gradient(&device::target(core, groups), (problem, 2));
            let partial = |window| both.plan().find(&format!("conv/partial {window}")).expect("one a window");
            let found = [0, 1].map(|window| both.plan().tensor(partial(window)).shape[0]);
            assert_eq!(found, parts, "{core:?}, {groups} groups");
        }
    }
}

/// Lavapipe of Mesa 22.3 silently ends every loop of an invocation past its 65,535th iteration. Unless the driver
/// unrolls the core's inner loops, a sum of this many terms has more.
#[test]
fn long_sums_stay_below_the_loop_limit_of_drivers() {
    for core in cores() {
        let unsplit = device::target(core, 1);
        for size in [1, 2] {
            check_forward(&unsplit, (case([1, size, size, 1024], 4, [3, 3], [1, 1], Same), 1));
            check_data_gradient(&unsplit, (case([1, size, size, 4], 1024, [3, 3], [1, 1], Same), 1));
        }
        check_weight_gradient(&unsplit, (case([1, 96, 96, 1], 4, [1, 1], [1, 1], Same), 1));
    }
}

#[test]
fn dispatches_fold_into_two_dimensions() {
    // 576 pixels by 160 channels: 21 tiles of 64 x 64, for one, so limits that leave the last row of the fold ragged.
    let problem = case([1, 24, 24, 4], 160, [1, 1], [1, 1], Same);
    for core in cores() {
        let target = |limit| Target { core, ..device::folding(limit) };
        let groups = forward_plan(target(1), problem, 1).steps[0].groups;
        let limit = groups.isqrt() as u32 + 1;
        assert!(groups > limit.into(), "{core:?}: {groups} workgroups do not fold");
        check_forward(&target(limit), (problem, 1));
    }
}
