//! Which tensors a plan reads through textures.

use std::collections::BTreeMap;

use super::Plan;
use crate::engine::shader::{Access, MOST_TEXEL_BYTES, MOST_TEXTURES};
use crate::engine::tensor::{Element, View};

/// Copying a tensor into a texture costs more than it saves when the tensor is read once.
const LEAST_READS: usize = 2;

impl Plan {
    /// The bindings that each step reads through textures: the largest, as many as a shader may have, of those that are
    /// read often enough. A matrix product reads its factors again and again.
    pub fn texels(&self) -> Vec<Vec<&'static str>> {
        let Some(least_bytes) = self.target.variant.texel_reads else {
            return vec![Vec::new(); self.steps.len()];
        };
        let readable = self.steps.iter().map(|step| {
            let declared = self.declared(step);
            let reads = |name: &str| declared.iter().any(|b| b.name == name && b.access == Access::Read && b.vec4);
            // The textures hold whole f32.
            let large = |view: View| {
                // A texture of a whole arena would go stale with each step that writes a part of it.
                self.tensor(view.tensor).element == Element::F32
                    && !self.tensor(view.tensor).is_arena()
                    && (least_bytes..=MOST_TEXEL_BYTES).contains(&self.bytes_of(view))
            };
            step.bindings.iter().copied().filter(|&(name, view)| reads(name) && large(view)).collect()
        });
        let mut readable: Vec<Vec<(&'static str, View)>> = readable.collect();
        let mut reads: BTreeMap<View, usize> = BTreeMap::new();
        for (step, readable) in self.steps.iter().zip(&readable) {
            let again = if step.kernel.chosen == Some(self.core().library()) { LEAST_READS } else { 1 };
            readable.iter().for_each(|&(_, view)| *reads.entry(view).or_default() += again);
        }
        for step in &mut readable {
            step.retain(|(_, view)| reads[view] >= LEAST_READS);
            step.sort_by_key(|&(_, view)| std::cmp::Reverse(self.bytes_of(view)));
            step.truncate(MOST_TEXTURES);
        }
        readable.into_iter().map(|step| step.into_iter().map(|(name, _)| name).collect()).collect()
    }
}
