//! Winograd convolution: its matrices against the twins of the convolution, its kernels within bounds made of them.

mod common;

use common::bounds::sum;
use common::device::{self, Both, cores};
use common::{assert_close, uniform, widen};
use ocellus::ops::conv2d::{self, Algorithm, gpu};
use ocellus::ops::winograd::cpu::{self, Matrices};
use ocellus::ops::winograd::{Problem, Tile, factor_shape};
use ocellus::ops::{absolute, gemm::Core};
use ocellus::plan::{Layout, Plan, Target};
use ocellus::shape::Padding;

/// A problem, and how many images of its batch fit one window.
type Case = (conv2d::Problem, usize);

fn cases() -> Vec<Case> {
    let case = |input, cout| conv2d::Problem::new(input, cout, [3, 3], [1, 1], Padding::Same);
    vec![
        (case([1, 1, 1, 1], 1), 1),
        (case([3, 2, 3, 5], 3), 2),
        (case([2, 7, 9, 33], 5), 1),
        (case([2, 8, 12, 4], 65), 2),
        (case([5, 13, 10, 8], 36), 3),
    ]
}

/// Roundings on the way of one number besides those of the sum: two transforms along two axes of each factor, and two
/// back, none of more than six terms.
const TRANSFORM_ROUNDINGS: usize = 3 * 2 * 6;

fn target(core: Core, tile: Tile) -> Target {
    Target { convolution: Some(Algorithm::Winograd(tile)), ..device::target(core, 256) }
}

fn every_case(check: impl Fn(Core, Tile, Case)) {
    for core in cores() {
        for tile in Tile::ALL {
            cases().into_iter().for_each(|case| check(core, tile, case));
        }
    }
}

/// Holds one output of a plan to the twins, within a bound made of the sums of absolute values that `magnitude` gives
/// for the absolute inputs, and asserts that Winograd's kernels computed it.
fn check(
    what: &str,
    both: &mut Both,
    inputs: [&str; 2],
    output: &str,
    terms: usize,
    magnitude: impl Fn([Vec<f64>; 2]) -> Vec<f64>,
) {
    assert!(both.plan().steps.iter().any(|step| step.kernel.path == "winograd/product"), "{what}");
    both.run();
    let numbers = inputs.map(|name| absolute(&widen(&both.twin(name))));
    let magnitude = magnitude(numbers);
    let bound = |i: usize| sum(terms + TRANSFORM_ROUNDINGS) * magnitude[i];
    let share = assert_close(what, &both.gpu(output), &both.twin(output), bound);
    println!("{what}: worst error {share:.3} of its bound");
}

#[test]
fn forward() {
    every_case(|core, tile, (p, images)| {
        let mut both = Both::load(|| {
            let mut plan = device::plan(target(core, tile), p.batch, images);
            let x = plan.kept_activation("x", &p.input_shape());
            let w = plan.kept("w", &p.weight_shape(), Layout::Matrix);
            let bias = plan.kept("bias", &[p.cout], Layout::Rows);
            let y = plan.kept_activation("y", &p.output_shape());
            gpu::forward(&mut plan, "conv", p, x, w, bias, y);
            plan
        });
        both.fill(&["x", "w", "bias"], uniform);
        let bias = both.twin("bias");
        check(
            &format!("forward {p:?}, {images} a window, {tile:?} {core:?}"),
            &mut both,
            ["x", "w"],
            "y",
            p.cin + 1,
            |[x, w]| {
                let tiled = Problem::new(&p, tile).unwrap();
                let mut magnitude = cpu::forward(&tiled, &Matrices::of(tile).absolute(), &x, &w, [p.cin, p.cout]);
                magnitude.iter_mut().enumerate().for_each(|(i, sum)| *sum += f64::from(bias[i % p.cout].abs()));
                magnitude
            },
        );
    });
}

