//! Host side of `shaders/lib/columns.wgsl`: reductions over rows, block by block.

use std::ops::Range;

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
    /// The blocks of each window, of which the first has the index `first_window`.
    of_window: Vec<Range<usize>>,
    first_window: usize,
    /// Blocks of all shares together, whoever holds them.
    count: usize,
}

impl Blocks {
    /// Blocks of the windows that the plan holds of `[images, positions, channels]`. Each share has as many as the others.
    pub fn by_share(plan: &Plan, kernel: Kernel, positions: usize, channels: usize) -> Blocks {
        let mut all: Option<Blocks> = None;
        for (share, windows) in plan.shares.held.clone().zip(plan.windows_by_share()) {
            let one = Blocks::new(plan, kernel, windows, positions, channels);
            let first = share * one.count;
            let shifted = one.of_window.iter().map(|blocks| first + blocks.start..first + blocks.end);
            match &mut all {
                Some(all) => all.of_window.extend(shifted),
                None => {
                    let (of_window, count) = (shifted.collect(), one.count * plan.shares.count);
                    all = Some(Blocks { of_window, count, ..one });
                }
            }
        }
        all.expect("a plan holds a share")
    }

    /// Blocks for `[images, positions, channels]`, about as many as the device runs side by side of the kernel's workgroups.
    pub fn new(plan: &Plan, kernel: Kernel, windows: &[Window], positions: usize, channels: usize) -> Blocks {
        let columns4 = padded(channels) / 4;
        let groups_per_block = columns4.div_ceil(plan.target.shaders.threads(kernel));
        let wanted = plan.target.variant.sizes.parallel_groups.div_ceil(groups_per_block);
        let least = LEAST_ROWS[usize::from(matches!(plan.core(), Core::Workgroup { .. }))];
        let rows = windows.iter().map(|window| window.images).sum::<usize>() * positions;
        let rows_per_block = match rows {
            0..=MOST_IN_ONE => MOST_IN_ONE,
            _ => rows.div_ceil(wanted).max(least),
        };
        let (mut of_window, mut count) = (Vec::new(), 0);
        for window in windows {
            let first = count;
            count += (window.images * positions).div_ceil(rows_per_block);
            of_window.push(first..count);
        }
        let first_window = windows[0].index;
        Blocks { positions, columns4, rows_per_block, groups_per_block, of_window, first_window, count }
    }

    /// Blocks of all windows of all shares together.
    pub fn count(&self) -> usize {
        self.count
    }

    fn of(&self, window: &Window) -> &Range<usize> {
        &self.of_window[window.index - self.first_window]
    }

    pub fn constants(&self, window: &Window) -> Constants {
        vec![
            ("ROWS", (window.images * self.positions).into()),
            ("COLUMNS4", self.columns4.into()),
            ("ROWS_PER_BLOCK", self.rows_per_block.into()),
            ("FIRST_BLOCK", self.of(window).start.into()),
        ]
    }

    pub fn work(&self, window: &Window) -> Work {
        Work::Groups((self.of(window).len() * self.groups_per_block) as u64)
    }
}
