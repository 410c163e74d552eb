//! Cases of the guard and the receipt: what stops a step that has a number which is none.

use super::{Case, empty_plan, folding};
use crate::doctor::numbers::uniform;
use crate::doctor::trial::Expect;
use crate::ops::guard::gpu::{self, Tensors};
use crate::ops::receipt;
use crate::plan::{Layout, Plan, Target};

const FLAGS: usize = 5;

fn check(target: &Target, count: usize) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let values = plan.kept("values", &[count], Layout::Rows);
    let flags = plan.integers("flags", &[FLAGS]);
    gpu::check(&mut plan, "check", values, 1, flags);
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
        case = case.round(what, Expect::Exact, move |trial| {
            let mut values = uniform(1, count);
            values[at] = number;
            trial.write("values", &values);
            trial.write_integers("flags", &[0; FLAGS]);
        });
    }
    case.telling_if(count < 100)
}

fn stop(target: &Target, clear: bool) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let [rate, gate, receipt] = ["rate", "gate", "a receipt"].map(|name| plan.kept(name, &[4], Layout::Packed));
    let flags = plan.integers("flags", &[FLAGS]);
    gpu::stop(&mut plan, "stop", Tensors { flags, rate, gate, receipt }, clear);
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
        case = case.round(what, Expect::Exact, move |trial| {
            trial.write("rate", &[0.25, 0.0, 0.0, 0.0]);
            trial.write("a receipt", &[7.0, 1.0, 0.0, 0.0]);
            trial.write_integers("flags", &flags);
        });
    }
    case
}

fn mark(target: &Target) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let numbers = plan.kept("numbers", &[4], Layout::Packed);
    receipt::gpu::mark(&mut plan, "mark", numbers);
    plan
}

pub fn cases() -> Vec<Case> {
    let of =
        |count: usize| numbers(Case::new("guard/check", format!("{count} numbers"), move |t| check(t, count)), count);
    // 12,288 vec4s are three workgroups.
    let folded = Case::new("guard/check", "folded", |t| check(&folding(t, 2), 49_152));
    let mark = Case::new("receipt/mark", "one more", mark).telling_if(true);
    vec![
        of(7),
        of(49_148),
        numbers(folded, 49_152),
        flags(false),
        flags(true),
        mark.round("a receipt", Expect::Exact, |trial| trial.write("numbers", &[7.0, 2.0, 0.0, 3.0])),
    ]
}
