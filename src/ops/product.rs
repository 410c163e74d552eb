//! The matrix product of convolution and dense layers: which core computes it, and with which tile.

use crate::engine::plan::{Bindings, Layout, Plan, Step, Target, TensorId, View};
use crate::engine::shader::{Constants, Kernel, Work};
use crate::engine::shape::padded;
use crate::engine::variant::{Core, PART, PARTS, TILE_W};
use crate::ops::sum;

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

/// No part of a split product sums fewer terms than these, of a CPU's core and of a GPU's: below them, writing and merging
/// parts costs more than it saves. A GPU that is not full saves more.
const LEAST_TERMS: [usize; 2] = [256, 64];

/// A product of so few tiles and terms is not split: to merge its parts is a dispatch of few workgroups itself, and takes as
/// long as to sum half of the terms.
const FEW_TILES: usize = 8;
const FEW_TERMS: usize = 512;

/// The most parts, roughly: as many as merge without a long wait (`ops/parts.rs`).
const MOST_SPLITS: usize = 512;

/// Gradients are multiplied by this before they are rounded to half precision, and their sums divided by it: a loss scale, for
/// the products alone (Micikevicius et al. 2018, Mixed precision training). A power of two changes no digits.
pub const GRADIENT_SCALE: f64 = 4096.0;

/// The fewest columns and innermost terms of a product that matrix units compute, and the fewest rows where these are taps and
/// channels: with fewer, most of a tile would be zeros.
pub const LEAST_UNITS: usize = 16;
const LEAST_ROWS_OF_UNITS: usize = 2 * PART;

/// Columns past which a tile of matrix units is as wide as it is high; up to there it is one part wide.
const NARROW_UNITS: usize = PART;

/// The innermost axis is cut at multiples of a tile's depth only.
const LEAST_W: usize = TILE_W;

/// `C [m, n] = A [m, terms] B [terms, n]`, rows and columns as stored (padded). The terms are a box of `u x v x w`, `w` innermost,
/// which is padded where it is stored, too, unless A is transposed. Either factor may be stored transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    pub m: usize,
    pub n: usize,
    pub terms: [usize; 3],
    pub transposed_a: bool,
    pub transposed_b: bool,
    /// The sum is cut along each axis into so many parts; each part of the box has a result of its own.
    pub splits: [usize; 3],
    pub halves: Halves,
}

/// Whether matrix units, which round factors to half precision, may compute a product, and which factor is then scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Halves {
    #[default]
    Never,
    /// Of activations and weights.
    Unscaled,
    /// A is a gradient.
    ScaledA,
    /// B is a gradient.
    ScaledB,
}

impl Halves {
    /// The factors' scales.
    fn scales(self) -> [f64; 2] {
        [Halves::ScaledA, Halves::ScaledB].map(|scaled| if self == scaled { GRADIENT_SCALE } else { 1.0 })
    }
}

impl Product {
    /// A product whose left factor is stored as `[m, terms]`: the innermost terms are channels, and padded.
    pub fn new(m: usize, n: usize, terms: [usize; 3]) -> Product {
        Product {
            m,
            n: padded(n),
            terms,
            transposed_a: false,
            transposed_b: false,
            splits: [1; 3],
            halves: Halves::Never,
        }
    }

    /// A product whose left factor is stored as `[terms, m]`: its rows are channels, and padded.
    pub fn of_transposed_a(m: usize, n: usize, terms: [usize; 3]) -> Product {
        Product {
            m: padded(m),
            n: padded(n),
            terms,
            transposed_a: true,
            transposed_b: false,
            splits: [1; 3],
            halves: Halves::Never,
        }
    }

    /// The core that computes it: matrix units, if the target has them and it suits them, else the target's own.
    pub fn core(&self, plan: &Plan) -> Core {
        let channels = self.n.min(self.terms[2]) >= LEAST_UNITS;
        let rows = !self.transposed_a || self.m >= LEAST_ROWS_OF_UNITS;
        let suits = self.halves != Halves::Never && channels && rows;
        let units = plan.target.variant.matrix_units.filter(|_| suits);
        units.map_or(plan.core(), Core::Cooperative)
    }

    /// Whether its factors are rounded to half precision.
    pub fn is_of_halves(&self, plan: &Plan) -> bool {
        matches!(self.core(plan), Core::Cooperative(_))
    }

