//! The step that ends every submission.

use super::{MARKS, cpu};
use crate::kernel;
use crate::plan::{Plan, Step, TensorId};
use crate::shader::Work;

/// Marks `receipt [4]`.
pub fn mark(plan: &mut Plan, name: &str, receipt: TensorId) {
    let step = Step {
        name: name.into(),
        kernel: kernel!("receipt/mark"),
        constants: vec![("MARKS", MARKS.into())],
        bindings: vec![("receipt", receipt.into())],
        work: Work::Groups(1),
        flops: 0,
    };
    plan.node(name, vec![step], move |values| {
        let mut numbers = values.take(receipt);
        cpu::mark(&mut numbers);
        values.set(receipt, numbers);
    });
}
