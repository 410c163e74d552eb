//! Bounds of softmax cross-entropy.

use super::Tensors;
use crate::engine::bound::{Given, ULP, Uncertainties, Uncertainty};

/// The absolute error that WGSL allows `log` between 0.5 and 2; outside it is 3 ULP of the result.
const LOGARITHM: f64 = 1.0 / (1u64 << 21) as f64;

/// WGSL allows `exp(d)` an error of 3 + 2 |d| ULP, and d, a difference of logits, is rounded itself.
fn exponential(d: f64) -> Uncertainty {
    let value = d.exp();
    Uncertainty::NONE.rounded(d).times(value).within((3.0 + 2.0 * d.abs()) * ULP * value)
}

/// Each sample's probabilities are exponentials by their sum; its loss is `log(sum) + (highest - z)`, of which a share
/// `smoothing` is the mean over the classes.
pub fn forward(given: &Given, t: &Tensors, smoothing: f64) -> Uncertainties {
    let (logits, labels, class_weight) = (given.input(t.logits), given.integers(t.labels), given.input(t.class_weight));
    let (probabilities, dlogits) = (given.output(t.probabilities), given.output(t.dlogits));
    let classes = class_weight.len();
    let batch = labels.len() as f64;
    let (mut of_probabilities, mut of_dlogits, mut of_loss) = (Vec::new(), Vec::new(), Uncertainty::NONE);
    let mut total = 0.0;
    let even = smoothing / classes as f64;
    for (sample, z) in logits.chunks_exact(classes).enumerate() {
        let highest = z.iter().copied().fold(f64::MIN, f64::max);
        let (mut sum, mut of_sum) = (0.0, Uncertainty::NONE);
        for z in z {
            sum += (z - highest).exp();
            of_sum = (of_sum + exponential(z - highest)).rounded(sum);
        }
        let weight = class_weight[labels[sample] as usize];
        for (class, z) in z.iter().enumerate() {
            let i = sample * classes + class;
            let p = probabilities[i];
            let of_share = (exponential(z - highest) + of_sum.times(p)).times(1.0 / sum);
            // A tiny exponential may be flushed, and so may its share of the sum.
            let of_p = of_share.divided(p).flushed().flushed();
            // p - 1 is rounded where the class is the label's, then weighted and divided.
            let mut of_gradient = of_p;
            let is_label = class == labels[sample] as usize;
            let target = even + if is_label { 1.0 - smoothing } else { 0.0 };
            if smoothing > 0.0 {
                of_gradient = of_gradient.divided(even).rounded(1.0 - smoothing).rounded(target);
            }
            if is_label || smoothing > 0.0 {
                of_gradient = of_gradient.rounded(target - p);
            }
            let of_gradient = of_gradient.times(weight / batch).rounded(dlogits[i]).divided(dlogits[i]);
            of_probabilities.push(of_p);
            of_dlogits.push(of_gradient.flushed());
        }
        let (logarithm, d) = (sum.ln(), z[labels[sample] as usize] - highest);
        let of_logarithm = if sum < 2.0 { LOGARITHM } else { 3.0 * ULP * logarithm };
        let (mut below, mut of_below) = (0.0, Uncertainty::NONE);
        if smoothing > 0.0 {
            for z in z {
                below += highest - z;
                of_below = of_below.rounded(highest - z).rounded(below);
            }
        }
        let kept = (1.0 - smoothing) * -d;
        let mut of_kept = Uncertainty::NONE.rounded(d);
        if smoothing > 0.0 {
            // The factor is rounded, and the product.
            of_kept = of_kept.times(1.0 - smoothing).rounded(kept).rounded(kept);
        }
        let loss = weight * (logarithm + kept + even * below);
        let mut of_difference = (of_sum.times(1.0 / sum).within(of_logarithm) + of_kept).rounded(logarithm + kept);
        if smoothing > 0.0 {
            let of_spread = of_below.times(even).divided(even * below).rounded(even * below);
            of_difference = (of_difference + of_spread).rounded(logarithm + kept + even * below);
        }
        total += loss;
        of_loss = (of_loss + of_difference.times(weight).rounded(loss)).rounded(total);
    }
    // Correct answers are whole.
    let of_total = [of_loss, Uncertainty::NONE, Uncertainty::NONE, Uncertainty::NONE];
    [(t.probabilities, of_probabilities), (t.dlogits, of_dlogits), (t.metrics, of_total.into())].into()
}
