//! Cases of Adam's step.

use super::{Tensors, alpha, steps};
use crate::engine::numbers::uniform;
use crate::engine::plan::{Layout, Plan, Target};
use crate::ops::case::{Case, Expect, Inputs, empty_plan, folded};

const MOMENTS: [&str; 3] = ["m", "v", "vhat"];

fn step(target: &Target, shape: &[usize], layout: Layout) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let gate = plan.kept("gate", &[4], Layout::Packed);
    let flags = plan.integers("flags", &[3]);
    let gradient = plan.kept("gradient", shape, layout);
    let parameter = plan.persistent("parameter", shape, layout);
    let [m, v, vhat] = MOMENTS.map(|moment| plan.persistent(moment, shape, layout));
    let guard = steps::Guard { gate, flags, flag: 1 };
    steps::step(&mut plan, "adam", guard, Tensors { parameter, gradient, m, v, vhat });
    plan
}

fn write_gate(inputs: &mut Inputs, step: u64) {
    inputs.write("gate", &[alpha(1e-3, step) as f32, 0.0, 0.0, 0.0]);
}

/// Two steps: from the zeros that the moments start as, and from numbers of every size, where sometimes `v` and
/// sometimes the old `vhat` is the larger.
fn two_steps(case: Case) -> Case {
    case.telling_if(true)
        .round("the first step", Expect::Bounded, |inputs| {
            write_gate(inputs, 1);
            inputs.fill(&["gradient", "parameter"], uniform);
            inputs.fill(&MOMENTS, |_, count| vec![0.0; count]);
        })
        .round("a later step", Expect::Bounded, |inputs| {
            write_gate(inputs, 7);
            inputs.fill(&["gradient", "m"], uniform);
            inputs.fill(&["v", "vhat"], |seed, count| uniform(seed, count).iter().map(|x| x.powi(4)).collect());
        })
        // Squares of these are flushed where a device flushes denormal numbers; the step must stay within the rate.
        .round("tiny gradients", Expect::Bounded, |inputs| {
            write_gate(inputs, 1);
            inputs.fill(&["gradient"], |seed, count| uniform(seed, count).iter().map(|x| x * 1e-18).collect());
            inputs.fill(&MOMENTS, |_, count| vec![0.0; count]);
        })
        // Roots as small as epsilon, and parameters that do not hide it.
        .round("gradients as small as epsilon", Expect::Bounded, |inputs| {
            write_gate(inputs, 1);
            inputs.fill(&["gradient"], |seed, count| uniform(seed, count).iter().map(|x| x * 1e-6).collect());
            inputs.fill(&MOMENTS, |_, count| vec![0.0; count]);
            inputs.fill(&["parameter"], |_, count| vec![0.0; count]);
        })
}

pub fn cases() -> Vec<Case> {
    let shapes: [(&[usize], Layout); 4] =
        [(&[1], Layout::Rows), (&[33], Layout::Rows), (&[3, 3, 3, 5], Layout::Matrix), (&[130, 70], Layout::Matrix)];
    let case = |(shape, layout): (&'static [usize], Layout)| {
        two_steps(Case::new("adam/step", format!("{shape:?}"), move |t| step(t, shape, layout)))
    };
    let mut cases: Vec<Case> = shapes.into_iter().map(case).collect();
    // 2,640 vec4s are 11 workgroups.
    let folded = Case::new("adam/step", "folded", |t| folded(t, |t| step(t, &[24, 440], Layout::Matrix)));
    cases.push(two_steps(folded));
    let still = Case::new("adam/step", "a gradient of zero", |t| step(t, &[5], Layout::Rows)).telling_if(true);
    let stopped = Case::new("adam/step", "stopped by the guard", |t| step(t, &[33], Layout::Rows)).telling_if(true);
    cases.push(stopped.round("nothing moves", Expect::Exact, |inputs| {
        inputs.write("gate", &[1.0, 1.0, 0.0, 0.0]);
        inputs.fill(&["gradient", "parameter", "m", "v", "vhat"], uniform);
    }));
    let unusable = Case::new("adam/step", "unusable gradients", |t| step(t, &[600], Layout::Rows)).telling_if(true);
    cases.push(unusable.round("nothing moves, and a flag says so", Expect::Exact, |inputs| {
        write_gate(inputs, 1);
        inputs.fill(&["parameter", "m", "v", "vhat"], uniform);
        inputs.write("gradient", &[[f32::NAN, f32::INFINITY, -f32::MAX]; 200].concat());
    }));
    cases.push(still.round("nothing moves", Expect::Exact, |inputs| {
        write_gate(inputs, 1);
        inputs.write("gradient", &[0.0; 5]);
        inputs.write("parameter", &[1.0, -2.0, 3.0, 0.0, 1e-30]);
    }));
    cases
}
