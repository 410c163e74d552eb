//! Cases of convolution: forward and both gradients.

use super::{Conv2d, Problem, steps, winograd};
use crate::engine::numbers::uniform;
use crate::engine::plan::{Layout, Plan, Shares, Target};
use crate::engine::shape::Padding::{self, Same, Valid};
use crate::engine::variant::Algorithm;
use crate::ops::Example;
use crate::ops::batch_norm;
use crate::ops::case::{Case, Expect, empty_plan, folding_raggedly, parallel, with};

/// One convolution, and how its batch is cut.
#[derive(Clone, Copy)]
struct Size {
    p: Problem,
    /// How many images of the batch fit a window.
    images: usize,
    telling: bool,
}

fn sizes() -> Vec<Size> {
    let size = |p, images| Size { p, images, telling: false };
    let telling = |p, images| Size { p, images, telling: true };
    let new = Problem::new;
    vec![
        size(new([1, 1, 1, 1], 1, [1, 1], [1, 1], Same), 1),
        size(new([5, 1, 1, 3], 5, [3, 3], [1, 1], Same), 2),
        telling(new([2, 7, 9, 5], 33, [3, 3], [1, 1], Same), 1),
        telling(new([3, 8, 10, 3], 6, [3, 3], [2, 2], Same), 2),
        size(new([4, 9, 8, 33], 3, [5, 5], [2, 2], Valid), 3),
        size(new([1, 6, 7, 33], 65, [1, 1], [1, 1], Same), 1),
        size(new([2, 9, 5, 4], 8, [5, 3], [2, 1], Same), 2),
        size(new([1, 8, 9, 3], 2, [3, 2], [2, 3], Valid), 1),
        // Few rows and many terms: sums are cut along rows of taps and channels, and along columns of taps.
        telling(new([2, 3, 2, 40], 36, [3, 3], [1, 1], Same), 1),
        size(new([2, 4, 6, 66], 64, [1, 5], [1, 1], Same), 2),
        // More rows and columns than the largest tile has.
        size(new([5, 13, 11, 8], 132, [3, 3], [1, 1], Same), 2),
        // Small images side by side: whole tiles leave out taps that fall outside. One pixel, one row, odd strides.
        telling(new([9, 1, 1, 33], 1, [3, 3], [1, 1], Same), 9),
        size(new([70, 2, 3, 5], 6, [3, 3], [1, 1], Same), 35),
        size(new([36, 5, 4, 3], 5, [3, 3], [2, 2], Same), 36),
        size(new([33, 4, 5, 2], 3, [2, 3], [1, 2], Valid), 33),
        size(new([160, 3, 4, 4], 4, [5, 5], [1, 1], Same), 160),
        // Enough channels and columns for matrix units in every pass: ragged, with small images side by side, with strides.
        telling(new([2, 5, 19, 20], 36, [3, 3], [1, 1], Same), 1),
        telling(new([18, 2, 3, 17], 18, [3, 3], [1, 1], Same), 18),
        size(new([2, 9, 34, 16], 70, [3, 2], [2, 2], Valid), 1),
    ]
}

fn forward(target: &Target, Size { p, images, .. }: Size) -> Plan {
    forward_in(empty_plan(target, p.batch, images), p)
}

/// A convolution forward, in an empty plan.
pub(super) fn forward_in(mut plan: Plan, p: Problem) -> Plan {
    let x = plan.kept_activation("x", &p.input_shape());
    let w = plan.kept("w", &p.weight_shape(), Layout::Matrix);
    let bias = plan.kept("bias", &[p.cout], Layout::Rows);
    let y = plan.kept_activation("y", &p.output_shape());
    steps::forward(&mut plan, "conv", p, steps::Forward { x, w, bias, y, moments: false });
    plan
}

