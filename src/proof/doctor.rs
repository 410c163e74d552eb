//! Proof on the user's own device: every kernel in every variant against its f64 twin, then a whole training step.
//!
//! A case (`ops::case`) is one operation with numbers to run it on; `trial` runs a plan on a device and holds each node to
//! its twin, given the device's own inputs, within the bound that the node says. The test suite runs the same cases.

pub mod findings;
pub mod gradients;
pub mod open;
pub mod probe;
pub mod step;
pub mod trial;

use std::collections::BTreeSet;

use crate::engine::gpu::Device;
use crate::engine::plan::{Plan, Target};
use crate::engine::shader::Shaders;
use crate::engine::variant::Variant;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::network::compile::training;
use crate::ops::case::Case;
use findings::Findings;

/// One line of the table: all cases of a kernel in one variant.
#[derive(Clone, Debug)]
pub struct Row {
    pub kernel: String,
    /// Empty where the device's variants do not differ.
    pub variant: String,
    pub cases: usize,
    pub findings: Findings,
}

/// Runs cases in every variant; `patch` may change plans on their way (the test suite breaks kernels that way).
///
/// # Errors
/// When the device is lost. Anything else that goes wrong is a fault of its row.
pub fn run_cases(device: &Device, cases: &[Case], patch: impl Fn(&mut Plan)) -> Result<Vec<Row>> {
    run_cases_in(device, &targets(device), cases, patch)
}

/// Runs cases in these variants.
///
/// # Errors
/// As [`run_cases`].
pub fn run_cases_in(
    device: &Device,
    targets: &[Target],
    cases: &[Case],
    patch: impl Fn(&mut Plan),
) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for case in cases {
        let mut plans = distinct(case, targets);
        let stores_halves = |plan: &Plan| plan.stored().iter().any(|stored| !stored.halves.is_empty());
        plans.retain(|(_, plan)| device.listed.halves || !stores_halves(plan));
        let alike = plans.len() == 1;
        for (target, mut plan) in plans {
            let variant = if alike { String::new() } else { target.variant.products() };
            patch(&mut plan);
            let found = fault_unless_lost(&case.about, trial::run(case, device, plan))?;
            let at = rows.iter().position(|row| row.kernel == case.kernel && row.variant == variant);
            let at = at.unwrap_or_else(|| {
                rows.push(Row { kernel: case.kernel.into(), variant, cases: 0, findings: Findings::default() });
                rows.len() - 1
            });
            rows[at].cases += 1;
            rows[at].findings.add(found);
        }
    }
    Ok(rows)
}

/// The cases that run a shader file in some variant of the device.
///
/// # Errors
/// `Error::Input` when no case runs it.
pub fn running(device: &Device, cases: Vec<Case>, shader: &str) -> Result<Vec<Case>> {
    let targets = targets(device);
    let mut run = BTreeSet::new();
    let mut running = Vec::new();
    for case in cases {
        let files = targets.iter().filter_map(|target| case.plan(target).files().ok()).flatten().flatten();
        let files: BTreeSet<&str> = files.collect();
        if files.contains(shader) {
            running.push(case);
        }
        run.extend(files);
    }
    if running.is_empty() {
        let of = device.options.shaders.offer(shader, run);
        return Err(Error::Input(format!("no case on this device runs a shader of the name {shader}{of}")));
    }
    Ok(running)
}

/// Puts together every module of the cases, and of a training step, where shader files are not the built-in ones.
///
/// # Errors
/// `Error::Input` when the host's constants are not those of the files.
pub fn check_shaders(device: &Device, cases: &[Case], network: &Network, batch: usize) -> Result<()> {
    if device.options.shaders == Shaders::default() {
        return Ok(());
    }
    let targets = targets(device);
    let plans = cases.iter().flat_map(|case| targets.iter().map(|target| case.plan(target)));
    let mut plans = plans.chain([training(network, batch, &device.target())]);
    plans.try_for_each(|plan| plan.modules().map(drop)).map_err(Error::Input)
}

/// Runs a whole training step as `train` would on this device; `patch` as in [`run_cases`].
///
/// # Errors
/// As [`run_cases`].
pub fn run_step(device: &Device, network: &Network, batch: usize, patch: impl Fn(&mut Plan)) -> Result<Row> {
    run_step_in(device, &device.target(), network, batch, patch)
}

/// Runs a training step with activations in half precision.
///
/// # Errors
/// As [`run_cases`].
pub fn run_half_step(device: &Device, network: &Network, batch: usize, patch: impl Fn(&mut Plan)) -> Result<Row> {
    run_step_in(device, &Target { half_activations: true, ..device.target() }, network, batch, patch)
}

fn run_step_in(
    device: &Device,
    target: &Target,
    network: &Network,
    batch: usize,
    patch: impl Fn(&mut Plan),
) -> Result<Row> {
    let mut plans = [step::kept_plan(network, batch, target), training(network, batch, target)];
    plans.iter_mut().for_each(patch);
    let findings = fault_unless_lost("loading", step::run(device, network, plans))?;
    let kernel = if target.half_activations { "a step, half activations" } else { "a training step" };
    Ok(Row { kernel: kernel.into(), variant: target.variant.products(), cases: 1, findings })
}

fn fault_unless_lost(what: &str, result: Result<Findings>) -> Result<Findings> {
    match result {
        Err(error @ Error::DeviceLost(_)) => Err(error),
        Err(error) => {
            let mut findings = Findings::default();
            findings.note(what, Err(error.to_string()));
            Ok(findings)
        }
        found => found,
    }
}

/// The device in every variant that it can run.
pub fn targets(device: &Device) -> Vec<Target> {
    device.variants().into_iter().map(|variant| target_in(device, variant)).collect()
}

/// The device in one variant. Where that reads through textures, it does so whatever a tensor's size, so that small ones
/// prove it too.
pub fn target_in(device: &Device, variant: Variant) -> Target {
    let texel_reads = variant.texel_reads.map(|_| 0);
    Target { variant: Variant { texel_reads, ..variant }, ..device.target() }
}

/// The plans of a case that differ in what they compute, each with the first variant that makes it.
pub fn distinct<'a>(case: &Case, targets: &'a [Target]) -> Vec<(&'a Target, Plan)> {
    let mut plans: Vec<(&Target, Plan)> = Vec::new();
    for target in targets {
        let plan = case.plan(target);
        if !plans.iter().any(|(_, earlier)| same_modules(earlier, &plan)) {
            plans.push((target, plan));
        }
    }
    plans
}

/// Whether two plans run the same shaders.
fn same_modules(a: &Plan, b: &Plan) -> bool {
    let shaders = |plan: &Plan| {
        let modules = plan.modules();
        modules.map(|modules| modules.into_iter().map(|module| (module.source, module.parameters)).collect::<Vec<_>>())
    };
    shaders(a) == shaders(b)
}
