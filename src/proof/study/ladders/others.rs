//! Ladders of reductions and of what is computed element by element.

use crate::engine::numbers::{uniform, whole};
use crate::engine::plan::{Layout, Plan, Target};
use crate::engine::shape::padded;
use crate::ops::case::{Case, Expect, Inputs, empty_plan};
use crate::ops::{batch_norm, bias, max_pool, softmax_cross_entropy};
use crate::proof::study::ladder::{Ladder, Size};

pub fn all() -> [Ladder; 4] {
    [
        Ladder {
            op: "batch_norm/statistics",
            formula: "mean[c] = sum over rows of x[row, c] / n, variance[c] = sum over rows of (x[row, c] - mean[c])^2 / n",
            bindings: &[("x", "x"), ("statistics", "statistics")],
            algorithms: &[],
            sizes: vec![
                statistics([1, 1, 1], 0.0),
                statistics([2, 143, 5], 0.5),
                statistics([3, 700, 33], 0.5),
                statistics([2, 500, 8], 100.0).hard(),
            ],
            timed: [[8, 64 * 64, 128], [32, 40 * 40, 256]].map(|shape| statistics(shape, 0.5)),
        },
        Ladder {
            op: "max_pool/backward",
            formula: "dx[b, iy, ix, c] = dy of its window where x is the first of the window's largest, else 0",
            bindings: &[("x", "x"), ("grad_y", "dy"), ("grad_x", "dx")],
            algorithms: &[],
            sizes: vec![
                pool([1, 2, 2, 1], false),
                pool([2, 7, 9, 3], false),
                pool([3, 8, 6, 33], false),
                pool([2, 7, 8, 5], true).hard(),
            ],
            timed: [[8, 64, 64, 64]; 2].map(|shape| pool(shape, false)),
        },
        Ladder {
            op: "softmax_cross_entropy/forward",
            formula: "p[c] = exp(z[c]) / sum of exp(z), dz[c] = weight[label] * (p[c] - (c == label)) / batch",
            bindings: &[
                ("logits", "logits"),
                ("labels", "labels"),
                ("class_weight", "class_weight"),
                ("probabilities", "probabilities"),
                ("grad_logits", "dlogits"),
            ],
            algorithms: &[],
            sizes: vec![
                softmax([1, 1], 5.0),
                softmax([5, 3], 5.0),
                softmax([130, 8], 5.0),
                softmax([3, 133], 5.0),
                softmax([64, 5], 1000.0).hard(),
            ],
            timed: [[16384, 8]; 2].map(|shape| softmax(shape, 5.0)),
        },
        Ladder {
            op: "bias/gradient",
            formula: "db[c] = sum over rows of dy[row, c]",
            bindings: &[("grad_y", "dy"), ("grad_bias", "db")],
            algorithms: &[],
            sizes: [[1, 1, 1], [2, 143, 5], [3, 700, 33], [4, 300, 260]].map(|shape| sum(shape).hard()).into(),
            timed: [[8, 64 * 64, 128], [32, 40 * 40, 256]].map(sum),
        },
    ]
}

/// Batch, positions, channels; each channel's values are uniform in -1..1 about `mean`, or minus that.
fn statistics(shape: [usize; 3], mean: f32) -> Size {
    let [batch, positions, channels] = shape;
    let p = batch_norm::Problem { batch, positions, channels };
    let build = move |target: &Target| {
        let mut plan = empty_plan(target, batch, batch);
        let x = plan.kept_activation("x", &shape);
        let [statistics, moving] = ["statistics", "moving"].map(|name| plan.kept(name, &[2, channels], Layout::Rows));
        batch_norm::steps::statistics(&mut plan, "statistics", p, x, statistics, moving);
        plan
    };
    let write = move |inputs: &mut Inputs| {
        let sign = |i: usize| if (i % channels).is_multiple_of(2) { 1.0 } else { -1.0 };
        let numbers = uniform(1, p.rows() * channels).into_iter().enumerate();
        inputs.write("x", &numbers.map(|(i, number)| number + sign(i) * mean).collect::<Vec<_>>());
        inputs.write("moving", &vec![0.0; 2 * channels]);
    };
    let case = Case::new("batch_norm/statistics", format!("{shape:?}, means of {mean}"), build).round(
        "uniform numbers",
        Expect::Bounded,
        write,
    );
    let constants =
        vec![("ROWS", p.rows().into()), ("CHANNELS", channels.into()), ("COLUMNS4", (padded(channels) / 4).into())];
    Size { case, constants, flops: 6 * (p.rows() * channels) as u64, is_hard: false }
}

