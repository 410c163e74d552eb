//! Checks and times on a device.

use super::{Layer, Source};
use crate::engine::gpu::Device;
use crate::engine::gpu::session::Session;
use crate::engine::gpu::warm::warm_up;
use crate::engine::numbers::{rms, uniform, widen};
use crate::engine::plan::names;
use crate::engine::plan::{Plan, Target};
use crate::engine::run::Engine;
use crate::engine::variant::{Algorithm, Variant};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::network::compile::training;
use crate::network::weights;
use crate::notes::note;
use crate::ops;
use crate::ops::augment::{CHANNELS, IDENTITY};
use crate::ops::case::Case;
use crate::proof::doctor;

/// Two variants that are right differ by rounding, which a network of random weights amplifies: losses by 1e-6 of
/// themselves, gradients by 6e-3 of their root mean square (64 pixels, batch 32, lavapipe's variants). A tile that is left out
/// changes tens of percent. What is finer is the doctor's to find.
const LOSS: f64 = 1e-4;
const GRADIENT: f64 = 0.05;

/// A training step's loss and the gradient of each parameter.
struct Results {
    variant: String,
    loss: f64,
    gradients: Vec<(String, Vec<f64>)>,
}

/// A device with training steps of one network and batch.
pub struct OnDevice<'a> {
    device: Device,
    network: &'a Network,
    batch: usize,
    engine: Engine,
    programs: Vec<Option<usize>>,
    /// Results of the first plan that was loaded.
    reference: Option<Results>,
}

/// The convolutions of a network.
pub fn layers(network: &Network, batch: usize) -> Vec<Layer> {
    let problems = crate::network::compile::convolutions(network, batch);
    problems.into_iter().map(|(name, problem)| Layer { name, problem }).collect()
}

impl<'a> OnDevice<'a> {
    pub fn new(device: Device, network: &'a Network, batch: usize) -> OnDevice<'a> {
        let engine = Engine::Cpu(Default::default());
        OnDevice { device, network, batch, engine, programs: Vec::new(), reference: None }
    }

    fn plan(&self, variant: &Variant) -> Plan {
        let target = Target { variant: variant.clone(), ..self.device.target() };
        training(self.network, self.batch, &target)
    }

    /// The first fault of the telling ones of these cases.
    fn fault(&self, variant: &Variant, mut cases: Vec<Case>) -> Result<Option<String>> {
        cases.retain(|case| case.telling);
        let targets = [doctor::target_in(&self.device, variant.clone())];
        let rows = doctor::run_cases_in(&self.device, &targets, &cases, |_| {})?;
        let faulty = rows.iter().find(|row| !row.findings.passed());
        Ok(faulty.map(|row| {
            format!("{}: {}", row.kernel, row.findings.faults.first().map_or("nothing compared", |fault| fault))
        }))
    }

    /// One step, whose gradients are in Adam's first moments: those start at zero, and are a tenth of them.
    fn run(&mut self, program: usize, variant: &Variant) -> Result<Results> {
        let engine = &mut self.engine;
        write_step(engine, program, self.network);
        let running = engine.start(program);
        let loss = engine.finish(running)?.loss / self.batch as f64;
        let moments = weights::moments(engine.plan(program));
        let first = moments.iter().filter(|(name, _)| name.starts_with("m/"));
        let gradients = first.map(|(name, _)| Ok((name.clone(), widen(&engine.read(program, name)?))));
        Ok(Results { variant: variant.to_string(), loss, gradients: gradients.collect::<Result<_>>()? })
    }
}

/// Writes what a training step needs: fresh weights, moments of zero, images of noise with every class in turn, and a rate of
/// zero, with which the step can be run again and again and changes no weight.
pub fn write_step(engine: &mut Engine, program: usize, network: &Network) {
    let plan = engine.plan(program);
    let batch = plan.batch;
    let pixels: usize = plan.tensor(plan.find(names::PIXELS).expect("a training step")).shape.iter().product();
    weights::upload(engine, program, network, &weights::initial(network, 0));
    for (name, shape) in weights::moments(engine.plan(program)) {
        engine.write(program, &name, &vec![0.0; shape.iter().product()]);
    }
    let byte = |number: &f32| ((number + 1.0) * 127.5) as u8;
    let noise = uniform(1, pixels * CHANNELS);
    let pixel = |rgb: &[f32]| u32::from_le_bytes([byte(&rgb[0]), byte(&rgb[1]), byte(&rgb[2]), 0]);
    engine.write_integers(program, names::PIXELS, &noise.chunks_exact(CHANNELS).map(pixel).collect::<Vec<_>>());
    engine.write(program, names::MAPS, &IDENTITY.repeat(batch));
    let labels: Vec<u32> = (0..batch).map(|index| (index % network.classes) as u32).collect();
    engine.write_integers(program, names::LABELS, &labels);
    engine.write(program, names::CLASS_WEIGHT, &vec![1.0; network.classes]);
    engine.write(program, names::RATE, &[0.0; 4]);
}

impl Results {
    /// Where they are further from others than rounding takes them.
    fn fault(&self, other: &Results) -> Option<String> {
        let apart = |ours: f64, theirs: f64| format!("{ours:e}, and {theirs:e} in {}", other.variant);
        let near = (self.loss - other.loss).abs() <= LOSS * other.loss.abs();
        if !near || !self.loss.is_finite() {
            return Some(format!("the loss of a step is {}", apart(self.loss, other.loss)));
        }
        for ((name, ours), (_, theirs)) in self.gradients.iter().zip(&other.gradients) {
            let difference: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a - b).collect();
            let near = rms(&difference) <= GRADIENT * rms(theirs); // false for a NaN
            if !near {
                return Some(format!("{name} differs: its root mean square is {}", apart(rms(ours), rms(theirs))));
            }
        }
        None
    }
}

