//! Steps of the guard: a test of every tensor that an update depends on, and the word that stops the update.

use super::cpu;
use crate::gpu::kernel::GRID;
use crate::kernel;
use crate::ops::receipt::FAULT;
use crate::plan::{Plan, Step, TensorId};

/// Threads of a workgroup in `guard/check.wgsl`, and vec4s that each of them tests.
const WORKGROUP: u64 = 256;
const ROUNDS: u64 = 16;

/// What `stop` reads and writes besides what it tests.
#[derive(Clone, Copy, Debug)]
pub struct Tensors {
    /// `[4]`: Adam's alpha of the step, then zeros.
    pub rate: TensorId,
    /// `[4]`: the same, then 1 if the update must not happen.
    pub gate: TensorId,
    /// `[4]`: receives one more than the index of the first tensor that is unusable, else 0.
    pub receipt: TensorId,
}

/// Tests each of `checked`, padding (zeros) included, and writes the gate.
pub fn stop(plan: &mut Plan, name: &str, checked: &[TensorId], t: Tensors) {
    let flags = plan.integers(&format!("{name}/flags"), &[checked.len()]);
    let mut steps: Vec<Step> =
        checked.iter().enumerate().map(|(flag, &id)| check(plan, name, id, flag, flags)).collect();
    steps.push(Step {
        name: format!("{name} stop"),
        kernel: kernel!("guard/stop"),
        libraries: vec![],
        constants: vec![("FLAGS", checked.len().into()), ("FAULT", FAULT.into())],
        bindings: vec![
            ("rate", t.rate.into()),
            ("flags", flags.into()),
            ("gate", t.gate.into()),
            ("receipt", t.receipt.into()),
        ],
        groups: 1,
        flops: 0,
    });
    let checked = checked.to_vec();
    plan.node(name, steps, move |values| {
        let flags: Vec<bool> = checked.iter().map(|&id| cpu::unusable(values.get(id))).collect();
        let (gate, fault) = cpu::stop(values.get(t.rate)[0], &flags);
        values.set(t.gate, gate.to_vec());
        let mut receipt = values.take(t.receipt);
        receipt[FAULT] = fault;
        values.set(t.receipt, receipt);
    });
}

fn check(plan: &Plan, name: &str, id: TensorId, flag: usize, flags: TensorId) -> Step {
    let count4 = plan.bytes_of(id.into()) / 16;
    Step {
        name: format!("{name} {}", plan.tensor(id).name),
        kernel: kernel!("guard/check"),
        libraries: vec![GRID],
        constants: vec![("COUNT4", (count4 as usize).into()), ("FLAG", flag.into())],
        bindings: vec![("values", id.into()), ("flags", flags.into())],
        groups: count4.div_ceil(WORKGROUP * ROUNDS),
        flops: 0,
    }
}
