//! Steps of average pooling.

use super::{Problem, cpu};
use crate::kernel;
use crate::ops::max_pool::gpu::steps;
use crate::plan::{Plan, TensorId};

/// `y` from `x`; shapes as `Problem` says.
pub fn forward(plan: &mut Plan, name: &str, p: Problem, x: TensorId, y: TensorId) {
    let pixels = p.rows.output * p.columns.output;
    let steps = steps(plan, name, kernel!("average_pool/forward"), p, pixels, &[("x", x), ("y", y)]);
    plan.node(name, steps, move |t| t.set(y, cpu::forward(&p, t.get(x))));
}

/// `dx` from `dy`.
pub fn backward(plan: &mut Plan, name: &str, p: Problem, dy: TensorId, dx: TensorId) {
    let pixels = p.rows.input * p.columns.input;
    let steps = steps(plan, name, kernel!("average_pool/backward"), p, pixels, &[("grad_y", dy), ("grad_x", dx)]);
    plan.node(name, steps, move |t| t.set(dx, cpu::backward(&p, t.get(dy))));
}
