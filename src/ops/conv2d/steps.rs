//! Steps of convolution: three implicit matrix products, window by window of the batch, or Winograd's tiles.

use super::{Pass, Problem, twin};
use crate::engine::bound::{self, Given};
use crate::engine::plan::{Layout, Plan, Step, TensorId};
use crate::engine::shader::Constants;
use crate::engine::shape::padded;
use crate::engine::tensor::Values;
use crate::kernel;
use crate::ops::conv2d::winograd;
use crate::ops::product::Product;
use crate::ops::sum::{self, Parts};
pub use winograd::{Backward, Forward};

/// `y` from `x`, `w` and `bias`; shapes as `Problem` says.
pub fn forward(plan: &mut Plan, name: &str, p: Problem, x: TensorId, w: TensorId, bias: TensorId, y: TensorId) {
    let twin = move |t: &mut Values| t.set(y, twin::forward(&p, t.get(x), t.get(w), Some(t.get(bias))));
    let tensors = Forward { x, w, bias, y };
    match in_tiles(plan, &p, Pass::Forward) {
        Some(tiled) => {
            let steps = winograd::steps::forward(plan, name, tiled, tensors);
            let bound = move |given: &Given| winograd::bound::forward(given, &p, &tiled, &tensors);
            plan.node(name, steps, twin, bound).reading(w).counted(p.flops());
        }
        None => {
            let steps = direct_forward(plan, name, p, tensors);
            plan.node(name, steps, twin, bound::of_sums).counted(p.flops());
        }
    }
}

/// `dw` and `dx`, where something needs them, from `x`, `dy` and `w`.
pub fn backward(plan: &mut Plan, name: &str, p: Problem, t: Backward) {
    let [weight, data] = [Pass::WeightGradient, Pass::DataGradient].map(|pass| in_tiles(plan, &p, pass));
    let [weight_name, data_name] = ["weight", "data"].map(|of| format!("{name} {of} gradient"));
    if let (Some(dw), None) = (t.dw, weight) {
        weight_gradient(plan, &weight_name, p, t.x, t.dy, dw);
    }
    if let (Some(dx), None) = (t.dx, data) {
        data_gradient(plan, &data_name, p, t.dy, t.w, dx);
    }
    let tiled = Backward { dw: t.dw.filter(|_| weight.is_some()), dx: t.dx.filter(|_| data.is_some()), ..t };
    match (tiled.dw.and(weight), tiled.dx.and(data)) {
        (None, None) => {}
        (Some(problem), None) => in_tiles_backward(plan, &weight_name, p, problem, tiled),
        (None, Some(problem)) => in_tiles_backward(plan, &data_name, p, problem, tiled),
        // What both are made of is transformed once.
        (Some(problem), Some(_)) => in_tiles_backward(plan, &format!("{name} backward"), p, problem, tiled),
    }
}

/// The gradients that tiles compute, as one node.
fn in_tiles_backward(plan: &mut Plan, name: &str, p: Problem, tiled: winograd::Problem, t: Backward) {
    let steps = winograd::steps::backward(plan, name, tiled, t);
    let passes = u64::from(t.dw.is_some()) + u64::from(t.dx.is_some());
    let twin = move |values: &mut Values| {
        if let Some(dw) = t.dw {
            values.set(dw, twin::weight_gradient(&p, values.get(t.x), values.get(t.dy)));
        }
        if let Some(dx) = t.dx {
            values.set(dx, twin::data_gradient(&p, values.get(t.dy), values.get(t.w)));
        }
    };
    let bound = move |given: &Given| winograd::bound::backward(given, &p, &tiled, &t);
    plan.node(name, steps, twin, bound).reading(t.w).counted(p.flops() * passes);
}

/// The convolution in tiles, if a pass is to be computed in tiles.
fn in_tiles(plan: &Plan, p: &Problem, pass: Pass) -> Option<winograd::Problem> {
    winograd::Problem::new(p, p.algorithm(&plan.target).tile(pass)?)
}

