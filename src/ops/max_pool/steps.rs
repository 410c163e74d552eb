//! Steps of max pooling.

use super::{Problem, twin};
use crate::bound;
use crate::kernel;
use crate::plan::{Plan, Step, TensorId, Window};
use crate::shader::{Kernel, Work};
use crate::shape::padded;
use crate::tensor::Values;

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

/// Steps of any pool: one thread for each vec4 of `pixels` pixels per image.
pub fn steps(
    plan: &Plan,
    name: &str,
    kernel: Kernel,
    p: Problem,
    pixels: usize,
    tensors: &[(&'static str, TensorId)],
) -> Vec<Step> {
    let channels4 = padded(p.channels) / 4;
    let step = |window: &Window| Step {
        name: name.into(),
        kernel,
        constants: vec![
            ("HEIGHT", p.rows.input.into()),
            ("WIDTH", p.columns.input.into()),
            ("CHANNELS4", channels4.into()),
            ("OUT_HEIGHT", p.rows.output.into()),
            ("OUT_WIDTH", p.columns.output.into()),
            ("WINDOW_HEIGHT", p.rows.kernel.into()),
            ("WINDOW_WIDTH", p.columns.kernel.into()),
            ("STRIDE_Y", p.rows.stride.into()),
            ("STRIDE_X", p.columns.stride.into()),
            ("PAD_Y", p.rows.before.into()),
            ("PAD_X", p.columns.before.into()),
        ],
        bindings: tensors.iter().map(|&(name, tensor)| (name, tensor.window(window))).collect(),
        work: Work::each(window.images * pixels * channels4),
        flops: (window.images * pixels * p.rows.kernel * p.columns.kernel * p.channels) as u64,
    };
    plan.windows.iter().map(step).collect()
}
