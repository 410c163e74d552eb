//! Cases of global average pooling.

use super::{GlobalAveragePool, Problem, steps};
use crate::engine::numbers::whole;
use crate::engine::plan::{Layout, Plan, Target};
use crate::ops::Example;
use crate::ops::case::{Case, Expect, empty_plan, folding};

/// Batch, positions, channels, and how many images fit a window.
const PROBLEMS: [(usize, usize, usize, usize); 5] =
    [(1, 1, 1, 1), (5, 4, 3, 2), (3, 49, 33, 1), (4, 49, 1024, 3), (2, 143, 5, 2)];

fn forward(target: &Target, p: Problem, images: usize) -> Plan {
    let mut plan = empty_plan(target, p.batch, images);
    let x = plan.kept_activation("x", &[p.batch, p.positions, p.channels]);
    let y = plan.kept("y", &[p.batch, p.channels], Layout::Rows);
    steps::forward(&mut plan, "gap", p, x, y);
    plan
}

fn backward(target: &Target, p: Problem, images: usize) -> Plan {
    let mut plan = empty_plan(target, p.batch, images);
    let dy = plan.kept("dy", &[p.batch, p.channels], Layout::Rows);
    let dx = plan.kept_activation("dx", &[p.batch, p.positions, p.channels]);
    steps::backward(&mut plan, "gap", p, dy, dx);
    plan
}

pub fn cases() -> Vec<Case> {
    let forward_on = |about: &str, p, images, limit: Option<u32>| {
        Case::new("global_average_pool/forward", about, move |t| forward(&limited(t, limit), p, images))
            .uniform(&["x"])
            .telling_if(true)
    };
    let backward_on = |about: &str, p, images, limit: Option<u32>| {
        Case::new("global_average_pool/backward", about, move |t| backward(&limited(t, limit), p, images))
            .uniform(&["dy"])
            .telling_if(true)
    };
    let mut cases = Vec::new();
    for (batch, positions, channels, images) in PROBLEMS {
        let p = Problem { batch, positions, channels };
        let about = format!("[{batch}, {positions}, {channels}], {images} a window");
        cases.push(forward_on(&about, p, images, None));
        cases.push(backward_on(&about, p, images, None));
    }
    // 660 vec4s are 11 workgroups of 64, 2,640 are 11 of 256.
    let p = Problem { batch: 3, positions: 2, channels: 880 };
    cases.push(forward_on("folded", p, 3, Some(4)));
    cases.push(backward_on("folded", Problem { positions: 4, ..p }, 3, Some(4)));
    // Sums of whole numbers are exact, and so is a division by a power of two.
    let p = Problem { batch: 5, positions: 64, channels: 7 };
    cases.push(
        Case::new("global_average_pool/forward", "[5, 64, 7]", move |t| forward(t, p, 2))
            .round("whole numbers", Expect::Exact, |inputs| inputs.fill(&["x"], whole))
            .telling_if(true),
    );
    cases
}

fn limited(target: &Target, limit: Option<u32>) -> Target {
    limit.map_or(target.clone(), |limit| folding(target, limit))
}

/// Problems that prove it: one position, one channel.
pub fn examples() -> Vec<Example> {
    let pool = |batch, image| Example::new(GlobalAveragePool {}, batch, &[image]);
    vec![pool(3, [7, 7, 5]), pool(1, [1, 1, 4]), pool(2, [2, 3, 1])]
}
