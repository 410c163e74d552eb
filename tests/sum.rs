//! Merging partial sums on the device.

mod common;

use common::bounds::check_sum_of_products;
use common::device::{self, Both};
use ocellus::ops::sum::{self, Parts};
use ocellus::plan::{Layout, Target};

fn check(target: &Target, parts: Parts) {
    let mut both = Both::load(|| {
        let mut plan = device::plan(target.clone(), 1, 1);
        let partial = plan.kept("partial", &[parts.parts, parts.stride], Layout::Rows);
        let total = plan.kept("total", &[parts.count], Layout::Rows);
        let step = sum::merge("sum", parts, partial.into(), total.into());
        plan.node("sum", vec![step], move |values| {
            let rows = values.get(partial).chunks_exact(parts.stride);
            let mut sum = vec![0.0; parts.count];
            for row in rows {
                sum.iter_mut().zip(&row[parts.offset..]).for_each(|(sum, number)| *sum += number);
            }
            values.set(total, sum);
        });
        plan
    });
    check_sum_of_products(&format!("{parts:?}"), &mut both, &["partial"], "total", parts.parts);
}

#[test]
fn merge() {
    let target = device::device().target();
    for (parts, stride, offset, count) in [(1, 4, 0, 4), (2, 8, 4, 4), (7, 1036, 0, 1036), (64, 264, 132, 132)] {
        check(&target, Parts { parts, stride, offset, count });
    }
    // 11 workgroups.
    check(&device::folding(4), Parts { parts: 3, stride: 2600, offset: 0, count: 2600 });
}
