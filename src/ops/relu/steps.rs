//! Steps of ReLU where no pass before it can do it on the way.

use super::twin;
use crate::engine::bound;
use crate::engine::plan::{Plan, Step, TensorId, View};
use crate::engine::shader::{Kernel, Work};
use crate::kernel;

/// `y = max(x, 0)`, any shape.
pub fn forward(plan: &mut Plan, name: &str, x: TensorId, y: TensorId) {
    let steps = steps(plan, name, kernel!("relu/forward"), &[("x", x), ("y", y)]);
    plan.node(name, steps, move |t| t.set(y, twin::forward(t.get(x))), bound::unrounded);
}

/// `dx = dy` where `y > 0`.
pub fn backward(plan: &mut Plan, name: &str, y: TensorId, dy: TensorId, dx: TensorId) {
    let steps = steps(plan, name, kernel!("relu/backward"), &[("y", y), ("grad_y", dy), ("grad_x", dx)]);
    plan.node(name, steps, move |t| t.set(dx, twin::backward(t.get(y), t.get(dy))), bound::unrounded);
}

fn steps(plan: &Plan, name: &str, kernel: Kernel, tensors: &[(&'static str, TensorId)]) -> Vec<Step> {
    let step = |window: usize| {
        let count4 = plan.count_of(View { tensor: tensors[0].1, window }) / 4;
        Step {
            name: name.into(),
            kernel,
            constants: vec![],
            bindings: tensors.iter().map(|&(name, tensor)| (name, View { tensor, window })).collect(),
            work: Work::each(count4),
            flops: 4 * count4 as u64,
        }
    };
    (0..plan.windows_of(tensors[0].1)).map(step).collect()
}
