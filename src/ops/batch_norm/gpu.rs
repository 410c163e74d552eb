//! Steps of batch norm. Statistics and gradients of the whole batch are merged from those of its windows, so cutting
//! the batch changes nothing but rounding.
//!
//! `statistics` tensors are `[2, channels]`: the mean, then the variance. The moving ones have the same form, so
//! inference binds them in the place of the batch's.

use super::cpu::{self, Statistics};
use super::{EPSILON, MOMENTUM, Problem};
use crate::cpu::Values;
use crate::gpu::kernel::{COLUMNS, Constants, GRID, MOMENTS};
use crate::kernel;
use crate::ops::columns::Blocks;
use crate::ops::relu;
use crate::ops::sum::{self, Parts};
use crate::plan::{Layout, Plan, Step, TensorId, Window};
use crate::shape::padded;

/// Threads of a workgroup in the passes over every number, and rows that each thread does one vec4 of.
const WORKGROUP: u64 = 256;
const ROWS_PER_THREAD: usize = 8;

/// `statistics [2, channels]` of `x [batch, positions, channels]`, and one step of the moving averages in `moving`.
pub fn statistics(plan: &mut Plan, name: &str, p: Problem, x: TensorId, statistics: TensorId, moving: TensorId) {
    let blocks = Blocks::new(plan, &plan.windows, p.positions, p.channels);
    let partial = plan.temporary(&format!("{name}/partial"), &[blocks.count(), 3, p.channels], Layout::Rows);
    let mut steps: Vec<Step> = plan
        .windows
        .iter()
        .map(|window| Step {
            name: name.into(),
            kernel: kernel!("batch_norm/statistics"),
            libraries: vec![GRID, COLUMNS, MOMENTS],
            constants: blocks.constants(window),
            bindings: vec![("x", x.window(window)), ("partial", partial.into())],
            groups: blocks.groups(window),
            flops: 6 * (window.images * p.positions * p.channels) as u64,
        })
        .collect();
    let columns4 = padded(p.channels) / 4;
    steps.push(Step {
        name: format!("{name} merge"),
        kernel: kernel!("batch_norm/statistics_merge"),
        libraries: vec![GRID, MOMENTS],
        constants: vec![
            ("COLUMNS4", columns4.into()),
            ("BLOCKS", blocks.count().into()),
            ("ONE_MINUS_MOMENTUM", (1.0 - MOMENTUM).into()),
        ],
        bindings: vec![("partial", partial.into()), ("statistics", statistics.into()), ("moving", moving.into())],
        groups: columns4.div_ceil(64) as u64,
        flops: 0,
    });
    plan.node(name, steps, move |t| {
        let batch = cpu::statistics(&p, t.get(x));
        let mut moved = split(t.get(moving));
        cpu::moving(&p, &mut moved.mean, &mut moved.variance, &batch);
        t.set(moving, joined(moved));
        t.set(statistics, joined(batch));
    });
}

/// What `normalize` reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Normalize {
    pub x: TensorId,
    pub statistics: TensorId,
    pub gamma: TensorId,
    pub beta: TensorId,
    pub y: TensorId,
    /// ReLU follows, in the same pass.
    pub relu: bool,
}

/// `y` from `x [batch, positions, channels]`, with the statistics of the batch or the moving ones.
pub fn normalize(plan: &mut Plan, name: &str, p: Problem, t: Normalize) {
    let steps = plan
        .windows
        .iter()
        .map(|window| Step {
            name: name.into(),
            kernel: kernel!("batch_norm/normalize"),
            libraries: vec![GRID],
            constants: pass(&p, window, t.relu),
            bindings: vec![
                ("x", t.x.window(window)),
                ("statistics", t.statistics.into()),
                ("gamma", t.gamma.into()),
                ("beta", t.beta.into()),
                ("y", t.y.window(window)),
            ],
            groups: groups(&p, window),
            flops: 3 * (window.images * p.positions * p.channels) as u64,
        })
        .collect();
    plan.node(name, steps, move |values| {
        let Statistics { mean, variance } = split(values.get(t.statistics));
        let (gamma, beta) = (values.get(t.gamma), values.get(t.beta));
        let normal = cpu::normalize(&p, values.get(t.x), &mean, &variance, gamma, beta);
        values.set(t.y, if t.relu { relu::cpu::forward(&normal) } else { normal });
    });
}

