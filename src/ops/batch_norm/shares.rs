//! Batch norm of a rank: what its shares contribute, an exchange, and the merge of all shares, which every rank does alike.
//! The steps are those of one device; here they are nodes of their own.

use super::parts::Parts;
use super::twin::{self, Statistics};
use super::{Backward, Problem};
use crate::engine::plan::{Plan, Shares, Step, TensorId};
use crate::engine::tensor::Values;
use crate::ops::shares::{exchange, none};

/// The statistics from a block for each share, of which some are held, and `merge`.
pub(super) fn statistics(
    plan: &mut Plan,
    name: &str,
    p: Problem,
    [x, statistics, moving]: [TensorId; 3],
    blocks: Parts,
    merge: Step,
) {
    let (shares, whole) = (plan.shares.clone(), whole(plan, p));
    let Parts { partial, steps } = blocks;
    let twin = move |t: &mut Values| t.set(partial, moments_of(t.get(x), &shares, p.channels));
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

/// `dx`, `dgamma` and `dbeta` from steps that write the held shares of `partial [shares, (dgamma, dbeta), channels]`, and
/// steps that merge and apply.
pub(super) fn backward(
    plan: &mut Plan,
    name: &str,
    p: Problem,
    t: Backward,
    partial: TensorId,
    [reduce, apply]: [Vec<Step>; 2],
) {
    let (shares, whole) = (plan.shares.clone(), whole(plan, p));
    let gradient = move |values: &Values| {
        let (x, gamma, batch) = (values.get(t.x), values.get(t.gamma), Statistics::of(values.get(t.statistics)));
        let rising = twin::normalize(&p, x, &batch.mean, &batch.variance, gamma, &vec![0.0; p.channels]);
        (twin::follow_backward(&t.epilogue, &rising, values.get(t.y), values.get(t.dy)), batch)
    };
    let twin = move |values: &mut Values| {
        let (dy, batch) = gradient(values);
        let (x, c) = (values.get(t.x), p.channels);
        let xhat = twin::normalize(&p, x, &batch.mean, &batch.variance, &vec![1.0; c], &vec![0.0; c]);
        let mut sums = vec![0.0; shares.count * 2 * c];
        let of_share = dy.len() / shares.held.len();
        for ((share, dy), xhat) in shares.held.clone().zip(dy.chunks_exact(of_share)).zip(xhat.chunks_exact(of_share)) {
            let (of_gamma, of_beta) = sums[share * 2 * c..][..2 * c].split_at_mut(c);
            for (dy, xhat) in dy.chunks_exact(c).zip(xhat.chunks_exact(c)) {
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

/// Count, mean and sum of the squared deviations of each share: zeros for those that are not held.
fn moments_of(x: &[f64], shares: &Shares, channels: usize) -> Vec<f64> {
    let mut all = vec![0.0; shares.count * 3 * channels];
    let of_share = x.len() / shares.held.len();
    for (share, x) in shares.held.clone().zip(x.chunks_exact(of_share)) {
        let one = Problem { batch: 1, positions: of_share / channels, channels };
        let Statistics { mean, variance } = twin::statistics(&one, x);
        let count = one.rows() as f64;
        let m2: Vec<f64> = variance.iter().map(|variance| variance * count).collect();
        all[share * 3 * channels..][..3 * channels].copy_from_slice(&[vec![count; channels], mean, m2].concat());
    }
    all
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
