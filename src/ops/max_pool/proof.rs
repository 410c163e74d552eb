//! Cases of max pooling.

use super::{MaxPool, Problem, steps};
use crate::engine::numbers::{uniform, whole};
use crate::engine::plan::{Plan, Target};
use crate::ops::Example;
use crate::ops::case::{Case, Expect, empty_plan, folding};

/// Problems with how many images of the batch fit a window: odd sizes whose last row and column no window takes,
/// windows that overlap, gaps between windows.
fn problems() -> [(Problem, usize); 6] {
    [
        (Problem::new([1, 2, 2, 1], [2, 2], [2, 2]), 1),
        (Problem::new([5, 7, 9, 3], [2, 2], [2, 2]), 2),
        (Problem::new([3, 8, 6, 33], [2, 2], [2, 2]), 1),
        (Problem::new([4, 9, 8, 5], [3, 3], [2, 2]), 3),
        (Problem::new([2, 6, 7, 4], [3, 2], [1, 3]), 1),
        (Problem::new([2, 5, 5, 1], [1, 1], [3, 3]), 2),
    ]
}

fn forward(target: &Target, p: Problem, images: usize) -> Plan {
    let mut plan = empty_plan(target, p.batch, images);
    let x = plan.kept_activation("x", &p.input_shape());
    let y = plan.kept_activation("y", &p.output_shape());
    steps::forward(&mut plan, "pool", p, x, y);
    plan
}

fn backward(target: &Target, p: Problem, images: usize) -> Plan {
    let mut plan = empty_plan(target, p.batch, images);
    let [x, dx] = ["x", "dx"].map(|name| plan.kept_activation(name, &p.input_shape()));
    let dy = plan.kept_activation("dy", &p.output_shape());
    steps::backward(&mut plan, "pool", p, x, dy, dx);
    plan
}

/// All numbers below 0: a maximum that starts from 0 would win.
fn negative(seed: u64, count: usize) -> Vec<f32> {
    uniform(seed, count).iter().map(|number| number - 1.5).collect()
}

/// Both passes of one pooling; `images` fit a window, and dispatches fold past `limit` workgroups.
pub fn both(p: Problem, images: usize, limit: Option<u32>) -> [Case; 2] {
    let about = format!(
        "{:?}, window {} x {}, stride {} x {}, {images} a window{}",
        p.input_shape(),
        p.rows.kernel,
        p.columns.kernel,
        p.rows.stride,
        p.columns.stride,
        if limit.is_some() { ", folded" } else { "" },
    );
    let adapt = move |t: &Target| limit.map_or(t.clone(), |limit| folding(t, limit));
    [
        Case::new("max_pool/forward", &about, move |t| forward(&adapt(t), p, images))
            .round("negative numbers", Expect::Bounded, |inputs| inputs.fill(&["x"], negative))
            .telling_if(true),
        // Whole numbers have many ties.
        Case::new("max_pool/backward", &about, move |t| backward(&adapt(t), p, images))
            .round("ties", Expect::Exact, |inputs| inputs.fill(&["x", "dy"], whole))
            .uniform(&["x", "dy"])
            .telling_if(true),
    ]
}

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = problems().into_iter().flat_map(|(p, images)| both(p, images, None)).collect();
    // 25 x 26 x 4 vec4s forward, and as many backward, are 11 workgroups.
    let [forward_of_large, _] = both(Problem::new([1, 50, 52, 16], [2, 2], [2, 2]), 1, Some(4));
    let [_, backward_of_small] = both(Problem::new([1, 25, 26, 16], [2, 2], [2, 2]), 1, Some(4));
    cases.extend([forward_of_large, backward_of_small]);

    let one_window = Problem::new([1, 2, 2, 1], [2, 2], [2, 2]);
    let ties = [[5.0, 5.0, 5.0, 5.0], [1.0, 5.0, 5.0, 5.0], [1.0, 2.0, 5.0, 5.0]];
    let first = Case::new("max_pool/backward", "equal maxima", move |t| backward(t, one_window, 1)).telling_if(true);
    cases.push(ties.into_iter().fold(first, |case, x| {
        case.round("the first takes the gradient", Expect::Exact, move |inputs| {
            inputs.write("x", &x);
            inputs.write("dy", &[1.0]);
        })
    }));
    // A channel that a batch norm has filled with NaN must not come out as numbers.
    cases.push(
        Case::new("max_pool/forward", "NaN", move |t| forward(t, one_window, 1))
            .round("NaN", Expect::SameNan, |inputs| inputs.write("x", &[f32::NAN; 4]))
            .telling_if(true),
    );
    cases
}

/// Problems that prove it: a last row and column that no window takes, windows that overlap, gaps between windows.
pub fn examples() -> Vec<Example> {
    let pool = |batch, image, window, stride| Example::new(MaxPool { window, stride }, batch, &[image]);
    vec![pool(2, [6, 4, 3], 2, 2), pool(1, [7, 5, 2], 2, 2), pool(2, [9, 8, 1], 3, 2), pool(1, [8, 9, 3], 2, 3)]
}
