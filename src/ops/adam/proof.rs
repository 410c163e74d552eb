//! Cases of Adam's step.

use super::{Tensors, alpha, steps};
use crate::engine::numbers::uniform;
use crate::engine::plan::{Layout, Lifetime, Plan, Shares, Target};
use crate::ops::case::{Case, Expect, Inputs, empty_plan, folded};

const MOMENTS: [&str; 3] = ["m", "v", "vhat"];

fn step(target: &Target, shape: &[usize], layout: Layout) -> Plan {
    update(target, shape, layout, false)
}

/// The second of three slices of a parameter, of rows that are padded. The gradient has all numbers, or those of the slice.
fn slice(target: &Target, gradient_of_slice: bool) -> Plan {
    let target = Target { shares: Shares::of_rank(3, 1, 3), ..target.clone() };
    update(&target, &[150, 126], Layout::Matrix, gradient_of_slice)
}

fn update(target: &Target, shape: &[usize], layout: Layout, gradient_of_slice: bool) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let gate = plan.kept("gate", &[4], Layout::Packed);
    let flags = plan.integers("flags", &[3]);
    let gradient = plan.kept("gradient", shape, layout);
    let parameter = plan.persistent("parameter", shape, layout);
    let [m, v, vhat] = MOMENTS.map(|moment| plan.persistent_slice(moment, parameter));
    if gradient_of_slice {
        let numbers = plan.count_of(m.into());
        plan.cut_down(gradient, numbers);
    }
    let guard = steps::Guard { gate, flags, flag: 1 };
    steps::step(&mut plan, "adam", guard, Tensors { parameter, gradient, m, v, vhat });
    plan
}

/// Two parameters of one arena, and between them one that has no gradient and stays as it is.
fn in_an_arena(target: &Target) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let gate = plan.kept("gate", &[4], Layout::Packed);
    let shapes: [(&str, &[usize], Layout); 3] =
        [(" 1", &[3, 3, 3, 5], Layout::Matrix), (" 2", &[70], Layout::Rows), (" 3", &[33], Layout::Rows)];
    let mut all = |stem: &str, lifetime, every: bool| {
        let arena = plan.arena(&format!("arena/{stem}"), lifetime);
        for (number, shape, layout) in shapes {
            let id = plan.temporary(&format!("{stem}{number}"), shape, layout);
            if every || number != " 2" { plan.place(id, arena) } else { plan.leave_room(id, arena) }
        }
        arena
    };
    let parameter = all("parameter", Lifetime::Persistent, true);
    let gradient = all("gradient", Lifetime::Kept, false);
    let [m, v, vhat] = MOMENTS.map(|moment| all(moment, Lifetime::Persistent, false));
    let flags = plan.integers("flags", &[plan.places(gradient) + 3]);
    let guard = steps::Guard { gate, flags, flag: 2 };
    steps::step(&mut plan, "adam", guard, Tensors { parameter, gradient, m, v, vhat });
    plan
}

/// A step of usable gradients, and one in which each tensor has an unusable one.
fn arena_steps(case: Case) -> Case {
    let write = |inputs: &mut Inputs, broken: f32| {
        write_gate(inputs, 3);
        inputs.fill(&["parameter 1", "parameter 2", "parameter 3", "m 1", "m 3"], uniform);
        inputs.fill(&["v 1", "v 3", "vhat 1", "vhat 3"], |seed, count| {
            uniform(seed, count).iter().map(|x| x.powi(2)).collect()
        });
        let [mut first, mut last] = [uniform(1, 135), uniform(2, 33)];
        // Alone in their vec4s: what shares one with an unusable gradient does not move on a device.
        (first[134], last[32]) = (broken, broken);
        inputs.write("gradient 1", &first);
        inputs.write("gradient 3", &last);
        inputs.clear_integers("flags");
    };
    case.round("usable gradients", Expect::Bounded, move |inputs| write(inputs, 0.5)).round(
        "an unusable one in two tensors",
        Expect::Bounded,
        move |inputs| write(inputs, f32::NAN),
    )
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
    let arena = Case::new("adam/step", "an arena", in_an_arena).telling_if(true);
    let case = |(shape, layout): (&'static [usize], Layout)| {
        two_steps(Case::new("adam/step", format!("{shape:?}"), move |t| step(t, shape, layout)))
    };
    let mut cases: Vec<Case> = shapes.into_iter().map(case).collect();
    cases.push(arena_steps(arena));
    // 2,640 vec4s are 11 workgroups.
    let folded = Case::new("adam/step", "folded", |t| folded(t, |t| step(t, &[24, 440], Layout::Matrix)));
    cases.push(two_steps(folded));
    for (name, gradient_of_slice) in [("a slice", false), ("a slice and its gradient", true)] {
        cases.push(two_steps(Case::new("adam/step", name, move |t| slice(t, gradient_of_slice))));
    }
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
