//! The device of a test program, and the doctor's cases on it.

use std::sync::OnceLock;

use ocellus::engine::gpu::{Choice, Device, Options};
use ocellus::engine::plan::{Plan, Target};
use ocellus::ops;
use ocellus::ops::case::Case;
use ocellus::proof::doctor::run_cases;

/// What `OCELLUS_TEST_DEVICE` says, as `--device` does.
pub fn choice() -> Choice {
    std::env::var("OCELLUS_TEST_DEVICE").unwrap_or("auto".into()).parse().unwrap()
}

/// With `OCELLUS_TEST_CHECKED` set, the shaders are compiled with their checks.
pub fn checked() -> bool {
    std::env::var_os("OCELLUS_TEST_CHECKED").is_some()
}

/// With `OCELLUS_TEST_MATRIX_UNITS` set, devices are opened for their matrix units, and the variants are those with them, too.
pub fn matrix_units() -> bool {
    std::env::var_os("OCELLUS_TEST_MATRIX_UNITS").is_some()
}

/// The default limits are those of the least capable adapter: what runs within them runs anywhere, by the same plans.
pub fn options(checked_shaders: bool) -> Options {
    Options { checked_shaders, default_limits: true, matrix_units: matrix_units(), ..Options::default() }
}

/// One device a test program.
pub fn device() -> &'static Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    DEVICE.get_or_init(|| open(checked()))
}

pub fn open(checked_shaders: bool) -> Device {
    Device::open(&choice(), options(checked_shaders)).unwrap_or_else(|error| panic!("{error}"))
}

/// The device as it is, but for dispatches, which fold into two dimensions past `limit` workgroups.
pub fn folding(limit: u32) -> Target {
    Target { groups_per_dimension: limit, ..device().target() }
}

/// An empty plan with room for `images` images in a window.
pub fn plan(target: Target, batch: usize, images: usize) -> Plan {
    let image_bytes = target.binding_bytes / images as u64;
    Plan::new(target, batch, image_bytes)
}

/// Every case of a kernel.
pub fn cases_of(kernel: &str) -> Vec<Case> {
    let cases: Vec<Case> = ops::cases().into_iter().filter(|case| case.kernel == kernel).collect();
    assert!(!cases.is_empty(), "{kernel} has cases");
    cases
}

/// Runs every case of a kernel in every variant that the device can run.
#[track_caller]
pub fn prove(kernel: &str) {
    for row in run_cases(device(), &cases_of(kernel), |_| {}).unwrap_or_else(|error| panic!("{error}")) {
        let ((share, worst), (rms, worst_rms)) = (&row.findings.worst, &row.findings.worst_rms);
        println!("{kernel}, {}: {} cases, worst {share:.3} of its bound: {worst}", row.variant, row.cases);
        println!("    root mean square {rms:.3} of its bound: {worst_rms}");
        assert!(row.findings.passed(), "{kernel}, {}:\n{}", row.variant, row.findings.faults.join("\n"));
        assert!(*share < 0.5, "{kernel}: a bound with less than twice the error found is too tight: {worst}");
        assert!(*rms < 0.7, "{kernel}: a bound so near to the error found is too tight: {worst_rms}");
    }
}
