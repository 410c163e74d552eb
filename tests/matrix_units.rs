//! Matrix units: who gets them, and what becomes of them where they compute wrongly. Few adapters have them; on others the tests
//! that need them say so. `scripts/portability/run.py units` runs all of them on one that has.

use crate::common::device::{choice, options};
use crate::common::program::{device as named, ocellus, photographs, refuse, succeed, text, train};
use ocellus::engine::gpu::{Device, Options};
use ocellus::engine::plan::{Plan, Target};
use ocellus::engine::variant::{Abilities, MATRICES, MatrixUnits, Variant};
use ocellus::network::compile::training;
use ocellus::network::tutorial;
use ocellus::ops::conv2d;
use ocellus::proof::doctor::{run_cases_in, run_step, target_in};

const LIBRARY: &str = "lib/gemm_cooperative";

/// The device, opened for its matrix units; none where it has none, which is said.
fn opened() -> Option<Device> {
    match Device::open(&choice(), Options { matrix_units: true, ..options(false) }) {
        Ok(device) => Some(device),
        Err(error) => {
            assert!(error.to_string().contains("has no matrix units for --matrix-units: "), "{error}");
            println!("not run: {error}");
            None
        }
    }
}

/// The plan of a training step with matrix units of a size.
fn plan(size: usize) -> Plan {
    let units = MatrixUnits::new(size, MatrixUnits::USUAL_LANES);
    let variant = Variant::all(&Abilities { matrix_units: Some(units), ..Abilities::default() }).swap_remove(0);
    training(&tutorial(64, 1.0, 8), 32, &Target { variant, ..Target::default() })
}

/// The kernels of the steps whose names begin with that, and whether matrix units run them.
fn steps(plan: &Plan, name: &str) -> Vec<(&'static str, bool)> {
    let named = plan.steps.iter().filter(|step| step.name.starts_with(name));
    let products = named.filter(|step| step.kernel.chosen.is_some_and(|library| library.starts_with("lib/gemm")));
    products.map(|step| (step.kernel.path, step.kernel.chosen == Some(LIBRARY))).collect()
}

#[test]
fn they_compute_all_passes_of_convolutions_with_many_channels_and_nothing_else() {
    for size in MATRICES {
        let plan = plan(size);
        // A photograph has too few channels, and only its own gradient would not be needed.
        let first = steps(&plan, "conv1 ");
        assert!(!first.is_empty() && first.iter().all(|(_, units)| !units), "{first:?}");
        for layer in ["conv2 ", "conv4 ", "conv8 "] {
            let passes = steps(&plan, layer);
            for kernel in ["conv2d/forward", "conv2d/data_gradient", "conv2d/weight_gradient"] {
                assert!(passes.contains(&(kernel, true)), "{layer}{kernel}: {passes:?}");
            }
            assert!(passes.iter().all(|(_, units)| *units), "{passes:?}");
        }
        let others = plan.steps.iter().filter(|step| step.kernel.path.starts_with("dense/"));
        assert!(others.clone().count() > 0);
        assert!(others.clone().all(|step| step.kernel.chosen != Some(LIBRARY)), "the dense layers keep their core");
    }
}

#[test]
fn without_being_asked_for_no_plan_has_them() {
    let plan = training(&tutorial(64, 1.0, 8), 32, &Target::default());
    assert!(plan.steps.iter().all(|step| step.kernel.chosen != Some(LIBRARY)));
    let device = Device::open(&choice(), Options { matrix_units: false, ..options(false) }).unwrap();
    assert!(!device.device.features().contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX));
    assert!(device.variants().iter().all(|variant| variant.matrix_units.is_none()));
}

