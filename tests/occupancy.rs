//! Plans that fill a GPU: workgroups of products, merges and reductions, small dispatches, and sums that wait for one load
//! after the other.

use ocellus::engine::plan::{Plan, Step, Target};
use ocellus::engine::shader::Constant;
use ocellus::engine::variant::{Abilities, Variant};
use ocellus::network::compile::training;
use ocellus::network::tutorial;

/// Units of a large GPU that compute side by side.
const UNITS: u64 = 132;

/// A discrete GPU with bindings of 2 GiB.
fn gpu() -> Target {
    let variant = Variant::all(&Abilities { discrete: true, ..Abilities::default() }).swap_remove(0);
    Target { binding_bytes: 2 << 30, variant, ..Target::default() }
}

fn plans() -> [Plan; 2] {
    [64, 224].map(|size| training(&tutorial(size, 1.0, 8), 32, &gpu()))
}

/// Plans with fused statistics.
fn fused() -> [Plan; 2] {
    let target = gpu();
    let variant = Variant { fused_statistics: true, ..target.variant.clone() };
    let target = Target { variant, ..target };
    let plans = [64, 224].map(|size| training(&tutorial(size, 1.0, 8), 32, &target));
    assert!(plans[1].steps.iter().any(|step| step.kernel.path == "batch_norm/statistics_blocks"));
    plans
}

fn constant(step: &Step, name: &str) -> Option<usize> {
    step.constants.iter().find(|(other, _)| *other == name).map(|(_, constant)| match constant {
        Constant::Unsigned(value) => *value as usize,
        other => panic!("{name} is {other:?}"),
    })
}

/// Products are cut until a part has no more than this many terms, and not at all where a few tiles have no more than
/// `FEW_IN_ALL`: the cut would cost more than it saves. Reductions are cut until a block has this many rows.
const FEW_TERMS: usize = 128;
const FEW_IN_ALL: usize = 512;
const FEW_ROWS: usize = 16;
/// Merges until a thread has this many parts.
const FEW_PARTS: usize = 8;

#[test]
fn products_merges_and_reductions_fill_the_device() {
    let mut seen = [0; 3];
    for plan in plans().into_iter().chain(fused()) {
        for step in &plan.steps {
            let groups = plan.groups(step).unwrap();
            let of = |name| constant(step, name);
            let whole = if let (Some(u), Some(v), Some(w)) = (of("U_PER_SPLIT"), of("V_PER_SPLIT"), of("W_PER_SPLIT")) {
                seen[0] += 1;
                // Points of Winograd's tiles are products of their own.
                u * v * w > if of("SPLITS") == Some(1) && groups < 8 { FEW_IN_ALL } else { FEW_TERMS }
            } else if let Some(lanes) = of("LANES") {
                seen[1] += 1;
                of("parts").or(of("blocks")).unwrap() / lanes >= FEW_PARTS && lanes < 64
            } else if let Some(rows) = of("ROWS_PER_BLOCK") {
                seen[2] += 1;
                rows > FEW_ROWS && of("ROWS") > Some(64)
            } else {
                continue;
            };
            assert!(groups >= UNITS || !whole, "{}: {groups} workgroups, {:?}", step.name, step.constants);
        }
    }
    assert!(seen.iter().all(|count| *count > 10), "{seen:?}");
}

#[test]
fn no_thread_merges_many_parts() {
    for plan in plans().into_iter().chain(fused()) {
        for step in &plan.steps {
            if step.kernel.path == "batch_norm/statistics_blocks" {
                let [run, columns4] = ["ROWS_PER_BLOCK", "COLUMNS4"].map(|name| constant(step, name).unwrap());
                assert!(run.div_ceil(64 / columns4.min(64)) <= 16, "{}: {run}", step.name);
            }
            let parts = constant(step, "parts").or(constant(step, "blocks"));
            let lanes = constant(step, "LANES").unwrap_or(1);
            assert!(parts.is_none_or(|parts| parts.div_ceil(lanes) <= 16), "{}: {parts:?}", step.name);
            // Winograd's weight gradient adds up parts of the sum over tiles.
            if step.kernel.path == "winograd/weight_gradient" {
                assert!(constant(step, "PARTS").unwrap() <= 16, "{}", step.name);
            }
        }
    }
}

#[test]
fn dispatches_are_few() {
    let [_, large] = plans();
    let small: Vec<&str> =
        large.steps.iter().filter(|step| large.groups(step).unwrap() <= 16).map(|step| &*step.name).collect();
    println!("{} dispatches, {} of 16 workgroups or fewer: {small:#?}", large.steps.len(), small.len());
    assert!(large.steps.len() <= 190, "{}", large.steps.len());
    assert!(small.len() <= 15, "{}: {small:?}", small.len());
}
