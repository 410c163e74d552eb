//! A plan run on a device, then held to its twins node by node.

use half::f16;

use super::bounds::{self, Bound};
use super::findings::{Findings, compare, compare_nan, compare_rms};
use super::operation::Operation;
use crate::cpu::Values;
use crate::error::Result;
use crate::gpu::Device;
use crate::gpu::session::Session;
use crate::ops::receipt;
use crate::plan::network::names;
use crate::plan::{Element, Lifetime, Plan, TensorId};

/// How near the twins' results the device's have to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Within the bounds of honest rounding, where the host made up every input number independently of the others.
    Bounded,
    /// Within those of honest rounding of any numbers: what one layer computes and another takes.
    BoundedAny,
    /// The same numbers.
    Exact,
    /// NaN exactly where the twins have it: one that is lost on the way would hide a broken run.
    SameNan,
}

/// A plan on a device, with what its tensors hold.
pub struct Trial {
    session: Session,
    /// What the host wrote, and after `compare` what the device computed. Every twin is given the device's own numbers, so
    /// an error is found where it is made and not where it ends up.
    held: Values,
}

const PROGRAM: usize = 0;

impl Trial {
    /// Tensors that a node computes and another reads must be kept: `Plan::keep_everything`.
    pub fn load(device: &Device, plan: Plan) -> Result<Trial> {
        let mut held = Values::new(&plan);
        for (index, tensor) in plan.tensors.iter().enumerate() {
            if tensor.element == Element::U32 {
                held.set_integers(TensorId(index), vec![0; tensor.shape.iter().product()]);
            } else if tensor.lifetime == Lifetime::Persistent {
                held.set(TensorId(index), vec![0.0; tensor.shape.iter().product()]);
            }
        }
        if let Some(id) = plan.find(names::RECEIPT) {
            held.set(id, receipt::fresh(0.0).to_vec());
        }
        let mut session = Session::new(device.clone());
        session.load(plan)?;
        Ok(Trial { session, held })
    }

    pub fn plan(&self) -> &Plan {
        self.session.plan(PROGRAM)
    }

    fn id(&self, name: &str) -> TensorId {
        self.plan().find(name).unwrap_or_else(|| panic!("the plan has no tensor {name}"))
    }

    pub fn write(&mut self, name: &str, numbers: &[f32]) {
        let id = self.id(name);
        self.session.write(PROGRAM, id, numbers);
        let held: fn(f32) -> f64 = match self.plan().tensor(id).element {
            Element::F16 => |number| f16::from_f32(number).to_f64(),
            Element::F32 | Element::U32 => f64::from,
        };
        self.held.set(id, numbers.iter().copied().map(held).collect());
    }

    pub fn write_integers(&mut self, name: &str, integers: &[u32]) {
        let id = self.id(name);
        self.session.write_integers(PROGRAM, id, integers);
        self.held.set_integers(id, integers.to_vec());
    }

    /// Writes made-up numbers: `make(seed, count)`, another seed for each tensor.
    pub fn fill(&mut self, names: &[&str], make: impl Fn(u64, usize) -> Vec<f32>) {
        for (seed, name) in names.iter().enumerate() {
            let count = self.plan().tensor(self.id(name)).shape.iter().product();
            self.write(name, &make(seed as u64, count));
        }
    }

    /// Reads a tensor of the device.
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>> {
        let id = self.id(name);
        self.session.read(PROGRAM, id)
    }

    /// The bits of every tensor that outlives its step.
    pub fn bits(&mut self) -> Result<Vec<(String, Vec<u32>)>> {
        let lasting = self.plan().tensors.iter().filter(|tensor| tensor.lifetime != Lifetime::Temporary);
        let names: Vec<String> = lasting.map(|tensor| tensor.name.clone()).collect();
        let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect();
        names.into_iter().map(|name| Ok((name.clone(), bits(self.read(&name)?)))).collect()
    }

    /// Runs the plan once on the device, and compares nothing.
    pub fn start(&mut self) -> Result<()> {
        // A plan with metrics has them copied back, and waits for someone to take them.
        self.session.start(PROGRAM).map_or(Ok(()), |running| self.session.finish(&running).map(drop))
    }

    /// Runs the plan once on the device and compares what every node computed with what its twin makes of the same
    /// inputs.
    pub fn run(&mut self, expect: Expect, findings: &mut Findings) -> Result<()> {
        self.start()?;
        for index in 0..self.plan().nodes.len() {
            let Twin { name, results, integers } = self.twin(index, expect);
            for (id, want) in integers {
                // They come back as the bits of floats.
                let got: Vec<u32> = self.session.read(PROGRAM, id)?.into_iter().map(f32::to_bits).collect();
                let what = format!("{name}: {}", self.plan().tensor(id).name);
                findings.expect(&what, got == want, || format!("{got:?}, want {want:?}"));
                self.held.set_integers(id, got);
            }
            for TwinResult { id, want, bound } in results {
                let got = self.session.read(PROGRAM, id)?;
                let tensor = &self.plan().tensor(id).name;
                let what = if *tensor == name { name.clone() } else { format!("{name}: {tensor}") };
                judge(findings, &what, expect, &got, &want, bound);
                self.held.set(id, got.into_iter().map(f64::from).collect());
            }
        }
        Ok(())
    }

    /// What the twin of a node computes, named after the node's kernel.
    fn twin(&self, index: usize, expect: Expect) -> Twin {
        let plan = self.plan();
        let op = Operation::new(plan, &plan.nodes[index], expect == Expect::Bounded, &self.held);
        let bounds = match expect {
            Expect::Bounded | Expect::BoundedAny => bounds::of(&op),
            Expect::Exact | Expect::SameNan => Ok(bounds::exact(&op)),
        };
        let result = |id| {
            let missing = || Err(format!("no bound for {}", plan.tensor(id).name));
            let bound = bounds.clone().and_then(|mut bounds| bounds.remove(&id).map_or_else(missing, Ok));
            TwinResult { id, want: op.output_of(id).to_vec(), bound }
        };
        let integers = op.integer_outputs().into_iter().map(|(id, want)| (id, want.to_vec())).collect();
        let name = format!("{} ({})", op.node.name, op.kernel());
        // Several nodes write a run's receipt, and only the last leaves it as it is; the session itself checks it.
        let outputs = op.outputs().into_iter().filter(|id| plan.tensor(*id).name != names::RECEIPT);
        Twin { name, results: outputs.map(result).collect(), integers }
    }
}

/// What the twin of a node computed.
struct Twin {
    name: String,
    results: Vec<TwinResult>,
    integers: Vec<(TensorId, Vec<u32>)>,
}

/// One output of a twin, and how far from it the device may be.
struct TwinResult {
    id: TensorId,
    want: Vec<f64>,
    bound: std::result::Result<Bound, String>,
}

/// Notes one output of the device: every element, then the root mean square of the errors.
fn judge(
    findings: &mut Findings,
    what: &str,
    expect: Expect,
    got: &[f32],
    want: &[f64],
    bound: std::result::Result<Bound, String>,
) {
    match (expect, bound) {
        (Expect::SameNan, _) => findings.note(what, compare_nan(got, want)),
        (_, Err(missing)) => findings.note(what, Err(missing)),
        (_, Ok(Bound { each, rms })) => {
            findings.note(what, compare(got, want, |i| each[i]));
            findings.note_rms(what, compare_rms(got, want, rms));
        }
    }
}
