//! The f64 twins against the file `ops`: every case, forward and the gradient of every input.

use super::case::{Case, for_each};
use super::file::File;
use crate::error::Result;
use crate::ops::{batch_norm, bias, conv2d, dense, global_average_pool, max_pool, relu, softmax_cross_entropy as loss};
use crate::proof::doctor::findings::Findings;

/// The file's values are f32, the twin's f64, so their difference is the file's own rounding error. It was measured
/// against another f64 implementation: `noise`. Where it was not, a few units in the last place are allowed.
fn bound(file: &File, name: &str) -> Result<f64> {
    Ok(match file.figure(name, "noise") {
        Some(noise) => 1.01 * noise + 1e-9 * file.rms(name)?,
        None => 1e-6 * file.rms(name)?,
    })
}

pub fn check(file: &File, findings: &mut Findings) -> Result<()> {
    for_each(file, bound, findings, |case| match case.text("op")?.to_string().as_str() {
        "conv2d" => check_conv2d(case),
        "batch_norm" => check_batch_norm(case),
        "relu" => check_relu(case),
        "max_pool" => check_max_pool(case),
        "global_average_pool" => check_global_average_pool(case),
        "dense" => check_dense(case),
        "softmax_cross_entropy" => check_loss(case),
        op => {
            case.unknown(op);
            Ok(())
        }
    })
}

fn check_conv2d(case: &mut Case) -> Result<()> {
    let p = case.conv2d()?;
    let (x, w, dy) = (case.wide("x")?, case.wide("w")?, case.wide("dy")?);
    let b = if case.has("b") { Some(case.wide("b")?) } else { None };
    case.check("y", &conv2d::twin::forward(&p, &x, &w, b.as_deref()))?;
    case.check("dx", &conv2d::twin::data_gradient(&p, &dy, &w))?;
    case.check("dw", &conv2d::twin::weight_gradient(&p, &x, &dy))?;
    if b.is_some() {
        case.check("db", &bias::twin::gradient(&case.bias_of_conv2d()?, &dy))?;
    }
    Ok(())
}

fn check_batch_norm(case: &mut Case) -> Result<()> {
    let p = case.batch_norm()?;
    let (x, gamma, beta) = (case.wide("x")?, case.wide("gamma")?, case.wide("beta")?);
    let dy = case.wide("dy")?;
    let (mut mean, mut variance) = (case.wide("moving_mean")?, case.wide("moving_variance")?);
    if case.text("mode")? == "infer" {
        case.check("y", &batch_norm::twin::normalize(&p, &x, &mean, &variance, &gamma, &beta))?;
        return check_affine_gradients(case);
    }
    let statistics = batch_norm::twin::statistics(&p, &x);
    batch_norm::twin::moving(&p, &mut mean, &mut variance, &statistics);
    case.check("moving_mean_after", &mean)?;
    case.check("moving_variance_after", &variance)?;
    case.check("y", &batch_norm::twin::normalize(&p, &x, &statistics.mean, &statistics.variance, &gamma, &beta))?;
    let gradients = batch_norm::twin::backward(&p, &x, &dy, &statistics, &gamma);
    case.check("dx", &gradients.dx)?;
    case.check("dgamma", &gradients.dgamma)?;
    case.check("dbeta", &gradients.dbeta)
}

/// The gradients of a batch norm in inference mode. With constant statistics the layer is affine: `dx` is its linear part
/// applied to `dy`, which training needs of a frozen one; the other two are of no kernel.
pub fn check_affine_gradients(case: &mut Case) -> Result<()> {
    let p = case.batch_norm()?;
    let (x, dy, gamma) = (case.wide("x")?, case.wide("dy")?, case.wide("gamma")?);
    let statistics =
        batch_norm::twin::Statistics { mean: case.wide("moving_mean")?, variance: case.wide("moving_variance")? };
    case.check("dx", &batch_norm::frozen::through(&p, &dy, &statistics, &gamma))?;
    let gradients = batch_norm::twin::backward(&p, &x, &dy, &statistics, &gamma);
    case.check("dgamma", &gradients.dgamma)?;
    case.check("dbeta", &gradients.dbeta)
}

fn check_relu(case: &mut Case) -> Result<()> {
    case.relu()?;
    let y = relu::twin::forward(&case.wide("x")?);
    case.check("y", &y)?;
    case.check("dx", &relu::twin::backward(&y, &case.wide("dy")?))
}

fn check_max_pool(case: &mut Case) -> Result<()> {
    let (p, x) = (case.max_pool()?, case.wide("x")?);
    case.check("y", &max_pool::twin::forward(&p, &x))?;
    case.check("dx", &max_pool::twin::backward(&p, &x, &case.wide("dy")?))
}

fn check_global_average_pool(case: &mut Case) -> Result<()> {
    let p = case.global_average_pool()?;
    case.check("y", &global_average_pool::twin::forward(&p, &case.wide("x")?))?;
    case.check("dx", &global_average_pool::twin::backward(&p, &case.wide("dy")?))
}

fn check_dense(case: &mut Case) -> Result<()> {
    let p = case.dense()?;
    let (x, w, dy) = (case.wide("x")?, case.wide("w")?, case.wide("dy")?);
    case.check("y", &dense::twin::forward(&p, &x, &w, &case.wide("b")?))?;
    case.check("dx", &dense::twin::data_gradient(&p, &dy, &w))?;
    case.check("dw", &dense::twin::weight_gradient(&p, &x, &dy))?;
    case.check("db", &bias::twin::gradient(&case.bias_of_dense()?, &dy))
}

fn check_loss(case: &mut Case) -> Result<()> {
    let p = case.loss()?;
    let out = loss::twin::forward(&p, &case.wide("logits")?, &case.labels()?, &case.wide("class_weight")?);
    case.check("probs", &out.probabilities)?;
    case.check("ce_per_sample", &out.losses)?;
    case.check("loss", &[out.loss])?;
    case.check("accuracy", &[out.correct as f64 / p.batch as f64])?;
    case.check("dlogits", &out.dlogits)
}
