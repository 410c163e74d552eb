//! Bounds of batch norm.

use super::{Backward, Normalize};
use super::{EPSILON, MOMENTUM, Problem, twin};
use crate::engine::bound::{DIVISION, FLUSHED, Given, NEAREST, Terms, ULP, Uncertainties, Uncertainty, sum};
use crate::engine::tensor::TensorId;

/// Mean and variance of each channel, from a tensor that holds the two one after the other.
fn split(statistics: &[f64]) -> (&[f64], &[f64]) {
    statistics.split_at(statistics.len() / 2)
}

/// `1 / sqrt(variance + EPSILON)`, relative to itself: of the sum below the root counts half.
fn inverse_deviation(variance: f64) -> Uncertainty {
    let radicand = variance + EPSILON;
    let inverse = 1.0 / radicand.sqrt();
    let of_root = Uncertainty::NONE.rounded(radicand).root(radicand);
    of_root.times(inverse * inverse).divided(inverse).times(1.0 / inverse)
}

/// Welford's recurrence rounds the mean once per value, to one no larger than the largest
/// value. An error e of the running mean shifts each deviation: by Cauchy-Schwarz the variance
/// strays by `2 e * sqrt(variance) + e^2` at most, and by the rounding of its own sum (Chan,
/// Golub & LeVeque 1983, Algorithms for computing the sample variance, find the same: the
/// condition number of the problem, not its square).
///
/// The mean of k of n rows is kept by `k / n` in what follows, so of n roundings a third is expected to be left.
pub fn statistics(given: &Given, p: &Problem, [x, statistics, moving]: [TensorId; 3]) -> Uncertainties {
    let (x, want) = (given.input(x), given.output(statistics));
    let (channels, rows) = (p.channels, p.rows() as f64);
    let mut largest = vec![0.0f64; channels];
    for (i, x) in x.iter().enumerate() {
        largest[i % channels] = largest[i % channels].max(x.abs());
    }
    let (mean, variance) = split(want);
    let running = |c: usize| match given.independent {
        true => NEAREST * ((rows / 3.0 + 1.0) * mean[c].powi(2) + 2.0 * variance[c]),
        false => NEAREST * (rows / 3.0 + 1.0) * largest[c].powi(2),
    };
    // Quotients of a row's deviation by the rows so far: an n-th of each is left.
    let of_mean = |c: usize| Uncertainty {
        most: (sum(rows) + 2.0 * DIVISION) * largest[c],
        variance: running(c),
        allowed: DIVISION * variance[c].sqrt(),
    };
    let of_variance = |c: usize| {
        let Uncertainty { most, variance: shift, .. } = of_mean(c);
        let deviation = variance[c].sqrt();
        // Independent deviations cancel most of what a wrong mean adds to each.
        let of_shift = if given.independent { shift * variance[c] / rows } else { shift * variance[c] };
        Uncertainty {
            most: (sum(rows) + 3.0 * DIVISION) * variance[c] + 2.0 * most * deviation + most * most,
            variance: NEAREST * (rows / 3.0 + 3.0) * variance[c].powi(2) + 4.0 * of_shift + shift * shift,
            allowed: DIVISION * variance[c],
        }
        .flushed()
    };
    let of_statistics: Vec<Uncertainty> = (0..channels).map(of_mean).chain((0..channels).map(of_variance)).collect();

    // A hundredth of the new value comes in, Bessel-corrected for the variance, and a few roundings.
    let (before, after) = (given.input(moving), given.output(moving));
    let share = 1.0 - MOMENTUM;
    let of_moving = (0..want.len()).map(|i| {
        let bessel = if i < channels { 1.0 } else { rows / (rows - 1.0).max(1.0) };
        let (new, of_new) = (bessel * want[i], of_statistics[i].times(bessel));
        let change = (new - before[i]) * share;
        of_new.rounded(new - before[i]).times(share).rounded(change).rounded(change).rounded(after[i])
    });
    [(moving, of_moving.collect()), (statistics, of_statistics)].into()
}

/// A ReLU in the same pass only brings values nearer to each other, and most of those that it cuts
/// off stay 0; a maximum is as near as the worst of its window.
pub fn normalize(given: &Given, t: &Normalize) -> Uncertainties {
    let (mean, variance) = split(given.input(t.statistics));
    let (gamma, beta) = (given.input(t.gamma), given.input(t.beta));
    let channels = gamma.len();
    let of = |(i, x): (usize, &f64)| {
        let c = i % channels;
        let (scale, centred) = (gamma[c] / (variance[c] + EPSILON).sqrt(), x - mean[c]);
        let of_scale = inverse_deviation(variance[c]).times(scale);
        (Uncertainty::NONE.rounded(centred).times(scale) + of_scale.times(centred))
            .rounded(scale * centred)
            .rounded(scale * centred + beta[c])
            .flushed()
    };
    let before: Vec<Uncertainty> = given.input(t.x).iter().enumerate().map(of).collect();
    let follow = |part: fn(&Uncertainty) -> f64| twin::follow(&t.epilogue, before.iter().map(part).collect());
    let (most, variance, allowed) = (follow(|of| of.most), follow(|of| of.variance), follow(|of| of.allowed));
    let after = |i: usize| match t.epilogue.relu && given.output(t.y)[i] == 0.0 {
        true => Uncertainty { most: most[i], ..Uncertainty::NONE },
        false => Uncertainty { most: most[i], variance: variance[i], allowed: allowed[i] },
    };
    [(t.y, (0..most.len()).map(after).collect())].into()
}