/// Forward, and the statistics of a batch norm from the moments that the pass leaves, in an empty plan.
pub(super) fn statistics_in(mut plan: Plan, p: Problem) -> Plan {
    let x = plan.kept_activation("x", &p.input_shape());
    let w = plan.kept("w", &p.weight_shape(), Layout::Matrix);
    let bias = plan.kept("bias", &[p.cout], Layout::Rows);
    let y = plan.output("y", &p.output_shape());
    plan.keep(y, "y");
    steps::forward(&mut plan, "conv", p, steps::Forward { x, w, bias, y, moments: true });
    let statistics = plan.kept("statistics", &[2, p.cout], Layout::Rows);
    let moving = plan.persistent("moving", &[2, p.cout], Layout::Rows);
    let norm = batch_norm::Problem { batch: p.batch, positions: p.rows.output * p.columns.output, channels: p.cout };
    batch_norm::steps::statistics(&mut plan, "bn", norm, y, statistics, moving);
    plan
}

/// A case of the statistics of [`statistics_in`], which takes numbers that were computed, and not made up.
pub(super) fn of_statistics(
    name: &'static str,
    about: String,
    p: Problem,
    build: impl Fn(&Target) -> Plan + Send + Sync + 'static,
) -> Case {
    Case::new(name, about, build)
        .round("uniform numbers", Expect::BoundedAny, |inputs| inputs.fill(&["x", "w", "bias"], uniform))
        .round("a large mean", Expect::BoundedAny, move |inputs| {
            inputs.fill(&["x", "w"], uniform);
            inputs.write("bias", &vec![100.0; p.cout]);
        })
}

/// Cases of the moments that forward leaves.
pub fn statistics_cases() -> Vec<Case> {
    let size = |input, cout, kernel, images| Size {
        p: Problem::new(input, cout, kernel, [1, 1], Same),
        images,
        telling: false,
    };
    // Shares of the batch, and whether the output is in half precision. The last rows and columns of most tiles are past an edge.
    let of_all = [
        (Size { telling: true, ..size([4, 7, 9, 5], 33, [3, 3], 1) }, 2, false),
        (Size { telling: true, ..size([3, 9, 11, 3], 6, [3, 3], 2) }, 1, true),
        (size([1, 1, 1, 1], 1, [1, 1], 1), 1, false),
        (size([2, 13, 11, 8], 132, [3, 3], 1), 1, true),
        // Small images side by side.
        (size([70, 2, 3, 5], 6, [3, 3], 35), 2, false),
        // Tiles of 32 columns, and enough blocks for runs of them to be merged first.
        (size([2, 132, 128, 3], 8, [3, 3], 1), 1, false),
        (Size { p: Problem::new([3, 8, 10, 3], 6, [3, 3], [2, 2], Valid), images: 3, telling: false }, 1, false),
    ];
    let case = |(size, shares, halves): (Size, usize, bool)| {
        let Size { p, images, telling } = size;
        let stored = if halves { ", halves" } else { "" };
        let about = format!("{:?} to {}, {images} a window, {shares} shares{stored}", p.input_shape(), p.cout);
        let build = move |target: &Target| {
            // So few groups that no sum is split.
            let target = with(&parallel(target, 1), Algorithm::Direct);
            let target = Target { shares: Shares::all(shares), half_activations: halves, ..target };
            statistics_in(empty_plan(&target, p.batch, images), p)
        };
        of_statistics("conv2d/forward_statistics", about, p, build).telling_if(telling)
    };
    of_all.map(case).into()
}

fn data_gradient(target: &Target, Size { p, images, .. }: Size) -> Plan {
    let mut plan = empty_plan(target, p.batch, images);
    let dy = plan.kept_activation("dy", &p.output_shape());
    let w = plan.kept("w", &p.weight_shape(), Layout::Matrix);
    let dx = plan.kept_activation("dx", &p.input_shape());
    steps::data_gradient(&mut plan, "conv", p, dy, w, dx);
    plan
}

fn weight_gradient(target: &Target, Size { p, images, .. }: Size) -> Plan {
    let mut plan = empty_plan(target, p.batch, images);
    let x = plan.kept_activation("x", &p.input_shape());
    let dy = plan.kept_activation("dy", &p.output_shape());
    let dw = plan.kept("dw", &p.weight_shape(), Layout::Matrix);
    steps::weight_gradient(&mut plan, "conv", p, x, dy, dw);
    plan
}

