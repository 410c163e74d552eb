//! Every backward twin against central differences of its forward twin, in f64: one operation at a time, and through a
//! small network with the loss on top.
//!
//! With a step h the difference quotient `(L(+h) - L(-h)) / 2h` is off by `h^2 / 6 * L'''`
//! (truncation) plus about `EPSILON * |L| / h` (rounding of L): with h = 1e-5 that is 2e-11 L''' +
//! 2e-11 |L|. So a gradient must agree within 1e-7 of its root mean square, which leaves room for
//! losses and third derivatives some thousand times as large as it.

mod layers;
mod network;

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::Row;
use super::findings::Findings;
use crate::engine::numbers::{self, rms, widen};
use crate::ops::{Layer, examples};

const STEP: f64 = 1e-5;
const TOLERANCE: f64 = 1e-7;

/// Every operation that a layer can be, the loss, then networks.
pub fn run() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for layer in Layer::TYPES {
        let examples = examples().into_iter().filter(|example| example.layer.type_name() == *layer);
        rows.push(row(&layer.replace('_', " "), |findings| examples.for_each(|one| layers::layer(findings, &one))));
    }
    rows.push(row("softmax cross-entropy", layers::softmax_cross_entropy));
    rows.push(row("a chain with its loss", network::chain));
    rows.push(row("a residual network with its loss", network::residual));
    rows.push(row("networks with frozen layers", network::frozen));
    rows
}

fn row(name: &str, check: impl FnOnce(&mut Findings)) -> Row {
    let mut findings = Findings::default();
    check(&mut findings);
    Row { kernel: name.into(), variant: "f64 twin".into(), cases: findings.compared, findings }
}

/// Holds `gradient` to the central differences of `loss` around `at`, within `TOLERANCE * scale`.
fn check_scaled(
    findings: &mut Findings,
    what: &str,
    at: &[f64],
    gradient: &[f64],
    scale: f64,
    loss: impl Fn(&[f64]) -> f64,
) {
    let mut point = at.to_vec();
    let mut differences = Vec::new();
    for i in 0..at.len() {
        let mut loss_at = |value| {
            point[i] = value;
            loss(&point)
        };
        differences.push((loss_at(at[i] + STEP) - loss_at(at[i] - STEP)) / (2.0 * STEP));
        point[i] = at[i];
    }
    findings.compare(what, gradient, &differences, |_| TOLERANCE * scale);
}

/// As [`check_scaled`] with the gradient's own root mean square, which must not be 0.
fn check(findings: &mut Findings, what: &str, at: &[f64], gradient: &[f64], loss: impl Fn(&[f64]) -> f64) {
    let scale = rms(gradient);
    // false for a NaN
    if scale > 1e-6 {
        check_scaled(findings, what, at, gradient, scale, loss);
    } else {
        findings.note(what, Err(format!("nothing to compare: the gradient's root mean square is {scale}")));
    }
}

fn uniform(seed: u64, count: usize) -> Vec<f64> {
    widen(&numbers::uniform(seed, count))
}

/// Numbers in -1..1, shuffled, evenly apart and none near 0: no difference quotient steps over the kink of a ReLU or
/// over a tie in a pool.
fn apart(seed: u64, count: usize) -> Vec<f64> {
    let even = count.next_multiple_of(2); // symmetric about 0, so that 0 lies half a spacing away
    let spacing = 2.0 / even as f64;
    assert!(spacing > 10.0 * STEP, "{count} numbers lie too close together");
    let mut values: Vec<f64> = (0..even).map(|i| (i as f64 + 0.5) * spacing - 1.0).collect();
    values.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    values.truncate(count);
    values
}

/// The loss of the single operations, `sum(y * dy)`, whose gradient with respect to `y` is `dy`.
fn dot(y: &[f64], dy: &[f64]) -> f64 {
    assert_eq!(y.len(), dy.len());
    y.iter().zip(dy).map(|(y, dy)| y * dy).sum()
}
