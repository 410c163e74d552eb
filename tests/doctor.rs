//! The doctor: its list of cases is complete, and it finds what is wrong.

use std::collections::BTreeSet;

use crate::common::device::{device, prove};
use crate::common::mutants::{Mutant, shader_paths};
use ocellus::engine::gpu::Device;
use ocellus::engine::shader::TEXELS;
use ocellus::engine::variant::Algorithm;
use ocellus::engine::variant::Convolutions;
use ocellus::network::tutorial;
use ocellus::ops::{self, probe};
use ocellus::proof::doctor::findings::{Findings, compare, compare_nan, compare_rms};
use ocellus::proof::doctor::trial::bits;
use ocellus::proof::doctor::{Row, distinct, run_cases, run_half_step, run_step, targets};

#[test]
fn every_shader_has_a_case() {
    let mut unused: BTreeSet<String> = shader_paths().into_iter().collect();
    for target in targets(device()) {
        for case in ops::cases() {
            let plan = case.plan(&target);
            for file in plan.files().unwrap().iter().flatten() {
                unused.remove(*file);
            }
        }
    }
    // Not every device has subgroups of one size or matrix units, or is better off with textures.
    if device().listed.fixed_subgroup().is_none() {
        unused.remove("lib/gemm_subgroup");
    }
    if !device().options.matrix_units {
        unused.remove("lib/gemm_cooperative");
    }
    if device().variants().iter().all(|variant| variant.texel_reads.is_none()) {
        unused.remove(TEXELS);
    }
    assert!(unused.is_empty(), "no case runs {unused:?}");
}

#[test]
fn loops_run_as_long_as_kernels_need() {
    prove("probe/loop_limit");
    let limit = ocellus::proof::doctor::probe::iterations(device()).unwrap();
    assert!(limit.is_none_or(|limit| limit >= probe::ITERATIONS), "{limit:?}");
}

/// Checks change what an access out of bounds does, and nothing else.
#[test]
fn checked_shaders_compute_the_same_bits() {
    let [plain, checked] = [false, true].map(crate::common::device::open);
    let targets = targets(&plain);
    let mut compared = 0;
    for case in ops::cases().iter().filter(|case| case.telling) {
        for (target, plan) in distinct(case, &targets) {
            let got = bits(case, &checked, case.plan(target)).unwrap();
            let want = bits(case, &plain, plan).unwrap();
            assert!(got == want && !want.is_empty(), "{}, {}, {}", case.kernel, case.about, target.variant);
            compared += want.len();
        }
    }
    assert!(compared > 200, "{compared} tensors");
}

#[test]
fn a_training_step_is_right_node_by_node() {
    for convolutions in Algorithm::ALL.map(Convolutions::All) {
        let variant = device().variant.with(convolutions);
        let mut device: Device = device().clone();
        device.variant = variant.clone();
        let network = tutorial(64, 0.125, 4);
        let whole = run_step(&device, &network, 6, |_| {}).unwrap();
        let half = run_half_step(&device, &network, 6, |_| {}).unwrap();
        for Row { kernel, findings, .. } in [whole, half] {
            let (share, worst) = &findings.worst;
            println!("{variant}, {kernel}: {} tensors, worst {share:.3} of its bound: {worst}", findings.compared);
            let (rms, worst) = &findings.worst_rms;
            println!("    root mean square {rms:.3} of its bound: {worst}");
            assert!(findings.passed(), "{variant}, {kernel}:\n{}", findings.faults.join("\n"));
            assert!(findings.compared > 190, "{variant}, {kernel}: {} tensors", findings.compared);
        }
    }
}

