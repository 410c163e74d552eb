//! Steps of batch norm. Statistics and gradients of the whole batch are merged from those of its windows, so cutting
//! the batch changes nothing but rounding.
//!
//! `statistics` tensors are `[2, channels]`: the mean, then the variance. The moving ones have the same form, so
//! inference binds them in the place of the batch's.

use super::parts::Parts;
use super::twin::{self, Statistics};
use super::{Backward, EPSILON, MOMENTUM, Normalize, Problem, bound, shares};
use crate::engine::bound::Given;
use crate::engine::plan::{Bindings, Layout, Plan, Shares, Step, TensorId, Window};
use crate::engine::shader::{Constants, Kernel, Work};
use crate::engine::shape::padded;
use crate::engine::tensor::Values;
use crate::kernel;
use crate::ops::columns::Blocks;
use crate::ops::max_pool;
use crate::ops::parts::Lanes;
use crate::ops::sum;

/// Pixels that a thread does one vec4 of, in the passes over every number.
const PIXELS_PER_THREAD: usize = 8;

/// `statistics [2, channels]` of `x [batch, positions, channels]`, and one step of the moving averages in `moving`.
pub fn statistics(plan: &mut Plan, name: &str, p: Problem, x: TensorId, statistics: TensorId, moving: TensorId) {
    let mut parts = Parts::of(plan, name, p, x);
    let count = parts.count(plan);
    let bindings =
        vec![("partial", parts.partial.into()), ("statistics", statistics.into()), ("moving", moving.into())];
    let mut merge = merge(plan, name, kernel!("batch_norm/statistics_merge"), count, p.channels, 1, bindings);
    merge.constants.push(("ONE_MINUS_MOMENTUM", (1.0 - MOMENTUM).into()));
    if !plan.shares.are_all_held() {
        return shares::statistics(plan, name, p, [x, statistics, moving], parts, merge);
    }
    parts.steps.push(merge);
    let twin = move |t: &mut Values| {
        let batch = twin::statistics(&p, t.get(x));
        let mut moved = Statistics::of(t.get(moving));
        twin::moving(&p, &mut moved.mean, &mut moved.variance, &batch);
        t.set(moving, moved.joined());
        t.set(statistics, batch.joined());
    };
    let bound = move |given: &Given| bound::statistics(given, &p, [x, statistics, moving]);
    plan.node(name, parts.steps, twin, bound).reading(x);
}

/// `y` from `x [batch, positions, channels]`, with the statistics of the batch or the moving ones. It has the shape that
/// the epilogue makes of it.
pub fn normalize(plan: &mut Plan, name: &str, p: Problem, t: Normalize) {
    let cells = t.epilogue.cells(&p);
    let count = cells.rows.output * cells.columns.output;
    let steps = plan
        .windows
        .iter()
        .map(|window| {
            let mut constants = pass(&p, window, &cells, count);
            constants.push(("RELU", t.epilogue.relu.into()));
            Step {
                name: name.into(),
                kernel: kernel!("batch_norm/normalize"),
                constants,
                bindings: vec![
                    ("x", t.x.window(window)),
                    ("statistics", t.statistics.into()),
                    ("gamma", t.gamma.into()),
                    ("beta", t.beta.into()),
                    ("y", t.y.window(window)),
                ],
                work: work(&p, window, &cells, count),
                flops: 3 * (window.images * p.positions * p.channels) as u64,
            }
        })
        .collect();
    let twin = move |values: &mut Values| {
        let Statistics { mean, variance } = Statistics::of(values.get(t.statistics));
        let (gamma, beta) = (values.get(t.gamma), values.get(t.beta));
        let normal = twin::normalize(&p, values.get(t.x), &mean, &variance, gamma, beta);
        values.set(t.y, twin::follow(&t.epilogue, normal));
    };
    plan.node(name, steps, twin, move |given| bound::normalize(given, &t));
}

/// `dx [batch, positions, channels]`, `dgamma [channels]` and `dbeta [channels]`: one reduction, one pass that applies.
pub fn backward(plan: &mut Plan, name: &str, p: Problem, t: Backward) {
    let cells = t.epilogue.cells(&p);
    let whole = cells.rows.output * cells.columns.output;
    let blocks = Blocks::by_share(plan, kernel!("batch_norm/backward_reduce"), whole, p.channels);
    let partial = plan.temporary(&format!("{name}/partial"), &[blocks.count(), 2, p.channels], Layout::Rows);
    let mut steps = Vec::new();
    for window in &plan.windows {
        let mut constants = blocks.constants(window);
        constants.extend(cell_constants(&cells));
        constants.extend([("RELU", t.epilogue.relu.into()), ("EPSILON", EPSILON.into())]);
        steps.push(Step {
            name: format!("{name} reduce"),
            kernel: kernel!("batch_norm/backward_reduce"),
            constants,
            bindings: reading(&t, window, vec![("partial", partial.into())]),
            work: blocks.work(window),
            flops: 4 * (window.images * whole * p.channels) as u64,
        });
    }
    let partial = of_shares(plan, name, p, partial, &mut steps);
    let count = plan.tensor(partial).shape[0];
    let bindings = vec![("partial", partial.into()), ("grad_gamma", t.dgamma.into()), ("grad_beta", t.dbeta.into())];
    let mut merged = vec![merge(plan, name, kernel!("batch_norm/backward_merge"), count, p.channels, 2, bindings)];
    merged.extend(apply(plan, name, &p, &t));
    if !plan.shares.are_all_held() {
        return shares::backward(plan, name, p, t, partial, [steps, merged]);
    }
    steps.extend(merged);
    let twin = move |values: &mut Values| {
        let (x, gamma, batch) = (values.get(t.x), values.get(t.gamma), Statistics::of(values.get(t.statistics)));
        let no_shift = vec![0.0; p.channels];
        let rising = twin::normalize(&p, x, &batch.mean, &batch.variance, gamma, &no_shift);
        let gradient = twin::follow_backward(&t.epilogue, &rising, values.get(t.y), values.get(t.dy));
        let gradients = twin::backward(&p, x, &gradient, &batch, gamma);
        values.set(t.dx, gradients.dx);
        values.set(t.dgamma, gradients.dgamma);
        values.set(t.dbeta, gradients.dbeta);
    };
    plan.node(name, steps, twin, move |given| bound::backward(given, &p, &t));
}

