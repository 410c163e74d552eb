//! Steps of global average pooling. It closes the batch windows: its input is cut, its output is the whole batch.

use super::{Problem, twin};
use crate::engine::bound::{Terms, Uncertainty, with_terms};
use crate::engine::plan::{Plan, Step, TensorId, Window};
use crate::engine::shader::{Constants, Work};
use crate::engine::shape::padded;
use crate::kernel;

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
    let count = p.positions as f64;
    plan.node(
        name,
        steps,
        move |t| t.set(y, twin::forward(&p, t.get(x))),
        move |given| {
            // A twin on squares returns their mean.
            let terms = |mean: Terms| Terms { count, squares: mean.squares / count, ..mean };
            with_terms(given, |mean| terms(mean).uncertainty(given.independent).divided(mean.sum).flushed())
        },
    );
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
    // An equal share for each position: one division.
    plan.node(
        name,
        steps,
        move |t| t.set(dx, twin::backward(&p, t.get(dy))),
        |given| with_terms(given, |share| Uncertainty::NONE.divided(share.sum).flushed()),
    );
}

fn constants(p: &Problem, window: &Window) -> Constants {
    vec![
        ("FIRST_IMAGE", window.first.into()),
        ("POSITIONS", p.positions.into()),
        ("CHANNELS4", (padded(p.channels) / 4).into()),
    ]
}
