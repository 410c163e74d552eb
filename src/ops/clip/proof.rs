//! Cases of clipping.

use super::steps;
use crate::engine::numbers::uniform;
use crate::engine::plan::{Layout, Plan, Target};
use crate::ops::case::{Case, Expect, empty_plan, folding};

/// Gradients of a row and of two matrices, the last of several parts.
const SHAPES: [(&[usize], Layout); 3] =
    [(&[33], Layout::Rows), (&[3, 3, 3, 5], Layout::Matrix), (&[290, 260], Layout::Matrix)];
const NAMES: [&str; 3] = ["row", "kernel", "matrix"];

fn clip(target: &Target, limit: f32) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let gradient = |(name, (shape, layout)): (&&str, (&[usize], Layout))| plan.kept(name, shape, layout);
    let gradients: Vec<_> = NAMES.iter().zip(SHAPES).map(gradient).collect();
    steps::clip(&mut plan, "clip", &gradients, limit);
    plan
}

pub fn cases() -> Vec<Case> {
    let scaled = |scale: f32| {
        move |seed: u64, count: usize| uniform(seed, count).iter().map(|number| number * scale).collect::<Vec<f32>>()
    };
    let mut cases = Vec::new();
    for (about, limit, folded) in [("one limit", 1.0, false), ("another limit", 0.37, false), ("folded", 1.0, true)] {
        let build = move |t: &Target| clip(&if folded { folding(t, 9) } else { t.clone() }, limit);
        let case = Case::new("clip/squares", about, build).telling_if(true);
        let case = [1.0, 1e-3, 50.0].into_iter().fold(case, |case, scale| {
            case.round("gradients", Expect::Bounded, move |inputs| inputs.fill(&NAMES, scaled(scale)))
        });
        // Each part by itself decides the norm, so that none is left out unnoticed.
        cases.push(NAMES.into_iter().fold(case, |case, largest| {
            case.round("one of them large", Expect::Bounded, move |inputs| {
                inputs.fill(&NAMES, scaled(0.01));
                inputs.fill(&[largest], scaled(3.0));
            })
        }));
    }
    let unusable = Case::new("clip/squares", "a sum that is not finite", |t| clip(t, 1.0)).telling_if(true);
    cases.push(unusable.round("gradients stay", Expect::Exact, |inputs| {
        inputs.fill(&NAMES, uniform);
        // Adam could square them; the sum of them is beyond f32.
        inputs.write("row", &[1e19; 33]);
    }));
    cases
}
