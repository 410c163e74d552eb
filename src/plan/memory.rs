//! Where tensors live: those whose lifetimes do not overlap share a slot, which is a whole buffer (a dispatch may not
//! bind one buffer both to read and to write, even at ranges that do not meet).

use std::collections::{BTreeMap, BTreeSet};

use super::{Lifetime, Plan, TensorId, View};
use crate::gpu::kernel::{Access, TEXEL_BYTES, TEXEL_WIDTH};

/// Where a plan's tensors live besides the buffers of their own.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Temporary tensors: every window that a step uses.
    pub buffers: Pool,
    /// What is read through textures.
    pub textures: Pool,
    /// What is copied into its texture before each step.
    pub copies: Vec<Vec<View>>,
}

/// Slots that tensors share, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    /// Bytes of each slot.
    pub slots: Vec<u64>,
    pub place: BTreeMap<View, usize>,
    free: Vec<usize>,
}

impl Pool {
    /// A view takes the smallest free slot that holds it, or makes the largest free one grow.
    fn take(&mut self, view: View, bytes: u64) {
        if self.place.contains_key(&view) {
            return;
        }
        let Pool { slots, free, .. } = self;
        let fitting = (0..free.len()).filter(|&i| slots[free[i]] >= bytes).min_by_key(|&i| slots[free[i]]);
        let slot = match fitting.or_else(|| (0..free.len()).max_by_key(|&i| slots[free[i]])) {
            Some(i) => free.swap_remove(i),
            None => {
                slots.push(0);
                slots.len() - 1
            }
        };
        slots[slot] = slots[slot].max(bytes);
        self.place.insert(view, slot);
    }

    fn give_back(&mut self, view: View) {
        self.free.extend(self.place.get(&view).filter(|slot| !self.free.contains(slot)));
    }

    pub fn bytes(&self) -> u64 {
        self.slots.iter().sum()
    }
}

/// What a step does to one window of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Buffer(View),
    Texture(View),
}

/// Walks the steps once to see what each uses, and once more to hand out slots: from a tensor's first use to its last.
pub fn assign(plan: &Plan) -> Memory {
    let mut memory = Memory::default();
    let mut uses: Vec<BTreeSet<Use>> = Vec::new();
    let mut last_use = BTreeMap::new();
    let mut up_to_date: BTreeSet<View> = BTreeSet::new();
    for (index, (step, texels)) in plan.steps.iter().zip(plan.texels()).enumerate() {
        let (mut used, mut copies) = (BTreeSet::new(), Vec::new());
        let declared = step.kernel.bindings();
        for &(name, view) in &step.bindings {
            if !texels.contains(&name) {
                used.insert(Use::Buffer(view));
                continue;
            }
            used.insert(Use::Texture(view));
            if up_to_date.insert(view) {
                used.insert(Use::Buffer(view));
                copies.push(view);
            }
        }
        for &(name, view) in &step.bindings {
            if declared.iter().any(|binding| binding.name == name && binding.access == Access::Write) {
                up_to_date.remove(&view);
            }
        }
        last_use.extend(used.iter().map(|&one| (one, index)));
        memory.copies.push(copies);
        uses.push(used);
    }
    for (index, used) in uses.iter().enumerate() {
        for &one in used {
            match one {
                Use::Buffer(view) if plan.tensor(view.tensor).lifetime == Lifetime::Temporary => {
                    memory.buffers.take(view, plan.bytes_of(view))
                }
                Use::Buffer(_) => {}
                Use::Texture(view) => memory.textures.take(view, texture_bytes(plan.bytes_of(view))),
            }
        }
        for &one in used.iter().filter(|&one| last_use[one] == index) {
            match one {
                Use::Buffer(view) => memory.buffers.give_back(view),
                Use::Texture(view) => memory.textures.give_back(view),
            }
        }
    }
    memory
}

/// Slots that are enough for each of several plans.
pub fn together(all: &[Memory]) -> Memory {
    let most = |pool: fn(&Memory) -> &Pool| {
        let slots = all.iter().map(|memory| pool(memory).slots.len()).max().unwrap_or(0);
        let bytes = |slot: usize| all.iter().filter_map(|memory| pool(memory).slots.get(slot).copied()).max();
        Pool { slots: (0..slots).filter_map(bytes).collect(), ..Pool::default() }
    };
    Memory { buffers: most(|memory| &memory.buffers), textures: most(|memory| &memory.textures), copies: Vec::new() }
}

/// A texture has whole rows.
fn texture_bytes(bytes: u64) -> u64 {
    bytes.next_multiple_of(TEXEL_WIDTH as u64 * TEXEL_BYTES)
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
    /// Textures that reads go through.
    pub textures: u64,
}

impl Total {
    pub fn bytes(&self) -> u64 {
        self.persistent + self.kept + self.slots + self.textures
    }
}

pub fn total(plan: &Plan) -> Total {
    let memory = assign(plan);
    let mut total = Total { slots: memory.buffers.bytes(), textures: memory.textures.bytes(), ..Total::default() };
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