type Build = fn(&Target, Size) -> Plan;
const FORWARD: (&str, Build, &[&str]) = ("conv2d/forward", forward, &["x", "w", "bias"]);
const DATA: (&str, Build, &[&str]) = ("conv2d/data_gradient", data_gradient, &["dy", "w"]);
const WEIGHT: (&str, Build, &[&str]) = ("conv2d/weight_gradient", weight_gradient, &["x", "dy"]);

fn case(
    (kernel, build, inputs): (&'static str, Build, &'static [&'static str]),
    size: Size,
    extra: &str,
    adapt: impl Fn(&Target) -> Target + Send + Sync + 'static,
) -> Case {
    let Size { p, images, telling } = size;
    let about = format!(
        "{:?} to {}, kernel {} x {}, stride {} x {}, {images} a window{extra}",
        p.input_shape(),
        p.cout,
        p.rows.kernel,
        p.columns.kernel,
        p.rows.stride,
        p.columns.stride,
    );
    let direct = move |t: &Target| with(&adapt(t), Algorithm::Direct);
    Case::new(kernel, about, move |t| build(&direct(t), size)).sums(inputs).telling_if(telling)
}

/// All three passes of one convolution, of which `images` images fit a window.
pub fn all(p: Problem, images: usize) -> [Case; 3] {
    all_of(Size { p, images, telling: false })
}

fn all_of(size: Size) -> [Case; 3] {
    [FORWARD, DATA, WEIGHT].map(|pass| case(pass, size, "", |t| parallel(t, 64)))
}

pub fn cases() -> Vec<Case> {
    direct().into_iter().chain(statistics_cases()).chain(winograd::proof::cases()).collect()
}

/// Cases of direct convolution.
pub fn direct() -> Vec<Case> {
    let mut cases: Vec<Case> = sizes().into_iter().flat_map(all_of).collect();
    // Weight gradients of windows of 960 and 480 pixels: whole, and in 4 and 2 parts.
    let pixels = Size { p: Problem::new([3, 24, 20, 3], 6, [3, 3], [1, 1], Same), images: 2, telling: false };
    for groups in [1, 64] {
        cases.push(case(WEIGHT, pixels, &format!(", {groups} groups"), move |t| parallel(t, groups)));
    }
    // Lavapipe of Mesa 22.3 silently ends every loop of an invocation past its 65,535th iteration. Unless the driver
    // unrolls the core's inner loops, a sum of this many terms has more.
    let long =
        |input, cout, kernel| Size { p: Problem::new(input, cout, kernel, [1, 1], Same), images: 1, telling: false };
    for size in [1, 2] {
        cases.push(case(FORWARD, long([1, size, size, 1024], 4, [3, 3]), ", long sums", |t| parallel(t, 1)));
        cases.push(case(DATA, long([1, size, size, 4], 1024, [3, 3]), ", long sums", |t| parallel(t, 1)));
    }
    cases.push(case(WEIGHT, long([1, 96, 96, 1], 4, [1, 1]), ", long sums", |t| parallel(t, 1)));
    // 576 pixels by 160 channels: 21 tiles of 64 x 64, for one, so a limit that leaves the last row of the fold ragged.
    let tiles = long([1, 24, 24, 4], 160, [1, 1]);
    cases.push(case(FORWARD, tiles, ", folded", move |t| {
        folding_raggedly(t, &forward(&with(t, Algorithm::Direct), tiles))
    }));
    cases
}

/// Problems that prove it: both paddings, odd and even sizes, strides, kernels larger than the image.
pub fn examples() -> Vec<Example> {
    let conv = |batch, image, filters, kernel, stride, padding| {
        Example::new(Conv2d { filters, kernel, stride, padding }, batch, &[image])
    };
    vec![
        conv(2, [5, 4, 3], 5, 3, 1, Padding::Same),
        conv(1, [6, 7, 2], 3, 3, 2, Padding::Same),
        conv(2, [7, 5, 1], 4, 5, 2, Padding::Same),
        conv(1, [2, 9, 3], 1, 4, 3, Padding::Same),
        conv(3, [1, 1, 2], 3, 3, 1, Padding::Same),
        conv(1, [5, 6, 3], 2, 1, 2, Padding::Same),
        conv(2, [6, 7, 2], 3, 3, 1, Padding::Valid),
        conv(1, [8, 9, 3], 2, 3, 2, Padding::Valid),
    ]
}
