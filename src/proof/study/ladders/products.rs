//! Ladders of the matrix product and of the passes of a convolution.

use crate::engine::numbers::uniform;
use crate::engine::plan::{Layout, Plan, Target};
use crate::engine::shape::{Padding, padded};
use crate::engine::variant::{Algorithm, Tile};
use crate::ops::case::{Case, Expect, empty_plan};
use crate::ops::{conv2d, dense};
use crate::proof::study::ladder::{Ladder, Size};

/// The matrix product; training's is that of the dense layer, with a bias of zeros.
pub fn gemm() -> Ladder {
    Ladder {
        op: "gemm",
        formula: "c[m, n] = sum over k of a[m, k] * b[k, n]",
        bindings: &[("a", "a"), ("b", "b"), ("c", "c")],
        algorithms: &[],
        sizes: [[1, 1, 1], [5, 3, 33], [64, 64, 64], [130, 70, 100], [67, 129, 530]].map(product).into(),
        timed: [[512; 3], [1024; 3]].map(product),
    }
}

fn product([m, n, k]: [usize; 3]) -> Size {
    let p = dense::Problem { batch: m, inputs: k, outputs: n };
    let build = move |target: &Target| {
        let mut plan = empty_plan(target, 1, 1);
        let a = plan.kept("a", &[m, k], Layout::Rows);
        let b = plan.kept("b", &[k, n], Layout::Matrix);
        let bias = plan.kept("bias", &[n], Layout::Rows);
        let c = plan.kept("c", &[m, n], Layout::Rows);
        dense::steps::forward(&mut plan, "product", p, a, b, bias, c);
        plan
    };
    let case = Case::new("dense/forward", format!("[{m}, {k}] by [{k}, {n}]"), build).round(
        "uniform numbers",
        Expect::Bounded,
        move |inputs| {
            inputs.fill(&["a", "b"], uniform);
            inputs.write("bias", &vec![0.0; n]);
        },
    );
    let constants = vec![
        ("M", m.into()),
        ("N", n.into()),
        ("K", k.into()),
        ("N4", (padded(n) / 4).into()),
        ("K4", (padded(k) / 4).into()),
    ];
    Size { case, constants, flops: p.flops(), is_hard: false }
}

/// Images, height, width, channels in and out.
type Shape = [usize; 5];

/// One pixel, odd sides, more pixels and channels than a tile, sides that no tile of Winograd's divides.
const SHAPES: [Shape; 4] = [[1, 1, 1, 1, 1], [2, 5, 7, 3, 6], [1, 8, 8, 20, 68], [3, 9, 6, 33, 5]];
const TIMED: [Shape; 2] = [[8, 32, 32, 32, 32], [32, 32, 32, 64, 64]];

const ALGORITHMS: &[Algorithm] = &[Algorithm::Direct, Algorithm::Winograd(Tile::Two), Algorithm::Winograd(Tile::Four)];

/// The three passes of a convolution of 3 x 3 taps with stride 1 and `same` padding.
pub fn conv2d() -> [Ladder; 3] {
    let ladder = |op, formula, bindings, build: Build, inputs| Ladder {
        op,
        formula,
        bindings,
        algorithms: ALGORITHMS,
        sizes: SHAPES.map(|shape| convolution(shape, build, inputs)).into(),
        timed: TIMED.map(|shape| convolution(shape, build, inputs)),
    };
    [
        ladder(
            "conv2d/forward",
            "y[b, oy, ox, o] = bias[o] + sum over ky, kx, i of x[b, oy + ky - 1, ox + kx - 1, i] * w[ky, kx, i, o]",
            &[("x", "x"), ("weights", "w"), ("bias", "bias"), ("y", "y")],
            forward,
            &["x", "w", "bias"],
        ),
        ladder(
            "conv2d/data_gradient",
            "dx[b, iy, ix, i] = sum over ky, kx, o of dy[b, iy - ky + 1, ix - kx + 1, o] * w[ky, kx, i, o]",
            &[("grad_y", "dy"), ("weights", "w"), ("grad_x", "dx")],
            data_gradient,
            &["dy", "w"],
        ),
        ladder(
            "conv2d/weight_gradient",
            "dw[ky, kx, i, o] = sum over b, oy, ox of x[b, oy + ky - 1, ox + kx - 1, i] * dy[b, oy, ox, o]",
            &[("x", "x"), ("grad_y", "dy"), ("grad_w", "dw")],
            weight_gradient,
            &["x", "dy"],
        ),
    ]
}

type Build = fn(&Target, conv2d::Problem) -> Plan;

fn convolution(shape: Shape, build: Build, inputs: &'static [&'static str]) -> Size {
    let [images, height, width, cin, cout] = shape;
    let p = conv2d::Problem::new([images, height, width, cin], cout, [3; 2], [1; 2], Padding::Same);
    let about = format!("[{images}, {height}, {width}, {cin}] to {cout} channels");
    let constants = vec![
        ("IMAGES", images.into()),
        ("HEIGHT", height.into()),
        ("WIDTH", width.into()),
        ("CIN", cin.into()),
        ("COUT", cout.into()),
        ("CIN4", (padded(cin) / 4).into()),
        ("COUT4", (padded(cout) / 4).into()),
    ];
    let case = Case::new("conv2d", about, move |target| build(target, p)).uniform(inputs);
    Size { case, constants, flops: p.flops(), is_hard: false }
}

fn forward(target: &Target, p: conv2d::Problem) -> Plan {
    let mut plan = empty_plan(target, p.batch, p.batch);
    let x = plan.kept_activation("x", &p.input_shape());
    let w = plan.kept("w", &p.weight_shape(), Layout::Matrix);
    let bias = plan.kept("bias", &[p.cout], Layout::Rows);
    let y = plan.kept_activation("y", &p.output_shape());
    conv2d::steps::forward(&mut plan, "conv", p, conv2d::steps::Forward { x, w, bias, y, moments: false });
    plan
}

fn data_gradient(target: &Target, p: conv2d::Problem) -> Plan {
    backward(target, p, true)
}

fn weight_gradient(target: &Target, p: conv2d::Problem) -> Plan {
    backward(target, p, false)
}

/// The gradient of the input or that of the weights.
fn backward(target: &Target, p: conv2d::Problem, of_input: bool) -> Plan {
    let mut plan = empty_plan(target, p.batch, p.batch);
    let [x, dx] = ["x", "dx"].map(|name| plan.kept_activation(name, &p.input_shape()));
    let dy = plan.kept_activation("dy", &p.output_shape());
    let [w, dw] = ["w", "dw"].map(|name| plan.kept(name, &p.weight_shape(), Layout::Matrix));
    let (dw, dx) = if of_input { (None, Some(dx)) } else { (Some(dw), None) };
    conv2d::steps::backward(&mut plan, "conv", p, conv2d::steps::Backward { x, dy, w, dw, dx });
    plan
}
