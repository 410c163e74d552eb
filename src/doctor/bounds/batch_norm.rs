//! Bounds of batch norm.

use super::{Bounds, DIVISION, FLUSHED, SQUARE_ROOT, ULP, sum};
use crate::doctor::operation::Operation;
use crate::ops::batch_norm::{EPSILON, Epilogue, cpu};
use crate::ops::max_pool;

/// Rounding of `1 / sqrt(variance + EPSILON)`, of which the sum counts half below the root.
const DEVIATION: f64 = 0.5 * ULP + SQUARE_ROOT + DIVISION;

/// Mean and variance of each channel, from a tensor that holds the two one after the other.
fn split(statistics: &[f64]) -> (&[f64], &[f64]) {
    statistics.split_at(statistics.len() / 2)
}

/// Welford's recurrence rounds the mean once a value, to a number no larger than the largest value. An error e of the
/// running mean shifts each deviation: by Cauchy-Schwarz the variance strays by `2 e * sqrt(variance) + e^2` at most,
/// and by what its own sum rounds (Chan, Golub & LeVeque 1983, Algorithms for computing the sample variance, find the
/// same: the condition number of the problem, not its square).
pub fn statistics(op: &Operation) -> Bounds {
    let (x, want) = (op.input("x"), op.output("statistics"));
    let channels = want.len() / 2;
    let rows = (x.len() / channels) as f64;
    let mut largest = vec![0.0f64; channels];
    for (i, x) in x.iter().enumerate() {
        largest[i % channels] = largest[i % channels].max(x.abs());
    }
    let (_, variance) = split(want);
    let mean_bound = |c: usize| (sum(rows) + 2.0 * DIVISION) * largest[c];
    let variance_bound = |c: usize| {
        let mean = mean_bound(c);
        (sum(rows) + 3.0 * DIVISION) * variance[c] + 2.0 * mean * variance[c].sqrt() + mean * mean + FLUSHED
    };
    let bounds: Vec<f64> = (0..channels).map(mean_bound).chain((0..channels).map(variance_bound)).collect();

    // A hundredth of the new value comes in, Bessel-corrected for the variance, and a few roundings.
    let bessel = rows / (rows - 1.0).max(1.0);
    let before = op.input("moving");
    let moving = (0..want.len()).map(|i| {
        let rounding = 4.0 * ULP * (before[i].abs() + 0.01 * bessel * want[i].abs());
        0.01 * bessel * bounds[i] + rounding
    });
    [(op.id("moving"), moving.collect()), (op.id("statistics"), bounds)].into()
}

/// What follows in the pass: a max pool of the cells that the kernel was made for.
fn epilogue(op: &Operation) -> Epilogue {
    let [height, width, window_height, window_width] =
        ["HEIGHT", "WIDTH", "WINDOW_HEIGHT", "WINDOW_WIDTH"].map(|name| op.size(name));
    let channels = op.input("gamma").len();
    let input = [op.input("x").len() / (height * width * channels), height, width, channels];
    let window = [window_height, window_width];
    Epilogue { relu: op.flag("RELU"), pool: Some(max_pool::Problem::new(input, window, window)) }
}

/// A ReLU in the same pass brings numbers nearer to each other only; a maximum is as near as the worst of its window.
pub fn normalize(op: &Operation) -> Bounds {
    let (mean, variance) = split(op.input("statistics"));
    let (gamma, beta) = (op.input("gamma"), op.input("beta"));
    let channels = gamma.len();
    let bound = |(i, x): (usize, &f64)| {
        let c = i % channels;
        let scaled = (gamma[c] * (x - mean[c]) / (variance[c] + EPSILON).sqrt()).abs();
        (DEVIATION + 3.0 * ULP) * scaled + ULP * (scaled + beta[c].abs()) + FLUSHED
    };
    let bounds = op.input("x").iter().enumerate().map(bound).collect();
    [(op.id("y"), cpu::follow(&epilogue(op), bounds))].into()
}

/// `dgamma` and `dbeta` are sums; `dx` is made of both.
pub fn backward(op: &Operation) -> Bounds {
    let (x, gamma) = (op.input("x"), op.input("gamma"));
    let (mean, variance) = split(op.input("statistics"));
    let channels = gamma.len();
    let rising: Vec<f64> = x.iter().enumerate().map(|(i, x)| x * gamma[i % channels]).collect();
    let dy = cpu::follow_backward(&epilogue(op), &rising, op.input("y"), op.input("grad_y"));
    let rows = (x.len() / channels) as f64;
    let inverse: Vec<f64> = variance.iter().map(|variance| 1.0 / (variance + EPSILON).sqrt()).collect();
    let xhat = |i: usize| ((x[i] - mean[i % channels]) * inverse[i % channels]).abs();
    // Sums of absolute values behind dgamma and dbeta.
    let (mut behind_dgamma, mut behind_dbeta) = (vec![0.0; channels], vec![0.0; channels]);
    for (i, dy) in dy.iter().enumerate() {
        behind_dgamma[i % channels] += dy.abs() * xhat(i);
        behind_dbeta[i % channels] += dy.abs();
    }
    // Each product has a factor `x - mean` that is rounded first.
    let relative = sum(rows) + DEVIATION + 2.0 * ULP;
    let dgamma_bound: Vec<f64> = behind_dgamma.iter().map(|behind| relative * behind + rows * FLUSHED).collect();
    let dbeta_bound: Vec<f64> = behind_dbeta.iter().map(|behind| sum(rows) * behind + rows * FLUSHED).collect();

    let (dgamma, dbeta) = (op.output("grad_gamma"), op.output("grad_beta"));
    let dx_bound = |i: usize| {
        let c = i % channels;
        let terms = dy[i].abs() + (dbeta[c].abs() + xhat(i) * dgamma[c].abs()) / rows;
        // The deviation is in xhat and in front; beside it a division, three sums and three products.
        let rounding = (2.0 * DEVIATION + DIVISION + 6.0 * ULP) * terms;
        (gamma[c] * inverse[c]).abs() * (rounding + (dbeta_bound[c] + xhat(i) * dgamma_bound[c]) / rows) + FLUSHED
    };
    let dx = (0..x.len()).map(dx_bound).collect();
    [(op.id("grad_x"), dx), (op.id("grad_gamma"), dgamma_bound), (op.id("grad_beta"), dbeta_bound)].into()
}
