//! The dense layer on the device against the twins: every core.

use crate::common::device::{cases_of, device, prove};
use ocellus::engine::plan::Target;
use ocellus::engine::variant::{Abilities, Variant};
use ocellus::proof::doctor;

#[test]
fn forward() {
    prove("dense/forward");
}

#[test]
fn data_gradient() {
    prove("dense/data_gradient");
}

#[test]
fn weight_gradient() {
    prove("dense/weight_gradient");
}

/// The tiles that tuning tries on GPUs, on this device too, whatever it is.
#[test]
fn tiles_of_gpus() {
    let kernels = ["dense/forward", "dense/data_gradient", "dense/weight_gradient"];
    let cases: Vec<_> = kernels.into_iter().flat_map(cases_of).filter(|case| case.telling).collect();
    let all = Variant::all(&Abilities::default()).into_iter().filter(|variant| variant.texel_reads.is_none());
    let targets: Vec<Target> = all.map(|variant| Target { variant, ..device().target() }).collect();
    assert!(targets.len() >= 4 && cases.len() >= 6, "{} {}", targets.len(), cases.len());
    for row in doctor::run_cases_in(device(), &targets, &cases, |_| {}).unwrap() {
        assert!(row.findings.passed() && row.findings.compared > 0, "{}: {:?}", row.variant, row.findings.faults);
    }
}
