//! Cases of the guard and the receipt: what stops a step that has a number which is none.

use super::{Case, empty_plan, folding};
use crate::doctor::numbers::uniform;
use crate::doctor::trial::{Expect, Trial};
use crate::ops::guard::gpu::{self, Tensors};
use crate::ops::receipt;
use crate::plan::{Layout, Plan, Target};

/// Two tensors, of which the second is checked first.
fn plan(target: &Target, count: usize, clear: bool) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let checked = ["first", "second"].map(|name| plan.kept(name, &[count], Layout::Rows));
    let [rate, gate, receipt] = ["rate", "gate", "a receipt"].map(|name| plan.kept(name, &[4], Layout::Packed));
    let flags = plan.integers("flags", &[checked.len()]);
    for (flag, id) in checked.into_iter().enumerate().rev() {
        gpu::check(&mut plan, "check", id, flag, flags);
    }
    gpu::stop(&mut plan, "stop", Tensors { flags, rate, gate, receipt }, clear);
    plan
}

fn write(trial: &mut Trial, count: usize, broken: &[(&str, usize, f32)]) {
    trial.write("rate", &[0.25, 0.0, 0.0, 0.0]);
    trial.write("a receipt", &[0.0; 4]);
    trial.write_integers("flags", &[0; 2]);
    for (seed, name) in ["first", "second"].into_iter().enumerate() {
        let mut numbers = uniform(seed as u64, count);
        for (_, at, number) in broken.iter().filter(|(tensor, ..)| *tensor == name) {
            numbers[*at] = *number;
        }
        trial.write(name, &numbers);
    }
}

fn rounds(case: Case, count: usize) -> Case {
    let broken = |case: Case, name, tensor, at, number| {
        case.round(name, Expect::Exact, move |trial| write(trial, count, &[(tensor, at, number)]))
    };
    let case =
        case.telling_if(count < 100).round("usable numbers", Expect::Exact, move |trial| write(trial, count, &[]));
    let case = case.round("NaN in both", Expect::Exact, move |trial| {
        write(trial, count, &[("first", 1, f32::NAN), ("second", 1, f32::NAN)])
    });
    let case = broken(case, "a NaN at the end", "second", count - 1, f32::NAN);
    let case = broken(case, "a negative NaN", "first", 0, f32::from_bits(0xffc0_0001));
    let case = broken(case, "an infinity", "first", count / 2, f32::NEG_INFINITY);
    let case = broken(case, "the least number that is too large", "second", count / 3, f32::from_bits(0x5f80_0000));
    broken(case, "the largest number that is not", "second", count / 3, f32::from_bits(0x5f7f_ffff))
}

fn mark(target: &Target) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let numbers = plan.kept("numbers", &[4], Layout::Packed);
    receipt::gpu::mark(&mut plan, "mark", numbers);
    plan
}

pub fn cases() -> Vec<Case> {
    let case = |kernel, count: usize, clear: bool| {
        rounds(Case::new(kernel, format!("{count} numbers"), move |t| plan(t, count, clear)), count)
    };
    // 12,288 vec4s are three workgroups.
    let folded = Case::new("guard/check", "folded", |t| plan(&folding(t, 2), 49_152, true));
    let mark = Case::new("receipt/mark", "one more", mark).telling_if(true);
    vec![
        case("guard/check", 7, false),
        case("guard/check", 49_148, false),
        rounds(folded, 49_152),
        case("guard/stop", 5, true),
        case("guard/stop", 5, false),
        mark.round("a receipt", Expect::Exact, |trial| trial.write("numbers", &[7.0, 2.0, 0.0, 3.0])),
    ]
}
