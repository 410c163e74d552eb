//! Steps of max pooling.

use super::{Problem, twin};
use crate::engine::bound;
use crate::engine::plan::{Plan, TensorId};
use crate::engine::tensor::Values;
use crate::kernel;
use crate::ops::pool::steps;

/// `y` from `x`; shapes as `Problem` says.
pub fn forward(plan: &mut Plan, name: &str, p: Problem, x: TensorId, y: TensorId) {
    let pixels = p.rows.output * p.columns.output;
    let steps = steps(plan, name, kernel!("max_pool/forward"), p, pixels, &[("x", x), ("y", y)]);
    plan.node(name, steps, move |t| t.set(y, twin::forward(&p, t.get(x))), bound::unrounded);
}

/// `dx` from `x` and `dy`.
pub fn backward(plan: &mut Plan, name: &str, p: Problem, x: TensorId, dy: TensorId, dx: TensorId) {
    let pixels = p.rows.input * p.columns.input;
    let tensors = [("x", x), ("grad_y", dy), ("grad_x", dx)];
    let steps = steps(plan, name, kernel!("max_pool/backward"), p, pixels, &tensors);
    let twin = move |t: &mut Values| t.set(dx, twin::backward(&p, t.get(x), t.get(dy)));
    plan.node(name, steps, twin, move |given| bound::of_sums_over(given, dy));
}
