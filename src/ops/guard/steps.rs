//! Steps of the guard.

use super::{least_unusable, twin};
use crate::engine::bound::unrounded;
use crate::engine::plan::arena::{PLACE_VEC4S, Places};
use crate::engine::plan::{Plan, Step, TensorId};
use crate::engine::receipt::FAULT;
use crate::engine::shader::Work;
use crate::engine::tensor::Values;
use crate::kernel;

/// Tensors that `stop` reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Tensors {
    /// Integers: one per place of an arena and per guarded tensor outside, 1 if it is unusable.
    pub flags: TensorId,
    /// `[4]`: Adam's alpha of the step, then zeros.
    pub rate: TensorId,
    /// `[4]`: the same, then 1 if the update must not happen.
    pub gate: TensorId,
    /// `[4]`: receives one more than the index of the first flag that is set, else 0.
    pub receipt: TensorId,
}

/// Sets the flags of those places of `id`, an arena or one tensor, that are unusable; padding is zeros. The first place
/// has the flag `flag`.
pub fn check(plan: &mut Plan, name: &str, id: TensorId, flag: usize, flags: TensorId) {
    let count4 = plan.bytes_of(id.into()) as usize / 16;
    let places = Places::of(plan, id);
    let step = Step {
        name: name.into(),
        kernel: kernel!("guard/check"),
        constants: vec![
            ("count4", count4.into()),
            ("flag", flag.into()),
            ("VEC4S_PER_FLAG", PLACE_VEC4S.into()),
            least_unusable(),
        ],
        bindings: vec![("values", id.into()), ("flags", flags.into())],
        work: Work::threads(count4),
        flops: 0,
    };
    let twin = move |values: &mut Values| {
        for place in places.with(values, twin::unusable) {
            values.integers_mut(flags)[flag + place] = 1;
        }
    };
    plan.node(name, vec![step], twin, unrounded);
}

/// Sums up the flags in the gate and the receipt; `clear` readies them for the next step.
pub fn stop(plan: &mut Plan, name: &str, t: Tensors, clear: bool) {
    let count = plan.tensor(t.flags).shape[0];
    let step = Step {
        name: name.into(),
        kernel: kernel!("guard/stop"),
        constants: vec![("FLAGS", count.into()), ("FAULT", FAULT.into()), ("CLEAR", clear.into())],
        bindings: vec![
            ("rate", t.rate.into()),
            ("flags", t.flags.into()),
            ("gate", t.gate.into()),
            ("receipt", t.receipt.into()),
        ],
        work: Work::Groups(1),
        flops: 0,
    };
    let twin = move |values: &mut Values| {
        let (gate, fault) = twin::stop(values.get(t.rate)[0], values.integers(t.flags));
        values.set(t.gate, gate.to_vec());
        let mut receipt = values.take(t.receipt);
        receipt[FAULT] = fault;
        values.set(t.receipt, receipt);
        if clear {
            values.set_integers(t.flags, vec![0; count]);
        }
    };
    plan.node(name, vec![step], twin, unrounded);
}
