//! Cases of the bias gradient.

use super::{Problem, steps};
use crate::engine::plan::{Layout, Plan, Target};
use crate::ops::case::{Case, empty_plan, folding, parallel};

/// Batch, positions, channels, and how many images fit a window. Channels below, at and past the 256 that one workgroup
/// has side by side; rows below and past one block.
const PROBLEMS: [(usize, usize, usize, usize); 6] =
    [(1, 1, 1, 1), (5, 1, 3, 2), (2, 143, 5, 1), (5, 91, 33, 2), (3, 200, 260, 2), (4, 300, 1024, 3)];

/// `windowed` is how many images fit a window of a tensor that is cut; after the global pool it is
/// not.
fn gradient(target: &Target, p: Problem, windowed: Option<usize>) -> Plan {
    let mut plan = empty_plan(target, p.batch, windowed.unwrap_or(1));
    let shape = [p.batch, p.positions, p.channels];
    let dy = match windowed {
        Some(_) => plan.kept_activation("dy", &shape),
        None => plan.kept("dy", &shape, Layout::Rows),
    };
    let db = plan.kept("db", &[p.channels], Layout::Rows);
    steps::gradient(&mut plan, "bias", p, dy, db);
    plan
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (batch, positions, channels, images) in PROBLEMS {
        for groups in [1, 5, 64] {
            let p = Problem { batch, positions, channels };
            let about = format!("[{batch}, {positions}, {channels}], {images} a window, {groups} groups");
            let build = move |t: &Target| gradient(&parallel(t, groups), p, Some(images));
            cases.push(Case::new("bias/gradient", about, build).sums(&["dy"]).telling_if(groups == 5));
        }
    }
    let p = Problem { batch: 5, positions: 1, channels: 8 };
    cases.push(Case::new("bias/gradient", "not cut", move |t| gradient(t, p, None)).sums(&["dy"]).telling_if(true));
    // 1000 rows in 16 blocks of 64, or in 63 of 16 on a GPU, which 10 does not divide.
    let p = Problem { batch: 2, positions: 500, channels: 7 };
    let build = move |t: &Target| gradient(&folding(&parallel(t, 64), 10), p, Some(2));
    cases.push(Case::new("bias/gradient", "folded", build).sums(&["dy"]).telling_if(true));
    cases
}
