//! Steps of global average pooling. It closes the batch windows: its input is cut, its output is the whole batch.

use super::{Problem, cpu};
use crate::kernel;
use crate::plan::{Plan, Step, TensorId, Window};
use crate::shader::{Constants, Work};
use crate::shape::padded;

/// `y [batch, channels]` from `x [batch, positions, channels]`.
pub fn forward(plan: &mut Plan, name: &str, p: Problem, x: TensorId, y: TensorId) {
    let step = |window: &Window| Step {
        name: name.into(),
        kernel: kernel!("global_average_pool/forward"),
        constants: constants(&p, window),
        bindings: vec![("x", x.window(window)), ("y", y.into())],
        work: Work::each(window.images * padded(p.channels) / 4),
        flops: (window.images * p.positions * p.channels) as u64,
    };
    let steps = plan.windows.iter().map(step).collect();
    plan.node(name, steps, move |t| t.set(y, cpu::forward(&p, t.get(x))));
}

/// `dx [batch, positions, channels]` from `dy [batch, channels]`.
pub fn backward(plan: &mut Plan, name: &str, p: Problem, dy: TensorId, dx: TensorId) {
    let step = |window: &Window| Step {
        name: name.into(),
        kernel: kernel!("global_average_pool/backward"),
        constants: constants(&p, window),
        bindings: vec![("grad_y", dy.into()), ("grad_x", dx.window(window))],
        work: Work::each(window.images * p.positions * padded(p.channels) / 4),
        flops: (window.images * p.positions * p.channels) as u64,
    };
    let steps = plan.windows.iter().map(step).collect();
    plan.node(name, steps, move |t| t.set(dx, cpu::backward(&p, t.get(dy))));
}

fn constants(p: &Problem, window: &Window) -> Constants {
    vec![
        ("FIRST_IMAGE", window.first.into()),
        ("POSITIONS", p.positions.into()),
        ("CHANNELS4", (padded(p.channels) / 4).into()),
    ]
}
