//! Steps of the optimiser.

use super::{BETA_1, BETA_2, EPSILON, Tensors, bound, twin};
use crate::engine::plan::{Plan, Step, TensorId};
use crate::engine::shader::Work;
use crate::engine::tensor::Values;
use crate::kernel;
use crate::ops::guard::least_unusable;

/// How the guard and an update talk to each other.
#[derive(Clone, Copy, Debug)]
pub struct Guard {
    /// `[4]`: `super::alpha` of the step, then 1 if nothing must change.
    pub gate: TensorId,
    /// Integers, of which number `flag` becomes 1 if the gradient is unusable.
    pub flags: TensorId,
    pub flag: usize,
}

/// One update. Where a gradient is unusable, nothing changes (on a device, nothing of its vec4).
pub fn step(plan: &mut Plan, name: &str, Guard { gate, flags, flag }: Guard, t: Tensors) {
    let count4 = plan.bytes_of(t.parameter.into()) as usize / 16;
    let step = Step {
        name: name.into(),
        kernel: kernel!("adam/step"),
        constants: vec![
            ("count4", count4.into()),
            ("ONE_MINUS_BETA_1", (1.0 - BETA_1).into()),
            ("ONE_MINUS_BETA_2", (1.0 - BETA_2).into()),
            ("EPSILON", EPSILON.into()),
            ("flag", flag.into()),
            least_unusable(),
        ],
        bindings: vec![
            ("gate", gate.into()),
            ("gradient", t.gradient.into()),
            ("parameter", t.parameter.into()),
            ("m", t.m.into()),
            ("v", t.v.into()),
            ("vhat", t.vhat.into()),
            ("flags", flags.into()),
        ],
        work: Work::threads(count4),
        flops: 12 * 4 * count4 as u64,
    };
    let twin = move |values: &mut Values| {
        let &[alpha, stop, ..] = values.get(gate) else { unreachable!("a gate has four numbers") };
        if stop != 0.0 {
            return;
        }
        let [mut parameter, mut m, mut v, mut vhat] = [t.parameter, t.m, t.v, t.vhat].map(|id| values.take(id));
        let usable = twin::step(&mut parameter, values.get(t.gradient), &mut m, &mut v, &mut vhat, alpha);
        if !usable {
            values.integers_mut(flags)[flag] = 1;
        }
        for (id, numbers) in [(t.parameter, parameter), (t.m, m), (t.v, v), (t.vhat, vhat)] {
            values.set(id, numbers);
        }
    };
    plan.node(name, vec![step], twin, move |given| bound::step(given, gate, &t));
}
