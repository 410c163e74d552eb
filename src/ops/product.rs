//! The matrix product of convolution and dense layers: which core computes it, and with which tile.

use crate::engine::plan::{Bindings, Plan, Step, Target};
use crate::engine::shader::{Constants, Kernel, Work};
use crate::engine::shape::padded;
use crate::engine::variant::Core;

/// The most vec4 columns that a lane keeps, and the most rows of a tile, in lanes: 32 rows are as
/// many as drivers unroll a loop over. docs/dropped.md compares them.
const SUBGROUP_COLUMNS4: usize = 2;
const SUBGROUP_PANELS: usize = 4;

/// The most rows, in lanes, where the innermost terms are a single vec4: a convolution of photographs, which looks for other
/// pixels at every turn of its loop.
const SUBGROUP_PANELS_OF_PHOTOGRAPHS: usize = 3;

/// Products of fewer multiply-adds get tiles of one vec4 column per lane: on lavapipe these take up
/// to 7 % longer, and half as long to compile.
const LEAST_WIDE: usize = 1 << 29;

/// The most rows times terms of a tile with checks compiled in; it has one column. lavapipe then unrolls a loop over 8 rows, but
/// not one over 16 or 32. That is several times as slow, and past 65,535 iterations lavapipe ends an invocation's loops: sums of
/// 16,000 terms came out wrong. Short sums keep tall tiles, so that their accesses are checked too.
const MOST_CHECKED: usize = 1024;

/// The most terms of one sum, which adds up sums of four; more are summed in parts of about as many. Only subgroups' core does:
/// it costs 6 % of a product's time on lavapipe of Mesa 22, 25 % on that of Mesa 25, and on GPUs too many registers.
pub const MOST_TERMS: usize = 512;

/// No part of a split product sums fewer terms than this: below it, writing and merging parts costs more than it saves.
const LEAST_TERMS: usize = 256;

/// `C [m, n] = A [m, terms] B [terms, n]`, rows and columns as stored (padded). The terms are a box of `u x v x w`, `w` innermost,
/// which is padded where it is stored, too, unless A is transposed. Either factor may be stored transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    pub m: usize,
    pub n: usize,
    pub terms: [usize; 3],
    pub transposed_a: bool,
    pub transposed_b: bool,
    /// The sum is cut along `u` into this many parts, each with a result of its own.
    pub splits: usize,
}

impl Product {
    /// A product whose left factor is stored as `[m, terms]`: the innermost terms are channels, and padded.
    pub fn new(m: usize, n: usize, terms: [usize; 3]) -> Product {
        Product { m, n: padded(n), terms, transposed_a: false, transposed_b: false, splits: 1 }
    }

    /// A product whose left factor is stored as `[terms, m]`: its rows are channels, and padded.
    pub fn of_transposed_a(m: usize, n: usize, terms: [usize; 3]) -> Product {
        Product { m: padded(m), n: padded(n), terms, transposed_a: true, transposed_b: false, splits: 1 }
    }

    /// Cuts the sum so that about `groups` workgroups have work.
    pub fn split_for(self, core: Core, groups: usize) -> Product {
        let [u, v, w] = self.terms;
        let tiles = core.groups(&self) as usize;
        let most = u.min((u * v * w).div_ceil(LEAST_TERMS));
        let splits = groups.div_ceil(tiles).clamp(1, most);
        // As many as the rounded size of a part really needs, so that none is empty.
        Product { splits: u.div_ceil(u.div_ceil(splits)), ..self }
    }

    /// The step that computes it with a kernel that finds the factors' numbers in its bindings and puts the result's there,
    /// by what `constants` say; `flops` are those of the plain computation.
    pub fn step(
        &self,
        plan: &Plan,
        name: &str,
        kernel: Kernel,
        mut constants: Constants,
        bindings: Bindings,
        flops: u64,
    ) -> Step {
        let core = plan.core();
        let (own, groups) = core.cut(self, &plan.target);
        constants.extend(own);
        let (kernel, work) = (kernel.with(core.library()), Work::Groups(groups));
        Step { name: name.into(), kernel, constants, bindings, work, flops }
    }

