//! Convolution on the device against the twins: every core, several shapes and cuts of the batch.

use crate::common::device::prove;
use ocellus::engine::plan::{Layout, Plan, Target};
use ocellus::engine::shape::Padding::Same;
use ocellus::ops::case::parallel;
use ocellus::ops::conv2d::{Problem, steps};

#[test]
fn forward() {
    prove("conv2d/forward");
}

#[test]
fn statistics() {
    prove("conv2d/forward_statistics");
}

#[test]
fn data_gradient() {
    prove("conv2d/data_gradient");
}

#[test]
fn weight_gradient() {
    prove("conv2d/weight_gradient");
}

#[test]
fn weight_gradients_split_their_pixels() {
    // Windows of 960 and 480 pixels, of which a part has 64 or more, in whole rows of 24; a sum of fewer than 512 is not cut.
    let p = Problem::new([3, 24, 20, 3], 6, [3, 3], [1, 1], Same);
    for (parallel_groups, parts) in [(1, [1, 1]), (64, [12, 1])] {
        let target = parallel(&Target::default(), parallel_groups);
        let image_bytes = target.binding_bytes / 2;
        let mut plan = Plan::new(target, p.batch, image_bytes);
        let x = plan.kept_activation("x", &p.input_shape());
        let dy = plan.kept_activation("dy", &p.output_shape());
        let dw = plan.kept("dw", &p.weight_shape(), Layout::Matrix);
        steps::weight_gradient(&mut plan, "conv", p, x, dy, dw);
        let partial = |window| plan.find(&format!("conv/partial {window}")).expect("one a window");
        assert_eq!([0, 1].map(|window| plan.tensor(partial(window)).shape[0]), parts, "{parallel_groups} groups");
    }
}
