//! A whole training step: the plan that `train` runs, each node on the device's own numbers against its twin.

use super::findings::Findings;
use super::trial::Trial;
use crate::engine::gpu::Device;
use crate::engine::numbers::uniform;
use crate::engine::plan::names;
use crate::engine::plan::{Lifetime, Plan, Target};
use crate::error::Result;
use crate::network::Network;
use crate::network::compile as plans;
use crate::network::weights;
use crate::ops::augment::proof::{maps, pixels};
use crate::ops::case::Expect;
use crate::ops::{adam, augment};

const SEED: u64 = 1;

/// The plan of a training step that keeps every tensor, so that all of them can be looked at.
pub fn kept_plan(network: &Network, batch: usize, target: &Target) -> Plan {
    let plan = Plan::new(target.clone(), batch, plans::image_bytes(network)).keep_everything();
    plans::training_in(plan, network)
}

/// Runs one step from fresh weights, once with every tensor kept and once as in training, where tensors share memory:
/// what stays of the two must be the same bits. Faults are in the order of the plan, so the first is where a run first
/// goes wrong.
pub fn run(device: &Device, network: &Network, [kept, plain]: [Plan; 2]) -> Result<Findings> {
    let mut findings = Findings::default();
    let mut kept = Trial::load(device, kept)?;
    write(&mut kept, network);
    kept.run(Expect::BoundedAny, &mut findings)?;

    let mut plain = Trial::load(device, plain)?;
    write(&mut plain, network);
    plain.start()?;
    for name in lasting(plain.plan()) {
        let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let (got, want) = (bits(plain.read(&name)?), bits(kept.read(&name)?));
        let differ = got.iter().zip(&want).filter(|(got, want)| got != want).count();
        findings.expect(&name, got == want, || {
            format!("{differ} of {} numbers are not those of the same step with every tensor kept", want.len())
        });
    }
    Ok(findings)
}

/// The tensors of values that outlive a step.
fn lasting(plan: &Plan) -> Vec<String> {
    let read = [names::LOGITS, names::PROBABILITIES, names::METRICS];
    let lasts = |lifetime, name: &str| lifetime == Lifetime::Persistent || read.contains(&name);
    let lasting = plan.tensors.iter().filter(|tensor| lasts(tensor.lifetime, &tensor.name));
    lasting.map(|tensor| tensor.name.clone()).collect()
}

/// Fresh weights, made-up photographs turned at random, every class in turn as the label, unequal class weights.
fn write(trial: &mut Trial, network: &Network) {
    let (batch, size, classes) = (trial.plan().batch, network.image_size, network.classes);
    for (name, numbers) in weights::by_tensor(network, &weights::initial(network, SEED)) {
        trial.write(&name, &numbers);
    }
    let p = augment::Problem { batch, height: size.height, width: size.width };
    trial.write_integers(names::PIXELS, &pixels(p));
    trial.write(names::MAPS, &maps(p));
    let labels: Vec<u32> = (0..batch).map(|sample| (sample * 3 % classes) as u32).collect();
    trial.write_integers(names::LABELS, &labels);
    let weights: Vec<f32> = uniform(SEED, classes).iter().map(|number| 1.0 + number / 2.0).collect();
    trial.write(names::CLASS_WEIGHT, &weights);
    trial.write(names::RATE, &[adam::alpha(1e-3, 1) as f32, 0.0, 0.0, 0.0]);
}