    /// Cuts the sum so that about `groups` workgroups have work: along `u` first where A is transposed and `u` are rows of
    /// images, else along the channels `w`, of which every part meets the same taps.
    pub fn split_for(self, core: Core, groups: usize) -> Product {
        let [u, v, w] = self.terms;
        let least = LEAST_TERMS[usize::from(!matches!(core, Core::Subgroup { .. }))];
        let (terms, tiles) = (u * v * w, core.groups(&self) as usize);
        let most = if terms < FEW_TERMS && tiles < FEW_TILES { 1 } else { terms.div_ceil(least) };
        let wanted = groups.div_ceil(tiles).clamp(1, most.min(MOST_SPLITS));
        let order = if self.transposed_a { [0, 1, 2] } else { [2, 0, 1] };
        let (mut splits, mut left) = ([1; 3], wanted);
        for axis in order {
            splits[axis] = left.clamp(1, self.most_parts(axis));
            splits[axis] = self.terms[axis].div_ceil(Product { splits, ..self }.part()[axis]);
            left = (left + splits[axis] / 2) / splits[axis];
        }
        Product { splits, ..self }
    }

    /// How many parts an axis can be cut into.
    fn most_parts(&self, axis: usize) -> usize {
        if axis == 2 { self.terms[2].div_ceil(LEAST_W) } else { self.terms[axis] }
    }

    /// The sizes of a part of the box, as many as its rounded size really needs: none is empty.
    fn part(&self) -> [usize; 3] {
        let [u, v, w] = [0, 1, 2].map(|axis| self.terms[axis].div_ceil(self.splits[axis]));
        [u, v, if self.splits[2] > 1 { w.next_multiple_of(LEAST_W) } else { w }]
    }

    /// How many results there are, each a part of the sum.
    pub fn parts(&self) -> usize {
        self.splits.iter().product()
    }

    /// Cuts the sum so that the device is busy, as far as the parts fit a binding; on a CPU a few tiles are enough.
    pub fn split_to_fill(self, plan: &Plan) -> Product {
        match plan.core() {
            Core::Workgroup { .. } | Core::Cooperative(_) => {
                let core = self.core(plan);
                let fitting = plan.target.binding_bytes as usize / (4 * self.m * self.n);
                let most = core.groups(&self) as usize * fitting;
                self.split_for(core, plan.target.variant.sizes.parallel_groups.min(most))
            }
            Core::Subgroup { .. } => self,
        }
    }

    /// The steps that compute it where its sum may be split. `step` computes it into `y`, or into a tensor of a result
    /// for each part, without the bias; these are then merged.
    pub fn split_steps(
        &self,
        plan: &mut Plan,
        name: &str,
        bias: Option<TensorId>,
        y: View,
        step: impl FnOnce(&Plan, View) -> Step,
    ) -> Vec<Step> {
        if self.parts() == 1 {
            return vec![step(plan, y)];
        }
        let shape = [self.parts(), self.m, self.n];
        let parts = plan.temporary(&format!("{name}/parts {}", y.window), &shape, Layout::Rows);
        vec![step(plan, parts.into()), sum::merge_rows(plan, name, shape, parts.into(), bias, y)]
    }

    /// The step that computes it with a kernel that finds the factors' numbers in its bindings and puts the result's there,
    /// by what `constants` say; `flops` are those of the plain computation.
    pub fn step(
        &self,
        plan: &Plan,
        name: &str,
        kernel: Kernel,
        constants: Constants,
        bindings: Bindings,
        flops: u64,
    ) -> Step {
        self.step_of(plan, name, kernel.with(self.core(plan).library()), constants, bindings, flops)
    }

    /// That step, by a kernel whose head leaves no choice of core.
    pub fn step_of(
        &self,
        plan: &Plan,
        name: &str,
        kernel: Kernel,
        mut constants: Constants,
        bindings: Bindings,
        flops: u64,
    ) -> Step {
        let (own, groups) = self.core(plan).cut(self, &plan.target);
        constants.extend(own);
        Step { name: name.into(), kernel, constants, bindings, work: Work::Groups(groups), flops }
    }

    /// Tiles along the rows, if each has whole sums in registers: those of a GPU's core that are not split.
    pub fn tiles_of_whole_sums(&self, plan: &Plan) -> Option<usize> {
        let core = self.core(plan);
        let whole = self.parts() == 1 && matches!(core, Core::Workgroup { .. });
        whole.then(|| self.m.div_ceil(core.tile(self, plan.target.checked).0))
    }

    /// Terms of one result.
    fn terms_of_one(&self) -> usize {
        self.part().iter().product()
    }
}

