//! Arenas: one buffer that holds many small tensors. A step that binds the arena does in one dispatch what each of them
//! would need a dispatch for; a step that binds one of them binds its part of the buffer.

use super::{Element, Layout, Lifetime, Place, Plan, Tensor, TensorId};
use crate::engine::layout::pad;
use crate::engine::tensor::Values;

/// Bytes of a place: every adapter can bind a storage buffer at multiples of these.
const PLACE_BYTES: u64 = 256;

/// `vec4`s of a place.
pub const PLACE_VEC4S: usize = PLACE_BYTES as usize / 16;

/// Tensors of fewer bytes share arenas: Adam would take fewer than 16 workgroups for one of them.
const SMALL_BYTES: u64 = 64 << 10;

/// Values of a place.
const PLACE_VALUES: usize = PLACE_BYTES as usize / 4;

impl Plan {
    /// Adds an empty arena. It is never temporary: what no tensor of it covers is zeros, and stays zeros.
    pub fn arena(&mut self, name: &str, lifetime: Lifetime) -> TensorId {
        assert!(lifetime != Lifetime::Temporary, "{name}: zeros stay in a buffer of the arena's own");
        self.add(Tensor { lifetime, ..Tensor::new(name, &[0], Element::F32, Layout::Packed) })
    }

    /// Whether a parameter shares an arena with others.
    pub fn is_small(&self, id: TensorId) -> bool {
        self.bytes_of(id.into()) < SMALL_BYTES
    }

    /// Moves a tensor of f32 to the end of an arena, whose lifetime becomes the tensor's.
    pub fn place(&mut self, id: TensorId, arena: TensorId) {
        let (first, lifetime) = (self.places(arena), self.tensor(arena).lifetime);
        self.leave_room(id, arena);
        self.tensors[arena.0].parts.push(id);
        let tensor = &mut self.tensors[id.0];
        let whole = !tensor.windowed && tensor.element == Element::F32 && tensor.place.is_none();
        assert!(whole, "{} is one tensor of f32 that nothing holds", tensor.name);
        (tensor.place, tensor.lifetime) = (Some(Place { arena, offset: first as u64 * PLACE_BYTES }), lifetime);
    }

    /// Leaves as much room in an arena as a tensor would take.
    pub fn leave_room(&mut self, id: TensorId, arena: TensorId) {
        let values = self.places(id) * PLACE_VALUES;
        self.tensors[arena.0].shape[0] += values;
    }

    /// How many places an arena has, or a tensor takes in one.
    pub fn places(&self, id: TensorId) -> usize {
        self.bytes_of(id.into()).div_ceil(PLACE_BYTES) as usize
    }

    /// The tensors that an arena holds; of an ordinary tensor, itself.
    pub fn held_by(&self, id: TensorId) -> Vec<TensorId> {
        match &self.tensor(id).parts[..] {
            [] => vec![id],
            parts => parts.to_vec(),
        }
    }

    /// The tensor of an arena that lies where another lies in its own arena.
    pub fn beside(&self, id: TensorId, arena: TensorId) -> Option<TensorId> {
        let first = self.first_place(id);
        self.tensor(arena).parts.iter().find(|part| self.first_place(**part) == first).copied()
    }

    /// The tensor that covers each place of an arena; `None` for gaps.
    pub fn tensors_by_place(&self, arena: TensorId) -> Vec<Option<TensorId>> {
        let mut tensors = vec![None; self.places(arena)];
        for &part in &self.tensor(arena).parts {
            let first = self.first_place(part);
            tensors[first..first + self.places(part)].fill(Some(part));
        }
        tensors
    }

    fn first_place(&self, id: TensorId) -> usize {
        self.tensor(id).place.map_or(0, |place| (place.offset / PLACE_BYTES) as usize)
    }
}

/// Tensors of an arena and where they begin, for the twin of a step over all of it.
pub struct Places(Vec<(TensorId, Tensor, usize)>);

impl Places {
    /// The tensors of a complete arena; of an ordinary tensor, as if it alone lay in one.
    pub fn of(plan: &Plan, id: TensorId) -> Places {
        let alone = !plan.tensor(id).is_arena();
        let first = |part| if alone { 0 } else { plan.first_place(part) };
        Places(plan.held_by(id).into_iter().map(|part| (part, plan.tensor(part).clone(), first(part))).collect())
    }

    /// The number of each place that holds values of a kind; padding is zeros.
    pub fn with(&self, values: &Values, kind: impl Fn(&[f64]) -> bool) -> Vec<usize> {
        let mut found = Vec::new();
        for (id, tensor, first) in &self.0 {
            let stored = pad(tensor, values.get(*id));
            let places = stored.chunks(PLACE_VALUES).enumerate().filter(|(_, place)| kind(place));
            found.extend(places.map(|(place, _)| first + place));
        }
        found
    }
}
