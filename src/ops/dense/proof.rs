//! Cases of the dense layer's matrix products.

use super::{Dense, Problem, steps};
use crate::engine::plan::{Layout, Plan, Target};
use crate::ops::Example;
use crate::ops::case::{Case, empty_plan};

/// Batch, inputs and outputs, and whether it is telling: one of everything; ragged; the tutorial's two layers; more rows
/// and columns than a tile; few rows and many terms, of which sums are cut; a long sum; multiply-adds enough for subgroups' wide tiles (`ops/product.rs`); a sum so long that
/// lavapipe would cut it short with checks compiled in, but for the tile's height.
const PROBLEMS: [(usize, usize, usize, bool); 9] = [
    (1, 1, 1, false),
    (5, 33, 3, true),
    (3, 1024, 256, false),
    (4, 256, 8, false),
    (150, 5, 133, false),
    (2, 200, 140, true),
    (2, 9216, 4, false),
    (520, 1030, 1010, false),
    (45000, 34, 20, false),
];

fn forward(target: &Target, p: Problem) -> Plan {
    let mut plan = empty_plan(target, p.batch, p.batch);
    let x = plan.kept("x", &[p.batch, p.inputs], Layout::Rows);
    let w = plan.kept("w", &[p.inputs, p.outputs], Layout::Matrix);
    let bias = plan.kept("bias", &[p.outputs], Layout::Rows);
    let y = plan.kept("y", &[p.batch, p.outputs], Layout::Rows);
    steps::forward(&mut plan, "dense", p, x, w, bias, y);
    plan
}

fn data_gradient(target: &Target, p: Problem) -> Plan {
    let mut plan = empty_plan(target, p.batch, p.batch);
    let dy = plan.kept("dy", &[p.batch, p.outputs], Layout::Rows);
    let w = plan.kept("w", &[p.inputs, p.outputs], Layout::Matrix);
    let dx = plan.kept("dx", &[p.batch, p.inputs], Layout::Rows);
    steps::data_gradient(&mut plan, "dense", p, dy, w, dx);
    plan
}

fn weight_gradient(target: &Target, p: Problem) -> Plan {
    let mut plan = empty_plan(target, p.batch, p.batch);
    let x = plan.kept("x", &[p.batch, p.inputs], Layout::Rows);
    let dy = plan.kept("dy", &[p.batch, p.outputs], Layout::Rows);
    let dw = plan.kept("dw", &[p.inputs, p.outputs], Layout::Matrix);
    steps::weight_gradient(&mut plan, "dense", p, x, dy, dw);
    plan
}

/// All three passes of one layer.
pub fn all(p: Problem) -> [Case; 3] {
    let about = format!("[{}, {}] to {}", p.batch, p.inputs, p.outputs);
    [
        Case::new("dense/forward", &about, move |t| forward(t, p)).sums(&["x", "w", "bias"]),
        Case::new("dense/data_gradient", &about, move |t| data_gradient(t, p)).sums(&["dy", "w"]),
        Case::new("dense/weight_gradient", &about, move |t| weight_gradient(t, p)).sums(&["x", "dy"]),
    ]
}

pub fn cases() -> Vec<Case> {
    let of = |(batch, inputs, outputs, telling)| {
        all(Problem { batch, inputs, outputs }).map(|case: Case| case.telling_if(telling))
    };
    PROBLEMS.into_iter().flat_map(of).collect()
}

/// Problems that prove it: one image, one input, one output.
pub fn examples() -> Vec<Example> {
    let dense = |batch, inputs, units| Example::new(Dense { units }, batch, &[[inputs]]);
    vec![dense(3, 17, 5), dense(1, 8, 1), dense(7, 1, 4)]
}