    fn u_per_split(&self) -> usize {
        self.terms[0].div_ceil(self.splits)
    }

    /// Terms of one result.
    fn terms_of_one(&self) -> usize {
        self.u_per_split() * self.terms[1] * self.terms[2]
    }
}

impl Core {
    /// Rows and vec4 columns of the tile that one workgroup computes.
    fn tile(&self, product: &Product, checked: bool) -> (usize, usize) {
        match *self {
            Core::Workgroup { threads_m, threads_n } => (threads_m * 8, threads_n * 2),
            Core::Subgroup { lanes } => subgroup_tile(lanes, product, checked),
        }
    }

    /// Workgroups without checks: sums are split by these, and so have the same bits with checks.
    pub fn groups(&self, product: &Product) -> u64 {
        groups(self.tile(product, false), product)
    }

    /// The constants of a kernel that computes a product, and its workgroups.
    fn cut(&self, product: &Product, target: &Target) -> (Constants, u64) {
        let [u, v, w] = product.terms;
        let stored_w = if product.transposed_a { w } else { padded(w) };
        let tile @ (tile_rows, tile_columns4) = self.tile(product, target.checked);
        let mut constants: Constants = vec![
            ("M", product.m.into()),
            ("N4", (product.n / 4).into()),
            ("U", u.into()),
            ("V", v.into()),
            ("W", stored_w.into()),
            ("SPLITS", product.splits.into()),
            ("U_PER_SPLIT", product.u_per_split().into()),
            ("TRANSPOSED_A", product.transposed_a.into()),
            ("TRANSPOSED_B", product.transposed_b.into()),
            // The factor that is cut into more tiles is the larger one: it is read once, and the other again and again.
            ("ROWS_FIRST", (product.m.div_ceil(tile_rows) < (product.n / 4).div_ceil(tile_columns4)).into()),
        ];
        match *self {
            Core::Workgroup { threads_m, threads_n } => constants.extend([
                ("THREADS_M", threads_m.into()),
                ("THREADS_N", threads_n.into()),
                ("TILE_W", target.tile_depth.min(padded(w)).into()),
            ]),
            Core::Subgroup { lanes } => constants.extend([
                ("LANES", lanes.into()),
                ("PANELS", (tile_rows / lanes).into()),
                ("COLUMNS4", (tile_columns4 / lanes).into()),
                ("USED", w.min(4).into()),
                ("ONE_SUM", (product.u_per_split() == 1 || product.terms_of_one() <= MOST_TERMS).into()),
            ]),
        }
        (constants, groups(tile, product))
    }
}

fn groups((rows, columns4): (usize, usize), product: &Product) -> u64 {
    (product.m.div_ceil(rows) * (product.n / 4).div_ceil(columns4) * product.splits) as u64
}

/// Rows and vec4 columns: as few tiles as the most rows allow, and these no taller than they need be. Lanes past the last row or
/// column would only repeat it.
fn subgroup_tile(lanes: usize, product: &Product, checked: bool) -> (usize, usize) {
    let [.., w] = product.terms;
    let multiply_adds = product.m * product.n * product.terms.iter().product::<usize>();
    let most_panels = if checked {
        (MOST_CHECKED / (lanes * product.terms_of_one())).clamp(1, SUBGROUP_PANELS)
    } else if w <= 4 && !product.transposed_a {
        SUBGROUP_PANELS_OF_PHOTOGRAPHS
    } else {
        SUBGROUP_PANELS
    };
    let most_columns4 = if checked || multiply_adds < LEAST_WIDE { 1 } else { SUBGROUP_COLUMNS4 };
    let panels = product.m.div_ceil(lanes);
    let tiles = panels.div_ceil(most_panels);
    let columns4 = (product.n / 4).div_ceil(lanes).min(most_columns4);
    (lanes * panels.div_ceil(tiles), lanes * columns4)
}