/// The scale of a channel times the gradient; the sums that are subtracted are zero.
pub fn frozen(given: &Given, p: &Problem, t: &Backward) -> Uncertainties {
    let (x, gamma) = (given.input(t.x), given.input(t.gamma));
    let (_, variance) = split(given.input(t.statistics));
    let rising: Vec<f64> = x.iter().enumerate().map(|(i, x)| x * gamma[i % p.channels]).collect();
    let dy = twin::follow_backward(&t.epilogue, &rising, given.input(t.y), given.input(t.dy));
    let of_dx = |(i, dy): (usize, &f64)| {
        let c = i % p.channels;
        let scale = gamma[c] / (variance[c] + EPSILON).sqrt();
        let of_scale = inverse_deviation(variance[c]).times(scale).rounded(scale);
        of_scale.times(*dy).rounded(scale * dy).within(FLUSHED)
    };
    [(t.dx, dy.iter().enumerate().map(of_dx).collect())].into()
}

/// `dgamma` and `dbeta` are sums; `dx` is made of both.
pub fn backward(given: &Given, p: &Problem, t: &Backward) -> Uncertainties {
    let (x, gamma) = (given.input(t.x), given.input(t.gamma));
    let (mean, variance) = split(given.input(t.statistics));
    let (channels, rows) = (p.channels, p.rows() as f64);
    let rising: Vec<f64> = x.iter().enumerate().map(|(i, x)| x * gamma[i % channels]).collect();
    let dy = twin::follow_backward(&t.epilogue, &rising, given.input(t.y), given.input(t.dy));
    let inverse: Vec<f64> = variance.iter().map(|variance| 1.0 / (variance + EPSILON).sqrt()).collect();
    let xhat = |i: usize| (x[i] - mean[i % channels]) * inverse[i % channels];
    let (dgamma, dbeta) = (given.output(t.dgamma), given.output(t.dbeta));
    let terms = |sum: &[f64], term: &dyn Fn(usize) -> f64| -> Vec<Terms> {
        let none = |sum: &f64| Terms { count: rows, sum: *sum, squares: 0.0, magnitude: 0.0 };
        let mut all: Vec<Terms> = sum.iter().map(none).collect();
        for i in 0..x.len() {
            let (terms, term) = (&mut all[i % channels], term(i));
            terms.squares += term * term;
            terms.magnitude += term.abs();
        }
        all
    };
    // Each product has a factor `x - mean` that is rounded first.
    let of_dgamma = |(c, terms): (usize, &Terms)| {
        let of_inverse = inverse_deviation(variance[c]);
        let of_factors = Uncertainty {
            most: (of_inverse.most + 2.0 * ULP) * terms.magnitude,
            variance: of_inverse.variance * terms.sum.powi(2) + NEAREST * terms.squares,
            allowed: of_inverse.allowed * terms.sum.abs(),
        };
        terms.uncertainty(given.independent) + of_factors
    };
    let of_dgamma: Vec<_> = terms(dgamma, &|i| dy[i] * xhat(i)).iter().enumerate().map(of_dgamma).collect();
    let of_dbeta: Vec<_> = terms(dbeta, &|i| dy[i]).iter().map(|terms| terms.uncertainty(given.independent)).collect();

    let of_dx = |i: usize| {
        let c = i % channels;
        let of_inverse = inverse_deviation(variance[c]);
        let (through_mean, through_variance, xhat) = (dbeta[c] / rows, dgamma[c] / rows, xhat(i));
        let of_mean = of_dbeta[c].times(1.0 / rows).divided(through_mean);
        let of_factor = of_dgamma[c].times(1.0 / rows).divided(through_variance);
        let of_xhat =
            Uncertainty::NONE.rounded(x[i] - mean[c]).times(inverse[c]).rounded(xhat) + of_inverse.times(xhat);
        let of_variance = of_xhat.times(through_variance) + of_factor.times(xhat);
        let difference = dy[i] - through_mean - xhat * through_variance;
        let of_difference =
            (of_mean.rounded(dy[i] - through_mean) + of_variance.rounded(xhat * through_variance)).rounded(difference);
        let scale = gamma[c] * inverse[c];
        let of_scale = of_inverse.times(scale).rounded(scale);
        (of_difference.times(scale) + of_scale.times(difference)).rounded(scale * difference).within(FLUSHED)
    };
    let of_dx = (0..x.len()).map(of_dx).collect();
    [(t.dx, of_dx), (t.dgamma, of_dgamma), (t.dbeta, of_dbeta)].into()
}
