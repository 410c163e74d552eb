//! The probes of `profile` compute something, so that no driver leaves them out.

mod common;

use common::bounds::{ULP, sum};
use common::device::{self, Both};
use common::{assert_close, uniform};
use ocellus::ops::peak::gpu;
use ocellus::plan::{Layout, Plan, TensorId};

const COUNT: usize = 1000;

fn load(build: fn(&mut Plan, TensorId, TensorId)) -> Both {
    let mut both = Both::load(|| {
        let mut plan = device::plan(device::device().target(), 1, 1);
        let [x, y] = ["x", "y"].map(|name| plan.kept(name, &[COUNT], Layout::Rows));
        build(&mut plan, x, y);
        plan
    });
    both.fill(&["x"], |seed, count| uniform(seed, count).into_iter().map(|x| x * 0.5).collect());
    both.run();
    both
}

#[test]
fn arithmetic() {
    let mut both = load(|plan, x, y| gpu::arithmetic(plan, "arithmetic", 64, x, y));
    // An error of an iteration shrinks by |x| <= 1/2 with each one after it, so two at most are left of all.
    let want = both.twin("y");
    assert_close("y", &both.gpu("y"), &want, |i| (2.0 * sum(2) + ULP) * 2.0 * f64::from(want[i].abs()));
}

#[test]
fn copy() {
    let mut both = load(|plan, x, y| gpu::copy(plan, "copy", x, y));
    assert_eq!(both.gpu("y"), both.twin("x"));
}
