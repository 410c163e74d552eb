//! Steps of the addition.

use super::cpu;
use crate::kernel;
use crate::plan::{Plan, Step, TensorId, View};
use crate::shader::Work;

/// `y = a + b`, any shape.
pub fn forward(plan: &mut Plan, name: &str, [a, b]: [TensorId; 2], y: TensorId) {
    let step = |window: usize| {
        let view = |tensor| View { tensor, window };
        let count: usize = plan.count_of(view(y));
        Step {
            name: name.into(),
            kernel: kernel!("add/forward"),
            constants: vec![],
            bindings: vec![("a", view(a)), ("b", view(b)), ("y", view(y))],
            work: Work::each(count / 4),
            flops: count as u64,
        }
    };
    let steps = (0..plan.windows_of(y)).map(step).collect();
    plan.node(name, steps, move |t| t.set(y, cpu::forward(t.get(a), t.get(b))));
}
