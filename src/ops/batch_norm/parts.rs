//! Blocks of rows whose moments a batch norm merges: read off its input, or left by the kernel that wrote that.

use super::Problem;
use crate::engine::plan::{Layout, Plan, Step, TensorId};
use crate::engine::shader::Work;
use crate::engine::shape::padded;
use crate::kernel;
use crate::ops::columns::Blocks;
use crate::ops::moments;
use crate::ops::parts::MOST_PARTS;

/// Blocks of all shares.
pub(super) struct Parts {
    /// `[blocks, (count, mean, m2), channels]`
    pub partial: TensorId,
    /// The steps that write the blocks of the shares that the plan holds, where they are not there yet.
    pub steps: Vec<Step>,
    /// How rows were cut into blocks, where the batch norm cuts them itself.
    cut: Option<Blocks>,
}

impl Parts {
    /// Of `x [batch, positions, channels]`, whose moments are found, or computed from `x` by steps of that name.
    pub fn of(plan: &mut Plan, name: &str, p: Problem, x: TensorId) -> Parts {
        match moments::find(plan, x) {
            Some(left) => Parts::left(plan, name, p, left),
            None => Parts::read(plan, name, p, x),
        }
    }

    pub fn count(&self, plan: &Plan) -> usize {
        plan.tensor(self.partial).shape[0]
    }

    /// The block of each row that the plan holds. Twins have a share's rows in one block where another kernel cut them.
    pub fn of_rows(&self, plan: &Plan, p: &Problem) -> Vec<usize> {
        let of_share = self.count(plan) / plan.shares.count;
        let first = |share: usize| vec![share * of_share; plan.images_of_share() * p.positions];
        match &self.cut {
            Some(cut) => cut.of_rows(&plan.windows),
            None => plan.shares.held.clone().flat_map(first).collect(),
        }
    }

    fn read(plan: &mut Plan, name: &str, p: Problem, x: TensorId) -> Parts {
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
        Parts { partial, steps, cut: Some(blocks) }
    }

    /// From blocks that are there. As long as they are more than one merge takes, runs of a share's become one.
    fn left(plan: &mut Plan, name: &str, p: Problem, left: TensorId) -> Parts {
        let (mut partial, mut steps) = (left, Vec::new());
        let threads = plan.target.shaders.threads(kernel!("batch_norm/statistics_merge"));
        while plan.tensor(partial).shape[0] > (MOST_PARTS * threads).max(plan.shares.count) {
            partial = merge_runs(plan, name, p, partial, &mut steps);
        }
        Parts { partial, steps, cut: None }
    }
}

/// Runs of blocks, about as many as the device runs workgroups side by side; no thread merges more than [`MOST_PARTS`].
fn merge_runs(plan: &mut Plan, name: &str, p: Problem, blocks: TensorId, steps: &mut Vec<Step>) -> TensorId {
    let kernel = kernel!("batch_norm/statistics_blocks");
    let (threads, columns4) = (plan.target.shaders.threads(kernel), padded(p.channels) / 4);
    let count = plan.tensor(blocks).shape[0];
    let most = MOST_PARTS * (threads / columns4.min(threads));
    let run = count.div_ceil(plan.target.variant.sizes.parallel_groups).clamp(2, most);
    let of_share = count / plan.shares.count;
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