impl Core {
    /// Rows and vec4 columns of the tile that one workgroup computes.
    fn tile(&self, product: &Product, checked: bool) -> (usize, usize) {
        match *self {
            Core::Workgroup { threads_m, threads_n, .. } => {
                let [m, n] = workgroup_tile(product, [threads_m, threads_n]);
                (m * 8, n * 2)
            }
            Core::Subgroup { lanes } => subgroup_tile(lanes, product, checked),
            Core::Cooperative(_) => {
                let [m, n] = units_parts(product);
                (m * PART, n * PART / 4)
            }
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
        let [u_per_split, v_per_split, w_per_split] = product.part();
        let tile @ (tile_rows, tile_columns4) = self.tile(product, target.checked);
        let mut constants: Constants = vec![
            ("M", product.m.into()),
            ("N4", (product.n / 4).into()),
            ("U", u.into()),
            ("V", v.into()),
            ("W", stored_w.into()),
            ("SPLITS", product.parts().into()),
            ("V_SPLITS", product.splits[1].into()),
            ("W_SPLITS", product.splits[2].into()),
            ("U_PER_SPLIT", u_per_split.into()),
            ("V_PER_SPLIT", v_per_split.into()),
            ("W_PER_SPLIT", if product.splits[2] == 1 { stored_w } else { w_per_split }.into()),
            ("TRANSPOSED_A", product.transposed_a.into()),
            ("TRANSPOSED_B", product.transposed_b.into()),
            // The factor that is cut into more tiles is the larger one: it is read once, and the other again and again.
            ("ROWS_FIRST", (product.m.div_ceil(tile_rows) < (product.n / 4).div_ceil(tile_columns4)).into()),
        ];
        match *self {
            Core::Workgroup { prefetch, .. } => {
                let depth = workgroup_depth(tile_columns4, target).min(padded(w));
                constants.extend([
                    ("THREADS_M", (tile_rows / 8).into()),
                    ("THREADS_N", (tile_columns4 / 2).into()),
                    ("TILE_W", depth.into()),
                    // A shallow tile has few products to hide a wait behind, and Intel's compiler no registers for it.
                    ("PREFETCH", (prefetch && depth >= TILE_W).into()),
                ]);
            }
            Core::Subgroup { lanes } => constants.extend([
                ("LANES", lanes.into()),
                ("PANELS", (tile_rows / lanes).into()),
                ("COLUMNS4", (tile_columns4 / lanes).into()),
                ("USED", w.min(4).into()),
                ("ONE_SUM", (u_per_split == 1 || product.terms_of_one() <= MOST_TERMS).into()),
            ]),
            Core::Cooperative(units) => {
                let ([parts_m, parts_n], [scale_a, scale_b]) = (units_parts(product), product.halves.scales());
                constants.extend([
                    ("MATRIX", units.size.into()),
                    ("THREADS", units.threads.into()),
                    ("PARTS_M", parts_m.into()),
                    ("PARTS_N", parts_n.into()),
                    ("SCALE_A", scale_a.into()),
                    ("SCALE_B", scale_b.into()),
                ]);
            }
        }
        (constants, groups(tile, product))
    }
}

fn groups((rows, columns4): (usize, usize), product: &Product) -> u64 {
    (product.m.div_ceil(rows) * (product.n / 4).div_ceil(columns4) * product.parts()) as u64
}

/// A product of so many rows fills any GPU, whatever the shape of its tiles.
const MANY_ROWS: usize = 1 << 14;

/// Threads along the rows and columns of a narrow tile, and the most terms of it in workgroup memory: a thread then moves
/// one block of each factor. With 16 terms it moves two of one, and Intel's compiler has no registers for them.
const NARROW: [usize; 2] = [16, 4];
const NARROW_W: usize = 8;

/// Threads along the rows and columns of a tile. Of a product with many rows and at most 32 columns, tiles of 64 columns
/// would be half empty: they get as many threads, and twice the rows.
fn workgroup_tile(product: &Product, threads: [usize; 2]) -> [usize; 2] {
    if product.n <= 32 && product.m >= MANY_ROWS { NARROW } else { threads }
}

/// Parts of a tile of matrix units, along rows and columns.
fn units_parts(product: &Product) -> [usize; 2] {
    if product.n <= NARROW_UNITS { [PARTS, 1] } else { [2, PARTS / 2] }
}

/// The most terms of a tile in workgroup memory.
fn workgroup_depth(tile_columns4: usize, target: &Target) -> usize {
    if tile_columns4 <= 2 * NARROW[1] { target.tile_depth.min(NARROW_W) } else { target.tile_depth }
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
