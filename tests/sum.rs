//! Merging partial sums on the device.

mod common;

use common::bounds::check_sum_of_products;
use common::device::{self, Both};
use ocellus::ops::sum::{self, Parts};
use ocellus::plan::{Layout, Target};

/// Merges, or adds onto what the total held.
fn check(target: &Target, parts: Parts, add: bool) {
    let mut both = Both::load(|| {
        let mut plan = device::plan(target.clone(), 1, 1);
        let partial = plan.kept("partial", &[parts.parts, parts.stride], Layout::Rows);
        let total = plan.kept("total", &[parts.count], Layout::Rows);
        let step = if add { sum::add } else { sum::merge };
        let step = step("sum", parts, partial.into(), total.into());
        plan.node("sum", vec![step], move |values| {
            let rows = values.get(partial).chunks_exact(parts.stride);
            let mut sum = if add { values.get(total).to_vec() } else { vec![0.0; parts.count] };
            for row in rows {
                sum.iter_mut().zip(&row[parts.offset..]).for_each(|(sum, number)| *sum += number);
            }
            values.set(total, sum);
        });
        plan
    });
    let inputs: &[&str] = if add { &["partial", "total"] } else { &["partial"] };
    check_sum_of_products(&format!("{parts:?}, add {add}"), &mut both, inputs, "total", parts.parts + 1);
}

#[test]
fn merge() {
    let target = device::device().target();
    for (parts, stride, offset, count) in [(1, 4, 0, 4), (2, 8, 4, 4), (7, 1036, 0, 1036), (64, 264, 132, 132)] {
        for add in [false, true] {
            check(&target, Parts { parts, stride, offset, count }, add);
        }
    }
    // 11 workgroups.
    check(&device::folding(4), Parts { parts: 3, stride: 2600, offset: 0, count: 2600 }, false);
}
