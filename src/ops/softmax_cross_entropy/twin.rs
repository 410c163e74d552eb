//! f64 twin of the loss kernel.

use super::Problem;

/// `probabilities` and `dlogits` are `[batch, classes]`, `losses` is `[batch]` and carries no class weight; `loss` is
/// the weighted one of the batch, `correct` the number of samples whose largest logit is their label's.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub probabilities: Vec<f64>,
    pub losses: Vec<f64>,
    pub loss: f64,
    pub correct: usize,
    pub dlogits: Vec<f64>,
}

/// `losses[n] = logsumexp(z[n]) - z[n,label]`, `loss = sum(weight[label] * losses) / batch`,
/// `dlogits = weight[label] * (softmax(z) - onehot(label)) / batch` (Keras: logits are not clipped, and the divisor is
/// the batch size, not the sum of weights). A NaN logit makes the sample's loss, and so the batch's, NaN.
///
/// # Panics
/// If a label is not below `classes`.
pub fn forward(p: &Problem, logits: &[f64], labels: &[u32], class_weight: &[f64]) -> Output {
    smoothed(p, logits, labels, class_weight, 0.0)
}

/// The loss where a share `s` of each label is spread evenly over the classes, as Keras's `label_smoothing`: with
/// `target = (1 - s) * onehot(label) + s / classes`, `losses[n] = sum(target * (logsumexp(z[n]) - z[n]))` and `dlogits =
/// weight[label] * (softmax(z) - target) / batch` (Szegedy et al. 2016, section 7). The weight is the label's.
///
/// # Panics
/// If a label is not below `classes`.
pub fn smoothed(p: &Problem, logits: &[f64], labels: &[u32], class_weight: &[f64], smoothing: f64) -> Output {
    assert_eq!((logits.len(), labels.len(), class_weight.len()), (p.batch * p.classes, p.batch, p.classes));
    let batch = p.batch as f64;
    let mut out = Output { probabilities: vec![], losses: vec![], loss: 0.0, correct: 0, dlogits: vec![] };
    for (z, &label) in logits.chunks_exact(p.classes).zip(labels) {
        let label = label as usize;
        let weight = class_weight[label];
        // Shifted by the maximum, so that no exponential overflows.
        let maximum = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = z.iter().map(|z| (z - maximum).exp()).sum();
        let even = smoothing / p.classes as f64;
        let target = |class: usize| even + if class == label { 1.0 - smoothing } else { 0.0 };
        let below: f64 = if smoothing > 0.0 { z.iter().map(|z| even * (maximum - z)).sum() } else { 0.0 };
        let loss = sum.ln() + (1.0 - smoothing) * (maximum - z[label]) + below;

        for (class, z) in z.iter().enumerate() {
            let probability = (z - maximum).exp() / sum;
            out.probabilities.push(probability);
            out.dlogits.push(weight * (probability - target(class)) / batch);
        }
        out.losses.push(loss);
        out.loss += weight * loss / batch;
        out.correct += usize::from(argmax(z) == label);
    }
    out
}

/// The lowest index of the largest value.
fn argmax(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}
