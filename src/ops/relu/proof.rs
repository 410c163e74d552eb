//! Cases of ReLU.

use super::{Relu, steps};
use crate::engine::numbers::uniform;
use crate::engine::plan::{Plan, Target};
use crate::ops::Example;
use crate::ops::case::{Case, Expect, empty_plan, folded};

/// Shapes with how many images fit a window.
const SHAPES: [([usize; 3], usize); 5] =
    [([1, 1, 1], 1), ([5, 1, 3], 2), ([3, 77, 5], 2), ([4, 35, 33], 3), ([1, 512, 4], 1)];

/// 2,625 vec4s are 11 workgroups of 256.
const FOLDED: [usize; 3] = [1, 875, 12];

/// Every seventh number is exactly 0, where TensorFlow's gradient is 0.
fn with_zeros(seed: u64, count: usize) -> Vec<f32> {
    let zero = |(i, number): (usize, f32)| if i % 7 == 3 { 0.0 } else { number };
    uniform(seed, count).into_iter().enumerate().map(zero).collect()
}

fn forward(target: &Target, shape: [usize; 3], images: usize) -> Plan {
    let mut plan = empty_plan(target, shape[0], images);
    let [x, y] = ["x", "y"].map(|name| plan.kept_activation(name, &shape));
    steps::forward(&mut plan, "relu", x, y);
    plan
}

fn backward(target: &Target, shape: [usize; 3], images: usize) -> Plan {
    let mut plan = empty_plan(target, shape[0], images);
    let [y, dy, dx] = ["y", "dy", "dx"].map(|name| plan.kept_activation(name, &shape));
    steps::backward(&mut plan, "relu", y, dy, dx);
    plan
}

pub fn cases() -> Vec<Case> {
    // Zeros in the first of the inputs only: a gradient that is 0 there would hide what is made of it.
    let numbers = |seed, count| if seed == 0 { with_zeros(seed, count) } else { uniform(seed, count) };
    let on = |case: Case, names: &'static [&'static str]| {
        case.round("numbers with zeros", Expect::Bounded, move |inputs| inputs.fill(names, numbers)).telling_if(true)
    };
    let mut cases = Vec::new();
    for (shape, images) in SHAPES {
        let about = format!("{shape:?}, {images} a window");
        cases.push(on(Case::new("relu/forward", &about, move |t| forward(t, shape, images)), &["x"]));
        cases.push(on(Case::new("relu/backward", &about, move |t| backward(t, shape, images)), &["y", "dy"]));
    }
    let about = format!("{FOLDED:?}, folded");
    cases.push(on(Case::new("relu/forward", &about, |t| folded(t, |t| forward(t, FOLDED, 1))), &["x"]));
    cases.push(on(Case::new("relu/backward", &about, |t| folded(t, |t| backward(t, FOLDED, 1))), &["y", "dy"]));
    let special = [f32::NAN, -f32::NAN, 1.0, -1.0, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0];
    cases.push(
        Case::new("relu/forward", "NaN", |t| forward(t, [1, 2, 4], 1))
            .round("NaN and infinities", Expect::SameNan, move |inputs| inputs.write("x", &special))
            .telling_if(true),
    );
    cases
}

/// Problems that prove it, of images and of values without positions.
pub fn examples() -> Vec<Example> {
    vec![Example::new(Relu {}, 1, &[[101, 1, 1]]), Example::new(Relu {}, 3, &[[5]])]
}
