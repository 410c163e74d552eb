//! Cases of half precision, in a kernel that copies: what is read from halves, and what is written to them.

use super::steps;
use crate::engine::numbers::uniform;
use crate::engine::plan::{Element, Layout, Lifetime, Plan, Target, Tensor};
use crate::ops::case::{Case, Expect, empty_plan};

const KERNEL: &str = "lib/halves";
const COUNT: usize = 1000;

fn copy(target: &Target, count: usize, from: Element, to: Element) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let [x, y] = [("x", from), ("y", to)].map(|(name, element)| {
        let (layout, lifetime) = (Layout::Rows, Lifetime::Kept);
        plan.add(Tensor { lifetime, ..Tensor::new(name, &[count], element, layout) })
    });
    steps::copy(&mut plan, "copy", x, y);
    plan
}

/// From where halves are denormal to the largest.
fn of_all_sizes(seed: u64, count: usize) -> Vec<f32> {
    let sizes = [1e-6, 1e-3, 1.0, 60.0, 65_504.0];
    uniform(seed, count).into_iter().enumerate().map(|(i, number)| number * sizes[i % sizes.len()]).collect()
}

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (about, from, to) in [("read", Element::F16, Element::F32), ("written", Element::F32, Element::F16)] {
        let case = Case::new(KERNEL, about, move |t| copy(t, COUNT, from, to)).sums(&["x"]);
        cases.push(
            case.round("numbers of all sizes", Expect::Bounded, |inputs| inputs.fill(&["x"], of_all_sizes))
                .telling_if(true),
        );
        // A NaN in each place of a vec4, among the largest halves.
        let mut special = [65_504.0, -65_504.0, 0.0, 1.0].repeat(4);
        (0..4).for_each(|place| special[5 * place] = if place % 2 == 0 { f32::NAN } else { -f32::NAN });
        cases.push(
            Case::new(KERNEL, format!("NaN {about}"), move |t| copy(t, 16, from, to))
                .round("NaN", Expect::SameNan, move |inputs| inputs.write("x", &special))
                .telling_if(true),
        );
    }
    cases
}
