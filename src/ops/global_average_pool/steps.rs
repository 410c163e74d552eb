//! Steps of global average pooling. It closes the batch windows: its input is cut, its output is the whole batch.

use super::{Problem, twin};
use crate::engine::bound::{Terms, Uncertainty, with_terms};
use crate::engine::plan::{Plan, Step, TensorId, Window};
use crate::engine::shader::{Constants, Work};
use crate::engine::shape::padded;
use crate::engine::tensor::Values;
use crate::kernel;
use crate::ops::shares::{self, of_images};

/// `y [batch, channels]` from `x [images, positions, channels]`. Where other ranks hold the other images, their rows of `y`
/// come by an exchange: what follows sees the whole batch.
pub fn forward(plan: &mut Plan, name: &str, p: Problem, x: TensorId, y: TensorId) {
    let step = |window: &Window| Step {
        name: name.into(),
        kernel: kernel!("global_average_pool/forward"),
        constants: constants(plan, &p, window),
        bindings: vec![("x", x.window(window)), ("y", y.into())],
        work: Work::each(window.images * padded(p.channels) / 4),
        flops: (window.images * p.positions * p.channels) as u64,
    };
    let steps = plan.windows.iter().map(step).collect();
    let count = p.positions as f64;
    let (first, batch) = (plan.first_image() * p.channels, plan.batch * p.channels);
    let twin = move |t: &mut Values| {
        let held = twin::forward(&p, t.get(x));
        let mut all = vec![0.0; batch];
        all[first..first + held.len()].copy_from_slice(&held);
        t.set(y, all);
    };
    plan.node(name, steps, twin, move |given| {
        // A twin on squares returns their mean.
        let terms = |mean: Terms| Terms { count, squares: mean.squares / count, ..mean };
        with_terms(given, |mean| terms(mean).uncertainty(given.independent).divided(mean.sum).flushed())
    });
    let rows = plan.rows_by_share(y);
    shares::exchange(plan, &format!("{name} exchange"), vec![rows]);
}

/// `dx [images, positions, channels]` from `dy [batch, channels]`.
pub fn backward(plan: &mut Plan, name: &str, p: Problem, dy: TensorId, dx: TensorId) {
    let step = |window: &Window| Step {
        name: name.into(),
        kernel: kernel!("global_average_pool/backward"),
        constants: constants(plan, &p, window),
        bindings: vec![("grad_y", dy.into()), ("grad_x", dx.window(window))],
        work: Work::each(window.images * p.positions * padded(p.channels) / 4),
        flops: (window.images * p.positions * p.channels) as u64,
    };
    let steps = plan.windows.iter().map(step).collect();
    // An equal share for each position: one division.
    let (batch, held) = (plan.batch, plan.first_image()..plan.first_image() + plan.images());
    plan.node(
        name,
        steps,
        move |t| t.set(dx, twin::backward(&p, &of_images(t.get(dy), batch, &held))),
        |given| with_terms(given, |share| Uncertainty::NONE.divided(share.sum).flushed()),
    );
}

fn constants(plan: &Plan, p: &Problem, window: &Window) -> Constants {
    vec![
        ("FIRST_IMAGE", (plan.first_image() + window.first).into()),
        ("POSITIONS", p.positions.into()),
        ("CHANNELS4", (padded(p.channels) / 4).into()),
    ]
}
