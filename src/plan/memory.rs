//! Where tensors live: those whose lifetimes do not overlap share a slot, which is a whole buffer (a dispatch may not
//! bind one buffer both to read and to write, even at ranges that do not meet).

use std::collections::BTreeMap;

use super::{Lifetime, Plan, TensorId, View};

/// The slots of a plan's temporary tensors.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Bytes of each slot.
    pub slots: Vec<u64>,
    /// The slot of each window of each temporary tensor that a step uses.
    pub place: BTreeMap<View, usize>,
}

/// Walks the steps once. A view takes the smallest free slot that holds it, or makes the largest free one grow, and
/// gives it back after its last step.
pub fn assign(plan: &Plan) -> Memory {
    let mut last_use = BTreeMap::new();
    for (index, step) in plan.steps.iter().enumerate() {
        for (_, view) in &step.bindings {
            last_use.insert(*view, index);
        }
    }
    let mut memory = Memory::default();
    let mut free: Vec<usize> = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        for (_, view) in &step.bindings {
            let temporary = plan.tensor(view.tensor).lifetime == Lifetime::Temporary;
            if temporary && !memory.place.contains_key(view) {
                let slot = take(&mut memory.slots, &mut free, plan.bytes_of(*view));
                memory.place.insert(*view, slot);
            }
        }
        for (_, view) in &step.bindings {
            if let Some(&slot) = memory.place.get(view)
                && last_use[view] == index
                && !free.contains(&slot)
            {
                free.push(slot);
            }
        }
    }
    memory
}

fn take(slots: &mut Vec<u64>, free: &mut Vec<usize>, bytes: u64) -> usize {
    let fitting = (0..free.len()).filter(|&i| slots[free[i]] >= bytes).min_by_key(|&i| slots[free[i]]);
    let chosen = fitting.or_else(|| (0..free.len()).max_by_key(|&i| slots[free[i]]));
    let slot = match chosen {
        Some(i) => free.swap_remove(i),
        None => {
            slots.push(0);
            slots.len() - 1
        }
    };
    slots[slot] = slots[slot].max(bytes);
    slot
}

/// Bytes of a plan by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Parameters, moving statistics, Adam's moments.
    pub persistent: u64,
    /// What the host writes and reads.
    pub kept: u64,
    /// Slots of temporary tensors.
    pub slots: u64,
}

impl Total {
    pub fn bytes(&self) -> u64 {
        self.persistent + self.kept + self.slots
    }
}

pub fn total(plan: &Plan) -> Total {
    let mut total = Total { slots: assign(plan).slots.iter().sum(), ..Total::default() };
    for (index, tensor) in plan.tensors.iter().enumerate() {
        let tensor_id = TensorId(index);
        let windows = 0..plan.windows_of(tensor_id);
        let bytes: u64 = windows.map(|window| plan.bytes_of(View { tensor: tensor_id, window })).sum();
        match tensor.lifetime {
            Lifetime::Persistent => total.persistent += bytes,
            Lifetime::Kept => total.kept += bytes,
            Lifetime::Temporary => {}
        }
    }
    total
}
