//! The kernels against the file `ops`. Values that no kernel computes are compared with the twins:
//! the losses of single samples, and the gradients of a batch norm in inference mode.

use super::case::{Case, for_each};
use super::file::File;
use super::{Place, twins};
use crate::engine::bound::ULP;
use crate::engine::plan::{Layout, Plan};
use crate::error::Result;
use crate::ops::epilogue::Epilogue;
use crate::ops::{batch_norm, bias, conv2d, dense, global_average_pool, max_pool, relu, softmax_cross_entropy as loss};
use crate::proof::doctor::findings::Findings;

/// Ten times what Keras's own f32 kernels stray from f64 (sums in other orders, with more or fewer parts), and eight
/// units in the last place, for results that Keras happens to hit exactly.
fn bound(file: &File, name: &str) -> Result<f64> {
    Ok(10.0 * file.figure(name, "noise").unwrap_or(0.0) + 1e-6 * file.rms(name)?)
}

pub fn check(file: &File, place: &Place, findings: &mut Findings) -> Result<()> {
    for_each(file, bound, findings, |case| match case.text("op")?.to_string().as_str() {
        "conv2d" => check_conv2d(case, place),
        "batch_norm" => check_batch_norm(case, place),
        "relu" => check_relu(case, place),
        "max_pool" => check_max_pool(case, place),
        "global_average_pool" => check_global_average_pool(case, place),
        "dense" => check_dense(case, place),
        "softmax_cross_entropy" => check_loss(case, place),
        op => {
            case.unknown(op);
            Ok(())
        }
    })
}

/// A plan in two windows, where the batch has two images.
fn two_windows(place: &Place, batch: usize) -> Plan {
    let image_bytes = place.target.binding_bytes / batch.div_ceil(2) as u64;
    Plan::new(place.target.clone(), batch, image_bytes)
}

/// Runs a plan with `inputs` from the file, which have the same names in both, and those given; returns `results`.
fn run<const N: usize>(
    case: &Case,
    place: &Place,
    plan: Plan,
    inputs: &[&str],
    given: &[(&str, Vec<f32>)],
    results: [&str; N],
) -> Result<[Vec<f32>; N]> {
    let mut engine = (place.open)()?;
    let program = engine.load(plan)?;
    for input in inputs {
        engine.write(program, input, &case.values(input)?);
    }
    for (name, numbers) in given {
        engine.write(program, name, numbers);
    }
    if case.has("labels") {
        engine.write_integers(program, "labels", &case.labels()?);
    }
    engine.run(program)?;
    let mut read = [const { Vec::new() }; N];
    for (read, name) in read.iter_mut().zip(results) {
        *read = engine.read(program, name)?;
    }
    Ok(read)
}

/// As [`run`], and compares the results, which have the same names in the file.
fn check_results<const N: usize>(
    case: &mut Case,
    place: &Place,
    plan: Plan,
    inputs: &[&str],
    given: &[(&str, Vec<f32>)],
    results: [&str; N],
) -> Result<()> {
    let computed = run(case, place, plan, inputs, given, results)?;
    results.iter().zip(computed).try_for_each(|(name, numbers)| case.check(name, &numbers))
}

fn check_conv2d(case: &mut Case, place: &Place) -> Result<()> {
    let p = case.conv2d()?;
    let mut plan = two_windows(place, p.batch);
    let [x, dx] = ["x", "dx"].map(|name| plan.kept_activation(name, &p.input_shape()));
    let [y, dy] = ["y", "dy"].map(|name| plan.kept_activation(name, &p.output_shape()));
    let [w, dw] = ["w", "dw"].map(|name| plan.kept(name, &p.weight_shape(), Layout::Matrix));
    let [b, db] = ["b", "db"].map(|name| plan.kept(name, &[p.cout], Layout::Rows));
    conv2d::steps::forward(&mut plan, "forward", p, conv2d::steps::Forward { x, w, bias: b, y, moments: false });
    conv2d::steps::data_gradient(&mut plan, "data gradient", p, dy, w, dx);
    conv2d::steps::weight_gradient(&mut plan, "weight gradient", p, x, dy, dw);
    bias::steps::gradient(&mut plan, "bias gradient", case.bias_of_conv2d()?, dy, db);
    if case.has("b") {
        return check_results(case, place, plan, &["x", "w", "b", "dy"], &[], ["y", "dx", "dw", "db"]);
    }
    let no_bias = [("b", vec![0.0; p.cout])];
    check_results(case, place, plan, &["x", "w", "dy"], &no_bias, ["y", "dx", "dw"])
}

