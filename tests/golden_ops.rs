//! The kernels against Keras's own numbers: 46 cases, forward and gradients, on the default core and the device's own.
//!
//! Not compared, because no kernel computes them: the loss of single samples (`ce_per_sample`; their sum is, and each
//! one's probabilities are), and the gradients of a batch norm in inference mode, through which nothing trains.

mod common;

use common::device::{self, Both};
use common::golden::{Case, File, check_every_case};
use ocellus::ops::{
    batch_norm, bias, conv2d, dense, global_average_pool, max_pool, relu, softmax_cross_entropy as loss,
};
use ocellus::plan::{Layout, Plan, Target};
use ocellus::shape::Padding;

/// Ten times what Keras's own f32 kernels stray from f64 (sums in other orders, with more or fewer parts), and eight
/// units in the last place, for results that Keras happens to hit exactly.
fn bound(file: &File, name: &str) -> f64 {
    10.0 * file.noise(name).unwrap_or(0.0) + 1e-6 * file.rms(name)
}

fn left_out(name: &str) -> bool {
    let gradient = ["/dx", "/dgamma", "/dbeta"].iter().any(|end| name.ends_with(end));
    name.ends_with("/ce_per_sample") || name.contains("_infer/") && gradient
}

#[test]
fn kernels_compute_what_keras_computes() {
    let mut cores = vec![Target::default().core, device::device().target().core];
    cores.dedup();
    for core in cores {
        println!("{core:?}");
        let target = &device::target(core, 64);
        check_every_case(bound, left_out, |case| match case.text("op") {
            "conv2d" => check_conv2d(case, target),
            "batch_norm" => check_batch_norm(case, target),
            "relu" => check_relu(case, target),
            "max_pool" => check_max_pool(case, target),
            "global_average_pool" => check_global_average_pool(case, target),
            "dense" => check_dense(case, target),
            "softmax_cross_entropy" => check_loss(case, target),
            op => panic!("no kernel for {op}"),
        });
    }
}

/// A plan in two windows, where the batch has two images.
fn two_windows(target: &Target, batch: usize) -> Plan {
    device::plan(target.clone(), batch, batch.div_ceil(2))
}

/// Runs a plan with `inputs` from the file, and compares `results`, which have the same names in both.
fn check(case: &mut Case, build: impl Fn() -> Plan, inputs: &[&str], results: &[&str]) {
    let mut both = load(case, build, inputs);
    both.run();
    for result in results {
        case.check(result, &both.gpu(result));
    }
}

fn load(case: &Case, build: impl Fn() -> Plan, inputs: &[&str]) -> Both {
    let mut both = Both::load(build);
    for input in inputs {
        both.write(input, &case.values(input));
    }
    both
}

fn check_conv2d(case: &mut Case, target: &Target) {
    let padding = match case.text("padding") {
        "same" => Padding::Same,
        "valid" => Padding::Valid,
        other => panic!("padding {other}"),
    };
    let (kernel, stride, cout) = (case.size("kernel"), case.size("stride"), case.size("cout"));
    let p = conv2d::Problem::new(case.shape("x"), cout, [kernel; 2], [stride; 2], padding);
    let build = || {
        let mut plan = two_windows(target, p.batch);
        let [x, dx] = ["x", "dx"].map(|name| plan.kept_activation(name, &p.input_shape()));
        let [y, dy] = ["y", "dy"].map(|name| plan.kept_activation(name, &p.output_shape()));
        let [w, dw] = ["w", "dw"].map(|name| plan.kept(name, &p.weight_shape(), Layout::Matrix));
        let [b, db] = ["b", "db"].map(|name| plan.kept(name, &[p.cout], Layout::Rows));
        conv2d::gpu::forward(&mut plan, "forward", p, x, w, b, y);
        conv2d::gpu::data_gradient(&mut plan, "data gradient", p, dy, w, dx);
        conv2d::gpu::weight_gradient(&mut plan, "weight gradient", p, x, dy, dw);
        let positions = p.rows.output * p.columns.output;
        let rows = bias::Problem { batch: p.batch, positions, channels: p.cout };
        bias::gpu::gradient(&mut plan, "bias gradient", rows, dy, db);
        plan
    };
    if case.about["bias"].as_bool().unwrap() {
        check(case, build, &["x", "w", "b", "dy"], &["y", "dx", "dw", "db"]);
    } else {
        let mut both = load(case, build, &["x", "w", "dy"]);
        both.write("b", &vec![0.0; p.cout]);
        both.run();
        for result in ["y", "dx", "dw"] {
            case.check(result, &both.gpu(result));
        }
    }
}

