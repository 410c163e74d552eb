//! Kernels on shapes that nobody chose. The shapes are the same in every run; one that fails is made as small as still
//! fails and printed.

use crate::common::device::device;
use ocellus::engine::shape::Padding;
use ocellus::ops;
use ocellus::ops::case::Case;
use ocellus::ops::{batch_norm, conv2d, dense, max_pool};
use ocellus::proof::doctor::run_cases;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

/// Drivers compile every kernel for every shape, which on a software adapter takes a second each.
const SHAPES: u32 = 12;

fn for_some<S: Strategy>(shapes: S, check: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases: SHAPES, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner.run(&shapes, check).unwrap_or_else(|error| panic!("{error}"));
}

/// Holds cases to their bounds, in every variant.
fn prove(cases: impl Into<Vec<Case>>) -> Result<(), TestCaseError> {
    for row in run_cases(device(), &cases.into(), |_| {}).expect("the device answers") {
        prop_assert!(row.findings.passed(), "{}, {}: {}", row.kernel, row.variant, row.findings.faults.join("\n"));
    }
    Ok(())
}

#[test]
fn convolutions() {
    let sizes = (1..=12usize, 1..=9usize, 1..=9usize, 1..=9usize, 1..=9usize);
    let windows = ([1..=4usize, 1..=4usize], [1..=3usize, 1..=3usize], any::<bool>(), 1..=12usize);
    for_some((sizes, windows), |((batch, height, width, cin, cout), (kernel, stride, same, images))| {
        let fits = same || kernel[0] <= height && kernel[1] <= width;
        prop_assume!(fits);
        let padding = if same { Padding::Same } else { Padding::Valid };
        let p = ops::conv2d::Problem::new([batch, height, width, cin], cout, kernel, stride, padding);
        prove(conv2d::proof::all(p, images.min(batch)))
    });
}

#[test]
fn dense_layers() {
    for_some((1..=40usize, 1..=70usize, 1..=70usize), |(batch, inputs, outputs)| {
        prove(dense::proof::all(ops::dense::Problem { batch, inputs, outputs }))
    });
}

#[test]
fn max_pools() {
    let sizes = (1..=5usize, 3..=11usize, 3..=11usize, 1..=9usize);
    let windows = ([1..=3usize, 1..=3usize], [1..=4usize, 1..=4usize], 1..=5usize);
    for_some((sizes, windows), |((batch, height, width, channels), (window, stride, images))| {
        let p = ops::max_pool::Problem::new([batch, height, width, channels], window, stride);
        prove(max_pool::proof::both(p, images.min(batch), None))
    });
}

#[test]
fn batch_norms() {
    let sizes = (1..=5usize, 1..=200usize, 1..=40usize, 1..=5usize, 1..=20usize);
    for_some(sizes, |(batch, positions, channels, images, groups)| {
        let p = ops::batch_norm::Problem { batch, positions, channels };
        prove(batch_norm::proof::all(p, images.min(batch), groups))
    });
}
