//! Cases of the guard, which stops a step with a NaN, an infinity or an overflowing value.

use super::steps::{self, Tensors};
use crate::engine::numbers::uniform;
use crate::engine::plan::{Layout, Plan, Target};
use crate::ops::case::{Case, Expect, empty_plan, folding};

const FLAGS: usize = 5;

fn check(target: &Target, count: usize) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let values = plan.kept("values", &[count], Layout::Rows);
    let flags = plan.integers("flags", &[FLAGS]);
    steps::check(&mut plan, "check", values, 1, flags);
    plan
}

/// Every kind of unusable number, and the largest that is usable.
fn numbers(mut case: Case, count: usize) -> Case {
    let odd = [
        ("usable numbers", 0, 1.0),
        ("a NaN at the end", count - 1, f32::NAN),
        ("a negative NaN", 0, f32::from_bits(0xffc0_0001)),
        ("an infinity", count / 2, f32::NEG_INFINITY),
        ("the least number that is too large", count / 3, f32::from_bits(0x5f80_0000)),
        ("the largest number that is not", count / 3, f32::from_bits(0x5f7f_ffff)),
    ];
    for (what, at, number) in odd {
        case = case.round(what, Expect::Exact, move |inputs| {
            let mut values = uniform(1, count);
            values[at] = number;
            inputs.write("values", &values);
            inputs.write_integers("flags", &[0; FLAGS]);
        });
    }
    case.telling_if(count < 100)
}

fn stop(target: &Target, clear: bool) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let [rate, gate, receipt] = ["rate", "gate", "a receipt"].map(|name| plan.kept(name, &[4], Layout::Packed));
    let flags = plan.integers("flags", &[FLAGS]);
    steps::stop(&mut plan, "stop", Tensors { flags, rate, gate, receipt }, clear);
    plan
}

/// No flag, the first, the last, several.
fn flags(clear: bool) -> Case {
    let mut case = Case::new("guard/stop", format!("cleared: {clear}"), move |t| stop(t, clear)).telling_if(true);
    for (what, flags) in [
        ("no flag", [0; FLAGS]),
        ("the first", [1, 0, 0, 0, 0]),
        ("the last", [0, 0, 0, 0, 1]),
        ("several", [0, 0, 1, 1, 0]),
    ] {
        case = case.round(what, Expect::Exact, move |inputs| {
            inputs.write("rate", &[0.25, 0.0, 0.0, 0.0]);
            inputs.write("a receipt", &[7.0, 1.0, 0.0, 0.0]);
            inputs.write_integers("flags", &flags);
        });
    }
    case
}

pub fn cases() -> Vec<Case> {
    let of =
        |count: usize| numbers(Case::new("guard/check", format!("{count} numbers"), move |t| check(t, count)), count);
    // 12,288 vec4s are three workgroups.
    let folded = Case::new("guard/check", "folded", |t| check(&folding(t, 2), 49_152));
    vec![of(7), of(49_148), numbers(folded, 49_152), flags(false), flags(true)]
}
