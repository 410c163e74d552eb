//! How finely work is cut: what fills a device, and what stays in its caches. Both decide how sums are rounded.

use std::fmt::{self, Display};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Abilities;

/// Candidates of tuning on a GPU.
const PARALLEL_GROUPS: [usize; 3] = [256, 512, 1024];
const CHUNKS_MIB: [u64; 4] = [8, 32, 128, 256];

/// Sizes of the pieces that work is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Reductions, and products with few tiles, are cut into about this many workgroups.
    pub parallel_groups: usize,
    /// Winograd's transforms take images in chunks of about this many MiB.
    pub chunk_mib: u64,
}

impl Default for Sizes {
    /// Sizes for a GPU that shares the processor's memory.
    fn default() -> Sizes {
        Sizes { parallel_groups: 256, chunk_mib: 256 }
    }
}

impl Sizes {
    /// The best guess for an adapter. Few workgroups fill all cores of a CPU, and small chunks stay in its caches. A
    /// discrete GPU has a hundred units or more, each of which hides the wait for memory behind several workgroups.
    pub fn guess(abilities: &Abilities) -> Sizes {
        match abilities {
            Abilities { software: true, .. } => Sizes { parallel_groups: 64, chunk_mib: 32 },
            Abilities { discrete: true, .. } => Sizes { parallel_groups: 1024, ..Sizes::default() },
            _ => Sizes::default(),
        }
    }

    /// Candidates that tuning tries instead on a GPU: one of the two sizes changed.
    pub fn others(self, abilities: &Abilities) -> Vec<Sizes> {
        if abilities.software {
            return Vec::new();
        }
        let chunks = CHUNKS_MIB.map(|chunk_mib| Sizes { chunk_mib, ..self });
        let groups = PARALLEL_GROUPS.map(|parallel_groups| Sizes { parallel_groups, ..self });
        chunks.into_iter().chain(groups).filter(|sizes| *sizes != self).collect()
    }

    /// All that tuning can choose on a GPU.
    pub fn each() -> Vec<Sizes> {
        let with = |parallel_groups| CHUNKS_MIB.map(|chunk_mib| Sizes { parallel_groups, chunk_mib });
        PARALLEL_GROUPS.into_iter().flat_map(with).collect()
    }
}

impl Display for Sizes {
    /// `1024 groups, chunks of 128 MiB`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} groups, chunks of {} MiB", self.parallel_groups, self.chunk_mib)
    }
}
