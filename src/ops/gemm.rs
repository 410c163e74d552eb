//! The matrix product behind convolution and dense layers: which core computes it, and with which tile.

use crate::gpu::kernel::{Constants, Kernel};
use crate::kernel;
use crate::shape::padded;

/// A core of the matrix product (`shaders/lib/gemm*.wgsl`) with its tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Core {
    /// Tiles staged through workgroup memory, 8 x 8 numbers a thread; `threads_m * 8` rows, `threads_n * 8` columns.
    Workgroup { threads_m: usize, threads_n: usize },
    /// One subgroup a tile, rows handed round by shuffles. Needs subgroups of exactly `lanes`.
    Subgroup { lanes: usize },
}

/// The most vec4 columns a lane keeps. On lavapipe (8 lanes, two cores, 1024^3), rows x vec4 columns: 16 x 1:
/// 35-38 GFLOP/s, 32 x 1: 44-47, 32 x 2: 49-52, 64 x 1: 18.
const SUBGROUP_COLUMNS4: usize = 2;

/// Depth of a tile in workgroup memory: 16 keeps both tiles of 128 x 128 within 16 KiB.
const TILE_K: usize = 16;

/// No part of a split product sums fewer terms than this: below it, writing and merging parts costs more than it saves.
const LEAST_TERMS: usize = 256;

/// `C [m, n] = A [m, k] B [k, n]`, sizes as stored (padded); `a` may be stored transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub transposed_a: bool,
    /// The sum is cut into this many parts, each with a result of its own.
    pub splits: usize,
}

impl Product {
    pub fn new(m: usize, n: usize, k: usize) -> Product {
        Product { m, n: padded(n), k, transposed_a: false, splits: 1 }
    }

    /// A product whose left factor is stored as `[k, m]`.
    pub fn of_transposed(m: usize, n: usize, k: usize) -> Product {
        Product { m: padded(m), transposed_a: true, ..Product::new(m, n, k) }
    }

    /// Cuts the sum so that about `groups` workgroups have work.
    pub fn split_for(self, core: Core, groups: usize) -> Product {
        let tiles = core.groups(&self) as usize;
        let splits = groups.div_ceil(tiles).clamp(1, self.k.div_ceil(LEAST_TERMS));
        // As many as the rounded size of a part really needs, so that none is empty.
        Product { splits: self.k.div_ceil(Product { splits, ..self }.k_per_split()), ..self }
    }

    fn k_per_split(&self) -> usize {
        self.k.div_ceil(self.splits).next_multiple_of(TILE_K)
    }
}

impl Core {
    pub fn library(&self) -> Kernel {
        match self {
            Core::Workgroup { .. } => kernel!("lib/gemm"),
            Core::Subgroup { .. } => kernel!("lib/gemm_subgroup"),
        }
    }

    /// Rows and vec4 columns of the tile that one workgroup computes.
    fn tile(&self, product: &Product) -> (usize, usize) {
        match *self {
            Core::Workgroup { threads_m, threads_n } => (threads_m * 8, threads_n * 2),
            Core::Subgroup { lanes } => (4 * lanes, lanes * columns4(lanes, product)),
        }
    }

    pub fn groups(&self, product: &Product) -> u64 {
        let (rows, columns4) = self.tile(product);
        (product.m.div_ceil(rows) * (product.n / 4).div_ceil(columns4) * product.splits) as u64
    }

    pub fn constants(&self, product: &Product) -> Constants {
        let mut constants: Constants = vec![
            ("M", product.m.into()),
            ("N4", (product.n / 4).into()),
            ("K", product.k.into()),
            ("K_PER_SPLIT", product.k_per_split().into()),
            ("SPLITS", product.splits.into()),
            ("TRANSPOSED_A", product.transposed_a.into()),
        ];
        match *self {
            Core::Workgroup { threads_m, threads_n } => constants.extend([
                ("THREADS_M", threads_m.into()),
                ("THREADS_N", threads_n.into()),
                ("TILE_K", TILE_K.into()),
            ]),
            Core::Subgroup { lanes } => {
                constants.extend([("LANES", lanes.into()), ("COLUMNS4", columns4(lanes, product).into())])
            }
        }
        constants
    }
}

/// A narrow product gets a narrow tile: lanes past the last column would only repeat it.
fn columns4(lanes: usize, product: &Product) -> usize {
    (product.n / 4).div_ceil(lanes).min(SUBGROUP_COLUMNS4)
}