/// Where a batch has several shares: steps that add up the blocks `[blocks, 2, channels]` of each that is held, and their
/// `[shares, 2, channels]`.
fn of_shares(plan: &mut Plan, name: &str, p: Problem, blocks: TensorId, steps: &mut Vec<Step>) -> TensorId {
    let (Shares { count, held }, row) = (plan.shares.clone(), 2 * padded(p.channels));
    let parts = plan.tensor(blocks).shape[0] / count;
    if count == 1 || parts == 1 {
        return blocks;
    }
    let sums = plan.temporary(&format!("{name}/shares"), &[count, 2, p.channels], Layout::Rows);
    steps.extend(held.map(|share| {
        let of_share = sum::Parts { parts, stride: row, offset: share * parts * row, count: row };
        sum::merge_at(plan, name, of_share, blocks.into(), sums.into(), share * row)
    }));
    sums
}

/// Bindings of both passes: the five tensors that they read, and more.
fn reading(t: &Backward, window: &Window, more: Bindings) -> Bindings {
    let mut bindings = vec![
        ("x", t.x.window(window)),
        ("y", t.y.window(window)),
        ("grad_y", t.dy.window(window)),
        ("statistics", t.statistics.into()),
        ("gamma", t.gamma.into()),
    ];
    bindings.extend(more);
    bindings
}

/// The second pass backward: `dx` from `dgamma` and `dbeta`.
pub(super) fn apply(plan: &Plan, name: &str, p: &Problem, t: &Backward) -> Vec<Step> {
    let cells = t.epilogue.cells(p);
    let with_ragged = cells.rows.input.div_ceil(cells.rows.kernel) * cells.columns.input.div_ceil(cells.columns.kernel);
    let of = |window: &Window| {
        let mut constants = pass(p, window, &cells, with_ragged);
        constants.extend([("RELU", t.epilogue.relu.into()), ("BATCH_ROWS", (plan.batch * p.positions).into())]);
        let gradients =
            vec![("grad_gamma", t.dgamma.into()), ("grad_beta", t.dbeta.into()), ("grad_x", t.dx.window(window))];
        Step {
            name: format!("{name} apply"),
            kernel: kernel!("batch_norm/backward_apply"),
            constants,
            bindings: reading(t, window, gradients),
            work: work(p, window, &cells, with_ragged),
            flops: 7 * (window.images * p.positions * p.channels) as u64,
        }
    };
    plan.windows.iter().map(of).collect()
}

/// The step that merges what was found in each of so many blocks, `results` values per channel.
fn merge(
    plan: &Plan,
    name: &str,
    kernel: Kernel,
    blocks: usize,
    channels: usize,
    results: usize,
    bindings: Bindings,
) -> Step {
    let columns4 = padded(channels) / 4;
    let lanes = Lanes::new(plan, kernel, blocks, results * columns4);
    let mut constants = lanes.constants();
    constants.extend([("columns4", columns4.into()), ("blocks", blocks.into())]);
    Step { name: format!("{name} merge"), kernel, constants, bindings, work: lanes.work(), flops: 0 }
}

/// Constants of a pass that takes a vec4 of `count` cells per image at a time.
fn pass(p: &Problem, window: &Window, cells: &max_pool::Problem, count: usize) -> Constants {
    let mut constants = cell_constants(cells);
    constants.extend([
        ("CELLS", (window.images * count).into()),
        ("COLUMNS4", (padded(p.channels) / 4).into()),
        ("CELLS_PER_THREAD", cells_per_thread(cells).into()),
        ("EPSILON", EPSILON.into()),
    ]);
    constants
}

fn cell_constants(cells: &max_pool::Problem) -> Constants {
    vec![
        ("HEIGHT", cells.rows.input.into()),
        ("WIDTH", cells.columns.input.into()),
        ("WINDOW_HEIGHT", cells.rows.kernel.into()),
        ("WINDOW_WIDTH", cells.columns.kernel.into()),
    ]
}

fn cells_per_thread(cells: &max_pool::Problem) -> usize {
    PIXELS_PER_THREAD.div_ceil(cells.rows.kernel * cells.columns.kernel)
}

fn work(p: &Problem, window: &Window, cells: &max_pool::Problem, count: usize) -> Work {
    Work::each((window.images * count).div_ceil(cells_per_thread(cells)) * padded(p.channels) / 4)
}
