//! The dense layer on the device against the twins.

mod common;

use common::bounds::check_sum_of_products;
use common::device::{self, Both, cores};
use ocellus::ops::dense::{Problem, gpu};
use ocellus::ops::gemm::Core;
use ocellus::plan::{Layout, Plan};

fn problems() -> Vec<Problem> {
    // One of everything; ragged; the tutorial's two layers; more rows and columns than a tile; a long sum.
    [(1, 1, 1), (5, 33, 3), (3, 1024, 256), (4, 256, 8), (150, 5, 133), (2, 9216, 4)]
        .map(|(batch, inputs, outputs)| Problem { batch, inputs, outputs })
        .to_vec()
}

/// Runs one pass of every problem on every core; `build` adds it to a plan.
fn check(inputs: &[&str], output: &str, terms: fn(&Problem) -> usize, build: fn(&mut Plan, Problem)) {
    let run = |core: Core, p: Problem| {
        let mut both = Both::load(|| {
            let mut plan = device::plan(device::target(core, 64), p.batch, p.batch);
            build(&mut plan, p);
            plan
        });
        check_sum_of_products(&format!("{output} {p:?} {core:?}"), &mut both, inputs, output, terms(&p));
    };
    for core in cores() {
        for p in problems() {
            run(core, p);
        }
    }
}

#[test]
fn forward() {
    check(
        &["x", "w", "bias"],
        "y",
        |p| p.inputs + 1,
        |plan, p| {
            let x = plan.kept("x", &[p.batch, p.inputs], Layout::Rows);
            let w = plan.kept("w", &[p.inputs, p.outputs], Layout::Matrix);
            let bias = plan.kept("bias", &[p.outputs], Layout::Rows);
            let y = plan.kept("y", &[p.batch, p.outputs], Layout::Rows);
            gpu::forward(plan, "dense", p, x, w, bias, y);
        },
    );
}

#[test]
fn data_gradient() {
    check(
        &["dy", "w"],
        "dx",
        |p| p.outputs,
        |plan, p| {
            let dy = plan.kept("dy", &[p.batch, p.outputs], Layout::Rows);
            let w = plan.kept("w", &[p.inputs, p.outputs], Layout::Matrix);
            let dx = plan.kept("dx", &[p.batch, p.inputs], Layout::Rows);
            gpu::data_gradient(plan, "dense", p, dy, w, dx);
        },
    );
}

#[test]
fn weight_gradient() {
    check(
        &["x", "dy"],
        "dw",
        |p| p.batch,
        |plan, p| {
            let x = plan.kept("x", &[p.batch, p.inputs], Layout::Rows);
            let dy = plan.kept("dy", &[p.batch, p.outputs], Layout::Rows);
            let dw = plan.kept("dw", &[p.inputs, p.outputs], Layout::Matrix);
            gpu::weight_gradient(plan, "dense", p, x, dy, dw);
        },
    );
}
