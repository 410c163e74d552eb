//! Cases of the probes that `profile` measures a device with.

use super::{halves, steps};
use crate::engine::numbers::uniform;
use crate::engine::plan::{Layout, Plan, Target, TensorId};
use crate::ops::case::{Case, Expect, empty_plan};

const COUNT: usize = 1000;
/// Of numbers up to 1/2: more would add nothing that f32 shows, and so not tell whether they were run.
const ITERATIONS: usize = 16;

fn plan(target: &Target, build: impl Fn(&mut Plan, TensorId, TensorId)) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let [x, y] = ["x", "y"].map(|name| plan.kept(name, &[COUNT], Layout::Rows));
    build(&mut plan, x, y);
    plan
}

pub fn cases() -> Vec<Case> {
    let halves = |seed, count| uniform(seed, count).into_iter().map(|x: f32| x * 0.5).collect();
    let arithmetic = |t: &Target| plan(t, |plan, x, y| steps::arithmetic(plan, "arithmetic", ITERATIONS, x, y));
    let copy = |t: &Target| plan(t, |plan, x, y| steps::copy(plan, "copy", x, y));
    let cases = [
        Case::new("peak/arithmetic", format!("{ITERATIONS} iterations"), arithmetic),
        Case::new("peak/copy", "1,000 numbers", copy),
    ];
    let with_numbers = |case: Case| {
        case.round("numbers up to 1/2", Expect::Bounded, move |inputs| inputs.fill(&["x"], halves)).telling_if(true)
    };
    cases.map(with_numbers).into_iter().chain(halves::cases()).collect()
}
