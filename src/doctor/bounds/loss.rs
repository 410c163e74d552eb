//! Bounds of softmax cross-entropy.

use super::{Bounds, DIVISION, FLUSHED, ULP};
use crate::doctor::operation::Operation;

/// The absolute error that WGSL allows `log` between 0.5 and 2; outside it is 3 ULP of the result.
const LOGARITHM: f64 = 1.0 / (1u64 << 21) as f64;

/// WGSL allows `exp(d)` an error of 3 + 2 |d| ULP, and d, a difference of logits, is itself off by |d| ULP.
pub fn forward(op: &Operation) -> Bounds {
    let (logits, labels, class_weight) = (op.input("logits"), op.integers("labels"), op.input("class_weight"));
    let classes = class_weight.len();
    let batch = labels.len() as f64;
    let weight = |sample: usize| class_weight[labels[sample] as usize];
    // How far apart a sample's logits are.
    let spread = |sample: usize| {
        let z = &logits[sample * classes..][..classes];
        z.iter().copied().fold(f64::MIN, f64::max) - z.iter().copied().fold(f64::MAX, f64::min)
    };
    let exponential = |sample: usize| (3.0 + 3.0 * spread(sample)) * ULP;
    let sum = |sample: usize| exponential(sample) + classes as f64 * ULP;

    let probabilities = op.output("probabilities");
    let probability = |i: usize| {
        let sample = i / classes;
        // A tiny exponential may be flushed, and so may its share of the sum.
        (exponential(sample) + sum(sample) + DIVISION) * probabilities[i] + 2.0 * FLUSHED
    };
    let dlogits = op.output("grad_logits");
    let dlogit = |i: usize| {
        let weight = weight(i / classes) / batch;
        // p - 1 is rounded to the ULP of numbers up to 1, then weighted and divided.
        let rounding = if dlogits[i] < 0.0 { ULP } else { 0.0 };
        weight * (probability(i) + rounding) + (ULP + DIVISION) * dlogits[i].abs() + FLUSHED
    };
    // Each sample's loss is `log(sum) - (z - highest)`: no larger than the spread of its logits and the logarithm of the
    // number of classes. It is the logarithm, two differences and a product; then the losses are added up in order.
    let loss = |sample: usize| {
        let largest = spread(sample) + (classes as f64).ln();
        weight(sample) * (LOGARITHM + sum(sample) + 6.0 * ULP * largest + batch * ULP * largest)
    };
    let losses = (0..labels.len()).map(loss).sum();
    [
        (op.id("probabilities"), (0..logits.len()).map(probability).collect()),
        (op.id("grad_logits"), (0..logits.len()).map(dlogit).collect()),
        // Right answers are whole.
        (op.id("total"), vec![losses, 0.0, 0.0, 0.0]),
    ]
    .into()
}
