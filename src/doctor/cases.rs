//! The list of cases that prove the kernels: what the test suite runs, and `ocellus doctor` in part. A case is a plan of
//! one operation and the numbers to run it on; what its results are held to follows from the plan itself (`bounds`).

mod adam;
pub(super) mod augment;
pub mod batch_norm;
mod bias;
pub mod conv2d;
pub mod dense;
mod global_average_pool;
mod guard;
mod halves;
mod layer;
mod loop_limit;
pub mod max_pool;
mod peak;
mod relu;
mod softmax_cross_entropy;
mod sum;
mod winograd;

use super::findings::Findings;
use super::numbers::{uniform, whole};
use super::trial::{Expect, Trial};
use crate::error::Result;
use crate::gpu::Device;
use crate::ops::conv2d::{Algorithm, Pass};
use crate::plan::{Plan, Target};
use crate::variant::Convolutions;

/// Every case of every kernel.
pub fn all() -> Vec<Case> {
    [
        conv2d::cases(),
        winograd::cases(),
        dense::cases(),
        batch_norm::cases(),
        relu::cases(),
        max_pool::cases(),
        global_average_pool::cases(),
        softmax_cross_entropy::cases(),
        bias::cases(),
        sum::cases(),
        adam::cases(),
        guard::cases(),
        augment::cases(),
        halves::cases(),
        layer::cases(),
        loop_limit::cases(),
        peak::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The cases of the kernels that convolve by an algorithm; direct convolution, of which all have a part or may have, shares
/// its matrix product with dense layers.
pub fn of(algorithm: Algorithm) -> Vec<Case> {
    match algorithm.tile(Pass::DataGradient) {
        None => conv2d::cases().into_iter().chain(dense::cases()).collect(),
        Some(tile) => winograd::cases_of(tile),
    }
}

/// One operation at one size.
pub struct Case {
    /// The kernel that it is about, below `shaders/`; its plan may use others.
    pub kernel: &'static str,
    pub about: String,
    /// Tells so much that `ocellus doctor` runs it unless asked for all. Drivers compile a kernel for each shape, which
    /// on a software adapter takes a second.
    pub telling: bool,
    build: Box<dyn Fn(&Target) -> Plan + Send + Sync>,
    rounds: Vec<Round>,
}

/// Numbers to run a case on.
struct Round {
    numbers: &'static str,
    expect: Expect,
    write: Box<dyn Fn(&mut Trial) + Send + Sync>,
}

impl Case {
    fn new(
        kernel: &'static str,
        about: impl Into<String>,
        build: impl Fn(&Target) -> Plan + Send + Sync + 'static,
    ) -> Case {
        Case { kernel, about: about.into(), telling: false, build: Box::new(build), rounds: Vec::new() }
    }

    fn telling_if(mut self, telling: bool) -> Case {
        self.telling = telling;
        self
    }

    fn round(
        mut self,
        numbers: &'static str,
        expect: Expect,
        write: impl Fn(&mut Trial) + Send + Sync + 'static,
    ) -> Case {
        self.rounds.push(Round { numbers, expect, write: Box::new(write) });
        self
    }

    /// Runs on numbers in -1..1.
    fn uniform(self, inputs: &'static [&'static str]) -> Case {
        self.round("uniform numbers", Expect::Bounded, move |trial| trial.fill(inputs, uniform))
    }

    /// Runs on small whole numbers, whose sums and products have to come out exactly, and on others.
    fn sums(self, inputs: &'static [&'static str]) -> Case {
        self.round("whole numbers", Expect::Exact, move |trial| trial.fill(inputs, whole)).uniform(inputs)
    }

    /// The plan for a device.
    pub fn plan(&self, target: &Target) -> Plan {
        (self.build)(target)
    }

    /// Runs every round on a device.
    pub fn run(&self, device: &Device, plan: Plan) -> Result<Findings> {
        let mut findings = Findings::default();
        let mut trial = Trial::load(device, plan)?;
        for round in &self.rounds {
            (round.write)(&mut trial);
            let mut found = Findings::default();
            trial.run(round.expect, &mut found)?;
            findings.add(found.about(&format!("{}, {}", self.about, round.numbers)));
        }
        Ok(findings)
    }

    /// What every round computes on a device, as bits by the tensors' names; nothing is compared.
    ///
    /// # Errors
    /// When the device fails.
    pub fn bits(&self, device: &Device, plan: Plan) -> Result<Vec<(String, Vec<u32>)>> {
        let mut trial = Trial::load(device, plan)?;
        let mut bits = Vec::new();
        for round in &self.rounds {
            (round.write)(&mut trial);
            trial.start()?;
            bits.extend(trial.bits()?.into_iter().map(|(name, bits)| (format!("{}, {name}", round.numbers), bits)));
        }
        Ok(bits)
    }
}

/// An empty plan with room for `images` images in a window.
fn empty_plan(target: &Target, batch: usize, images: usize) -> Plan {
    Plan::new(target.clone(), batch, target.binding_bytes / images as u64)
}

/// The device as it is, but for dispatches, which fold into two dimensions past `limit` workgroups.
fn folding(target: &Target, limit: u32) -> Target {
    Target { groups_per_dimension: limit, ..target.clone() }
}

/// A plan on the device as it is, but for dispatches: they fold at a limit that leaves the last row of the first step's ragged,
/// whatever the size of its workgroups.
fn folded(target: &Target, build: impl Fn(&Target) -> Plan) -> Plan {
    let plan = build(target);
    let groups = plan.groups(&plan.steps[0]).unwrap_or_default();
    build(&folding(target, groups.isqrt() as u32 + 1))
}

/// The device as it is, with reductions cut into about `parallel_groups` workgroups.
fn parallel(target: &Target, parallel_groups: usize) -> Target {
    Target { parallel_groups, ..target.clone() }
}

/// The device as it is, with convolutions computed in that way.
fn with(target: &Target, algorithm: Algorithm) -> Target {
    Target { variant: target.variant.with(Convolutions::All(algorithm)), ..target.clone() }
}