/// The first fault names the kernel that is broken, and not one of those that its wrong numbers reach.
#[test]
fn the_first_kernel_that_differs_is_named() {
    for (path, old, new, name) in [
        ("batch_norm/normalize", "shift = beta[c]", "shift = beta[c] + 0.001", "bn1 forward (batch_norm/normalize)"),
        ("batch_norm/normalize", "p = 1u", "p = 2u", "bn1 forward (batch_norm/normalize)"),
        ("batch_norm/backward_apply", "== vec4(p)", "== vec4(p ^ 1u)", "bn8 backward (batch_norm/backward_reduce)"),
    ] {
        let row =
            run_step(device(), &tutorial(32, 0.125, 3), 4, |plan| assert!(Mutant::new(old, new).put_into(plan, path)))
                .unwrap();
        let first = row.findings.faults.first().unwrap_or_else(|| panic!("{path}: nothing found"));
        assert!(first.starts_with(name), "{path}: {first}");
    }
}

#[test]
fn a_kernel_that_does_not_compile_is_a_fault_of_its_row() {
    let cases: Vec<_> = ops::cases().into_iter().filter(|case| case.kernel == "relu/forward").take(1).collect();
    let device = crate::common::device::open(false);
    let rows =
        run_cases(&device, &cases, |plan| assert!(Mutant::new("select(", "choose(").put_into(plan, "relu/forward")))
            .unwrap();
    assert!(!rows[0].findings.passed() && rows[0].findings.faults[0].contains("choose"), "{rows:?}");
}

#[test]
fn comparisons_are_strict() {
    let passes = |got: &[f64], want: &[f64], bound: f64| compare(got, want, |_| bound).is_ok();
    assert!(passes(&[1.0, 2.0], &[1.0, 2.25], 0.25));
    assert!(passes(&[1.0], &[1.0], 0.0));
    assert!(!passes(&[1.0, 2.0], &[1.0, 2.25], 0.2));
    assert!(!passes(&[2.0], &[1.0], 0.0));
    assert!(!passes(&[2.0], &[1.0], -1.0));
    assert!(!passes(&[f64::NAN], &[1.0], 1.0));
    assert!(!passes(&[1.0], &[f64::NAN], 1.0));
    assert!(!passes(&[f64::INFINITY], &[f64::INFINITY], 1.0));
    assert!(!passes(&[1.0], &[1.0], f64::NAN));
    assert!(!passes(&[1.0], &[2.0], f64::INFINITY));
    assert!(!passes(&[1.0], &[1.0, 1.0], 1.0));
    assert!(!passes(&[], &[], 1.0));
    assert_eq!(compare(&[1.0, 3.0], &[1.0f32, 2.0], |_| 2.0), Ok(0.5));

    assert_eq!(compare_rms(&[1.0, 3.0], &[1.0, 2.0], 1.0), Ok(0.5f64.sqrt()));
    assert_eq!(compare_rms(&[1.0], &[1.0], 0.0), Ok(0.0));
    assert!(compare_rms(&[1.0, 3.0], &[1.0, 2.0], 0.7).is_err());
    for (got, want, bound) in
        [(f32::NAN, 1.0, 1.0), (1.0, f64::NAN, 1.0), (1.0, 1.0, f64::NAN), (1.0, 2.0, f64::INFINITY)]
    {
        assert!(compare_rms(&[got, 1.0], &[want, 1.0], bound).is_err(), "{got} {want} {bound}");
    }
    assert!(compare_rms(&[1.0], &[1.0, 1.0], 1.0).is_err() && compare_rms(&[], &[], 1.0).is_err());

    // One that only the root mean square shows is a fault too, and no second comparison.
    let mut findings = Findings::default();
    findings.note("y", Ok(0.1));
    findings.note_rms("y", compare_rms(&[1.0, f32::NAN], &[1.0, 1.0], 1.0));
    assert_eq!((findings.compared, findings.worst.0, findings.worst_rms.0), (1, 0.1, f64::INFINITY));
    assert!(!findings.passed());

    assert!(compare_nan(&[f32::NAN, 1.0], &[-f64::NAN, 2.0]).is_ok());
    assert!(compare_nan(&[0.0, 1.0], &[f64::NAN, 2.0]).is_err());
    assert!(compare_nan(&[f32::NAN, f32::NAN], &[f64::NAN, 2.0]).is_err());
    assert!(compare_nan(&[0.0], &[0.0]).is_err(), "nothing to find");
}
