//! Where tensors live: those whose lifetimes do not overlap share a slot, which is a whole buffer (a dispatch may not
//! bind one buffer both to read and to write, even at ranges that do not meet).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{Dealt, Exchange, Lifetime, Plan, TensorId, View};
use crate::engine::shader::{Access, TEXEL_BYTES, TEXEL_WIDTH};

/// Where a plan's tensors live besides the buffers of their own.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Temporary tensors: every window that a step uses.
    pub buffers: Pool<View>,
    /// Textures that steps read, one per copy.
    pub textures: Pool<Copied>,
    /// Views that are copied into their textures before each step.
    pub copies: Vec<Vec<View>>,
    /// The first and the last step that uses each temporary view.
    pub lives: BTreeMap<View, (usize, usize)>,
    /// Copies that each step reads through textures.
    reads: Vec<BTreeSet<Copied>>,
}

/// One copy of a view, made before that step.
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
    /// Bytes of each slot, the largest first.
    pub slots: Vec<u64>,
    pub place: BTreeMap<K, usize>,
}

impl<K> Default for Pool<K> {
    fn default() -> Pool<K> {
        Pool { slots: Vec::new(), place: BTreeMap::new() }
    }
}

impl<K: Copy + Ord> Pool<K> {
    /// A slot for each: the largest choose first, each the first slot that is free all its life, or a new one. So no slot
    /// grows for a later tenant. (Pisarchyk and Lee, 2020, "Efficient Memory Management for Deep Neural Net Inference",
    /// arXiv:2001.03288: greedy by size, for shared objects.)
    fn assign(mut tenants: Vec<Tenant<K>>) -> Pool<K> {
        tenants.sort_by_key(|tenant| (Reverse(tenant.bytes), tenant.first, tenant.key));
        let mut pool = Pool::default();
        let mut lodged: Vec<Vec<Tenant<K>>> = Vec::new();
        for tenant in tenants {
            let free = |others: &Vec<Tenant<K>>| others.iter().all(|other| !tenant.meets(other));
            let slot = lodged.iter().position(free).unwrap_or_else(|| {
                pool.slots.push(tenant.bytes);
                lodged.push(Vec::new());
                lodged.len() - 1
            });
            lodged[slot].push(tenant);
            pool.place.insert(tenant.key, slot);
        }
        pool
    }

    pub fn bytes(&self) -> u64 {
        self.slots.iter().sum()
    }
}

/// Holder of a slot from one step to another.
#[derive(Clone, Copy, Debug)]
struct Tenant<K> {
    key: K,
    bytes: u64,
    first: usize,
    last: usize,
}

impl<K> Tenant<K> {
    fn meets(&self, other: &Tenant<K>) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Use of one window of a tensor by a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Buffer(View),
    Texture(Copied),
}

/// Walks the steps to see when each tensor is used, then hands out slots.
pub fn assign(plan: &Plan) -> Memory {
    let mut memory = Memory::default();
    // The first and the last step of each use.
    let mut lives: BTreeMap<Use, (usize, usize)> = BTreeMap::new();
    // Of each view whose texture is up to date: the copy, and the last step that read it.
    let mut up_to_date: BTreeMap<View, (Copied, usize)> = BTreeMap::new();
    for (index, (step, texels)) in plan.steps.iter().zip(plan.texels()).enumerate() {
        let mut used = |one| lives.entry(one).or_insert((index, index)).1 = index;
        // What an exchange brings is there from here on, and what it takes until here.
        for view in exchanged(plan, index) {
            used(Use::Buffer(view));
            up_to_date.remove(&view);
        }
        let (mut copies, mut reads) = (Vec::new(), BTreeSet::new());
        let declared = plan.declared(step);
        for &(name, view) in &step.bindings {
            if !texels.contains(&name) {
                used(Use::Buffer(view));
                continue;
            }
            let ready = up_to_date.get(&view).filter(|(_, last)| index - last <= 1 || !plan.target.brief_textures);
            let copied = ready.map_or((view, index), |(copied, _)| *copied);
            up_to_date.insert(view, (copied, index));
            used(Use::Texture(copied));
            reads.insert(copied);
            if copied == (view, index) && !copies.contains(&view) {
                used(Use::Buffer(view));
                copies.push(view);
            }
        }
        for &(name, view) in &step.bindings {
            if declared.iter().any(|binding| binding.name == name && binding.access == Access::Write) {
                for tensor in plan.held_by(view.tensor) {
                    up_to_date.remove(&View { tensor, ..view });
                }
            }
        }
        memory.copies.push(copies);
        memory.reads.push(reads);
    }
    let (mut buffers, mut textures) = (Vec::new(), Vec::new());
    for (one, (first, last)) in lives {
        match one {
            Use::Buffer(key) if plan.tensor(key.tensor).lifetime == Lifetime::Temporary => {
                memory.lives.insert(key, (first, last));
                buffers.push(Tenant { key, bytes: plan.bytes_of(key), first, last });
            }
            Use::Buffer(_) => {}
            Use::Texture(key) => textures.push(Tenant { key, bytes: texture_bytes(plan.bytes_of(key.0)), first, last }),
        }
    }
    memory.buffers = Pool::assign(buffers);
    memory.textures = Pool::assign(textures);
    memory
}

/// The views that are exchanged right before a step: what the ranks give then, and what comes until then.
fn exchanged(plan: &Plan, step: usize) -> impl Iterator<Item = View> {
    let here = move |exchange: &&Exchange| exchange.before == step || exchange.until == step;
    let tensors = move |exchange: &Exchange| {
        let is_here = exchange.before == step;
        let gathered = exchange.gathered.iter().filter(|_| is_here).flat_map(|gathered| &gathered.of_share);
        let mut tensors: Vec<TensorId> = gathered.map(|run| run.tensor).collect();
        for Dealt { parts, .. } in &exchange.dealt {
            let comes = |share: &usize| !plan.target.shares.held.contains(share);
            tensors.extend((0..parts.len()).filter(|share| is_here || comes(share)).map(|share| parts[share]));
        }
        tensors
    };
    plan.exchanges.iter().filter(here).flat_map(tensors).map(View::from)
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

/// Rows of a texture that holds so many bytes: an odd number, and more than one. Lavapipe compiles a kernel anew for a
/// texture whose height is a power of two.
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
    /// Tensors that the host writes and reads.
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
        if tensor.place.is_some() {
            continue; // its arena counts
        }
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