fn check_batch_norm(case: &mut Case, place: &Place) -> Result<()> {
    let p = case.batch_norm()?;
    let (shape, channels) = (case.shape::<4>("x")?, p.channels);
    let training = case.text("mode")? != "infer";
    let mut plan = two_windows(place, p.batch);
    let [x, y, dy, dx] = ["x", "y", "dy", "dx"].map(|name| plan.kept_activation(name, &shape));
    let moving = plan.persistent("moving", &[2, channels], Layout::Rows);
    let [gamma, beta, dgamma, dbeta] =
        ["gamma", "beta", "dgamma", "dbeta"].map(|name| plan.kept(name, &[channels], Layout::Rows));
    let epilogue = Epilogue::default();
    let statistics = if training { plan.kept("statistics", &[2, channels], Layout::Rows) } else { moving };
    if training {
        batch_norm::steps::statistics(&mut plan, "statistics", p, x, statistics, moving);
    }
    batch_norm::steps::normalize(
        &mut plan,
        "normalize",
        p,
        batch_norm::Normalize { x, statistics, gamma, beta, y, epilogue },
    );
    let before = [("moving", [case.values("moving_mean")?, case.values("moving_variance")?].concat())];
    if !training {
        check_results(case, place, plan, &["x", "gamma", "beta"], &before, ["y"])?;
        return twins::check_affine_gradients(case);
    }
    let tensors = batch_norm::Backward { x, y, dy, statistics, gamma, dx, dgamma, dbeta, epilogue };
    batch_norm::steps::backward(&mut plan, "backward", p, tensors);
    let results = ["y", "dx", "dgamma", "dbeta", "moving"];
    let [y, dx, dgamma, dbeta, moving] = run(case, place, plan, &["x", "gamma", "beta", "dy"], &before, results)?;
    let [y_off, dx_off, dgamma_off] = off_by_the_means_rounding(case)?;
    case.check_but_for("y", &y, |i| y_off[i])?;
    case.check_but_for("dx", &dx, |i| dx_off[i])?;
    case.check_but_for("dgamma", &dgamma, |i| dgamma_off[i])?;
    case.check("dbeta", &dbeta)?;
    case.check("moving_mean_after", &moving[..channels])?;
    case.check("moving_variance_after", &moving[channels..])
}

/// How far `y`, `dx` and `dgamma` of a batch norm move when its means go to the next f32, and its variances by what that
/// does to them (`bounds::batch_norm`). Of few rows Keras may have hit the mean exactly: its noise does not tell.
fn off_by_the_means_rounding(case: &Case) -> Result<[Vec<f64>; 3]> {
    let p = case.batch_norm()?;
    let (x, dy, gamma, beta) = (case.wide("x")?, case.wide("dy")?, case.wide("gamma")?, case.wide("beta")?);
    let exact = batch_norm::twin::statistics(&p, &x);
    let mut rounded = [exact.clone(), exact.clone()];
    for c in 0..p.channels {
        let off = ULP * exact.mean[c].abs();
        rounded[0].mean[c] += off;
        rounded[1].variance[c] += 2.0 * off * exact.variance[c].sqrt();
    }
    let results = |statistics: &batch_norm::twin::Statistics| {
        let gradients = batch_norm::twin::backward(&p, &x, &dy, statistics, &gamma);
        let y = batch_norm::twin::normalize(&p, &x, &statistics.mean, &statistics.variance, &gamma, &beta);
        [y, gradients.dx, gradients.dgamma]
    };
    let (exact, [of_mean, of_variance]) = (results(&exact), rounded.map(|statistics| results(&statistics)));
    Ok([0, 1, 2].map(|of| {
        let apart = |i: usize| (of_mean[of][i] - exact[of][i]).abs() + (of_variance[of][i] - exact[of][i]).abs();
        (0..exact[of].len()).map(apart).collect()
    }))
}

