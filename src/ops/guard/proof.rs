//! Cases of the guard, which stops a step with a NaN, an infinity or an overflowing value.

use super::steps::{self, Tensors};
use crate::engine::numbers::uniform;
use crate::engine::plan::{Layout, Lifetime, Plan, Target};
use crate::ops::case::{Case, Expect, empty_plan, folding};

/// More than the threads of `guard/stop.wgsl`.
const FLAGS: usize = 133;

/// Flags before and after those of the values, which must stay as they are.
const MORE_FLAGS: usize = 3;

fn check(target: &Target, count: usize) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let values = plan.kept("values", &[count], Layout::Rows);
    let places = plan.places(values);
    let flags = plan.integers("flags", &[places + 2 * MORE_FLAGS]);
    steps::check(&mut plan, "check", values, MORE_FLAGS, flags);
    plan
}

/// Tensors of an arena, of which padding and a gap are zeros.
fn check_arena(target: &Target) -> Plan {
    let mut plan = empty_plan(target, 1, 1);
    let arena = plan.arena("arena", Lifetime::Kept);
    let part = |plan: &mut Plan, name: &str, shape: &[usize], layout| {
        let id = plan.temporary(name, shape, layout);
        plan.place(id, arena);
        id
    };
    part(&mut plan, "values", &[70], Layout::Rows);
    let gap = plan.temporary("gap", &[65], Layout::Rows);
    plan.leave_room(gap, arena);
    part(&mut plan, "kernel", &[3, 3, 3, 5], Layout::Matrix);
    let flags = plan.integers("flags", &[plan.places(arena) + MORE_FLAGS]);
    steps::check(&mut plan, "check", arena, 0, flags);
    plan
}

/// A NaN in one tensor, in the other, in both.
fn arena() -> Case {
    let mut case = Case::new("guard/check", "an arena", check_arena).telling_if(true);
    for (what, first, second) in [("usable", 1.0, 1.0), ("one", f32::NAN, 1.0), ("both", f32::NAN, f32::NAN)] {
        case = case.round(what, Expect::Exact, move |inputs| {
            let [mut values, mut kernel] = [uniform(1, 70), uniform(2, 135)];
            (values[67], kernel[130]) = (first, second);
            inputs.write("values", &values);
            inputs.write("kernel", &kernel);
            inputs.clear_integers("flags");
        });
    }
    case
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
            inputs.clear_integers("flags");
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
    let rounds: [(_, &[usize]); 6] = [
        ("no flag", &[]),
        ("the first", &[0]),
        ("the last", &[FLAGS - 1]),
        ("several", &[64, 2, 3]),
        ("two of one thread", &[130, 66]),
        ("one of the last threads", &[45]),
    ];
    for (what, set) in rounds {
        case = case.round(what, Expect::Exact, move |inputs| {
            let mut flags = [0; FLAGS];
            set.iter().for_each(|flag| flags[*flag] = 1);
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
    // 12,288 vec4s are 192 workgroups.
    let folded = Case::new("guard/check", "folded", |t| check(&folding(t, 100), 49_152));
    vec![of(7), of(49_148), numbers(folded, 49_152), arena(), flags(false), flags(true)]
}