fn backward_plan(target: Target, (p, images): Case, wants_dx: bool) -> Plan {
    let mut plan = device::plan(target, p.batch, images);
    let x = plan.kept_activation("x", &p.input_shape());
    let dy = plan.kept_activation("dy", &p.output_shape());
    let w = plan.kept("w", &p.weight_shape(), Layout::Matrix);
    let dw = plan.kept("dw", &p.weight_shape(), Layout::Matrix);
    let dx = plan.kept_activation("dx", &p.input_shape());
    let dx = wants_dx.then_some(dx);
    gpu::backward(&mut plan, "conv", p, gpu::Backward { x, dy, w, dw, dx });
    plan
}

#[test]
fn backward() {
    every_case(|core, tile, (p, images)| {
        let mut both = Both::load(|| backward_plan(target(core, tile), (p, images), true));
        both.fill(&["x", "dy", "w"], uniform);
        let (tiled, matrices) = (Problem::new(&p, tile).unwrap(), Matrices::of(tile).absolute());
        let what = |of: &str| format!("{of} gradient {p:?}, {images} a window, {tile:?} {core:?}");
        check(&what("data"), &mut both, ["dy", "w"], "dx", p.cout, |[dy, w]| {
            cpu::data_gradient(&tiled, &matrices, &dy, &w, [p.cin, p.cout])
        });
        check(&what("weight"), &mut both, ["x", "dy"], "dw", p.batch * tiled.tiles(), |[x, dy]| {
            cpu::weight_gradient(&tiled, &matrices, &x, &dy, [p.cin, p.cout])
        });
    });
}

/// A sum over many tiles is cut into parts, and chunks of images add up.
#[test]
fn long_sums_are_cut() {
    let p = conv2d::Problem::new([3, 56, 50, 4], 4, [3, 3], [1, 1], Padding::Same);
    let tile = Tile::Two;
    let tiled = Problem::new(&p, tile).unwrap();
    for core in cores() {
        // Room for the transformed tensors of two images.
        let numbers: usize = factor_shape(tiled.points(), [2 * tiled.tiles(), 4]).iter().product();
        let binding_bytes = 4 * numbers as u64;
        let target = Target { binding_bytes, parallel_groups: 64, ..target(core, tile) };
        let mut both = Both::load(|| backward_plan(target.clone(), (p, 3), false));
        let products = both.plan().steps.iter().filter(|step| step.kernel.path == "winograd/product").count();
        assert_eq!(products, 2, "{core:?}");
        both.fill(&["x", "dy", "w"], uniform);
        check(
            &format!("weight gradient {core:?}"),
            &mut both,
            ["x", "dy"],
            "dw",
            p.batch * tiled.tiles(),
            |[x, dy]| cpu::weight_gradient(&tiled, &Matrices::of(tile).absolute(), &x, &dy, [p.cin, p.cout]),
        );
    }
}

/// The matrices are right: in f64 the tiles give what the convolution's twins give.
#[test]
fn matrices_compute_the_convolution() {
    for tile in Tile::ALL {
        let matrices = Matrices::of(tile);
        for (p, _) in cases() {
            let tiled = Problem::new(&p, tile).unwrap();
            let make = |seed, shape: [usize; 4]| widen(&uniform(seed, shape.iter().product()));
            let (x, w, dy) = (make(1, p.input_shape()), make(2, p.weight_shape()), make(3, p.output_shape()));
            let channels = [p.cin, p.cout];
            let close = |what: &str, got: &[f64], want: &[f64]| {
                assert_close(&format!("{what} {p:?} {tile:?}"), got, want, |_| 1e-11);
            };
            close("y", &cpu::forward(&tiled, &matrices, &x, &w, channels), &conv2d::cpu::forward(&p, &x, &w, None));
            let dx = conv2d::cpu::data_gradient(&p, &dy, &w);
            close("dx", &cpu::data_gradient(&tiled, &matrices, &dy, &w, channels), &dx);
            let dw = conv2d::cpu::weight_gradient(&p, &x, &dy);
            close("dw", &cpu::weight_gradient(&tiled, &matrices, &x, &dy, channels), &dw);
        }
    }
}