/// What `backward` reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Backward {
    pub x: TensorId,
    /// The output, which tells where a following ReLU let the gradient through.
    pub y: TensorId,
    pub dy: TensorId,
    pub statistics: TensorId,
    pub gamma: TensorId,
    pub dx: TensorId,
    pub dgamma: TensorId,
    pub dbeta: TensorId,
    pub relu: bool,
}

/// `dx [batch, positions, channels]`, `dgamma [channels]` and `dbeta [channels]`: one reduction, one pass that applies.
pub fn backward(plan: &mut Plan, name: &str, p: Problem, t: Backward) {
    let blocks = Blocks::new(plan, &plan.windows, p.positions, p.channels);
    let partial = plan.temporary(&format!("{name}/partial"), &[blocks.count(), 2, p.channels], Layout::Rows);
    let mut steps = Vec::new();
    for window in &plan.windows {
        let mut constants = blocks.constants(window);
        constants.extend([("RELU", t.relu.into()), ("EPSILON", EPSILON.into())]);
        steps.push(Step {
            name: format!("{name} reduce"),
            kernel: kernel!("batch_norm/backward_reduce"),
            libraries: vec![GRID, COLUMNS],
            constants,
            bindings: vec![
                ("x", t.x.window(window)),
                ("y", t.y.window(window)),
                ("dy", t.dy.window(window)),
                ("statistics", t.statistics.into()),
                ("partial", partial.into()),
            ],
            groups: blocks.groups(window),
            flops: 4 * (window.images * p.positions * p.channels) as u64,
        });
    }
    let count = padded(p.channels);
    for (offset, total) in [(0, t.dgamma), (count, t.dbeta)] {
        let parts = Parts { parts: blocks.count(), stride: 2 * count, offset, count };
        steps.push(sum::merge(name, parts, partial.into(), total.into()));
    }
    for window in &plan.windows {
        let mut constants = pass(&p, window, t.relu);
        constants.push(("BATCH_ROWS", p.rows().into()));
        steps.push(Step {
            name: format!("{name} apply"),
            kernel: kernel!("batch_norm/backward_apply"),
            libraries: vec![GRID],
            constants,
            bindings: vec![
                ("x", t.x.window(window)),
                ("y", t.y.window(window)),
                ("dy", t.dy.window(window)),
                ("statistics", t.statistics.into()),
                ("gamma", t.gamma.into()),
                ("dgamma", t.dgamma.into()),
                ("dbeta", t.dbeta.into()),
                ("dx", t.dx.window(window)),
            ],
            groups: groups(&p, window),
            flops: 7 * (window.images * p.positions * p.channels) as u64,
        });
    }
    plan.node(name, steps, move |values: &mut Values| {
        let dy = values.get(t.dy);
        let masked = if t.relu { relu::cpu::backward(values.get(t.y), dy) } else { dy.to_vec() };
        let batch = split(values.get(t.statistics));
        let gradients = cpu::backward(&p, values.get(t.x), &masked, &batch, values.get(t.gamma));
        values.set(t.dx, gradients.dx);
        values.set(t.dgamma, gradients.dgamma);
        values.set(t.dbeta, gradients.dbeta);
    });
}

fn pass(p: &Problem, window: &Window, relu: bool) -> Constants {
    vec![
        ("ROWS", (window.images * p.positions).into()),
        ("COLUMNS4", (padded(p.channels) / 4).into()),
        ("ROWS_PER_THREAD", ROWS_PER_THREAD.into()),
        ("RELU", relu.into()),
        ("EPSILON", EPSILON.into()),
    ]
}

fn groups(p: &Problem, window: &Window) -> u64 {
    let threads = (window.images * p.positions).div_ceil(ROWS_PER_THREAD) * padded(p.channels) / 4;
    (threads as u64).div_ceil(WORKGROUP)
}

fn split(statistics: &[f64]) -> Statistics {
    let (mean, variance) = statistics.split_at(statistics.len() / 2);
    Statistics { mean: mean.to_vec(), variance: variance.to_vec() }
}

fn joined(statistics: Statistics) -> Vec<f64> {
    [statistics.mean, statistics.variance].concat()
}