/// A pool of windows of 2 x 2 side by side, on numbers with or without ties.
fn pool(shape: [usize; 4], ties: bool) -> Size {
    let p = max_pool::Problem::new(shape, [2; 2], [2; 2]);
    let build = move |target: &Target| {
        let mut plan: Plan = empty_plan(target, p.batch, p.batch);
        let [x, dx] = ["x", "dx"].map(|name| plan.kept_activation(name, &p.input_shape()));
        let dy = plan.kept_activation("dy", &p.output_shape());
        max_pool::steps::backward(&mut plan, "pool", p, x, dy, dx);
        plan
    };
    let case = Case::new("max_pool/backward", format!("{shape:?}{}", if ties { ", ties" } else { "" }), build);
    let case = match ties {
        true => case.round("whole numbers", Expect::Exact, |inputs| inputs.fill(&["x", "dy"], whole)),
        false => case.uniform(&["x", "dy"]),
    };
    let constants = vec![
        ("IMAGES", p.batch.into()),
        ("HEIGHT", p.rows.input.into()),
        ("WIDTH", p.columns.input.into()),
        ("CHANNELS4", (padded(p.channels) / 4).into()),
        ("OUT_HEIGHT", p.rows.output.into()),
        ("OUT_WIDTH", p.columns.output.into()),
    ];
    let flops = 4 * p.output_shape().iter().product::<usize>() as u64;
    Size { case, constants, flops, is_hard: false }
}

/// Samples and classes; logits in `-range..range`.
fn softmax([batch, classes]: [usize; 2], range: f32) -> Size {
    let p = softmax_cross_entropy::Problem { batch, classes };
    let build = move |target: &Target| {
        let mut plan = empty_plan(target, batch, batch);
        let shape = [batch, classes];
        let [logits, probabilities, dlogits] =
            ["logits", "probabilities", "dlogits"].map(|name| plan.kept(name, &shape, Layout::Rows));
        let labels = plan.integers("labels", &[batch]);
        let class_weight = plan.kept("class_weight", &[classes], Layout::Rows);
        let metrics = plan.kept("metrics", &[4], Layout::Packed);
        let tensors = softmax_cross_entropy::Tensors { logits, labels, class_weight, probabilities, dlogits, metrics };
        softmax_cross_entropy::steps::forward(&mut plan, "loss", p, tensors, 0.0);
        plan
    };
    let write = move |inputs: &mut Inputs| {
        inputs.write("logits", &uniform(1, batch * classes).iter().map(|z| z * range).collect::<Vec<_>>());
        inputs.write_integers("labels", &(0..batch).map(|sample| (sample * 3 % classes) as u32).collect::<Vec<_>>());
        inputs.write("class_weight", &uniform(2, classes).iter().map(|w| 1.0 + w / 2.0).collect::<Vec<_>>());
    };
    let case = Case::new("softmax_cross_entropy/forward", format!("[{batch}, {classes}], logits to {range}"), build)
        .round("uniform logits", Expect::Bounded, write);
    let constants = vec![("BATCH", batch.into()), ("CLASSES", classes.into()), ("STRIDE", padded(classes).into())];
    Size { case, constants, flops: 8 * (batch * classes) as u64, is_hard: false }
}

/// Batch, positions, channels.
fn sum(shape: [usize; 3]) -> Size {
    let [batch, positions, channels] = shape;
    let p = bias::Problem { batch, positions, channels };
    let build = move |target: &Target| {
        let mut plan = empty_plan(target, batch, batch);
        let dy = plan.kept_activation("dy", &shape);
        let db = plan.kept("db", &[channels], Layout::Rows);
        bias::steps::gradient(&mut plan, "bias", p, dy, db);
        plan
    };
    let case = Case::new("bias/gradient", format!("{shape:?}"), build).uniform(&["dy"]);
    let constants = vec![("ROWS", (batch * positions).into()), ("COLUMNS4", (padded(channels) / 4).into())];
    Size { case, constants, flops: (batch * positions * channels) as u64, is_hard: false }
}
