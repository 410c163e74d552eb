//! The mark that ends every submission in a run's receipt ([`crate::engine::receipt`]).

use crate::engine::bound::unrounded;
use crate::engine::plan::{Plan, Step, TensorId};
use crate::engine::receipt::MARKS;
use crate::engine::shader::Work;
use crate::engine::tensor::Values;
use crate::kernel;

/// Adds the step that marks `receipt [4]`.
pub fn mark(plan: &mut Plan, name: &str, receipt: TensorId) {
    let step = Step {
        name: name.into(),
        kernel: kernel!("receipt/mark"),
        constants: vec![("MARKS", MARKS.into())],
        bindings: vec![("receipt", receipt.into())],
        work: Work::Groups(1),
        flops: 0,
    };
    let twin = move |values: &mut Values| {
        let mut numbers = values.take(receipt);
        twin::mark(&mut numbers);
        values.set(receipt, numbers);
    };
    plan.node(name, vec![step], twin, unrounded);
}

pub mod twin {
    use crate::engine::receipt::MARKS;

    /// One more mark.
    pub fn mark(receipt: &mut [f64]) {
        receipt[MARKS] += 1.0;
    }
}

pub mod proof {
    use super::mark;
    use crate::engine::plan::{Layout, Plan, Target};
    use crate::ops::case::{Case, Expect, empty_plan};

    fn plan(target: &Target) -> Plan {
        let mut plan = empty_plan(target, 1, 1);
        let numbers = plan.kept("numbers", &[4], Layout::Packed);
        mark(&mut plan, "mark", numbers);
        plan
    }

    pub fn cases() -> Vec<Case> {
        let mark = Case::new("receipt/mark", "one more", plan).telling_if(true);
        vec![mark.round("a receipt", Expect::Exact, |inputs| inputs.write("numbers", &[7.0, 2.0, 0.0, 3.0]))]
    }
}