fn direct_forward(plan: &mut Plan, name: &str, p: Problem, Forward { x, w, bias, y }: Forward) -> Vec<Step> {
    let mut steps = Vec::new();
    for window in plan.windows.clone() {
        let p = p.of(&window);
        let product = Product::new(p.output_pixels(), p.cout, [p.rows.kernel, p.columns.kernel, p.cin]);
        let product = product.split_to_fill(plan);
        steps.extend(product.split_steps(plan, name, Some(bias), y.window(&window), |plan, y| {
            let bindings = vec![("x", x.window(&window)), ("weights", w.into()), ("bias", bias.into()), ("y", y)];
            product.step(plan, name, kernel!("conv2d/forward"), geometry(&p), bindings, p.flops())
        }));
    }
    steps
}

/// `dx` from `dy` and `w`.
pub fn data_gradient(plan: &mut Plan, name: &str, p: Problem, dy: TensorId, w: TensorId, dx: TensorId) {
    let [kernel_h, kernel_w, cin, cout] = p.weight_shape();
    let mut steps = Vec::new();
    for window in plan.windows.clone() {
        let p = p.of(&window);
        let terms = [kernel_h, kernel_w, cout];
        let product = Product { transposed_b: true, ..Product::new(p.input_pixels(), cin, terms) };
        let product = product.split_to_fill(plan);
        steps.extend(product.split_steps(plan, name, None, dx.window(&window), |plan, dx| {
            let bindings = vec![("grad_y", dy.window(&window)), ("weights", w.into()), ("grad_x", dx)];
            product.step(plan, name, kernel!("conv2d/data_gradient"), geometry(&p), bindings, p.flops())
        }));
    }
    let twin = move |t: &mut Values| t.set(dx, twin::data_gradient(&p, t.get(dy), t.get(w)));
    plan.node(name, steps, twin, bound::of_sums).counted(p.flops());
}

/// `dw` from `x` and `dy`: each window's pixels are split into parts, whose sums are merged in order. A window has partial
/// sums of its own, so that they fit a binding however many windows there are.
pub fn weight_gradient(plan: &mut Plan, name: &str, p: Problem, x: TensorId, dy: TensorId, dw: TensorId) {
    let [kernel_h, kernel_w, cin, cout] = p.weight_shape();
    let count = p.taps() * padded(cin) * padded(cout);
    let mut steps = Vec::new();
    for window in plan.windows.clone() {
        let p = p.of(&window);
        let terms = match p.images_innermost() {
            true => [p.rows.output, p.columns.output, p.batch],
            false => [p.rows.output, p.batch, p.columns.output],
        };
        let product = Product::of_transposed_a(p.taps() * padded(cin), cout, terms);
        let product = product.split_for(plan.core(), plan.target.variant.sizes.parallel_groups);
        let whole = product.parts() == 1 && plan.windows.len() == 1;
        let partial = if whole {
            dw
        } else {
            let shape = [product.parts(), kernel_h, kernel_w, cin, cout];
            plan.temporary(&format!("{name}/partial {}", window.index), &shape, Layout::Matrix)
        };
        let mut constants = geometry(&p);
        constants.extend([("CIN4", (padded(cin) / 4).into()), ("KERNEL_WIDTH", kernel_w.into())]);
        let bindings = vec![("x", x.window(&window)), ("grad_y", dy.window(&window)), ("partial", partial.into())];
        steps.push(product.step(plan, name, kernel!("conv2d/weight_gradient"), constants, bindings, p.flops()));
        if !whole {
            let parts = Parts { parts: product.parts(), stride: count, offset: 0, count };
            let merge = if window.index == 0 { sum::merge } else { sum::add };
            steps.push(merge(plan, name, parts, partial.into(), dw.into()));
        }
    }
    let twin = move |t: &mut Values| t.set(dw, twin::weight_gradient(&p, t.get(x), t.get(dy)));
    plan.node(name, steps, twin, bound::of_sums).counted(p.flops());
}

/// The constants of `shaders/lib/pixels.wgsl`.
fn geometry(p: &Problem) -> Constants {
    vec![
        ("IMAGES", p.batch.into()),
        ("HEIGHT", p.rows.input.into()),
        ("WIDTH", p.columns.input.into()),
        ("OUT_HEIGHT", p.rows.output.into()),
        ("OUT_WIDTH", p.columns.output.into()),
        ("STRIDE_Y", p.rows.stride.into()),
        ("STRIDE_X", p.columns.stride.into()),
        ("PAD_Y", p.rows.before.into()),
        ("PAD_X", p.columns.before.into()),
        ("IMAGES_INNERMOST", p.images_innermost().into()),
    ]
}
