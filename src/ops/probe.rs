//! The probe of a driver's loops: some end them without saying so.

use crate::engine::bound::unrounded;
use crate::engine::plan::{Layout, Plan, Step, Target};
use crate::engine::shader::Work;
use crate::kernel;

/// No invocation of any kernel runs more iterations than this in all.
pub const ITERATIONS: u32 = 60_000;
/// A loop whose length the host writes.
pub fn loop_limit(target: &Target) -> Plan {
    let mut plan = Plan::new(target.clone(), 1, 4);
    let iterations = plan.integers("iterations", &[1]);
    let counted = plan.kept("counted", &[2], Layout::Packed);
    let step = Step {
        name: "loop".into(),
        kernel: kernel!("probe/loop_limit"),
        constants: Vec::new(),
        bindings: vec![("iterations", iterations.into()), ("counted", counted.into())],
        work: Work::Groups(1),
        flops: 0,
    };
    plan.node("loop", vec![step], move |t| t.set(counted, count(t.integers(iterations)[0])), unrounded);
    plan
}

fn count(iterations: u32) -> Vec<f64> {
    let state = (0..iterations).fold(1u32, |state, _| state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    vec![f64::from(iterations), f64::from(state >> 8)]
}

pub mod proof {
    use super::{ITERATIONS, loop_limit};
    use crate::ops::case::{Case, Expect};

    /// The longest loops that kernels may have run to their end.
    pub fn cases() -> Vec<Case> {
        let case = Case::new("probe/loop_limit", format!("{ITERATIONS} iterations"), loop_limit).telling_if(true);
        vec![case.round("one loop", Expect::Exact, |inputs| inputs.write_integers("iterations", &[ITERATIONS]))]
    }
}
