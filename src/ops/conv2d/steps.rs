//! Steps of convolution: three implicit matrix products, window by window of the batch, or Winograd's tiles.

use std::ops::Range;

use super::{Pass, Problem, twin};
use crate::engine::bound::{self, Given, Uncertainties};
use crate::engine::plan::{Element, Layout, Plan, Step, TensorId, Window};
use crate::engine::shader::Constants;
use crate::engine::shape::padded;
use crate::engine::tensor::Values;
use crate::kernel;
use crate::ops::conv2d::winograd;
use crate::ops::moments;
use crate::ops::product::{GRADIENT_SCALE, Halves, Product};
use crate::ops::shares::{self, Part, Sum, of_images};
use crate::ops::sum::{self, Parts};
pub use winograd::{Backward, Forward};

/// `y` from `x`, `w` and `bias`; shapes as `Problem` says. Where its moments are wanted, what has them in registers leaves them.
pub fn forward(plan: &mut Plan, name: &str, p: Problem, tensors: Forward) {
    let Forward { x, w, bias, y, .. } = tensors;
    let twin = move |t: &mut Values| t.set(y, twin::forward(&p, t.get(x), t.get(w), Some(t.get(bias))));
    match in_tiles(plan, &p, Pass::Forward) {
        Some(tiled) => {
            let steps = winograd::steps::forward(plan, name, tiled, tensors);
            let bound = move |given: &Given| winograd::bound::forward(given, &p, &tiled, &tensors);
            plan.node(name, steps, twin, bound).reading(w).counted(p.flops());
        }
        None => {
            let (steps, halves) = direct_forward(plan, name, p, tensors);
            plan.node(name, steps, twin, bound_of(halves, [(x, 1.0), (w, 1.0)])).counted(p.flops());
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
    let sum = t.dw.map(|dw| Sum::new(plan, dw));
    let steps = winograd::steps::backward(plan, name, tiled, t, sum.as_ref());
    let passes = u64::from(t.dw.is_some()) + u64::from(t.dx.is_some());
    let weights = sum.as_ref().map(|sum| sum.twin(weight_twin(p, t.x, t.dy)));
    let twin = move |values: &mut Values| {
        if let Some(weights) = &weights {
            weights(values);
        }
        if let Some(dx) = t.dx {
            values.set(dx, twin::data_gradient(&p, values.get(t.dy), values.get(t.w)));
        }
    };
    let whole = plan.shares.are_all_held();
    let bound = move |given: &Given| match whole {
        true => winograd::bound::backward(given, &p, &tiled, &t),
        false => shares::none(given),
    };
    plan.node(name, steps, twin, bound).reading(t.w).counted(p.flops() * passes);
    if let Some(sum) = sum {
        sum.finish(plan, name);
    }
}

/// The twin of the gradient of the weights, over some of the images.
fn weight_twin(
    p: Problem,
    x: TensorId,
    dy: TensorId,
) -> impl Fn(&Values, Range<usize>) -> Vec<f64> + Send + Sync + 'static {
    move |values, images| {
        let of = Problem { batch: images.len(), ..p };
        let [x, dy] = [x, dy].map(|id| of_images(values.get(id), p.batch, &images));
        twin::weight_gradient(&of, &x, &dy)
    }
}

/// The convolution in tiles, if a pass is to be computed in tiles: what pays for one share.
fn in_tiles(plan: &Plan, p: &Problem, pass: Pass) -> Option<winograd::Problem> {
    let share = Problem { batch: p.batch / plan.shares.held.len(), ..*p };
    winograd::Problem::new(p, share.algorithm(&plan.target).tile(pass)?)
}

/// The bound of a direct pass: of products of factors, each with its scale, which may be rounded to half precision.
fn bound_of(halves: bool, factors: [(TensorId, f64); 2]) -> impl Fn(&Given) -> Uncertainties + Send + Sync + 'static {
    move |given| if halves { bound::of_sums_of_halves(given, factors) } else { bound::of_sums(given) }
}

/// The steps, and whether any rounds its factors to half precision. They leave moments where all sums are whole.
fn direct_forward(plan: &mut Plan, name: &str, p: Problem, t: Forward) -> (Vec<Step>, bool) {
    let of = |window: Window| {
        let p = p.of(&window);
        let product = Product::new(p.output_pixels(), p.cout, [p.rows.kernel, p.columns.kernel, p.cin]);
        (window, p, Product { halves: Halves::Unscaled, ..product }.split_to_fill(plan))
    };
    let products: Vec<(Window, Problem, Product)> = plan.windows.clone().into_iter().map(of).collect();
    let halves = products.iter().any(|(.., product)| product.is_of_halves(plan));
    let tiles: Option<Vec<usize>> = products.iter().map(|(.., product)| product.tiles_of_whole_sums(plan)).collect();
    if let Some(tiles) = tiles.filter(|_| t.moments) {
        return (with_moments(plan, name, &products, &tiles, t), halves);
    }
    let Forward { x, w, bias, y, .. } = t;
    let steps = products.iter().flat_map(|(window, p, product)| {
        product.split_steps(plan, name, Some(bias), y.window(window), |plan, y| {
            let bindings = vec![("x", x.window(window)), ("weights", w.into()), ("bias", bias.into()), ("y", y)];
            product.step(plan, name, kernel!("conv2d/forward"), geometry(p), bindings, p.flops())
        })
    });
    (steps.collect(), halves)
}

