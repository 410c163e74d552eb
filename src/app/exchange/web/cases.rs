//! Cases that prove a page's kernels on the reader's device, as `ocellus doctor` does: their steps, their numbers, and what the
//! f64 twins make of these.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rayon::prelude::*;
use serde::Serialize;

use super::replay::{Lister, Program, Stored, needed, target};
use crate::engine::bound::Bound;
use crate::engine::layout;
use crate::engine::plan::{Plan, Step, memory};
use crate::engine::tensor::Values;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::network::compile as plans;
use crate::ops::case::{self, Expect, Inputs};
use crate::proof::doctor::trial::{TwinResult, held_at_first, twin};

/// A case, by the kernel that it is about.
#[derive(Debug, Serialize)]
pub struct Case {
    pub kernel: &'static str,
    about: String,
    plan: Program,
    rounds: Vec<Round>,
}

/// Numbers to run a case on, and what has to come out.
#[derive(Debug, Serialize)]
struct Round {
    numbers: &'static str,
    weights: Vec<Stored>,
    /// Base64 of the weights' bytes.
    bytes: String,
    /// NaN is wanted exactly where the twins have it, and nothing else is compared.
    nan: bool,
    results: Vec<Expected>,
}

/// One window of an output, as it lies in memory.
#[derive(Debug, Serialize)]
struct Expected {
    name: String,
    buffer: usize,
    /// Base64 of f64: the twin's numbers.
    want: String,
    /// Base64 of f64: how far each may be away; negative for padding.
    bound: String,
    /// Of the root mean square of the errors.
    rms: f64,
}

/// Bytes of a case's tensors, at most: a page holds their numbers.
const MOST_BYTES: u64 = 32 << 10;

/// The first operation of the small ones of the telling cases, as far as kernels that make a network's probabilities do it.
///
/// # Errors
/// As `Plan::modules`.
pub fn cases(network: &Network) -> Result<Vec<Case>> {
    let forward = plans::inference(network, 1, &target());
    let path = |step: &Step| step.kernel.path;
    let known: BTreeSet<&str> = forward.steps.iter().map(path).collect();
    let steps = forward.steps.iter().zip(needed(&forward)).filter(|(_, needed)| *needed);
    let run: BTreeSet<&str> = steps.map(|(step, _)| path(step)).collect();
    let is_run = |Plan { steps, .. }: &Plan| {
        steps.iter().all(|step| known.contains(path(step))) && steps.iter().any(|step| run.contains(path(step)))
    };
    let is_small = |plan: &Plan| memory::total(plan).bytes() <= MOST_BYTES;
    let all: Vec<case::Case> = crate::ops::cases().into_iter().filter(|case| case.telling).collect();
    // Operations after the first would have to be given the device's own numbers.
    let first = |mut plan: Plan| {
        plan.nodes.truncate(1);
        plan.steps.truncate(plan.nodes[0].steps.end);
        plan
    };
    let plans = all.par_iter().map(|case| (case, first(case.plan(&target()))));
    plans.filter(|(_, plan)| is_run(plan) && is_small(plan)).map(|(case, plan)| of(case, &plan)).collect()
}

fn of(case: &case::Case, plan: &Plan) -> Result<Case> {
    let mut lister = Lister::new(plan);
    for (step, module) in plan.steps.iter().zip(plan.modules().map_err(Error::Device)?) {
        lister.add(step, &module, false)?;
    }
    // A round may leave tensors as the one before wrote them.
    let mut held = held_at_first(plan);
    let mut of_round = |round: &case::Round| expected(round, plan, &mut held, &mut lister);
    let rounds = case.rounds.iter().map(&mut of_round).collect::<Result<_>>()?;
    Ok(Case { kernel: case.kernel, about: case.about.clone(), plan: lister.program, rounds })
}

fn expected(round: &case::Round, plan: &Plan, held: &mut Values, lister: &mut Lister) -> Result<Round> {
    let Inputs { floats, integers, .. } = round.inputs(plan);
    let (mut weights, mut bytes) = (Vec::new(), Vec::new());
    for (id, numbers) in floats {
        lister.store(id, &numbers, &mut weights, &mut bytes);
        held.set(id, numbers.into_iter().map(f64::from).collect());
    }
    for (id, numbers) in integers {
        weights.push(Stored::whole(lister.buffer(id.into())));
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        held.set_integers(id, numbers);
    }
    let mut results = Vec::new();
    for TwinResult { id, want, bound } in twin(plan, held, 0, round.expect).results {
        let Bound { each, rms } = bound.map_err(Error::Device)?;
        // The number of each entry, from 1, where it lies in memory; f32 counts far enough.
        let numbered: Vec<f32> = (1..=want.len()).map(|number| number as f32).collect();
        let places = layout::pad(plan.tensor(id), &numbered);
        let mut rest = &places[..];
        for view in lister.views(id) {
            let (places, others) = rest.split_at(plan.count_of(view));
            rest = others;
            let at = |numbers: &[f64], padding: f64| {
                let number = |&place: &f32| if place == 0.0 { padding } else { numbers[place as usize - 1] };
                BASE64_STANDARD.encode(places.iter().flat_map(|place| number(place).to_le_bytes()).collect::<Vec<u8>>())
            };
            let (want, bound) = (at(&want, 0.0), at(&each, -1.0));
            results.push(Expected {
                name: plan.tensor(id).name.clone(),
                buffer: lister.buffer(view),
                want,
                bound,
                rms,
            });
        }
    }
    let (nan, bytes) = (round.expect == Expect::SameNan, BASE64_STANDARD.encode(bytes));
    Ok(Round { numbers: round.numbers, weights, bytes, nan, results })
}
