//! Steps of the loss.

use super::{Problem, Tensors, bound, twin};
use crate::engine::plan::{Layout, Plan, Step};
use crate::engine::shader::Work;
use crate::engine::shape::padded;
use crate::engine::tensor::Values;
use crate::kernel;
use crate::ops::sum::{self, Parts};

/// Probabilities, loss, correct answers and the gradient of the logits, in one pass.
///
/// `smoothing` is the share of each label that is spread evenly over all classes.
pub fn forward(plan: &mut Plan, name: &str, p: Problem, t: Tensors, smoothing: f32) {
    let smoothing = f64::from(smoothing);
    let samples = plan.temporary(&format!("{name}/samples"), &[p.batch, 4], Layout::Packed);
    let step = Step {
        name: name.into(),
        kernel: kernel!("softmax_cross_entropy/forward"),
        constants: vec![
            ("BATCH", p.batch.into()),
            ("CLASSES", p.classes.into()),
            ("STRIDE", padded(p.classes).into()),
            ("SMOOTHING", smoothing.into()),
        ],
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
    let merge = sum::merge(plan, name, parts, samples.into(), t.metrics.into());
    let twin = move |values: &mut Values| {
        let (logits, labels, weight) = (values.get(t.logits), values.integers(t.labels), values.get(t.class_weight));
        let out = twin::smoothed(&p, logits, labels, weight, smoothing);
        values.set(t.probabilities, out.probabilities);
        values.set(t.dlogits, out.dlogits);
        values.set(t.metrics, vec![out.loss * p.batch as f64, out.correct as f64, 0.0, 0.0]);
    };
    plan.node(name, vec![step, merge], twin, move |given| bound::forward(given, &t, smoothing));
}