/// The steps that leave moments, too: a block for each tile of rows.
fn with_moments(
    plan: &mut Plan,
    name: &str,
    products: &[(Window, Problem, Product)],
    tiles: &[usize],
    Forward { x, w, bias, y, .. }: Forward,
) -> Vec<Step> {
    let of_share = tiles.iter().sum::<usize>() / plan.shares.held.len();
    let partial = moments::tensor(plan, y, of_share);
    let halves = plan.tensor(y).element == Element::F16;
    let mut first_block = plan.shares.held.start * of_share;
    let step = |((window, p, product), tiles): (&(Window, Problem, Product), &usize)| {
        let bindings = vec![
            ("x", x.window(window)),
            ("weights", w.into()),
            ("bias", bias.into()),
            ("y", y.window(window)),
            ("partial", partial.into()),
        ];
        let mut constants = geometry(p);
        constants.extend([("first_block", first_block.into()), ("HALVES", halves.into())]);
        first_block += tiles;
        product.step_of(plan, name, kernel!("conv2d/forward_statistics"), constants, bindings, p.flops())
    };
    products.iter().zip(tiles).map(step).collect()
}

/// `dx` from `dy` and `w`.
pub fn data_gradient(plan: &mut Plan, name: &str, p: Problem, dy: TensorId, w: TensorId, dx: TensorId) {
    let [kernel_h, kernel_w, cin, cout] = p.weight_shape();
    let (mut steps, mut halves) = (Vec::new(), false);
    for window in plan.windows.clone() {
        let p = p.of(&window);
        let product = Product::new(p.input_pixels(), cin, [kernel_h, kernel_w, cout]);
        let product = Product { transposed_b: true, halves: Halves::ScaledA, ..product }.split_to_fill(plan);
        halves |= product.is_of_halves(plan);
        steps.extend(product.split_steps(plan, name, None, dx.window(&window), |plan, dx| {
            let bindings = vec![("grad_y", dy.window(&window)), ("weights", w.into()), ("grad_x", dx)];
            product.step(plan, name, kernel!("conv2d/data_gradient"), geometry(&p), bindings, p.flops())
        }));
    }
    let twin = move |t: &mut Values| t.set(dx, twin::data_gradient(&p, t.get(dy), t.get(w)));
    plan.node(name, steps, twin, bound_of(halves, [(dy, GRADIENT_SCALE), (w, 1.0)])).counted(p.flops());
}

/// `dw` from `x` and `dy`: each window's pixels are split into parts, whose sums are merged in order. A window has partial
/// sums of its own, so that they fit a binding however many windows there are.
pub fn weight_gradient(plan: &mut Plan, name: &str, p: Problem, x: TensorId, dy: TensorId, dw: TensorId) {
    let [kernel_h, kernel_w, cin, cout] = p.weight_shape();
    let count = p.taps() * padded(cin) * padded(cout);
    let sum = Sum::new(plan, dw);
    let (mut steps, mut halves) = (Vec::new(), false);
    let windows = sum.held().into_iter().flat_map(|Part { tensor, windows }| {
        let (first, alone) = (windows[0].index, windows.len() == 1);
        windows.into_iter().map(move |window| (tensor, window.index == first, alone, window))
    });
    for (dw, is_first, alone, window) in windows {
        let p = p.of(&window);
        let terms = match p.images_innermost() {
            true => [p.rows.output, p.columns.output, p.batch],
            false => [p.rows.output, p.batch, p.columns.output],
        };
        let product = Product::of_transposed_a(p.taps() * padded(cin), cout, terms);
        let product = Product { halves: Halves::ScaledB, ..product };
        let product = product.split_for(product.core(plan), plan.target.variant.sizes.parallel_groups);
        halves |= product.is_of_halves(plan);
        let whole = product.parts() == 1 && alone;
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
            let merge = if is_first { sum::merge } else { sum::add };
            steps.push(merge(plan, name, parts, partial.into(), dw.into()));
        }
    }
    steps.extend(sum.steps(plan, name));
    let twin = sum.twin(weight_twin(p, x, dy));
    plan.node(name, steps, twin, bound_of(halves, [(x, 1.0), (dy, GRADIENT_SCALE)])).counted(p.flops());
    sum.finish(plan, name);
}

/// The constants of `shaders/lib/pixels.wgsl` and `shaders/lib/patches.wgsl`.
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