fn check_batch_norm(case: &mut Case, target: &Target) {
    let [batch, height, width, channels] = case.shape("x");
    let p = batch_norm::Problem { batch, positions: height * width, channels };
    let training = case.text("mode") == "train";
    let build = || {
        let mut plan = two_windows(target, p.batch);
        let [x, y, dy, dx] = ["x", "y", "dy", "dx"].map(|name| plan.kept_activation(name, &case.shape::<4>("x")));
        let moving = plan.persistent("moving", &[2, channels], Layout::Rows);
        let [gamma, beta, dgamma, dbeta] =
            ["gamma", "beta", "dgamma", "dbeta"].map(|name| plan.kept(name, &[channels], Layout::Rows));
        let relu = false;
        let statistics = if training { plan.kept("statistics", &[2, channels], Layout::Rows) } else { moving };
        if training {
            batch_norm::gpu::statistics(&mut plan, "statistics", p, x, statistics, moving);
        }
        let tensors = batch_norm::gpu::Normalize { x, statistics, gamma, beta, y, relu };
        batch_norm::gpu::normalize(&mut plan, "normalize", p, tensors);
        if training {
            let tensors = batch_norm::gpu::Backward { x, y, dy, statistics, gamma, dx, dgamma, dbeta, relu };
            batch_norm::gpu::backward(&mut plan, "backward", p, tensors);
        }
        plan
    };
    let mut both = load(case, build, &["x", "gamma", "beta", "dy"]);
    both.write("moving", &[case.values("moving_mean"), case.values("moving_variance")].concat());
    both.run();
    case.check("y", &both.gpu("y"));
    if training {
        let moving = both.gpu("moving");
        case.check("moving_mean_after", &moving[..channels]);
        case.check("moving_variance_after", &moving[channels..]);
        for result in ["dx", "dgamma", "dbeta"] {
            case.check(result, &both.gpu(result));
        }
    }
}

fn check_relu(case: &mut Case, target: &Target) {
    let shape: [usize; 4] = case.shape("x");
    let build = || {
        let mut plan = two_windows(target, shape[0]);
        let [x, y, dy, dx] = ["x", "y", "dy", "dx"].map(|name| plan.kept_activation(name, &shape));
        relu::gpu::forward(&mut plan, "forward", x, y);
        relu::gpu::backward(&mut plan, "backward", y, dy, dx);
        plan
    };
    check(case, build, &["x", "dy"], &["y", "dx"]);
}

fn check_max_pool(case: &mut Case, target: &Target) {
    let p = max_pool::Problem::new(case.shape("x"), [case.size("pool"); 2], [case.size("stride"); 2]);
    let build = || {
        let mut plan = two_windows(target, p.batch);
        let [x, dx] = ["x", "dx"].map(|name| plan.kept_activation(name, &p.input_shape()));
        let [y, dy] = ["y", "dy"].map(|name| plan.kept_activation(name, &p.output_shape()));
        max_pool::gpu::forward(&mut plan, "forward", p, x, y);
        max_pool::gpu::backward(&mut plan, "backward", p, x, dy, dx);
        plan
    };
    check(case, build, &["x", "dy"], &["y", "dx"]);
}

fn check_global_average_pool(case: &mut Case, target: &Target) {
    let [batch, height, width, channels] = case.shape("x");
    let p = global_average_pool::Problem { batch, positions: height * width, channels };
    let build = || {
        let mut plan = two_windows(target, p.batch);
        let [x, dx] = ["x", "dx"].map(|name| plan.kept_activation(name, &[batch, height, width, channels]));
        let [y, dy] = ["y", "dy"].map(|name| plan.kept(name, &[batch, channels], Layout::Rows));
        global_average_pool::gpu::forward(&mut plan, "forward", p, x, y);
        global_average_pool::gpu::backward(&mut plan, "backward", p, dy, dx);
        plan
    };
    check(case, build, &["x", "dy"], &["y", "dx"]);
}

fn check_dense(case: &mut Case, target: &Target) {
    let [inputs, outputs] = case.shape("w");
    let [batch, _] = case.shape("x");
    let p = dense::Problem { batch, inputs, outputs };
    let build = || {
        let mut plan = two_windows(target, batch);
        let [x, dx] = ["x", "dx"].map(|name| plan.kept(name, &[batch, inputs], Layout::Rows));
        let [y, dy] = ["y", "dy"].map(|name| plan.kept(name, &[batch, outputs], Layout::Rows));
        let [w, dw] = ["w", "dw"].map(|name| plan.kept(name, &[inputs, outputs], Layout::Matrix));
        let [b, db] = ["b", "db"].map(|name| plan.kept(name, &[outputs], Layout::Rows));
        dense::gpu::forward(&mut plan, "forward", p, x, w, b, y);
        dense::gpu::data_gradient(&mut plan, "data gradient", p, dy, w, dx);
        dense::gpu::weight_gradient(&mut plan, "weight gradient", p, x, dy, dw);
        let rows = bias::Problem { batch, positions: 1, channels: outputs };
        bias::gpu::gradient(&mut plan, "bias gradient", rows, dy, db);
        plan
    };
    check(case, build, &["x", "w", "b", "dy"], &["y", "dx", "dw", "db"]);
}

fn check_loss(case: &mut Case, target: &Target) {
    let [batch, classes] = case.shape("logits");
    let p = loss::Problem { batch, classes };
    let build = || {
        let mut plan = two_windows(target, batch);
        let [logits, probabilities, dlogits] =
            ["logits", "probs", "dlogits"].map(|name| plan.kept(name, &[batch, classes], Layout::Rows));
        let labels = plan.integers("labels", &[batch]);
        let class_weight = plan.kept("class_weight", &[classes], Layout::Rows);
        let metrics = plan.kept("metrics", &[4], Layout::Packed);
        let tensors = loss::gpu::Tensors { logits, labels, class_weight, probabilities, dlogits, metrics };
        loss::gpu::forward(&mut plan, "loss", p, tensors);
        plan
    };
    let mut both = load(case, build, &["logits", "class_weight"]);
    both.write_integers("labels", &case.labels());
    both.run();
    case.check("probs", &both.gpu("probs"));
    case.check("dlogits", &both.gpu("dlogits"));
    let metrics = both.gpu("metrics");
    case.check("loss", &[metrics[0] / batch as f32]);
    case.check("accuracy", &[metrics[1] / batch as f32]);
}
