//! The bias gradient on the device against the twins.

mod common;

use common::bounds::check_sum_of_products;
use common::device::{self, Both};
use ocellus::ops::bias::{Problem, gpu};
use ocellus::plan::{Layout, Target};

fn check(target: &Target, p: Problem, windowed: Option<usize>) {
    let mut both = Both::load(|| {
        let mut plan = device::plan(target.clone(), p.batch, windowed.unwrap_or(1));
        let shape = [p.batch, p.positions, p.channels];
        let dy = match windowed {
            Some(_) => plan.kept_activation("dy", &shape),
            None => plan.kept("dy", &shape, Layout::Rows),
        };
        let db = plan.kept("db", &[p.channels], Layout::Rows);
        gpu::gradient(&mut plan, "bias", p, dy, db);
        plan
    });
    let what = format!("{p:?}, windows of {windowed:?}, {} groups", target.parallel_groups);
    check_sum_of_products(&what, &mut both, &["dy"], "db", p.batch * p.positions);
}

#[test]
fn gradient() {
    // Channels below, at and past the 256 that one workgroup has side by side; rows below and past one block.
    let cases = [(1, 1, 1, 1), (5, 1, 3, 2), (2, 143, 5, 1), (5, 91, 33, 2), (3, 200, 260, 2), (4, 300, 1024, 3)];
    for (batch, positions, channels, images) in cases {
        for groups in [1, 5, 64] {
            let target = Target { parallel_groups: groups, ..device::device().target() };
            check(&target, Problem { batch, positions, channels }, Some(images));
        }
    }
}

#[test]
fn the_gradient_of_a_tensor_that_is_not_cut_is_of_the_whole_batch() {
    let target = device::device().target();
    check(&target, Problem { batch: 5, positions: 1, channels: 8 }, None);
}

#[test]
fn dispatches_fold_into_two_dimensions() {
    // 1000 rows in 16 blocks of 64, which 5 does not divide.
    check(&device::folding(5), Problem { batch: 2, positions: 500, channels: 7 }, Some(2));
}
