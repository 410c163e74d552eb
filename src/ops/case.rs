//! Cases that prove a kernel: a plan of one operation and the values to run it on. The bound of its
//! results follows from the plan itself (`bound`). The test suite runs all cases of all operations,
//! and `ocellus doctor` the telling ones.

use crate::engine::numbers::{uniform, whole};
use crate::engine::plan::{Plan, Target, TensorId};
use crate::engine::variant::{Algorithm, Convolutions};

/// One operation at one size.
pub struct Case {
    /// The kernel that it is about, below `shaders/`; its plan may use others.
    pub kernel: &'static str,
    pub about: String,
    /// Part of the quick set that `ocellus doctor` runs by default. Drivers compile a kernel for
    /// each shape, which on a software adapter takes a second.
    pub telling: bool,
    build: Box<dyn Fn(&Target) -> Plan + Send + Sync>,
    pub rounds: Vec<Round>,
}

/// Numbers to run a case on.
pub struct Round {
    /// Description of the values, in words.
    pub numbers: &'static str,
    pub expect: Expect,
    write: Box<dyn Fn(&mut Inputs) + Send + Sync>,
}

impl Round {
    /// The numbers for a plan of the case.
    pub fn inputs<'a>(&self, plan: &'a Plan) -> Inputs<'a> {
        let mut inputs = Inputs { plan, floats: Vec::new(), integers: Vec::new() };
        (self.write)(&mut inputs);
        inputs
    }
}

/// How closely the device must match its twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Within the bounds of honest rounding, where the host made up every input number independently of the others.
    Bounded,
    /// Within those of honest rounding of any numbers: what one layer computes and another takes.
    BoundedAny,
    /// The device must return the twin's values exactly.
    Exact,
    /// NaN exactly where the twins have it: one that is lost on the way would hide a broken run.
    SameNan,
}

/// Values that the host writes before a plan runs.
pub struct Inputs<'a> {
    plan: &'a Plan,
    pub floats: Vec<(TensorId, Vec<f32>)>,
    pub integers: Vec<(TensorId, Vec<u32>)>,
}

impl<'a> Inputs<'a> {
    /// The plan that they are for.
    pub fn plan(&self) -> &'a Plan {
        self.plan
    }

    fn id(&self, name: &str) -> TensorId {
        self.plan.find(name).unwrap_or_else(|| panic!("the plan has no tensor {name}"))
    }

    /// Writes the tensor of that name.
    pub fn write(&mut self, name: &str, numbers: &[f32]) {
        self.floats.push((self.id(name), numbers.to_vec()));
    }

    /// Writes the tensor of integers of that name.
    pub fn write_integers(&mut self, name: &str, integers: &[u32]) {
        self.integers.push((self.id(name), integers.to_vec()));
    }

    /// Sets every integer of a tensor to 0.
    pub fn clear_integers(&mut self, name: &str) {
        let count = self.plan.tensor(self.id(name)).shape.iter().product();
        self.write_integers(name, &vec![0; count]);
    }

    /// Writes made-up numbers: `make(seed, count)`, another seed for each tensor.
    pub fn fill(&mut self, names: &[impl AsRef<str>], make: impl Fn(u64, usize) -> Vec<f32>) {
        for (seed, name) in names.iter().enumerate() {
            let count = self.plan.tensor(self.id(name.as_ref())).shape.iter().product();
            self.write(name.as_ref(), &make(seed as u64, count));
        }
    }
}

impl Case {
    pub fn new(
        kernel: &'static str,
        about: impl Into<String>,
        build: impl Fn(&Target) -> Plan + Send + Sync + 'static,
    ) -> Case {
        Case { kernel, about: about.into(), telling: false, build: Box::new(build), rounds: Vec::new() }
    }

    pub fn telling_if(mut self, telling: bool) -> Case {
        self.telling = telling;
        self
    }

    pub fn round(
        mut self,
        numbers: &'static str,
        expect: Expect,
        write: impl Fn(&mut Inputs) + Send + Sync + 'static,
    ) -> Case {
        self.rounds.push(Round { numbers, expect, write: Box::new(write) });
        self
    }

    /// Runs on numbers in -1..1.
    pub fn uniform(self, names: &'static [&'static str]) -> Case {
        self.round("uniform numbers", Expect::Bounded, move |inputs| inputs.fill(names, uniform))
    }

    /// Runs on small whole numbers, whose sums and products have to come out exactly, and on others.
    pub fn sums(self, names: &'static [&'static str]) -> Case {
        self.round("whole numbers", Expect::Exact, move |inputs| inputs.fill(names, whole)).uniform(names)
    }

    /// The plan for a device.
    pub fn plan(&self, target: &Target) -> Plan {
        (self.build)(target)
    }
}

/// An empty plan with room for `images` images in a window.
pub fn empty_plan(target: &Target, batch: usize, images: usize) -> Plan {
    Plan::new(target.clone(), batch, target.binding_bytes / images as u64)
}

/// The device as it is, but for dispatches, which fold into two dimensions past `limit` workgroups.
pub fn folding(target: &Target, limit: u32) -> Target {
    Target { groups_per_dimension: limit, ..target.clone() }
}

/// A plan on the device as it is, but for dispatches: they fold at a limit that leaves the last row of the first step's ragged,
/// whatever the size of its workgroups.
pub fn folded(target: &Target, build: impl Fn(&Target) -> Plan) -> Plan {
    build(&folding_raggedly(target, &build(target)))
}

/// The device as it is, but for dispatches: they fold so that the last row of the plan's first step is ragged.
pub fn folding_raggedly(target: &Target, plan: &Plan) -> Target {
    let groups = plan.groups(&plan.steps[0]).unwrap_or_default();
    folding(target, groups.isqrt() as u32 + 1)
}

/// The device as it is, with reductions cut into about `parallel_groups` workgroups.
pub fn parallel(target: &Target, parallel_groups: usize) -> Target {
    let mut target = target.clone();
    target.variant.sizes.parallel_groups = parallel_groups;
    target
}

/// The device as it is, with convolutions computed in that way.
pub fn with(target: &Target, algorithm: Algorithm) -> Target {
    Target { variant: target.variant.with(Convolutions::All(algorithm)), ..target.clone() }
}
