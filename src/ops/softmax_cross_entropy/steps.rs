//! Steps of the loss.

use super::{Problem, bound, twin};
use crate::kernel;
use crate::ops::sum::{self, Parts};
use crate::plan::{Layout, Plan, Step, TensorId};
use crate::shader::Work;
use crate::shape::padded;
use crate::tensor::Values;

/// What `forward` reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Tensors {
    /// `[batch, classes]`
    pub logits: TensorId,
    /// `[batch]`, integers
    pub labels: TensorId,
    /// `[classes]`
    pub class_weight: TensorId,
    /// `[batch, classes]`
    pub probabilities: TensorId,
    /// `[batch, classes]`: the gradient of the mean loss
    pub dlogits: TensorId,
    /// `[4]`: the sum of the samples' weighted losses, the number of right answers, 0, 0
    pub metrics: TensorId,
}

/// Probabilities, loss, right answers and the gradient of the logits, in one pass.
pub fn forward(plan: &mut Plan, name: &str, p: Problem, t: Tensors) {
    let samples = plan.temporary(&format!("{name}/samples"), &[p.batch, 4], Layout::Packed);
    let step = Step {
        name: name.into(),
        kernel: kernel!("softmax_cross_entropy/forward"),
        constants: vec![("BATCH", p.batch.into()), ("CLASSES", p.classes.into()), ("STRIDE", padded(p.classes).into())],
        bindings: vec![
            ("logits", t.logits.into()),
            ("labels", t.labels.into()),
            ("class_weight", t.class_weight.into()),
            ("probabilities", t.probabilities.into()),
            ("grad_logits", t.dlogits.into()),
            ("samples", samples.into()),
        ],
        work: Work::each(p.batch),
        flops: 8 * (p.batch * p.classes) as u64,
    };
    let parts = Parts { parts: p.batch, stride: 4, offset: 0, count: 4 };
    let merge = sum::merge(name, parts, samples.into(), t.metrics.into());
    let twin = move |values: &mut Values| {
        let out = twin::forward(&p, values.get(t.logits), values.integers(t.labels), values.get(t.class_weight));
        values.set(t.probabilities, out.probabilities);
        values.set(t.dlogits, out.dlogits);
        values.set(t.metrics, vec![out.loss * p.batch as f64, out.correct as f64, 0.0, 0.0]);
    };
    plan.node(name, vec![step, merge], twin, move |given| bound::forward(given, &t));
}
