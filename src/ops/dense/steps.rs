//! Steps of the dense layer: three matrix products.

use super::{Problem, twin};
use crate::engine::bound;
use crate::engine::plan::{Plan, TensorId};
use crate::engine::tensor::Values;
use crate::kernel;
use crate::ops::product::Product;

/// `y [batch, outputs]` from `x [batch, inputs]`, `w [inputs, outputs]`, `bias [outputs]`.
pub fn forward(plan: &mut Plan, name: &str, p: Problem, x: TensorId, w: TensorId, bias: TensorId, y: TensorId) {
    let product = Product::new(p.batch, p.outputs, [1, 1, p.inputs]).split_to_fill(plan);
    let steps = product.split_steps(plan, name, Some(bias), y.into(), |plan, y| {
        let bindings = vec![("x", x.into()), ("weights", w.into()), ("bias", bias.into()), ("y", y)];
        product.step(plan, name, kernel!("dense/forward"), vec![], bindings, p.flops())
    });
    let twin = move |t: &mut Values| t.set(y, twin::forward(&p, t.get(x), t.get(w), t.get(bias)));
    plan.node(name, steps, twin, bound::of_sums).counted(p.flops());
}

/// `dx [batch, inputs]` from `dy [batch, outputs]` and `w [inputs, outputs]`.
pub fn data_gradient(plan: &mut Plan, name: &str, p: Problem, dy: TensorId, w: TensorId, dx: TensorId) {
    let product = Product { transposed_b: true, ..Product::new(p.batch, p.inputs, [1, 1, p.outputs]) };
    let product = product.split_to_fill(plan);
    let steps = product.split_steps(plan, name, None, dx.into(), |plan, dx| {
        let bindings = vec![("grad_y", dy.into()), ("weights", w.into()), ("grad_x", dx)];
        product.step(plan, name, kernel!("dense/data_gradient"), vec![], bindings, p.flops())
    });
    let twin = move |t: &mut Values| t.set(dx, twin::data_gradient(&p, t.get(dy), t.get(w)));
    plan.node(name, steps, twin, bound::of_sums).counted(p.flops());
}

/// `dw [inputs, outputs]` from `x [batch, inputs]` and `dy [batch, outputs]`.
pub fn weight_gradient(plan: &mut Plan, name: &str, p: Problem, x: TensorId, dy: TensorId, dw: TensorId) {
    let product = Product::of_transposed_a(p.inputs, p.outputs, [1, 1, p.batch]);
    let bindings = vec![("x", x.into()), ("grad_y", dy.into()), ("grad_w", dw.into())];
    let step = product.step(plan, name, kernel!("dense/weight_gradient"), vec![], bindings, p.flops());
    plan.node(name, vec![step], move |t| t.set(dw, twin::weight_gradient(&p, t.get(x), t.get(dy))), bound::of_sums);
}
