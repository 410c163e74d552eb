//! Steps of the probes. Both tensors are `[count]`, a multiple of four.

use super::{CHAINS, bound, twin};
use crate::engine::bound::unrounded;
use crate::engine::plan::{Plan, Step, TensorId};
use crate::engine::shader::{Kernel, Work};
use crate::engine::tensor::Values;
use crate::kernel;

/// `iterations` of every chain, a multiple of eight.
pub fn arithmetic(plan: &mut Plan, name: &str, iterations: usize, x: TensorId, y: TensorId) {
    let mut step = step(plan, name, kernel!("peak/arithmetic"), x, y);
    step.constants.extend([("ITERATIONS", iterations.into()), ("CHAINS", CHAINS.into())]);
    step.flops = (2 * iterations * CHAINS * count(plan, x)) as u64;
    let twin = move |t: &mut Values| t.set(y, twin::arithmetic(t.get(x), iterations));
    plan.node(name, vec![step], twin, move |given| bound::arithmetic(given, y));
}

pub fn copy(plan: &mut Plan, name: &str, x: TensorId, y: TensorId) {
    let step = step(plan, name, kernel!("peak/copy"), x, y);
    plan.node(name, vec![step], move |t| t.set(y, twin::copy(t.get(x))), unrounded);
}

fn count(plan: &Plan, x: TensorId) -> usize {
    plan.tensor(x).shape.iter().product()
}

fn step(plan: &Plan, name: &str, kernel: Kernel, x: TensorId, y: TensorId) -> Step {
    let count4 = count(plan, x) / 4;
    Step {
        name: name.into(),
        kernel,
        constants: vec![],
        bindings: vec![("x", x.into()), ("y", y.into())],
        work: Work::each(count4),
        flops: 0,
    }
}