impl Source for OnDevice<'_> {
    fn prove(&mut self, variant: &Variant, algorithm: Algorithm) -> Result<Option<String>> {
        note!("Checking {}, {algorithm} convolution", variant.products());
        self.fault(variant, ops::cases_of(algorithm))
    }

    fn prove_fused_statistics(&mut self, variant: &Variant) -> Result<Option<String>> {
        note!("Checking {}, fused statistics", variant.products());
        self.fault(variant, ops::cases_of_fused_statistics())
    }

    fn load(&mut self, variants: &[Variant]) -> Result<Vec<Option<String>>> {
        let plans: Vec<Plan> = variants.iter().map(|variant| self.plan(variant)).collect();
        let mut session = Session::new(self.device.clone());
        self.engine = Engine::Cpu(Default::default()); // the memory of earlier ones
        session.reserve(&plans)?;
        self.engine = Engine::Gpu(Box::new(session));
        self.programs.clear();
        let mut faults = Vec::new();
        note!("Timing {} variants", variants.len());
        for (plan, variant) in plans.into_iter().zip(variants) {
            let ran = self.engine.load(plan).and_then(|program| Ok((program, self.run(program, variant)?)));
            let (program, fault) = match ran {
                Err(error @ Error::DeviceLost(_)) => return Err(error),
                Err(error) => (None, Some(error.to_string())),
                Ok((program, results)) => {
                    let fault = self.reference.as_ref().and_then(|reference| results.fault(reference));
                    self.reference.get_or_insert(results);
                    (Some(program), fault)
                }
            };
            self.programs.push(program);
            faults.push(fault);
        }
        let software = self.device.listed.is_software();
        if let (false, Engine::Gpu(session), Some(&first)) =
            (software, &self.engine, self.programs.iter().flatten().next())
        {
            warm_up(software, || Ok(session.time_steps(first)?.iter().sum()))?;
        }
        Ok(faults)
    }

    fn time(&mut self, index: usize) -> Result<Vec<(String, f64)>> {
        let Engine::Gpu(session) = &self.engine else { unreachable!("candidates are loaded on the device") };
        let program = self.programs[index].expect("what could not be loaded is not timed");
        let seconds = session.time_steps(program)?;
        let nodes = session.plan(program).nodes.iter();
        Ok(nodes.map(|node| (node.name.clone(), seconds[node.steps.clone()].iter().sum())).collect())
    }
}
