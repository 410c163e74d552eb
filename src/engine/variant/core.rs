//! How matrix products are computed.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shader;

/// A core of the matrix product (`shaders/lib/gemm*.wgsl`) with its tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Core {
    /// Tiles staged through workgroup memory, 8 x 8 values per thread; `threads_m * 8` rows,
    /// `threads_n * 8` columns. RADV gives 64 x 64 108 registers and room for 8 waves per SIMD on
    /// gfx1100, 120 and 8 with prefetching; 128 x 128 120 and 12 (`scripts/portability/run.py radv`).
    Workgroup {
        threads_m: usize,
        threads_n: usize,
        /// The next tiles are fetched into registers while these are multiplied: a GPU that is not full waits less.
        #[serde(default)]
        prefetch: bool,
    },
    /// One subgroup per tile, rows handed round by broadcasts. Needs subgroups of exactly `lanes`,
    /// one of [`LANES`].
    Subgroup { lanes: usize },
    /// Matrix units: the core of the products that a variant's units compute. Everything else has the variant's own core.
    #[serde(skip)]
    Cooperative(MatrixUnits),
}

/// The library of [`Core::Cooperative`].
pub const COOPERATIVE: &str = shader!("lib/gemm_cooperative");

/// Matrix units that subgroups share: factors in half precision, sums in f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixUnits {
    /// Rows and columns of their matrices, 16 or 8.
    pub size: usize,
    /// Threads of a workgroup: four subgroups, one for each part of a tile.
    pub threads: usize,
}

/// Sizes of matrices that the kernels can be made for, and that WGSL has types for. The largest that an adapter lists is taken.
pub const MATRICES: [usize; 2] = [16, 8];

/// Parts of a tile of matrix units, each of [`PART`] rows and columns (`lib/gemm_cooperative.wgsl`).
pub const PARTS: usize = 4;
pub const PART: usize = 32;

impl MatrixUnits {
    /// Lanes of a subgroup on most GPUs.
    pub const USUAL_LANES: usize = 32;
    /// WebGPU's default limit, which is four subgroups of 64.
    const MOST_THREADS: usize = 256;

    /// Units of a size, shared by subgroups of so many lanes.
    pub fn new(size: usize, lanes: usize) -> MatrixUnits {
        MatrixUnits { size, threads: (lanes * PARTS).min(MatrixUnits::MOST_THREADS) }
    }
}

impl Display for MatrixUnits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.size;
        write!(f, "matrix units {size} x {size} x {size}")
    }
}

/// The broadcasts of `lib/gemm_subgroup.wgsl` are written out, lane by lane, and a tile has rows by fours.
pub const LANES: RangeInclusive<usize> = 4..=8;

/// Depth of a tile in workgroup memory: 16 keeps both tiles of 128 x 128 within 16 KiB.
pub const TILE_W: usize = 16;

impl Core {
    /// Whether an adapter can run it.
    pub fn fits(&self, abilities: &Abilities) -> bool {
        match *self {
            Core::Workgroup { threads_m, threads_n, .. } => {
                let bytes = 4 * TILE_W * 8 * (threads_m + threads_n);
                threads_m * threads_n <= abilities.workgroup_threads && bytes <= abilities.workgroup_bytes
            }
            Core::Subgroup { lanes } => LANES.contains(&lanes) && abilities.fixed_subgroup == Some(lanes),
            Core::Cooperative(units) => abilities.matrix_units == Some(units),
        }
    }

    pub fn library(&self) -> &'static str {
        match self {
            Core::Workgroup { .. } => shader!("lib/gemm"),
            Core::Subgroup { .. } => shader!("lib/gemm_subgroup"),
            Core::Cooperative(_) => COOPERATIVE,
        }
    }
}

impl Display for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Core::Workgroup { threads_m, threads_n, prefetch } => {
                let prefetched = if prefetch { ", prefetched" } else { "" };
                write!(f, "tiles {} x {}{prefetched}", threads_m * 8, threads_n * 8)
            }
            Core::Subgroup { lanes } => write!(f, "subgroups of {lanes}"),
            Core::Cooperative(units) => write!(f, "{units}"),
        }
    }
}

/// Properties of an adapter that a variant needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities {
    /// It computes on a CPU: workgroup memory is ordinary memory there.
    pub software: bool,
    /// It is a GPU with memory of its own.
    pub discrete: bool,
    /// The size of its subgroups, if that never changes.
    pub fixed_subgroup: Option<usize>,
    /// Its matrix units, if it was opened for them.
    pub matrix_units: Option<MatrixUnits>,
    /// Threads and bytes of memory of a workgroup.
    pub workgroup_threads: usize,
    pub workgroup_bytes: usize,
}

impl Default for Abilities {
    /// WebGPU's default limits, which every adapter has.
    fn default() -> Abilities {
        Abilities {
            software: false,
            discrete: false,
            fixed_subgroup: None,
            matrix_units: None,
            workgroup_threads: 256,
            workgroup_bytes: 16 << 10,
        }
    }
}
