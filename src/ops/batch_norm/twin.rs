//! f64 twins of the batch normalisation kernels.

use rayon::prelude::*;

use super::{EPSILON, Epilogue, MOMENTUM, Problem};
use crate::ops::{max_pool, relu};

/// Mean and biased variance (divided by n) of each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    pub mean: Vec<f64>,
    pub variance: Vec<f64>,
}

impl Statistics {
    /// Mean and variance from a tensor that holds them one after the other.
    pub fn of(tensor: &[f64]) -> Statistics {
        let (mean, variance) = tensor.split_at(tensor.len() / 2);
        Statistics { mean: mean.to_vec(), variance: variance.to_vec() }
    }

    /// Mean and variance, one after the other.
    pub fn joined(self) -> Vec<f64> {
        [self.mean, self.variance].concat()
    }
}

/// Gradients that [`backward`] returns: `dx` has the shape of `x`, `dgamma` and `dbeta` are
/// `[channels]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    pub dx: Vec<f64>,
    pub dgamma: Vec<f64>,
    pub dbeta: Vec<f64>,
}

/// `mean[c] = sum(x[..,c]) / n`, `variance[c] = sum((x[..,c] - mean[c])^2) / n` over all n rows. Two passes: the
/// difference `E[x^2] - mean^2` would cancel where the mean is large against the spread.
pub fn statistics(p: &Problem, x: &[f64]) -> Statistics {
    assert_eq!(x.len(), p.rows() * p.channels);
    let n = p.rows() as f64;
    let mut mean = vec![0.0; p.channels];
    for row in x.chunks_exact(p.channels) {
        for c in 0..p.channels {
            mean[c] += row[c] / n;
        }
    }
    let mut variance = vec![0.0; p.channels];
    for row in x.chunks_exact(p.channels) {
        for c in 0..p.channels {
            variance[c] += (row[c] - mean[c]).powi(2) / n;
        }
    }
    Statistics { mean, variance }
}

/// `y[..,c] = gamma[c] * (x[..,c] - mean[c]) / sqrt(variance[c] + eps) + beta[c]`: with the batch's statistics in
/// training, with the moving ones in inference.
pub fn normalize(p: &Problem, x: &[f64], mean: &[f64], variance: &[f64], gamma: &[f64], beta: &[f64]) -> Vec<f64> {
    assert_eq!(x.len(), p.rows() * p.channels);
    let scale: Vec<f64> =
        gamma.iter().zip(inverse_deviation(variance)).map(|(gamma, inverse)| gamma * inverse).collect();
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(p.channels).zip(x.par_chunks(p.channels)).for_each(|(y, x)| {
        for c in 0..p.channels {
            y[c] = scale[c] * (x[c] - mean[c]) + beta[c];
        }
    });
    y
}

/// `moving = momentum * moving + (1 - momentum) * batch`, where the variance of the batch counts with Bessel's factor
/// `n / max(n - 1, 1)` (Keras: in the moving average only).
pub fn moving(p: &Problem, moving_mean: &mut [f64], moving_variance: &mut [f64], batch: &Statistics) {
    let n = p.rows() as f64;
    let bessel = n / (n - 1.0).max(1.0);
    for c in 0..p.channels {
        moving_mean[c] = MOMENTUM * moving_mean[c] + (1.0 - MOMENTUM) * batch.mean[c];
        moving_variance[c] = MOMENTUM * moving_variance[c] + (1.0 - MOMENTUM) * batch.variance[c] * bessel;
    }
}

/// The gradient through the batch's own mean and variance. With `xhat = (x - mean) / sqrt(variance + eps)`:
/// `dbeta = sum(dy)`, `dgamma = sum(dy * xhat)`,
/// `dx = gamma / sqrt(variance + eps) * (dy - dbeta / n - xhat * dgamma / n)` (Ioffe & Szegedy 2015, section 3).
pub fn backward(p: &Problem, x: &[f64], dy: &[f64], batch: &Statistics, gamma: &[f64]) -> Gradients {
    assert_eq!((x.len(), dy.len()), (p.rows() * p.channels, p.rows() * p.channels));
    let inverse = inverse_deviation(&batch.variance);
    let xhat = |x: &[f64], c: usize| (x[c] - batch.mean[c]) * inverse[c];

    let (mut dgamma, mut dbeta) = (vec![0.0; p.channels], vec![0.0; p.channels]);
    for (x, dy) in x.chunks_exact(p.channels).zip(dy.chunks_exact(p.channels)) {
        for c in 0..p.channels {
            dgamma[c] += dy[c] * xhat(x, c);
            dbeta[c] += dy[c];
        }
    }

    let dx = apply(p, x, dy, batch, gamma, [&dgamma, &dbeta]);
    Gradients { dx, dgamma, dbeta }
}

/// `dx` of [`backward`] from `dgamma` and `dbeta`. `x` and `dy` may be any rows of the problem's.
pub fn apply(
    p: &Problem,
    x: &[f64],
    dy: &[f64],
    batch: &Statistics,
    gamma: &[f64],
    [dgamma, dbeta]: [&[f64]; 2],
) -> Vec<f64> {
    let n = p.rows() as f64;
    let inverse = inverse_deviation(&batch.variance);
    let mut dx = vec![0.0; x.len()];
    let rows = x.par_chunks(p.channels).zip(dy.par_chunks(p.channels));
    dx.par_chunks_mut(p.channels).zip(rows).for_each(|(dx, (x, dy))| {
        for c in 0..p.channels {
            let xhat = (x[c] - batch.mean[c]) * inverse[c];
            dx[c] = gamma[c] * inverse[c] * (dy[c] - dbeta[c] / n - xhat * dgamma[c] / n);
        }
    });
    dx
}

/// Applies an epilogue to a batch norm's output.
pub fn follow(epilogue: &Epilogue, normal: Vec<f64>) -> Vec<f64> {
    let active = if epilogue.relu { relu::twin::forward(&normal) } else { normal };
    match epilogue.pool {
        Some(pool) => max_pool::twin::forward(&pool, &active),
        None => active,
    }
}

/// The gradient of a batch norm's output from `dy` after its epilogue, which made `y` of it.
/// `normal` need only rise with the batch norm's output: it tells which pixels the pool let
/// through, and a ReLU before the pool lets the same gradients through as one after it.
pub fn follow_backward(epilogue: &Epilogue, normal: &[f64], y: &[f64], dy: &[f64]) -> Vec<f64> {
    let masked = if epilogue.relu { relu::twin::backward(y, dy) } else { dy.to_vec() };
    match epilogue.pool {
        Some(pool) => max_pool::twin::backward(&pool, normal, &masked),
        None => masked,
    }
}

/// `1 / sqrt(variance + eps)`.
fn inverse_deviation(variance: &[f64]) -> Vec<f64> {
    variance.iter().map(|variance| 1.0 / (variance + EPSILON).sqrt()).collect()
}
