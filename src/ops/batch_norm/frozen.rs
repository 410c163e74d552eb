//! The gradient through a batch norm that is frozen: with moving statistics it is a fixed scale and shift of each channel,
//! `dx = gamma / sqrt(variance + eps) * dy`. The kernel is that of the gradient through the batch's statistics, where the sums
//! that they add are zero.

use super::steps;
use super::twin::{self, Statistics};
use super::{Backward, EPSILON, Problem, bound, problem};
use crate::engine::plan::{Layout, Plan, TensorId, names};
use crate::engine::tensor::Values;
use crate::ops::op::At;

/// Adds the gradient of the layer's input, if something needs it.
pub(super) fn backward_of(at: &mut At, dy: TensorId) -> Option<TensorId> {
    let dx = at.input_gradient(0)?;
    let p = problem(at);
    let statistics = at.plan.find(&names::moving(at.layer)).expect("forward made it");
    let zeros = zeros(at.plan, p.channels);
    let gamma = at.parameter("gamma");
    let (x, y, epilogue) = (at.x[0], at.y, at.epilogue);
    let tensors = Backward { x, y, dy, statistics, gamma, dx, dgamma: zeros, dbeta: zeros, epilogue };
    backward(at.plan, &at.name("backward"), p, tensors);
    Some(dx)
}

/// A tensor that nothing writes: tensors that outlive a step start as zeros.
fn zeros(plan: &mut Plan, channels: usize) -> TensorId {
    let name = format!("{}{channels}", names::ZEROS);
    plan.find(&name).unwrap_or_else(|| plan.persistent(&name, &[channels], Layout::Rows))
}

/// `dx [batch, positions, channels]` in one pass; `t.dgamma` and `t.dbeta` are zeros.
pub fn backward(plan: &mut Plan, name: &str, p: Problem, t: Backward) {
    let steps = steps::apply(plan, name, &p, &t);
    let twin = move |values: &mut Values| {
        let (x, gamma, moving) = (values.get(t.x), values.get(t.gamma), Statistics::of(values.get(t.statistics)));
        let rising = rising(&p, x, &moving, gamma);
        let gradient = twin::follow_backward(&t.epilogue, &rising, values.get(t.y), values.get(t.dy));
        values.set(t.dx, through(&p, &gradient, &moving, gamma));
    };
    plan.node(name, steps, twin, move |given| bound::frozen(given, &p, &t));
}

/// Numbers that rise with the batch norm's output: they tell which pixel a pool let through.
fn rising(p: &Problem, x: &[f64], moving: &Statistics, gamma: &[f64]) -> Vec<f64> {
    twin::normalize(p, x, &moving.mean, &moving.variance, gamma, &vec![0.0; p.channels])
}

/// `dx = gamma / sqrt(variance + eps) * dy`
pub fn through(p: &Problem, dy: &[f64], moving: &Statistics, gamma: &[f64]) -> Vec<f64> {
    assert_eq!(dy.len(), p.rows() * p.channels);
    let scale = |c: usize| gamma[c] / (moving.variance[c] + EPSILON).sqrt();
    dy.iter().enumerate().map(|(at, dy)| scale(at % p.channels) * dy).collect()
}