#[test]
fn an_adapter_without_them_is_refused_with_what_it_lacks() {
    let folder = photographs();
    let device = named();
    refuse(folder.path(), &train(&["--matrix-units", "--device", "cpu"]), &["the CPU reference has no matrix units"]);
    if opened().is_none() {
        for command in [&train(&["--matrix-units"])[..], &["doctor", "--matrix-units"], &["profile", "--matrix-units"]]
        {
            let words = ["has no matrix units for --matrix-units: ", "leave it out, or choose another --device"];
            refuse(folder.path(), &[command, &["--device", &device]].concat(), &words);
        }
        assert!(!folder.path().join("run").exists());
    }
}

/// Subgroups that are fewer than the parts of a tile take turns, and more than these have nothing to multiply.
#[test]
fn any_number_of_subgroups_computes_the_same() {
    let Some(device) = opened() else { return };
    let first = device.variant.clone();
    let units = first.matrix_units.unwrap();
    let lanes = device.listed.info.subgroup_max_size as usize;
    let with = |subgroups| MatrixUnits { threads: subgroups * lanes, ..units };
    let variants = [1, 2, 3, 4, 6].map(|subgroups| Variant { matrix_units: Some(with(subgroups)), ..first.clone() });
    let targets = variants.map(|variant| target_in(&device, variant));
    let cases: Vec<_> = conv2d::proof::direct().into_iter().filter(|case| case.telling).collect();
    let rows = run_cases_in(&device, &targets, &cases, |_| {}).unwrap();
    for row in rows {
        assert!(row.findings.passed(), "{}: {:?}", row.kernel, row.findings.faults);
    }
}

#[test]
fn a_training_step_is_within_its_bounds() {
    let Some(device) = opened() else { return };
    let network = tutorial(32, 0.5, 8);
    let plan = training(&network, 5, &device.target());
    assert!(plan.steps.iter().filter(|step| step.kernel.chosen == Some(LIBRARY)).count() > 10);
    let row = run_step(&device, &network, 5, |_| {}).unwrap();
    assert!(row.findings.passed(), "{:?}", row.findings.faults);
}

/// A run goes on without them, says which kernel is wrong, and records that it did.
#[test]
fn they_are_turned_off_at_the_first_difference() {
    if opened().is_none() {
        return;
    }
    let folder = photographs();
    let source = include_str!("../shaders/lib/gemm_cooperative.wgsl");
    let broken = source.replace("coopMultiplyAdd(a, b[j], c[i][j])", "coopMultiplyAdd(a, b[0], c[i][j])");
    assert_ne!(broken, source);
    let lib = folder.path().join("broken/lib");
    std::fs::create_dir_all(&lib).unwrap();
    std::fs::write(lib.join("gemm_cooperative.wgsl"), broken).unwrap();
    let device = named();
    let run = |out: &str, more: &[&str]| {
        let arguments = train(&["--matrix-units", "--fast-dev-run", "--device", &device]);
        let mut arguments = [&arguments[..], more].concat();
        let at = arguments.iter().position(|argument| *argument == "run").unwrap();
        arguments[at] = out;
        let output = succeed(folder.path(), &arguments);
        let config = std::fs::read_to_string(folder.path().join(out).join("config.toml")).unwrap();
        (text(&output.stderr), config)
    };
    let (messages, config) = run("broken_run", &["--shaders", "broken"]);
    let off = "are turned off, conv2d/forward is wrong with this driver: ";
    assert!(messages.contains(off), "{messages}");
    assert!(config.contains("\nmatrix_units = true\n") && !config.contains("[kernels.matrix_units]"), "{config}");
    let (messages, config) = run("run", &[]);
    assert!(!messages.contains("turned off"), "{messages}");
    assert!(config.contains("[kernels.matrix_units]"), "{config}");
}

#[test]
fn devices_are_listed_with_what_they_have_or_lack() {
    let output = ocellus(std::path::Path::new(".")).arg("devices").output().unwrap();
    let listed = text(&output.stdout);
    assert!(listed.contains("   matrix units ") || listed.contains("   no matrix units: "), "{listed}");
}
