//! A plan run on a device, then compared with its twins node by node.

use half::f16;

use super::findings::{Findings, compare, compare_nan, compare_rms};
use crate::engine::bound::{self, Bound, Given};
use crate::engine::gpu::Device;
use crate::engine::gpu::session::Session;
use crate::engine::plan::{Element, Lifetime, Plan, TensorId, names};
use crate::engine::receipt;
use crate::engine::tensor::Values;
use crate::error::Result;
use crate::ops::case::{Case, Expect, Inputs, Round};

/// A plan on a device, with what its tensors hold.
pub struct Trial {
    session: Session,
    /// Values that the host wrote and, after `compare`, those that the device computed. Every twin
    /// is given the device's own values, so an error is found where it is made and not where it
    /// ends up.
    held: Values,
}

const PROGRAM: usize = 0;

impl Trial {
    /// Tensors that a node computes and another reads must be kept: `Plan::keep_everything`.
    pub fn load(device: &Device, plan: Plan) -> Result<Trial> {
        let held = held_at_first(&plan);
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
        self.write_to(self.id(name), numbers);
    }

    /// Writes the numbers of a case's round.
    fn write_round(&mut self, round: &Round) {
        let Inputs { floats, integers, .. } = round.inputs(self.plan());
        floats.iter().for_each(|(id, numbers)| self.write_to(*id, numbers));
        integers.iter().for_each(|(id, integers)| self.write_integers_to(*id, integers));
    }

    fn write_to(&mut self, id: TensorId, numbers: &[f32]) {
        self.session.write(PROGRAM, id, numbers);
        let held: fn(f32) -> f64 = match self.plan().tensor(id).element {
            Element::F16 => |number| f16::from_f32(number).to_f64(),
            Element::F32 | Element::U32 => f64::from,
        };
        self.held.set(id, numbers.iter().copied().map(held).collect());
    }

    pub fn write_integers(&mut self, name: &str, integers: &[u32]) {
        self.write_integers_to(self.id(name), integers);
    }

    fn write_integers_to(&mut self, id: TensorId, integers: &[u32]) {
        self.session.write_integers(PROGRAM, id, integers);
        self.held.set_integers(id, integers.to_vec());
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
            let Twin { name, results, integers } = twin(self.plan(), &self.held, index, expect);
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
}

/// Values of a plan's tensors before the host writes any.
pub fn held_at_first(plan: &Plan) -> Values {
    let mut held = Values::new(plan.tensors.len());
    for (index, tensor) in plan.tensors.iter().enumerate() {
        if tensor.element == Element::U32 {
            held.set_integers(TensorId(index), vec![0; tensor.shape.iter().product()]);
        } else if tensor.lifetime == Lifetime::Persistent && !tensor.is_arena() {
            held.set(TensorId(index), vec![0.0; tensor.shape.iter().product()]);
        }
    }
    if let Some(id) = plan.find(names::RECEIPT) {
        held.set(id, receipt::fresh(0.0).to_vec());
    }
    held
}

/// Results of a node's twin on what the tensors hold, named after the node's first kernel.
pub fn twin(plan: &Plan, held: &Values, index: usize, expect: Expect) -> Twin {
    let node = &plan.nodes[index];
    let written = plan.written(node);
    let given = Given::new(&node.twin, plan.tensors_of(node), &written, held, expect == Expect::Bounded);
    let is = |element| move |id: &TensorId| plan.tensor(*id).element == element;
    let mut bounds = match expect {
        Expect::Bounded | Expect::BoundedAny => {
            let halves: Vec<TensorId> = written.iter().copied().filter(is(Element::F16)).collect();
            bound::bounds(&given, (node.bound)(&given), &halves)
        }
        Expect::Exact | Expect::SameNan => bound::exact(&given),
    };
    let mut result = |&id: &TensorId| {
        let bound = bounds.remove(&id).ok_or_else(|| format!("no bound for {}", plan.tensor(id).name));
        TwinResult { id, want: given.output(id).to_vec(), bound }
    };
    let integers = written.iter().copied().filter(is(Element::U32));
    let integers = integers.map(|id| (id, given.integer_output(id).to_vec())).collect();
    let name = format!("{} ({})", node.name, plan.steps[node.steps.start].kernel.path);
    // Several nodes write a run's receipt, and only the last leaves it as it is; the session itself checks it.
    let outputs = given.outputs().iter().filter(|id| plan.tensor(**id).name != names::RECEIPT);
    Twin { name, results: outputs.map(&mut result).collect(), integers }
}

/// Runs every round of a case on a device.
///
/// # Errors
/// When the device fails.
pub fn run(case: &Case, device: &Device, plan: Plan) -> Result<Findings> {
    let mut findings = Findings::default();
    let mut trial = Trial::load(device, plan)?;
    for round in &case.rounds {
        trial.write_round(round);
        let mut found = Findings::default();
        trial.run(round.expect, &mut found)?;
        findings.add(found.about(&format!("{}, {}", case.about, round.numbers)));
    }
    Ok(findings)
}

/// Results of every round of a case on a device, as bits by the tensors' names; nothing is
/// compared.
///
/// # Errors
/// When the device fails.
pub fn bits(case: &Case, device: &Device, plan: Plan) -> Result<Vec<(String, Vec<u32>)>> {
    let mut trial = Trial::load(device, plan)?;
    let mut bits = Vec::new();
    for round in &case.rounds {
        trial.write_round(round);
        trial.start()?;
        bits.extend(trial.bits()?.into_iter().map(|(name, bits)| (format!("{}, {name}", round.numbers), bits)));
    }
    Ok(bits)
}

/// Results of a node's twin.
pub struct Twin {
    pub name: String,
    pub results: Vec<TwinResult>,
    pub integers: Vec<(TensorId, Vec<u32>)>,
}

/// One output of a twin, and how far from it the device may be.
pub struct TwinResult {
    pub id: TensorId,
    pub want: Vec<f64>,
    /// The error says that there is no bound.
    pub bound: std::result::Result<Bound, String>,
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
