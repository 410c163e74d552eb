//! One temperature for all classes (Guo et al. 2017, On calibration of modern neural networks): probabilities to the power
//! `1 / T`, normalised. It changes no most probable class.

use super::Predictions;

/// The search is for the logarithm of the temperature, between these.
const LOGARITHMS: [f64; 2] = [-4.0, 4.0];

/// Probabilities below this, which f32 rounds to 0, count as this.
const LEAST: f64 = f32::MIN_POSITIVE as f64;

/// A row of probabilities at a temperature.
pub fn at_temperature(row: &[f32], temperature: f64) -> Vec<f64> {
    let logits = row.iter().map(|&p| f64::from(p).max(LEAST).ln() / temperature);
    let logits: Vec<f64> = logits.collect();
    let highest = logits.iter().copied().fold(f64::MIN, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - highest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// The mean loss of the labels at a temperature.
pub fn log_loss(predictions: &Predictions, temperature: f64) -> f64 {
    let loss = |sample: usize| -at_temperature(predictions.row(sample), temperature)[predictions.labels[sample]].ln();
    (0..predictions.samples()).map(loss).sum::<f64>() / predictions.samples() as f64
}

/// The temperature with the least log loss; `None` where the loss falls up to the end of the range, as it does where every
/// prediction is correct.
pub fn fit(predictions: &Predictions) -> Option<f64> {
    // The loss is convex in 1 / T, so it has one minimum over the logarithm too: golden section.
    let shrink = (5f64.sqrt() - 1.0) / 2.0;
    let [mut low, mut high] = LOGARITHMS;
    let loss = |logarithm: f64| log_loss(predictions, logarithm.exp());
    let (mut left, mut right) = (high - shrink * (high - low), low + shrink * (high - low));
    let (mut of_left, mut of_right) = (loss(left), loss(right));
    while high - low > 1e-7 {
        if of_left <= of_right {
            (high, right, of_right) = (right, left, of_left);
            left = high - shrink * (high - low);
            of_left = loss(left);
        } else {
            (low, left, of_left) = (left, right, of_right);
            right = low + shrink * (high - low);
            of_right = loss(right);
        }
    }
    let best = (low + high) / 2.0;
    (LOGARITHMS.iter().all(|end| (best - end).abs() > 1e-3)).then(|| best.exp())
}
