//! Host side of `shaders/lib/columns.wgsl`: reductions over rows, block by block.

use crate::engine::plan::{Plan, Window};
use crate::engine::shader::{Constants, Kernel, Work};
use crate::engine::shape::padded;
use crate::engine::variant::Core;

/// A block has at least this many rows, or its partial sums cost more than they save: on a CPU, and on a GPU, which is busy
/// only with many.
const LEAST_ROWS: [usize; 2] = [64, 16];

/// So few rows are one block: nothing is left to merge.
const MOST_IN_ONE: usize = 64;

/// How the rows of a windowed tensor are cut into blocks.
#[derive(Clone, Debug)]
pub struct Blocks {
    positions: usize,
    columns4: usize,
    rows_per_block: usize,
    /// Workgroups side by side in a block: a thread has a vec4 column.
    groups_per_block: usize,
    /// The first block of each window, then the count of all blocks.
    first: Vec<usize>,
}

impl Blocks {
    /// Blocks for `[batch, positions, channels]`, about as many as the device runs side by side of the kernel's workgroups.
    pub fn new(plan: &Plan, kernel: Kernel, windows: &[Window], positions: usize, channels: usize) -> Blocks {
        let columns4 = padded(channels) / 4;
        let groups_per_block = columns4.div_ceil(plan.target.shaders.threads(kernel));
        let wanted = plan.target.variant.sizes.parallel_groups.div_ceil(groups_per_block);
        let least = LEAST_ROWS[usize::from(matches!(plan.core(), Core::Workgroup { .. }))];
        let rows = plan.batch * positions;
        let rows_per_block = match rows {
            0..=MOST_IN_ONE => MOST_IN_ONE,
            _ => rows.div_ceil(wanted).max(least),
        };
        let mut first = vec![0];
        for window in windows {
            first.push(first[window.index] + (window.images * positions).div_ceil(rows_per_block));
        }
        Blocks { positions, columns4, rows_per_block, groups_per_block, first }
    }

    /// Blocks of all windows together.
    pub fn count(&self) -> usize {
        self.first[self.first.len() - 1]
    }

    pub fn constants(&self, window: &Window) -> Constants {
        vec![
            ("ROWS", (window.images * self.positions).into()),
            ("COLUMNS4", self.columns4.into()),
            ("ROWS_PER_BLOCK", self.rows_per_block.into()),
            ("FIRST_BLOCK", self.first[window.index].into()),
        ]
    }

    pub fn work(&self, window: &Window) -> Work {
        let blocks = self.first[window.index + 1] - self.first[window.index];
        Work::Groups((blocks * self.groups_per_block) as u64)
    }
}