fn check_relu(case: &mut Case, place: &Place) -> Result<()> {
    let shape = case.relu()?;
    let mut plan = two_windows(place, shape[0]);
    let [x, y, dy, dx] = ["x", "y", "dy", "dx"].map(|name| plan.kept_activation(name, &shape));
    relu::steps::forward(&mut plan, "forward", x, y);
    relu::steps::backward(&mut plan, "backward", y, dy, dx);
    check_results(case, place, plan, &["x", "dy"], &[], ["y", "dx"])
}

fn check_max_pool(case: &mut Case, place: &Place) -> Result<()> {
    let p = case.max_pool()?;
    let mut plan = two_windows(place, p.batch);
    let [x, dx] = ["x", "dx"].map(|name| plan.kept_activation(name, &p.input_shape()));
    let [y, dy] = ["y", "dy"].map(|name| plan.kept_activation(name, &p.output_shape()));
    max_pool::steps::forward(&mut plan, "forward", p, x, y);
    max_pool::steps::backward(&mut plan, "backward", p, x, dy, dx);
    check_results(case, place, plan, &["x", "dy"], &[], ["y", "dx"])
}

fn check_global_average_pool(case: &mut Case, place: &Place) -> Result<()> {
    let p = case.global_average_pool()?;
    let mut plan = two_windows(place, p.batch);
    let [x, dx] = ["x", "dx"].map(|name| plan.kept_activation(name, &[p.batch, p.positions, p.channels]));
    let [y, dy] = ["y", "dy"].map(|name| plan.kept(name, &[p.batch, p.channels], Layout::Rows));
    global_average_pool::steps::forward(&mut plan, "forward", p, x, y);
    global_average_pool::steps::backward(&mut plan, "backward", p, dy, dx);
    check_results(case, place, plan, &["x", "dy"], &[], ["y", "dx"])
}

fn check_dense(case: &mut Case, place: &Place) -> Result<()> {
    let p = case.dense()?;
    let mut plan = two_windows(place, p.batch);
    let [x, dx] = ["x", "dx"].map(|name| plan.kept(name, &[p.batch, p.inputs], Layout::Rows));
    let [y, dy] = ["y", "dy"].map(|name| plan.kept(name, &[p.batch, p.outputs], Layout::Rows));
    let [w, dw] = ["w", "dw"].map(|name| plan.kept(name, &[p.inputs, p.outputs], Layout::Matrix));
    let [b, db] = ["b", "db"].map(|name| plan.kept(name, &[p.outputs], Layout::Rows));
    dense::steps::forward(&mut plan, "forward", p, x, w, b, y);
    dense::steps::data_gradient(&mut plan, "data gradient", p, dy, w, dx);
    dense::steps::weight_gradient(&mut plan, "weight gradient", p, x, dy, dw);
    bias::steps::gradient(&mut plan, "bias gradient", case.bias_of_dense()?, dy, db);
    check_results(case, place, plan, &["x", "w", "b", "dy"], &[], ["y", "dx", "dw", "db"])
}

fn check_loss(case: &mut Case, place: &Place) -> Result<()> {
    let p = case.loss()?;
    let mut plan = two_windows(place, p.batch);
    let [logits, probabilities, dlogits] =
        ["logits", "probs", "dlogits"].map(|name| plan.kept(name, &[p.batch, p.classes], Layout::Rows));
    let labels = plan.integers("labels", &[p.batch]);
    let class_weight = plan.kept("class_weight", &[p.classes], Layout::Rows);
    let metrics = plan.kept("metrics", &[4], Layout::Packed);
    let tensors = loss::Tensors { logits, labels, class_weight, probabilities, dlogits, metrics };
    loss::steps::forward(&mut plan, "loss", p, tensors, 0.0);
    let results = ["probs", "dlogits", "metrics"];
    let [probs, dlogits, metrics] = run(case, place, plan, &["logits", "class_weight"], &[], results)?;
    case.check("probs", &probs)?;
    case.check("dlogits", &dlogits)?;
    case.check("loss", &[metrics[0] / p.batch as f32])?;
    case.check("accuracy", &[metrics[1] / p.batch as f32])?;
    let out = loss::twin::forward(&p, &case.wide("logits")?, &case.labels()?, &case.wide("class_weight")?);
    case.check("ce_per_sample", &out.losses)
}
