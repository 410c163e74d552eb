//! What a driver does without saying so.

use super::trial::Trial;
use crate::error::Result;
use crate::gpu::Device;
use crate::kernel;
use crate::plan::{Layout, Plan, Step, Target};
use crate::shader::Work;

/// No invocation of any kernel runs more iterations than this in all.
pub const ITERATIONS: u32 = 60_000;
/// A loop that runs this long is taken to have no limit.
const ENOUGH: u32 = 1 << 20;

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
    plan.node("loop", vec![step], move |t| t.set(counted, count(t.integers(iterations)[0])));
    plan
}

fn count(iterations: u32) -> Vec<f64> {
    let state = (0..iterations).fold(1u32, |state, _| state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    vec![f64::from(iterations), f64::from(state >> 8)]
}

/// After how many iterations this device ends a loop; none if it ran a long one to its end.
pub fn iterations(device: &Device) -> Result<Option<u32>> {
    let mut trial = Trial::load(device, loop_limit(&device.target()))?;
    trial.write_integers("iterations", &[ENOUGH]);
    trial.start()?;
    let counted = trial.read("counted")?[0] as u32;
    Ok((counted < ENOUGH).then_some(counted))
}
