//! Transposing weights on the device.

mod common;

use common::device::{self, Both};
use common::{assert_close, uniform};
use ocellus::ops::transpose;
use ocellus::plan::{Layout, Target};

fn check(target: &Target, stack: usize, rows: usize, columns: usize) {
    let mut both = Both::load(|| {
        let mut plan = device::plan(target.clone(), 1, 1);
        let x = plan.kept("x", &[stack, rows, columns], Layout::Matrix);
        let y = plan.kept("y", &[stack, columns, rows], Layout::Matrix);
        let step = transpose::forward("weights", stack, rows, columns, x.into(), y.into());
        plan.node("transpose", vec![step], move |values| {
            let x = values.get(x);
            let at = |i: usize| {
                let (matrix, column, row) = (i / (rows * columns), i / rows % columns, i % rows);
                x[(matrix * rows + row) * columns + column]
            };
            let turned = (0..x.len()).map(at).collect();
            values.set(y, turned);
        });
        plan
    });
    both.fill(&["x"], uniform);
    both.run();
    // Nothing is computed, so nothing is rounded.
    assert_close(&format!("{stack} x {rows} x {columns}"), &both.gpu("y"), &both.twin("y"), |_| 0.0);
}

#[test]
fn forward() {
    let target = device::device().target();
    for (stack, rows, columns) in [(1, 1, 1), (9, 3, 33), (25, 5, 1), (2, 133, 70), (1, 64, 256)] {
        check(&target, stack, rows, columns);
    }
    // 648 blocks of 4 x 4 are 11 workgroups.
    check(&device::folding(4), 9, 35, 31);
}
