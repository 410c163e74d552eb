//! Global average pooling on the device against the twins.

mod common;

use common::bounds::{DIVISION, ULP, sum};
use common::device::{self, Both};
use common::{assert_close, uniform, whole};
use ocellus::ops::global_average_pool::{Problem, gpu};
use ocellus::plan::{Layout, Target};

/// Batch, positions, channels, and how many images fit a window.
const CASES: [(usize, usize, usize, usize); 5] =
    [(1, 1, 1, 1), (5, 4, 3, 2), (3, 49, 33, 1), (4, 49, 1024, 3), (2, 143, 5, 2)];

fn check_forward(target: &Target, p: Problem, images: usize) {
    let mut both = Both::load(|| {
        let mut plan = device::plan(target.clone(), p.batch, images);
        let x = plan.kept_activation("x", &[p.batch, p.positions, p.channels]);
        let y = plan.kept("y", &[p.batch, p.channels], Layout::Rows);
        gpu::forward(&mut plan, "gap", p, x, y);
        plan
    });
    both.fill(&["x"], uniform);
    both.run();
    let (got, want) = (both.gpu("y"), both.twin("y"));
    both.fill(&["x"], |seed, count| uniform(seed, count).into_iter().map(f32::abs).collect());
    both.run_twins();
    let magnitude = both.twin("y");
    assert_close(&format!("y {p:?}"), &got, &want, |i| (sum(p.positions) + DIVISION) * f64::from(magnitude[i]));

    both.fill(&["x"], whole);
    both.run();
    let want = both.twin("y");
    // The sum is exact; the division is not, nor the twin's, by way of a reciprocal, once it is f32.
    assert_close(&format!("y {p:?}, whole numbers"), &both.gpu("y"), &want, |i| {
        (DIVISION + ULP) * f64::from(want[i].abs()) + f64::EPSILON * p.positions as f64
    });
}

fn check_backward(target: &Target, p: Problem, images: usize) {
    let mut both = Both::load(|| {
        let mut plan = device::plan(target.clone(), p.batch, images);
        let dy = plan.kept("dy", &[p.batch, p.channels], Layout::Rows);
        let dx = plan.kept_activation("dx", &[p.batch, p.positions, p.channels]);
        gpu::backward(&mut plan, "gap", p, dy, dx);
        plan
    });
    both.fill(&["dy"], uniform);
    both.run();
    let want = both.twin("dx");
    // One division, and the rounding of the twin.
    assert_close(&format!("dx {p:?}"), &both.gpu("dx"), &want, |i| (DIVISION + ULP) * f64::from(want[i].abs()));
}

#[test]
fn forward() {
    for (batch, positions, channels, images) in CASES {
        check_forward(&device::device().target(), Problem { batch, positions, channels }, images);
    }
    // 660 vec4s are 11 workgroups of 64.
    check_forward(&device::folding(4), Problem { batch: 3, positions: 2, channels: 880 }, 3);
}

#[test]
fn backward() {
    for (batch, positions, channels, images) in CASES {
        check_backward(&device::device().target(), Problem { batch, positions, channels }, images);
    }
    // 2,640 vec4s are 11 workgroups of 256.
    check_backward(&device::folding(4), Problem { batch: 3, positions: 4, channels: 880 }, 3);
}
