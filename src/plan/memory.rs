//! Where tensors live: those whose lifetimes do not overlap share a slot, which is a whole buffer (a dispatch may not
//! bind one buffer both to read and to write, even at ranges that do not meet).

use std::collections::{BTreeMap, BTreeSet};

use super::{Lifetime, Plan, TensorId, View};
use crate::gpu::kernel::{Access, TEXEL_BYTES, TEXEL_WIDTH};

/// Where a plan's tensors live besides the buffers of their own.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Temporary tensors: every window that a step uses.
    pub buffers: Pool<View>,
    /// What is read through textures, each copy for itself.
    pub textures: Pool<Copied>,
    /// What is copied into its texture before each step.
    pub copies: Vec<Vec<View>>,
    /// What each step reads through textures.
    reads: Vec<BTreeSet<Copied>>,
}

/// One copy of a view, made in front of that step.
pub type Copied = (View, usize);

impl Memory {
    /// The slot of the texture through which a step reads a view.
    pub fn texture(&self, step: usize, view: View) -> usize {
        let copied = self.reads[step].iter().find(|(read, _)| *read == view).expect("a step copies what it reads");
        self.textures.place[copied]
    }
}

/// Slots that tensors share, one after the other.
#[derive(Clone, Debug)]
pub struct Pool<K> {
    /// Bytes of each slot.
    pub slots: Vec<u64>,
    pub place: BTreeMap<K, usize>,
    free: Vec<usize>,
}

impl<K> Default for Pool<K> {
    fn default() -> Pool<K> {
        Pool { slots: Vec::new(), place: BTreeMap::new(), free: Vec::new() }
    }
}

impl<K: Copy + Ord> Pool<K> {
    /// A tenant takes the smallest free slot that holds it, or makes the largest free one grow.
    fn take(&mut self, tenant: K, bytes: u64) {
        if self.place.contains_key(&tenant) {
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
        self.place.insert(tenant, slot);
    }

    fn give_back(&mut self, tenant: K) {
        self.free.extend(self.place.get(&tenant).filter(|slot| !self.free.contains(slot)));
    }

    pub fn bytes(&self) -> u64 {
        self.slots.iter().sum()
    }
}

/// What a step does to one window of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Buffer(View),
    Texture(Copied),
}

/// Walks the steps once to see what each uses, and once more to hand out slots: from a tensor's first use to its last.
pub fn assign(plan: &Plan) -> Memory {
    let mut memory = Memory::default();
    let mut uses: Vec<BTreeSet<Use>> = Vec::new();
    let mut last_use = BTreeMap::new();
    // Of each view whose texture is up to date: the copy, and the last step that read it.
    let mut up_to_date: BTreeMap<View, (Copied, usize)> = BTreeMap::new();
    for (index, (step, texels)) in plan.steps.iter().zip(plan.texels()).enumerate() {
        let (mut used, mut copies, mut reads) = (BTreeSet::new(), Vec::new(), BTreeSet::new());
        let declared = step.kernel.bindings();
        for &(name, view) in &step.bindings {
            if !texels.contains(&name) {
                used.insert(Use::Buffer(view));
                continue;
            }
            let ready = up_to_date.get(&view).filter(|(_, last)| index - last <= plan.target.idle_textures);
            let copied = ready.map_or((view, index), |(copied, _)| *copied);
            up_to_date.insert(view, (copied, index));
            used.insert(Use::Texture(copied));
            reads.insert(copied);
            if copied == (view, index) && !copies.contains(&view) {
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
        memory.reads.push(reads);
        uses.push(used);
    }
    for (index, used) in uses.iter().enumerate() {
        for &one in used {
            match one {
                Use::Buffer(view) if plan.tensor(view.tensor).lifetime == Lifetime::Temporary => {
                    memory.buffers.take(view, plan.bytes_of(view))
                }
                Use::Buffer(_) => {}
                Use::Texture(copied) => memory.textures.take(copied, texture_bytes(plan.bytes_of(copied.0))),
            }
        }
        for &one in used.iter().filter(|&one| last_use[one] == index) {
            match one {
                Use::Buffer(view) => memory.buffers.give_back(view),
                Use::Texture(copied) => memory.textures.give_back(copied),
            }
        }
    }
    memory
}

/// Slots that are enough for each of several plans.
pub fn together(all: &[Memory]) -> Memory {
    let most = |slots_of: fn(&Memory) -> &[u64]| {
        let slots = all.iter().map(|memory| slots_of(memory).len()).max().unwrap_or(0);
        let bytes = |slot: usize| all.iter().filter_map(|memory| slots_of(memory).get(slot).copied()).max();
        (0..slots).filter_map(bytes).collect()
    };
    let mut memory = Memory::default();
    memory.buffers.slots = most(|memory| &memory.buffers.slots);
    memory.textures.slots = most(|memory| &memory.textures.slots);
    memory
}

/// Bytes of a row of a texture.
const ROW_BYTES: u64 = TEXEL_WIDTH as u64 * TEXEL_BYTES;

/// Rows of a texture that holds so many bytes: an odd number, and more than one. Lavapipe compiles a kernel anew for a texture whose
/// height is a power of two.
pub fn texture_rows(bytes: u64) -> u64 {
    bytes.div_ceil(ROW_BYTES).max(2) | 1
}

fn texture_bytes(bytes: u64) -> u64 {
    texture_rows(bytes) * ROW_BYTES
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
    total_of(std::slice::from_ref(plan))
}

/// Of plans in one session, which share what persists, and slots.
pub fn total_of(plans: &[Plan]) -> Total {
    let all: Vec<Memory> = plans.iter().map(assign).collect();
    let memory = together(&all);
    let mut total = Total { slots: memory.buffers.bytes(), textures: memory.textures.bytes(), ..Total::default() };
    let mut persistent = BTreeSet::new();
    for (plan, (index, tensor)) in
        plans.iter().flat_map(|plan| std::iter::repeat(plan).zip(plan.tensors.iter().enumerate()))
    {
        let tensor_id = TensorId(index);
        let windows = 0..plan.windows_of(tensor_id);
        let bytes: u64 = windows.map(|window| plan.bytes_of(View { tensor: tensor_id, window })).sum();
        match tensor.lifetime {
            Lifetime::Persistent if persistent.insert(&tensor.name) => total.persistent += bytes,
            Lifetime::Kept => total.kept += bytes,
            Lifetime::Persistent | Lifetime::Temporary => {}
        }
    }
    total
}
