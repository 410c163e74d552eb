//! Cases of merging partial sums.

use super::Parts;
use crate::engine::bound;
use crate::engine::plan::{Layout, Plan, Target};
use crate::engine::tensor::Values;
use crate::ops::case::{Case, empty_plan, folded};

/// Merges, or adds onto what the total held.
fn merge(target: &Target, parts: Parts, add: bool) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let partial = plan.kept("partial", &[parts.parts, parts.stride], Layout::Rows);
    let total = plan.kept("total", &[parts.count], Layout::Rows);
    let step = if add { super::add } else { super::merge };
    let step = step(&plan, "sum", parts, partial.into(), total.into());
    let twin = move |values: &mut Values| {
        let mut sum = if add { values.get(total).to_vec() } else { vec![0.0; parts.count] };
        for row in values.get(partial).chunks_exact(parts.stride) {
            sum.iter_mut().zip(&row[parts.offset..]).for_each(|(sum, number)| *sum += number);
        }
        values.set(total, sum);
    };
    plan.node("sum", vec![step], twin, bound::of_sums);
    plan
}

/// Merges parts to the second of three places in a total. The others keep what they hold.
fn merge_at(target: &Target, parts: Parts) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let partial = plan.kept("partial", &[parts.parts, parts.stride], Layout::Rows);
    let total = plan.kept("total", &[3, parts.count], Layout::Rows);
    let step = super::merge_at(&plan, "sum", parts, partial.into(), total.into(), parts.count);
    let twin = move |values: &mut Values| {
        let mut sum = vec![0.0; parts.count];
        for row in values.get(partial).chunks_exact(parts.stride) {
            sum.iter_mut().zip(&row[parts.offset..]).for_each(|(sum, number)| *sum += number);
        }
        let mut all = values.get(total).to_vec();
        all[parts.count..2 * parts.count].copy_from_slice(&sum);
        values.set(total, all);
    };
    plan.node("sum", vec![step], twin, bound::of_sums);
    plan
}

/// Merges the parts of a product and adds a bias.
fn merge_rows(target: &Target, shape: [usize; 3]) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let [_, rows, columns] = shape;
    let partial = plan.kept("partial", &shape, Layout::Rows);
    let bias = plan.kept("bias", &[columns], Layout::Rows);
    let y = plan.kept("y", &[rows, columns], Layout::Rows);
    let step = super::merge_rows(&plan, "sum", shape, partial.into(), Some(bias), y.into());
    let twin = move |values: &mut Values| {
        let mut sum = values.get(bias).repeat(rows);
        for part in values.get(partial).chunks_exact(rows * columns) {
            sum.iter_mut().zip(part).for_each(|(sum, number)| *sum += number);
        }
        values.set(y, sum);
    };
    plan.node("sum", vec![step], twin, bound::of_sums);
    plan
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in [[2, 1, 4], [9, 33, 8], [300, 3, 12]] {
        let case = Case::new("sum/merge_rows", format!("{shape:?}"), move |t| merge_rows(t, shape));
        cases.push(case.sums(&["partial", "bias"]).telling_if(true));
    }
    let many = Case::new("sum/merge_rows", "folded", |t| folded(t, |t| merge_rows(t, [2, 71, 40])));
    cases.push(many.sums(&["partial", "bias"]).telling_if(true));
    // One thread a result; several; as many as can be.
    let sizes = [(1, 4, 0, 4), (2, 8, 4, 4), (7, 1036, 0, 1036), (64, 264, 132, 132), (71, 4, 0, 4), (1024, 40, 4, 36)];
    for (parts, stride, offset, count) in sizes {
        let parts = Parts { parts, stride, offset, count };
        let merged = Case::new("sum/merge", format!("{parts:?}"), move |t| merge(t, parts, false));
        cases.push(merged.sums(&["partial"]).telling_if(true));
        let added = Case::new("sum/merge", format!("{parts:?}, onto a total"), move |t| merge(t, parts, true));
        cases.push(added.sums(&["partial", "total"]).telling_if(true));
    }
    let parts = Parts { parts: 33, stride: 24, offset: 4, count: 16 };
    let placed = Case::new("sum/merge", "the second place of three", move |t| merge_at(t, parts));
    cases.push(placed.sums(&["partial", "total"]).telling_if(true));
    // 11 workgroups.
    let parts = Parts { parts: 3, stride: 2600, offset: 0, count: 2600 };
    let build = move |t: &Target| folded(t, |t| merge(t, parts, false));
    cases.push(Case::new("sum/merge", "folded", build).sums(&["partial"]).telling_if(true));
    // The largest binding that every adapter has, 128 MiB, and one dispatch past 65,535 workgroups; or what it was told.
    let build = |t: &Target| {
        let count = (t.binding_bytes.min(128 << 20) / 8) as usize;
        merge(t, Parts { parts: 2, stride: count, offset: 0, count }, false)
    };
    let largest = Case::new("sum/merge", "a binding of 128 MiB, 65,536 workgroups", build);
    cases.push(largest.uniform(&["partial"]).telling_if(true));
    cases
}
