//! Host side of `shaders/sum/merge.wgsl`: partial sums added up in a fixed order.

pub mod proof;

use super::parts::Lanes;
use crate::engine::plan::{Plan, Step, TensorId, View};
use crate::kernel;

/// `parts` runs of `stride` numbers each; the total is over numbers `offset .. offset + count` of every run. All are
/// stored sizes, multiples of four.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    pub parts: usize,
    pub stride: usize,
    pub offset: usize,
    pub count: usize,
}

/// `total[i] = sum over p of partial[p * stride + offset + i]`.
pub fn merge(plan: &Plan, name: &str, parts: Parts, partial: View, total: View) -> Step {
    merge_at(plan, name, parts, partial, total, 0)
}

/// As [`merge`], with the sums behind the first numbers of `total`.
pub fn merge_at(plan: &Plan, name: &str, parts: Parts, partial: View, total: View, first: usize) -> Step {
    step(plan, format!("{name} merge"), parts, false, partial, total, first)
}

/// Adds the sum to the values of `total`.
pub fn add(plan: &Plan, name: &str, parts: Parts, partial: View, total: View) -> Step {
    step(plan, format!("{name} add"), parts, true, partial, total, 0)
}

/// `y[row, c] = bias[c] + sum over p of partial[p, row, c]`, with zeros for a bias that is not there.
pub fn merge_rows(
    plan: &Plan,
    name: &str,
    [parts, rows, columns]: [usize; 3],
    partial: View,
    bias: Option<TensorId>,
    y: View,
) -> Step {
    let Some(bias) = bias else {
        let count = rows * columns;
        return merge(plan, name, Parts { parts, stride: count, offset: 0, count }, partial, y);
    };
    let count4 = rows * columns / 4;
    let kernel = kernel!("sum/merge_rows");
    let lanes = Lanes::new(plan, kernel, parts, count4);
    let mut constants = lanes.constants();
    constants.extend([("parts", parts.into()), ("count4", count4.into()), ("columns4", (columns / 4).into())]);
    Step {
        name: format!("{name} merge"),
        kernel,
        constants,
        bindings: vec![("partial", partial), ("bias", bias.into()), ("y", y)],
        work: lanes.work(),
        flops: (parts * rows * columns) as u64,
    }
}

fn step(plan: &Plan, name: String, parts: Parts, onto_total: bool, partial: View, total: View, first: usize) -> Step {
    let kernel = kernel!("sum/merge");
    let lanes = Lanes::new(plan, kernel, parts.parts, parts.count / 4);
    let mut constants = lanes.constants();
    constants.extend([
        ("parts", parts.parts.into()),
        ("stride4", (parts.stride / 4).into()),
        ("offset4", (parts.offset / 4).into()),
        ("count4", (parts.count / 4).into()),
        ("first4", (first / 4).into()),
        ("ONTO_TOTAL", onto_total.into()),
    ]);
    Step {
        name,
        kernel,
        constants,
        bindings: vec![("partial", partial), ("total", total)],
        work: lanes.work(),
        flops: (parts.parts * parts.count) as u64,
    }
}
