//! Blocks of rows whose moments a batch norm merges: read off its input, or left by the kernel that wrote that.

use super::Problem;
use crate::engine::plan::{Layout, Plan, Step, TensorId};
use crate::engine::shader::Work;
use crate::engine::shape::padded;
use crate::kernel;
use crate::ops::columns::Blocks;
use crate::ops::moments;
use crate::ops::parts::MOST_PARTS;

/// Blocks of all shares: of several shares, one for each.
pub(super) struct Parts {
    /// `[blocks, (count, mean, m2), channels]`
    pub partial: TensorId,
    /// The steps that write the blocks of the shares that the plan holds, where they are not there yet.
    pub steps: Vec<Step>,
}

impl Parts {
    /// Of `x [batch, positions, channels]`, whose moments are found, or computed from `x` by steps of that name.
    pub fn of(plan: &mut Plan, name: &str, p: Problem, x: TensorId) -> Parts {
        let (mut partial, mut steps) = match moments::find(plan, x) {
            Some(left) => (left, Vec::new()),
            None => read(plan, name, p, x),
        };
        let (shares, threads) =
            (plan.shares.count, plan.target.shaders.threads(kernel!("batch_norm/statistics_merge")));
        // A share is finished before it meets another; and one merge takes only so many.
        let most = if shares > 1 { shares } else { MOST_PARTS * threads };
        while plan.tensor(partial).shape[0] > most {
            partial = merge_runs(plan, name, p, partial, &mut steps);
        }
        Parts { partial, steps }
    }

    pub fn count(&self, plan: &Plan) -> usize {
        plan.tensor(self.partial).shape[0]
    }
}

fn read(plan: &mut Plan, name: &str, p: Problem, x: TensorId) -> (TensorId, Vec<Step>) {
    let blocks = Blocks::by_share(plan, kernel!("batch_norm/statistics"), p.positions, p.channels);
    let partial = plan.temporary(&format!("{name}/partial"), &[blocks.count(), 3, p.channels], Layout::Rows);
    let step = |window| Step {
        name: name.into(),
        kernel: kernel!("batch_norm/statistics"),
        constants: blocks.constants(window),
        bindings: vec![("x", x.window(window)), ("partial", partial.into())],
        work: blocks.work(window),
        flops: 6 * (window.images * p.positions * p.channels) as u64,
    };
    let steps = plan.windows.iter().map(step).collect();
    (partial, steps)
}

/// Runs of the blocks of each share, about as many as the device runs workgroups side by side; one of what is fewer. No thread
/// merges more than [`MOST_PARTS`].
fn merge_runs(plan: &mut Plan, name: &str, p: Problem, blocks: TensorId, steps: &mut Vec<Step>) -> TensorId {
    let kernel = kernel!("batch_norm/statistics_blocks");
    let (threads, columns4) = (plan.target.shaders.threads(kernel), padded(p.channels) / 4);
    let count = plan.tensor(blocks).shape[0];
    let most = MOST_PARTS * (threads / columns4.min(threads));
    let of_share = count / plan.shares.count;
    let run = match count.div_ceil(plan.target.variant.sizes.parallel_groups) {
        0..=1 => of_share.min(most),
        run => run.min(most),
    };
    let runs = of_share.div_ceil(run);
    let shape = [runs * plan.shares.count, 3, p.channels];
    let partial = plan.temporary(&format!("{name}/partial {}", shape[0]), &shape, Layout::Rows);
    steps.extend(plan.shares.held.clone().map(|share| Step {
        name: name.into(),
        kernel,
        constants: vec![
            ("ROWS", of_share.into()),
            ("COLUMNS4", columns4.into()),
            ("ROWS_PER_BLOCK", run.into()),
            ("FIRST_ROW", (share * of_share).into()),
            ("FIRST_BLOCK", (share * runs).into()),
        ],
        bindings: vec![("blocks", blocks.into()), ("partial", partial.into())],
        work: Work::Groups((runs * columns4.div_ceil(threads)) as u64),
        flops: 0,
    }));
    partial
}
