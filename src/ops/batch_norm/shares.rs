//! Batch norm of a rank: what its blocks of rows contribute, an exchange, and the merge of all blocks, which every rank
//! does alike. The steps are those of one device; here they are nodes of their own.

use super::parts::Parts;
use super::twin::{self, Statistics};
use super::{Backward, Problem};
use crate::engine::plan::{Plan, Step, TensorId};
use crate::engine::tensor::Values;
use crate::ops::columns::Blocks;
use crate::ops::shares::{exchange, none};

/// The statistics from blocks, of which some are held, and `merge`.
pub(super) fn statistics(
    plan: &mut Plan,
    name: &str,
    p: Problem,
    [x, statistics, moving]: [TensorId; 3],
    blocks: Parts,
    merge: Step,
) {
    let (of_rows, count, whole) = (blocks.of_rows(plan, &p), blocks.count(plan), whole(plan, p));
    let Parts { partial, steps, .. } = blocks;
    let twin = move |t: &mut Values| t.set(partial, blocks_of(t.get(x), &of_rows, count, p.channels));
    plan.node(&format!("{name} blocks"), steps, twin, none).reading(x);
    meet(plan, name, partial);
    let twin = move |t: &mut Values| {
        let batch = merged(t.get(partial), p.channels);
        let mut moved = Statistics::of(t.get(moving));
        twin::moving(&whole, &mut moved.mean, &mut moved.variance, &batch);
        t.set(moving, moved.joined());
        t.set(statistics, batch.joined());
    };
    plan.node(name, vec![merge], twin, none);
}

/// `dx`, `dgamma` and `dbeta` from steps that write the held blocks of `partial [blocks, (dgamma, dbeta), channels]`, and
/// steps that merge and apply.
pub(super) fn backward(
    plan: &mut Plan,
    name: &str,
    p: Problem,
    t: Backward,
    partial: TensorId,
    blocks: &Blocks,
    [reduce, apply]: [Vec<Step>; 2],
) {
    let cells = t.epilogue.cells(&p);
    let (of_cells, count, whole) = (blocks.of_rows(&plan.windows), blocks.count(), whole(plan, p));
    let gradient = move |values: &Values| {
        let (x, gamma, batch) = (values.get(t.x), values.get(t.gamma), Statistics::of(values.get(t.statistics)));
        let rising = twin::normalize(&p, x, &batch.mean, &batch.variance, gamma, &vec![0.0; p.channels]);
        (twin::follow_backward(&t.epilogue, &rising, values.get(t.y), values.get(t.dy)), batch)
    };
    let twin = move |values: &mut Values| {
        let (dy, batch) = gradient(values);
        let (x, c) = (values.get(t.x), p.channels);
        let xhat = twin::normalize(&p, x, &batch.mean, &batch.variance, &vec![1.0; c], &vec![0.0; c]);
        let mut sums = vec![0.0; count * 2 * c];
        for (pixel, (dy, xhat)) in dy.chunks_exact(c).zip(xhat.chunks_exact(c)).enumerate() {
            let (row, column) = (pixel / cells.columns.input, pixel % cells.columns.input);
            let (image, row) = (row / cells.rows.input, row % cells.rows.input);
            let [y, x] = [row / cells.rows.kernel, column / cells.columns.kernel];
            // A pool leaves out what is left of the last whole cell.
            if y < cells.rows.output && x < cells.columns.output {
                let cell = (image * cells.rows.output + y) * cells.columns.output + x;
                let (of_gamma, of_beta) = sums[of_cells[cell] * 2 * c..][..2 * c].split_at_mut(c);
                for channel in 0..c {
                    of_gamma[channel] += dy[channel] * xhat[channel];
                    of_beta[channel] += dy[channel];
                }
            }
        }
        values.set(partial, sums);
    };
    plan.node(&format!("{name} blocks"), reduce, twin, none);
    meet(plan, name, partial);
    let twin = move |values: &mut Values| {
        let (dy, batch) = gradient(values);
        let mut sums = vec![0.0; 2 * p.channels];
        for block in values.get(partial).chunks_exact(2 * p.channels) {
            sums.iter_mut().zip(block).for_each(|(sum, part)| *sum += part);
        }
        let (dgamma, dbeta) = sums.split_at(p.channels);
        let dx = twin::apply(&whole, values.get(t.x), &dy, &batch, values.get(t.gamma), [dgamma, dbeta]);
        values.set(t.dx, dx);
        values.set(t.dgamma, dgamma.to_vec());
        values.set(t.dbeta, dbeta.to_vec());
    };
    plan.node(name, apply, twin, none);
}

/// The problem of the whole batch.
fn whole(plan: &Plan, p: Problem) -> Problem {
    Problem { batch: plan.batch, ..p }
}

fn meet(plan: &mut Plan, name: &str, partial: TensorId) {
    let rows = plan.rows_by_share(partial);
    exchange(plan, &format!("{name} exchange"), vec![rows]);
}

/// Count, mean and sum of the squared deviations of each of `count` blocks, of which some have no row here; `of_rows` says
/// which block a row is in.
fn blocks_of(x: &[f64], of_rows: &[usize], count: usize, channels: usize) -> Vec<f64> {
    let mut blocks = vec![0.0; count * 3 * channels];
    let rows = || x.chunks_exact(channels).zip(of_rows);
    for (row, &block) in rows() {
        let block = &mut blocks[block * 3 * channels..][..3 * channels];
        for c in 0..channels {
            block[c] += 1.0;
            block[channels + c] += row[c];
        }
    }
    for block in blocks.chunks_exact_mut(3 * channels) {
        for c in 0..channels {
            block[channels + c] /= block[c].max(1.0);
        }
    }
    for (row, &block) in rows() {
        let block = &mut blocks[block * 3 * channels..][..3 * channels];
        for c in 0..channels {
            block[2 * channels + c] += (row[c] - block[channels + c]).powi(2);
        }
    }
    blocks
}

/// The statistics of all blocks together.
fn merged(blocks: &[f64], channels: usize) -> Statistics {
    let all = || blocks.chunks_exact(3 * channels);
    let mean = |c: usize| {
        let count: f64 = all().map(|block| block[c]).sum();
        all().map(|block| block[c] * block[channels + c]).sum::<f64>() / count
    };
    let mean: Vec<f64> = (0..channels).map(mean).collect();
    let variance = |c: usize| {
        let count: f64 = all().map(|block| block[c]).sum();
        let spread = |block: &[f64]| block[2 * channels + c] + block[c] * (block[channels + c] - mean[c]).powi(2);
        all().map(spread).sum::<f64>() / count
    };
    let variance = (0..channels).map(variance).collect();
    Statistics { mean, variance }
}
